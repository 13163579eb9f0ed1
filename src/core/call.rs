//! Calls that are tried again and calls that wait for others: what an open activity or
//! sub-orchestration is.
//!
//! Owns: what follows a failed attempt, and which members of a bounded fan-out are under way. Must
//! never: draw a random number or read a clock. Proved by `tests/replay.rs`.

use std::collections::{HashSet, VecDeque};

use super::action::Group;
use super::entropy::Entropy;
use super::retry::Retry;
use super::{Name, Payload, TaskId, TimeMs};

/// A call that is tried until it succeeds or its policy gives up.
#[derive(Debug, Clone)]
pub struct Call {
    /// Name of the function.
    pub name: Name,
    /// Its input.
    pub input: Option<Payload>,
    /// How it is tried again.
    pub retry: Option<Retry>,
    /// The fan-out it belongs to.
    pub group: Option<Group>,
    /// The attempt that is under way or due, from 1.
    pub attempt: u32,
    /// When the first attempt was scheduled.
    pub first_ms: TimeMs,
    /// When this attempt was scheduled.
    pub since_ms: TimeMs,
    /// The last attempt failed and the next one begins then.
    pub again_at: Option<TimeMs>,
}

/// What is asked of a policy's `retryIf`, see `execution::Accepted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// When the next attempt would begin.
    pub again_at: TimeMs,
    /// The attempt that failed.
    pub attempt: u32,
}

/// The open sub-orchestrations of a fan-out with a bound. Which of them wait follows from history
/// alone, so a replay finds the same. One keeps its place while it waits for another attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct Children {
    started: HashSet<TaskId>,
    pub(super) waiting: VecDeque<TaskId>,
}

impl Children {
    pub(super) fn add(&mut self, task: TaskId, limit: u32) {
        if self.started.len() < limit.max(1) as usize {
            self.started.insert(task);
        } else {
            self.waiting.push_back(task);
        }
    }

    /// One has ended: the one that takes its place.
    pub(super) fn remove(&mut self, task: TaskId) -> Option<TaskId> {
        self.started.remove(&task);
        let next = self.waiting.pop_front()?;
        self.started.insert(next);
        Some(next)
    }
}

impl Call {
    /// What follows a failure of the current attempt: another one at a time, or a question, or
    /// neither.
    pub(super) fn after_failure(
        &self,
        now_ms: TimeMs,
        entropy: &mut dyn Entropy,
    ) -> (Option<TimeMs>, Option<Ask>) {
        let Some(retry) = &self.retry else {
            return (None, None);
        };
        let drawn = if retry.jitter > 0.0 { entropy.unit() } else { 0.0 };
        match retry.next_attempt_at(self.attempt, self.first_ms, now_ms, drawn) {
            Some(again_at) if retry.ask => (None, Some(Ask { again_at, attempt: self.attempt })),
            again_at => (again_at, None),
        }
    }
}
