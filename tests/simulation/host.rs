//! JavaScript's side of the exchange, scripted: executions, activities, and what they answer.
//!
//! It holds to what `lib/` does: a drop ends an execution and what waits to run of it; a late result
//! of an aborted activity is still reported.

use std::collections::{HashMap, VecDeque};

use durafn::core::commit::End;
use durafn::core::history::ChildEnd;
use durafn::core::turn::{Resolution, TurnOutcome};
use durafn::core::{InstanceKey, Payload, TaskId};
use durafn::runtime::protocol::{
    Activation, ActivationOutcome, ActivationTurn, ActivityStart, EntityActivation, EntityOutcome,
    ExecutionStart, OperationResult, Outbound, RunId, RunResult,
};
use serde_json::{Value, json};

use super::programs::{self, Cx, Done, Told};
use crate::common::Rng;

/// One execution in memory.
struct Execution {
    start: ExecutionStart,
    input: Value,
    told: Vec<(TaskId, Told)>,
    asked: usize,
    /// Turns that it has been taken through.
    ran: usize,
}

/// See the module's text.
#[derive(Default)]
pub(crate) struct Host {
    live: HashMap<InstanceKey, Execution>,
    /// Activations that wait to be run.
    pub(crate) pending: VecDeque<Activation>,
    /// Operations of entities that wait to be run.
    pub(crate) batches: VecDeque<EntityActivation>,
    /// Activities that run.
    pub(crate) running: Vec<ActivityStart>,
    pub(crate) aborted: Vec<RunId>,
    /// For the next exchange:
    pub(crate) turns: Vec<ActivationOutcome>,
    pub(crate) results: Vec<RunResult>,
    pub(crate) operated: Vec<EntityOutcome>,
    pub(crate) wake_in_ms: i64,
}

impl Host {
    /// Takes what an exchange gave.
    pub(crate) fn take(&mut self, out: Outbound) {
        for key in out.drops {
            self.live.remove(&key);
            self.pending.retain(|activation| activation.iid != key);
        }
        for run in out.aborts {
            assert!(self.running.iter().any(|start| start.run == run), "no run {run}");
            self.aborted.push(run);
        }
        self.running.extend(out.activities);
        self.pending.extend(out.activations);
        for batch in out.entities {
            let same = |other: &EntityActivation| other.key == batch.key;
            assert!(!self.batches.iter().any(same), "{} has two turns at once", batch.id);
            self.batches.push_back(batch);
        }
        self.wake_in_ms = out.wake_in_ms.unwrap_or_default().clamp(1, 1_000);
    }

    /// No more activities run than the hub, their fan-out and their name allow.
    pub(crate) fn check_bounds(&self, hub_limit: usize) {
        let counted = |start: &&ActivityStart| !self.aborted.contains(&start.run);
        let running: Vec<&ActivityStart> = self.running.iter().filter(counted).collect();
        assert!(running.len() <= hub_limit);
        for start in running.iter().filter(|start| &*start.name == "member") {
            let of_group =
                |other: &&&ActivityStart| other.name == start.name && other.iid == start.iid;
            assert!(running.iter().filter(of_group).count() <= programs::GROUP_LIMIT);
        }
        for (name, limit) in programs::NAME_LIMITS {
            assert!(running.iter().filter(|start| &*start.name == name).count() <= limit);
        }
    }

    /// A defect of JavaScript's side: it has nothing of what it should have.
    pub(crate) fn lose_executions(&mut self) {
        self.live.clear();
    }

    pub(crate) fn live_executions(&self) -> usize {
        self.live.len()
    }

    /// Nothing waits to be run or reported.
    pub(crate) fn is_quiet(&self) -> bool {
        self.pending.is_empty()
            && self.running.is_empty()
            && self.batches.is_empty()
            && self.operated.is_empty()
            && self.turns.is_empty()
            && self.results.is_empty()
    }

    /// Runs the operations of one of the entities, or only the first of them, or its thread dies.
    pub(crate) fn operate_some(&mut self, rng: &mut Rng, deaths: usize) {
        let batch = self.batches.remove(rng.below(self.batches.len())).unwrap();
        let token = batch.token;
        if rng.chance(deaths) {
            self.turns.push(ActivationOutcome { token, turns: Vec::new(), held: None });
            return;
        }
        let count = if rng.chance(20) { 1 } else { batch.operations.len() };
        let mut state = batch.state.as_ref().map_or(Value::Null, value);
        let mut results = Vec::new();
        for operation in batch.operations.iter().take(count) {
            let input = operation.input.as_ref().map(value);
            let (next, result) = programs::operate(&state, &operation.name, input.as_ref());
            state = next;
            results.push(OperationResult { ok: true, payload: Some(programs::text(&result)) });
        }
        let state = Some(programs::text(&state));
        let (deleted, signals) = (false, Vec::new());
        self.operated.push(EntityOutcome { token, results, state, deleted, signals });
    }

    /// The thread that is to run one of the activations dies, and its executions with it.
    pub(crate) fn lose_thread(&mut self, rng: &mut Rng) {
        let Activation { token, iid, .. } = self.next(rng);
        self.live.remove(&iid);
        self.turns.push(ActivationOutcome { token, turns: Vec::new(), held: None });
    }

    /// One of the activations that wait. Those of one instance keep their order.
    fn next(&mut self, rng: &mut Rng) -> Activation {
        let chosen = rng.below(self.pending.len());
        let key = self.pending[chosen].iid;
        let first = self.pending.iter().position(|activation| activation.iid == key).unwrap();
        self.pending.remove(first).unwrap()
    }

    /// Runs one of the activations that wait.
    pub(crate) fn run_some(&mut self, rng: &mut Rng, replayed: &mut dyn FnMut(&Replayed<'_>)) {
        let activation = self.next(rng);
        let Activation { token, iid, start, turns, replayed: recorded } = activation;
        if let Some(start) = start {
            let input = start.input.as_ref().map_or(Value::Null, value);
            let execution = Execution { start, input, told: Vec::new(), asked: 0, ran: 0 };
            self.live.insert(iid, execution);
        }
        let Some(execution) = self.live.get_mut(&iid) else {
            self.turns.push(ActivationOutcome { token, turns: Vec::new(), held: None });
            return;
        };
        if recorded > 0 {
            let (exec, first) = (execution.start.exec, execution.ran);
            replayed(&Replayed { handle: iid, exec, first, turns: &turns });
        }
        execution.ran += turns.len();
        let turns: Vec<TurnOutcome> = turns.iter().map(|turn| execution.turn(turn)).collect();
        if turns.last().is_some_and(|turn| turn.end.is_some()) {
            self.live.remove(&iid);
        }
        self.turns.push(ActivationOutcome { token, turns, held: None });
    }

    /// Ends one of the activities that run: what it was.
    pub(crate) fn finish_some(&mut self, rng: &mut Rng) -> ActivityStart {
        let start = self.running.swap_remove(rng.below(self.running.len()));
        self.aborted.retain(|run| *run != start.run);
        let input = start.input.as_ref().map(value);
        let (ok, value) = match programs::activity(&start.name, input.as_ref(), start.attempt) {
            Ok(value) => (true, value),
            Err(failure) => (false, failure),
        };
        self.results.push(RunResult { run: start.run, ok, payload: Some(programs::text(&value)) });
        start
    }
}

/// Recorded turns that are run again.
pub(crate) struct Replayed<'a> {
    pub(crate) handle: InstanceKey,
    pub(crate) exec: u32,
    /// The number of the first of them.
    pub(crate) first: usize,
    pub(crate) turns: &'a [ActivationTurn],
}

impl Execution {
    fn turn(&mut self, turn: &ActivationTurn) -> TurnOutcome {
        let mut outcome = TurnOutcome::default();
        let mut goes_on = self.asked == 0 && self.told.is_empty();
        for resolution in &turn.resolutions {
            let told = match resolution {
                Resolution::Ok { value: found, .. } => {
                    Ok(found.as_ref().map_or(Value::Null, value))
                }
                Resolution::Fail { failure, .. } => Err(value(failure)),
                Resolution::Child { child, .. } => Err(child_failure(child)),
                Resolution::Ask { task, failure, child, .. } => {
                    let failure = failure.as_ref().map(value);
                    let failure = failure.or_else(|| child.as_ref().map(child_failure)).unwrap();
                    let again = programs::retry_if(&failure);
                    outcome.answers.push((*task, again));
                    if again {
                        continue;
                    }
                    Err(failure)
                }
            };
            let task = durafn::runtime::protocol::resolved_task(resolution);
            assert!(self.told.iter().all(|(of, _)| *of != task), "task {task} is told twice");
            self.told.push((task, told));
            goes_on = true;
        }
        if goes_on {
            self.step(turn.time, &mut outcome);
        }
        outcome
    }

    fn step(&mut self, time_ms: i64, outcome: &mut TurnOutcome) {
        let mut cx = Cx {
            id: &self.start.instance_id,
            input: &self.input,
            exec: self.start.exec,
            time_ms,
            told: &self.told,
            asked_before: self.asked,
            asked: 0,
            next_task: 0,
            actions: Vec::new(),
            custom_status: None,
        };
        let done = programs::run(&self.start.name, &mut cx);
        outcome.end = done.map(|done| match done {
            Done::Returns(value) => End::Complete { result: Some(programs::text(&value)) },
            Done::Throws(value) => End::Fail { failure: programs::text(&value) },
            Done::Continues(value) => {
                End::ContinueAsNew { input: Some(programs::text(&value)), events: Vec::new() }
            }
        });
        outcome.custom_status = cx.custom_status.as_ref().map(programs::text);
        outcome.actions = cx.actions;
        self.asked = cx.asked;
    }
}

fn child_failure(child: &ChildEnd) -> Value {
    json!({ "child": child.failure.as_ref().map(value) })
}

/// The value of a payload.
pub(crate) fn value(payload: &Payload) -> Value {
    serde_json::from_str(payload.get()).unwrap()
}
