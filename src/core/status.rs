//! Runtime statuses and which of them an instance may pass to.
//!
//! Owns: the numbers that are stored and the groups that rules speak of.
//! Must never: know why a status changes.

use serde::{Deserialize, Serialize};

/// The status of an instance. The numbers are those of Azure Durable Functions and are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RuntimeStatus {
    /// The orchestrator function has begun.
    Running = 0,
    /// It returned.
    Completed = 1,
    /// One generation has ended and the next has not begun.
    ContinuedAsNew = 2,
    /// It threw.
    Failed = 3,
    /// It was ended from outside.
    Terminated = 5,
    /// It is scheduled and has not begun.
    Pending = 6,
    /// It is held, by a user or because of a problem.
    Suspended = 7,
}

impl RuntimeStatus {
    /// Every status, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Completed,
        Self::ContinuedAsNew,
        Self::Failed,
        Self::Terminated,
        Self::Pending,
        Self::Suspended,
    ];

    /// The stored number.
    #[must_use]
    pub fn number(self) -> i64 {
        self as i64
    }

    /// The status of a stored number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }

    /// Ended: nothing can happen to the instance but a rewind, a restart or a purge.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for status in RuntimeStatus::ALL {
            assert_eq!(RuntimeStatus::from_number(status.number()), Some(status));
        }
        assert_eq!(RuntimeStatus::from_number(4), None);
    }
}
