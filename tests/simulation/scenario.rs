//! A seed's run: instances of every program, callers here and elsewhere, faults, and a calm end.

use durafn::core::entity::Signal;
use durafn::core::limits::SUSPECT_DEATHS;
use durafn::core::request::{Command, Control, Filter, OnConflict, StartSpec, UnmatchedEvents};
use durafn::core::status::RuntimeStatus;
use durafn::provider::{Page, Reader};
use serde_json::{Value, json};

use super::host::value;
use super::programs;
use super::world::{Faults, World};
use crate::common::payload;

/// Moves in which faults happen and callers call.
const RESTLESS_MOVES: usize = 600;
/// Moves after which a run that has not ended is stuck.
const MOVES_MAX: usize = 60_000;

/// Programs that wait for events.
const LISTENERS: [&str; 4] = ["waits", "race", "ticker", "pair"];

/// An instance that a caller cares for.
struct Tracked {
    id: String,
    program: &'static str,
    /// It is terminated, if it has not ended by then.
    doomed: bool,
}

/// What a seed does to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing goes wrong: each activity runs once.
    Fair,
    /// Reads and commits fail, the clock is set.
    Rough,
    /// The process dies and is closed as well.
    Crashes,
    /// It stands still for longer than its lease.
    StandsStill,
}

/// See the module's text.
pub(crate) struct Scenario {
    pub(crate) world: World,
    tracked: Vec<Tracked>,
    weather: Weather,
    ends_left: usize,
    sent: u32,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let weathers = [Weather::Fair, Weather::Rough, Weather::Crashes, Weather::StandsStill];
        let weather = weathers[usize::try_from(seed % 4).unwrap()];
        let mut world = World::new(seed);
        if world.rng.chance(50) {
            world.settings.unmatched_events = UnmatchedEvents::Buffer;
        }
        if weather != Weather::Fair {
            world.faults =
                Faults { failed_commits: 10, failed_reads: 10, clock_jumps: 8, dead_threads: 5 };
        }
        let count = 3 + world.rng.below(6);
        let tracked = (0..count)
            .map(|number| Tracked {
                id: format!("i{number}"),
                program: programs::NAMES[world.rng.below(programs::NAMES.len())],
                doomed: world.rng.chance(10),
            })
            .collect();
        let ends = matches!(weather, Weather::Crashes | Weather::StandsStill);
        let ends_left = if ends { 3 } else { 0 };
        Self { world, tracked, weather, ends_left, sent: 0 }
    }

    /// Runs to the end, and checks it.
    pub(crate) fn run(&mut self) {
        self.world.open();
        for number in 0..MOVES_MAX {
            let restless = number < RESTLESS_MOVES;
            if number == RESTLESS_MOVES {
                self.calm_down();
            }
            if self.world.rng.chance(if restless { 25 } else { 5 }) {
                self.call_something(restless);
            }
            if restless && self.ends_left > 0 && self.world.rng.chance(1) {
                self.end_process();
            }
            if !self.world.step() {
                if self.world.is_at_rest() {
                    self.check_timers();
                    self.check_memory();
                }
                let idle_ms = self.world.idle_for();
                self.world.pass_time(idle_ms);
                if !restless
                    && self.all_ended()
                    && self.world.is_at_rest()
                    && !self.entities_are_awaited()
                {
                    return self.check();
                }
            } else if self.world.rng.chance(20) {
                let ms = i64::try_from(self.world.rng.below(40)).unwrap();
                self.world.pass_time(ms);
            }
        }
        panic!("it is stuck: {:#?}", self.world.store.snapshot().unwrap());
    }

    fn calm_down(&mut self) {
        self.world.faults = Faults::default();
    }

    /// The process dies, or is closed; others write meanwhile; the hub is opened again.
    fn end_process(&mut self) {
        self.ends_left -= 1;
        if self.weather == Weather::StandsStill {
            let moves = self.world.rng.below(150);
            return self.world.stand_still(moves);
        }
        if self.world.rng.chance(60) {
            self.world.crash();
        } else {
            let faults = self.world.faults;
            self.world.close();
            self.world.faults = faults;
        }
        for _ in 0..self.world.rng.below(4) {
            self.call_something(true);
        }
        self.world.pass_time(100);
        self.world.open();
    }

    // ------------------------------------------------------------------------------ callers

    fn call_something(&mut self, restless: bool) {
        let number = self.world.rng.below(self.tracked.len());
        let (id, program, doomed) = {
            let tracked = &self.tracked[number];
            (tracked.id.clone(), tracked.program, tracked.doomed)
        };
        let Some(row) = self.world.store.find(&id).unwrap() else {
            return self.start(&id, program);
        };
        if row.head.status.has_ended() || !restless && self.world.rng.chance(50) {
            return self.resume_something();
        }
        let suspended = row.head.status == RuntimeStatus::Suspended;
        if suspended && (!restless || self.world.rng.chance(50)) {
            return self.control(&id, Control::Resume);
        }
        if doomed && self.world.rng.chance(20) {
            return self.control(&id, Control::Terminate);
        }
        if restless && self.world.rng.chance(15) {
            return self.control(&id, Control::Suspend);
        }
        if restless && self.world.rng.chance(20) {
            let entity_id = (*self.world.rng.pick(&programs::ACCOUNTS)).to_owned();
            let fire_at = self.world.rng.chance(30).then(|| self.world.now_ms() + 200);
            let (operation, input) = ("add".to_owned(), Some(payload(&1)));
            let signal = Signal { entity_id, operation, input, fire_at };
            return self.send(Command::SignalEntity(signal));
        }
        if LISTENERS.contains(&program) {
            let event = self.event(&id);
            self.send(event);
        }
    }

    fn event(&mut self, id: &str) -> Command {
        self.sent += 1;
        let input = Some(payload(&json!(self.sent)));
        let name = (*self.world.rng.pick(&["go", "GO"])).to_owned();
        Command::RaiseEvent { instance_id: id.to_owned(), name, input }
    }

    fn start(&mut self, id: &str, program: &str) {
        if self.world.process.as_ref().is_some_and(|process| process.is_starting(id)) {
            return;
        }
        let start = Command::Start(vec![StartSpec {
            name: program.to_owned(),
            instance_id: Some(id.to_owned()),
            version: None,
            input: None,
            on_conflict: OnConflict::Error,
        }]);
        if self.world.process.is_some() && self.world.rng.chance(40) {
            // A call that is not awaited before the next one.
            self.world.call(start);
            let event = self.event(id);
            self.world.call(event);
        } else {
            self.send(start);
        }
    }

    fn control(&mut self, id: &str, control: Control) {
        let recursive = self.world.rng.chance(30);
        let reason = Some(payload(&"simulated"));
        self.send(Command::Control { instance_id: id.to_owned(), control, reason, recursive });
    }

    /// Children are suspended with their parents, and nobody else cares for them.
    fn resume_something(&mut self) {
        let suspended = self.instances().into_iter().find(|row| row.1 == RuntimeStatus::Suspended);
        if let Some((id, _)) = suspended {
            self.control(&id, Control::Resume);
        }
    }

    fn send(&mut self, command: Command) {
        if self.world.process.is_some() && self.world.rng.chance(60) {
            self.world.call(command);
        } else {
            // A refusal is an answer like any other here.
            let _ = self.world.call_from_elsewhere(command);
        }
    }

    // ------------------------------------------------------------------------------ the end

    fn instances(&mut self) -> Vec<(String, RuntimeStatus)> {
        let page = Page { top: 1_000, cursor: None };
        let listing = self.world.store.list(&Filter::default(), &page).unwrap();
        listing.rows.into_iter().map(|row| (row.head.id, row.head.status)).collect()
    }

    fn all_ended(&mut self) -> bool {
        let instances = self.instances();
        let started = |tracked: &Tracked| instances.iter().any(|(id, _)| *id == tracked.id);
        self.tracked.iter().all(started) && instances.iter().all(|(_, status)| status.has_ended())
    }

    /// Something is to be carried out yet, if only when its time has come.
    fn entities_are_awaited(&mut self) -> bool {
        let snapshot = self.world.store.snapshot().unwrap().0;
        snapshot.iter().any(|line| line.starts_with("message \"@"))
    }

    /// Each entity has carried out all that was ever sent to it, once, and nobody has it for himself.
    fn check_entities(&mut self) {
        let rows = self.world.entities();
        for row in &rows {
            assert!(row.head.lock.is_none(), "{} is locked", row.id);
        }
        let sent = self.world.observer.sent.clone();
        for (id, sum) in sent {
            let state = rows.iter().find(|row| row.id == id).and_then(|row| row.state.as_ref());
            let added = state.map_or(0, |state| value(state)[0].as_i64().unwrap_or(0));
            assert_eq!(added, sum, "{id} has carried out something else than was sent to it");
        }
    }

    /// Nothing is under way, so no timer waits whose time the process has seen.
    fn check_timers(&mut self) {
        let saw_ms = self.world.process().saw_ms;
        for timer in self.world.store.timers_due(saw_ms, 1_000).unwrap() {
            assert!(timer.key > 0, "a scheduled signal is overdue: {timer:?}");
            let row = self.world.store.load(timer.key).unwrap().unwrap().row;
            // One that was under way at several deaths waits until it may run apart.
            let waits =
                row.head.status == RuntimeStatus::Suspended || row.head.crashes >= SUSPECT_DEATHS;
            assert!(waits, "a timer of {} is overdue: {timer:?}", row.head.id);
        }
    }

    /// Nothing is under way, so memory holds nobody who is suspended or has ended.
    fn check_memory(&mut self) {
        let live = self.world.process().dispatcher.live_instances();
        let suspended = |status: &RuntimeStatus| *status == RuntimeStatus::Suspended;
        let open = self
            .instances()
            .into_iter()
            .filter(|(_, status)| !status.has_ended() && !suspended(status));
        let open: Vec<String> = open.map(|(id, _)| id).collect();
        assert!(live <= open.len(), "{live} instances are in memory, and open are {open:?}");
    }

    /// What a failed instance still waited for is kept for its rewind.
    fn is_kept_answer(&mut self, line: &str) -> bool {
        let answers = ["TaskCompleted", "EntityCompleted", "EntityFailed"];
        let Some(id) = line.split('"').nth(1).filter(|_| line.starts_with("message")) else {
            return false;
        };
        let row = self.world.store.find(id).unwrap();
        row.is_some_and(|row| row.head.status == RuntimeStatus::Failed)
            && line.contains("taken=false")
            && answers.iter().any(|kind| line.contains(kind))
    }

    fn check(&mut self) {
        let none = Vec::new();
        for tracked in &self.tracked {
            let row = self.world.store.find(&tracked.id).unwrap().unwrap();
            let events = self.world.observer.events.get(&tracked.id).unwrap_or(&none);
            let came_to: Result<Value, Value> = match row.head.status {
                RuntimeStatus::Completed => Ok(row.output.as_ref().map_or(Value::Null, value)),
                RuntimeStatus::Failed => Err(row.failure.as_ref().map_or(Value::Null, value)),
                RuntimeStatus::Terminated if tracked.doomed => continue,
                other => panic!("{} is {other:?}", tracked.id),
            };
            let expected = programs::expected(tracked.program, events);
            assert!(expected.contains(&came_to), "{}: {came_to:?}, not {expected:?}", tracked.id);
        }
        self.check_entities();
        let left: Vec<String> = self.world.store.snapshot().unwrap().0;
        let mut left: Vec<_> = left
            .into_iter()
            .filter(|line| ["message", "wait", "timer"].iter().any(|kind| line.starts_with(kind)))
            .collect();
        left.retain(|line| !self.is_kept_answer(line));
        assert!(left.is_empty(), "rows are left of instances that have ended: {left:?}");
        let process = self.world.process();
        assert_eq!(process.dispatcher.live_instances(), 0, "the dispatcher holds something");
        assert_eq!(process.dispatcher.running_activities(), 0);
        assert_eq!(process.host.live_executions(), 0, "JavaScript holds something");
        if self.world.observer.crashes == 0 {
            assert_eq!(self.world.observer.repeated(), 0, "an activity ran twice for no reason");
        }
        if self.weather == Weather::Fair {
            assert_eq!(self.world.observer.lost_events, 0, "an event overtook its start");
        }
    }
}
