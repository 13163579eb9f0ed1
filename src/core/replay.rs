//! Replay: an execution made again from its history, and the check that the code still does what it
//! did.
//!
//! Owns: which turns the code is taken through, in what order, and what it must ask for in each.
//! Must never: let a turn pass whose requests differ in kind, name, chosen id or order, or that ends
//! where the recorded one went on (`docs/semantics.md` §3.5). Proved by the tests below and `tests/replay.rs`.

use std::collections::VecDeque;

use serde::Serialize;

use super::TimeMs;
use super::action::describe_recorded;
use super::error::ErrorCode;
use super::execution::Execution;
use super::history::{HistoryEvent, HistoryRecord};
use super::turn::{Resolution, TurnOutcome};
use super::view::event_type;

/// Why an instance is held, as its status tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The stable code.
    pub code: ErrorCode,
    /// For people: what is wrong, the likely causes, and what to do.
    pub message: String,
    /// The place in history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_event: Option<String>,
    /// What history says the code asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What it asks for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

impl Problem {
    /// A problem that is not about a place in history.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, history_event: None, expected: None, actual: None }
    }
}

/// A recorded turn, for the code to run again.
#[derive(Debug, Clone)]
pub struct ReplayTurn {
    /// `currentUtcDateTime` of the turn.
    pub time_ms: TimeMs,
    /// What the code is told, in order.
    pub resolutions: Vec<Resolution>,
}

/// See the module's text.
#[derive(Debug)]
pub struct Replay {
    records: VecDeque<HistoryRecord>,
    /// Turns handed out and not checked.
    expected: VecDeque<ExpectedTurn>,
    /// Number of the next event, from 0 at the start of the execution.
    position: usize,
}

/// What a recorded turn asked for, by number of the event, and the number after its last one.
#[derive(Debug, Default)]
struct ExpectedTurn {
    asked: Vec<(usize, HistoryEvent)>,
    end: usize,
}

impl Replay {
    /// Of all rows of history of an execution, oldest first.
    #[must_use]
    pub fn new(records: Vec<HistoryRecord>) -> Self {
        Self { records: records.into(), expected: VecDeque::new(), position: 0 }
    }

    /// Folds up to `limit` turns, of at most `bytes` of payloads if they are more than one, into `execution` and
    /// gives those in which the code runs. An empty answer means that the end of history is reached.
    pub fn next_turns(
        &mut self,
        execution: &mut Execution,
        limit: usize,
        bytes: usize,
    ) -> Vec<ReplayTurn> {
        let mut turns = Vec::new();
        let mut taken = 0;
        while turns.len() < limit {
            let Some(next) = self.records.front() else { break };
            // What the code asks for comes back with the outcome, so it counts too.
            taken += next.payload_bytes();
            if taken > bytes && !turns.is_empty() {
                break;
            }
            let Some(record) = self.records.pop_front() else { break };
            let first = self.position;
            self.position += record.events.len();
            if record.notice {
                continue;
            }
            let begins = !execution.begun();
            let time_ms = execution.begin_turn(record.time_ms);
            if begins {
                execution.live_by(record.began);
            }
            let mut resolutions = Vec::new();
            let mut asked = Vec::new();
            for (offset, event) in record.events.into_iter().enumerate() {
                execution.apply(&event);
                resolutions.extend(event.resolution());
                if event.is_asked() {
                    asked.push((first + offset, event));
                }
            }
            // What came free was started by the turn that is replayed.
            execution.take_released();
            execution.end_turn();
            if begins || !resolutions.is_empty() {
                turns.push(ReplayTurn { time_ms, resolutions });
                self.expected.push_back(ExpectedTurn { asked, end: self.position });
            }
        }
        turns
    }

    /// Compares what the code made of the turns handed out with what is recorded of them.
    ///
    /// # Errors
    /// The first difference; `Internal` if there are turns that the code was not taken through.
    pub fn check(&mut self, outcomes: &[TurnOutcome]) -> Result<(), Box<Problem>> {
        for outcome in outcomes {
            let expected = self.expected.pop_front().unwrap_or_default();
            check_turn(&expected, outcome)?;
        }
        if self.expected.is_empty() {
            return Ok(());
        }
        let message = format!(
            "The orchestrator was not run through {} of its recorded turns.",
            self.expected.len()
        );
        Err(Box::new(Problem::new(ErrorCode::Internal, message)))
    }

    /// Whether every recorded turn has been handed out and checked.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.records.is_empty() && self.expected.is_empty()
    }
}

fn check_turn(expected: &ExpectedTurn, outcome: &TurnOutcome) -> Result<(), Box<Problem>> {
    let mut actual = outcome.actions.iter();
    for (number, event) in &expected.asked {
        let place = format!("event {number}, {}", event_type(event));
        let wanted = describe_recorded(event);
        match actual.next() {
            Some(action) if action.agrees_with(event) => {}
            Some(action) => return Err(mismatch(place, wanted, action.describe())),
            None => {
                let did = outcome.end.as_ref().map_or("nothing more in this turn", |_| "the end");
                return Err(mismatch(place, wanted, did.to_owned()));
            }
        }
    }
    let place = format!("event {}, the end of a turn", expected.end);
    let wanted = "nothing more in this turn".to_owned();
    if let Some(extra) = actual.next() {
        return Err(mismatch(place, wanted, extra.describe()));
    }
    if outcome.end.is_some() {
        return Err(mismatch(place, wanted, "the end of the orchestration".to_owned()));
    }
    Ok(())
}

#[expect(clippy::unnecessary_box_returns, reason = "it is the error of a Result")]
fn mismatch(history_event: String, expected: String, actual: String) -> Box<Problem> {
    let message = format!(
        "The orchestrator does not do what its history says it did. At {history_event}, history \
         says {expected}; the code does {actual}. Likely causes: the function was changed while \
         this instance was open, or it depends on something that differs between runs (the clock, \
         random numbers, the environment, I/O). Restore the code that ran before and resume the \
         instance, or terminate it."
    );
    Box::new(Problem {
        code: ErrorCode::Nondeterminism,
        message,
        history_event: Some(history_event),
        expected: Some(expected),
        actual: Some(actual),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::action::Action;

    fn scheduled(task: u32, name: &str) -> HistoryEvent {
        HistoryEvent::TaskScheduled {
            task,
            name: name.into(),
            input: None,
            retry: None,
            group: None,
        }
    }

    fn call(name: &str) -> Action {
        Action::CallActivity { name: name.into(), input: None, retry: None, group: None }
    }

    fn outcome(actions: Vec<Action>) -> TurnOutcome {
        TurnOutcome { actions, ..TurnOutcome::default() }
    }

    fn replay_of(events: Vec<HistoryEvent>) -> (Replay, Execution) {
        let record = HistoryRecord { time_ms: 5, events, notice: false, began: None };
        (Replay::new(vec![record]), Execution::default())
    }

    #[test]
    fn the_same_requests_in_another_case_pass() {
        let (mut replay, mut execution) = replay_of(vec![scheduled(0, "Hello")]);
        assert_eq!(replay.next_turns(&mut execution, 10, usize::MAX).len(), 1);
        assert!(replay.check(&[outcome(vec![call("hello")])]).is_ok());
        assert!(replay.is_done());
    }

    #[test]
    fn another_name_is_told_with_both_sides() {
        let (mut replay, mut execution) = replay_of(vec![scheduled(0, "a"), scheduled(1, "b")]);
        replay.next_turns(&mut execution, 10, usize::MAX);
        let problem = replay.check(&[outcome(vec![call("a"), call("c")])]).unwrap_err();
        assert_eq!(problem.history_event.as_deref(), Some("event 1, TaskScheduled"));
        assert_eq!(problem.expected.as_deref(), Some("callActivity('b')"));
        assert_eq!(problem.actual.as_deref(), Some("callActivity('c')"));
    }

    #[test]
    fn a_request_too_few_or_too_many_and_an_early_end_are_mismatches() {
        for (actions, end) in [
            (vec![], None),
            (vec![call("a"), call("a")], None),
            (vec![call("a")], Some(crate::core::commit::End::Complete { result: None })),
        ] {
            let (mut replay, mut execution) = replay_of(vec![scheduled(0, "a")]);
            replay.next_turns(&mut execution, 10, usize::MAX);
            let outcome = TurnOutcome { end, ..outcome(actions) };
            assert!(replay.check(&[outcome]).is_err());
        }
    }
}
