//! Work of the dispatcher's own that can never be written, by its own fault: a row of it is damaged, say.
//!
//! Owns: what becomes of whom it was for. Must never: let anything stand still without a word, or let one pay
//! for another in the same piece of work. What a store cannot write for now does not come here: the writer keeps
//! it, and tries again. Proved by `tests/simulation.rs` and `__test__/bad-store.spec.mjs`.

use crate::core::InstanceKey;
use crate::core::error::{Error, engine_failure};
use crate::core::message::Message;
use crate::core::replay::Problem;
use crate::provider::transaction::{Park, Work};

use super::super::protocol::LogLevel;
use super::live::State;
use super::{Dispatcher, Step};

impl Dispatcher {
    /// Work of the dispatcher's own can never be written.
    pub fn unwritable(&mut self, work: &Work, error: &Error, step: &mut Step) {
        if let Some(parts) = apart(work) {
            return step.work.extend(parts);
        }
        match work {
            Work::Turn(commit) => {
                let problem = Box::new(Problem::new(error.code, error.message.clone()));
                return self.park(commit.key, problem, Park::Hold, step);
            }
            Work::Entity(commit) => return self.entity_unwritable(commit, &error.message, step),
            _ => step.log(LogLevel::Error, "", error.to_string()),
        }
        match work {
            Work::Offer { tasks, running: false } => self.not_offered(tasks),
            Work::Claim(_) => self.not_claimed(),
            Work::Report { of, message: Message::TaskCompleted { .. } } => {
                let failure = engine_failure(error.code, &error.message);
                let message = Message::TaskFailed { task: of.task, failure };
                step.work.push(Work::Report { of: *of, message });
            }
            Work::Keep { key, .. } => self.kept(*key),
            // What counts deaths is no reason not to run.
            Work::CountCrash(keys) => {
                for key in keys {
                    self.counted(*key, step);
                }
            }
            Work::EntityCrashes { keys, .. } => {
                for key in keys {
                    self.entity_counted(*key);
                }
            }
            Work::Unpark(key) => self.stays_parked(*key, step),
            _ => {}
        }
    }

    /// It cannot be noted that an instance is no longer held, so it is.
    fn stays_parked(&mut self, key: InstanceKey, step: &mut Step) {
        let unparking = |live: &super::Live| matches!(live.state, State::Unparking) && live.held;
        if self.lives.get(&key).is_some_and(|live| unparking(live)) {
            self.keep_unstored(key, step);
            self.forget(key, step);
        }
    }
}

/// Work that is about several, as work about one each: who is at fault is known then.
fn apart(work: &Work) -> Option<Vec<Work>> {
    let parts: Vec<Work> = match work {
        Work::Due(timers) => timers.iter().map(|timer| Work::Due(vec![*timer])).collect(),
        Work::CountCrash(keys) => keys.iter().map(|key| Work::CountCrash(vec![*key])).collect(),
        Work::ClearCrash(keys) => keys.iter().map(|key| Work::ClearCrash(vec![*key])).collect(),
        Work::EntityCrashes { keys, counts } => {
            let one = |key: &InstanceKey| Work::EntityCrashes { keys: vec![*key], counts: *counts };
            keys.iter().map(one).collect()
        }
        _ => return None,
    };
    (parts.len() > 1).then_some(parts)
}
