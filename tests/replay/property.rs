//! Whatever code does and whatever comes to it: folding the stored history of the live run gives the
//! same open tasks, and the code is told the same in the same order.

use durafn::core::TaskId;
use durafn::core::action::Action;
use durafn::core::execution::{Execution, OpenTask};
use durafn::core::message::Message;
use durafn::core::replay::ReplayTurn;
use durafn::core::retry::Retry;
use durafn::core::turn::{Resolution, TurnOutcome};

use super::run::{Run, open};
use crate::common::actions::{
    call, call_retried, cancel, child, child_completed, child_failed, child_retried, completed,
    failed, fired, granted, operation_completed, operation_failed, raised, retry, timer, wait,
};
use crate::common::{Rng, json, seed_from_env};

const SEEDS: u64 = 400;
const EVENT_NAMES: [&str; 3] = ["go", "GO", "stop"];

/// Code that does what its seed and everything it has been told say.
struct Code {
    state: u64,
    next_task: TaskId,
    timers: Vec<TaskId>,
    told: Vec<String>,
}

impl Code {
    fn new(seed: u64) -> Self {
        Self { state: seed, next_task: 0, timers: Vec::new(), told: Vec::new() }
    }

    fn run(&mut self, begins: bool, time_ms: i64, resolutions: &[Resolution]) -> TurnOutcome {
        let mut outcome = TurnOutcome::default();
        let mut goes_on = begins;
        for resolution in resolutions {
            let text = match resolution {
                Resolution::Ask { task, failure, attempt, child } => {
                    let again = Rng::new(self.state ^ u64::from(*attempt)).chance(60);
                    outcome.answers.push((*task, again));
                    if again {
                        continue;
                    }
                    json(&match (failure, child) {
                        (Some(failure), _) => {
                            Resolution::Fail { task: *task, failure: failure.clone() }
                        }
                        (_, Some(child)) => Resolution::Child { task: *task, child: child.clone() },
                        _ => panic!("a question about nothing"),
                    })
                }
                other => json(other),
            };
            text.bytes()
                .for_each(|byte| self.state = self.state.wrapping_mul(31) + u64::from(byte));
            self.told.push(text);
            goes_on = true;
        }
        if goes_on {
            outcome.actions = self.actions(time_ms);
        }
        outcome
    }

    fn actions(&mut self, time_ms: i64) -> Vec<Action> {
        let mut rng = Rng::new(self.state);
        let mut actions = Vec::new();
        for _ in 0..rng.below(4) {
            let policy = Retry {
                jitter: if rng.chance(50) { 0.5 } else { 0.0 },
                ask: rng.chance(50),
                ..retry(3)
            };
            let action = match rng.below(8) {
                0 => call("plain"),
                1 => call_retried("again", policy),
                2 => child("child", None),
                3 => child_retried("child", None, policy),
                4 => child_retried("child", Some("chosen"), policy),
                5 => wait(rng.pick::<&str>(&EVENT_NAMES)),
                6 if !self.timers.is_empty() => {
                    cancel(self.timers.swap_remove(rng.below(self.timers.len())))
                }
                _ => timer(time_ms + 50),
            };
            if action.makes_task() {
                if matches!(action, Action::CreateTimer { .. }) {
                    self.timers.push(self.next_task);
                }
                self.next_task += 1;
            }
            actions.push(action);
        }
        actions
    }

    fn forget_fired(&mut self, resolutions: &[Resolution]) {
        for resolution in resolutions {
            let task = durafn::runtime::protocol::resolved_task(resolution);
            self.timers.retain(|timer| *timer != task);
        }
    }
}

/// A message for an open task, sometimes one that comes too late or is for another attempt.
fn message(execution: &Execution, rng: &mut Rng) -> Message {
    let open: Vec<(TaskId, &OpenTask)> = execution.open().collect();
    let stale = u32::try_from(rng.below(12)).unwrap();
    if open.is_empty() || rng.chance(10) {
        return match rng.below(5) {
            0 => completed(stale, &"late"),
            1 => failed(stale, &"late"),
            2 => fired(stale),
            3 => child_completed(stale, &"late"),
            _ => raised("nobody", &1),
        };
    }
    let (task, open) = *rng.pick(&open);
    match open {
        _ if rng.chance(15) => fired(task),
        OpenTask::Activity(_) if rng.chance(50) => failed(task, &"no"),
        OpenTask::Activity(_) => completed(task, &rng.below(9)),
        OpenTask::Child { instance_id, .. } if rng.chance(50) => {
            let id = if rng.chance(90) { instance_id } else { "another" };
            child_failed(task, id, &"no")
        }
        OpenTask::Child { .. } => child_completed(task, &rng.below(9)),
        OpenTask::Timer { .. } => fired(task),
        OpenTask::Event { name, .. } => raised(name, &rng.below(9)),
        OpenTask::Entity { .. } if rng.chance(50) => operation_failed(task, &"no"),
        OpenTask::Entity { .. } => operation_completed(task, &rng.below(9)),
        OpenTask::Lock { .. } => granted(task),
    }
}

fn live_run(seed: u64) -> (Run, Code) {
    let mut rng = Rng::new(seed);
    let (mut run, mut code) = (Run::new(), Code::new(seed));
    let mut now_ms = 1_000;
    for number in 0..30 {
        let count = if number == 0 { 0 } else { 1 + rng.below(4) };
        let messages: Vec<Message> =
            (0..count).map(|_| message(&run.execution, &mut rng)).collect();
        run.told(now_ms, &messages);
        if run.begun().is_empty() {
            continue;
        }
        let resolutions: Vec<Resolution> = run.begun().resolutions().collect();
        let (begins, time_ms) = (run.begun().begins, run.begun().time_ms);
        let outcome = if run.begun().needs_code() {
            code.forget_fired(&resolutions);
            code.run(begins, time_ms, &resolutions)
        } else {
            TurnOutcome::default()
        };
        run.does(outcome);
        now_ms += i64::try_from(rng.below(300)).unwrap() - 60;
    }
    (run, code)
}

/// The same code, taken through the stored history from its beginning.
fn replayed(run: &Run, seed: u64, chunk: usize) -> (Execution, Code) {
    let mut replay = durafn::core::replay::Replay::new(run.stored());
    let (mut execution, mut code) = (Execution::default(), Code::new(seed));
    let mut begins = true;
    loop {
        let turns = replay.next_turns(&mut execution, chunk, usize::MAX);
        if turns.is_empty() {
            return (execution, code);
        }
        let mut outcomes = Vec::new();
        for ReplayTurn { time_ms, resolutions } in turns {
            code.forget_fired(&resolutions);
            outcomes.push(code.run(std::mem::take(&mut begins), time_ms, &resolutions));
        }
        replay.check(&outcomes).unwrap();
    }
}

#[test]
fn history_gives_the_same_open_tasks_and_the_same_resolutions_as_the_live_run() {
    let seeds = seed_from_env().map_or(0..SEEDS, |seed| seed..seed + 1);
    let mut resolved = 0;
    for seed in seeds {
        let (run, live) = live_run(seed);
        for chunk in [1, 5, 1_000] {
            let (execution, code) = replayed(&run, seed, chunk);
            assert_eq!(code.told, live.told, "DURAFN_SEED={seed}");
            assert_eq!(open(&execution), open(&run.execution), "DURAFN_SEED={seed}");
        }
        resolved += live.told.len();
    }
    assert!(
        seed_from_env().is_some() || resolved > 2_000,
        "the programs do too little: {resolved}"
    );
}
