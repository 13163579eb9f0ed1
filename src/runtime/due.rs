//! Activities that are due, in their order.
//!
//! Owns: that those for other workers wait for no room in this one. Must never: start one (`activities` does).

use std::collections::VecDeque;

use crate::core::{ExecutionId, InstanceKey, Name, TaskId};

use super::protocol::RunId;

/// An activity that may start when there is room.
#[derive(Debug, Clone)]
pub struct DueActivity {
    /// Of which instance.
    pub key: InstanceKey,
    /// Of which execution.
    pub exec: ExecutionId,
    /// Which task.
    pub task: TaskId,
    /// Name of the activity.
    pub name: Name,
    /// The fan-out's number and bound.
    pub group: Option<crate::core::action::Group>,
    /// Another worker than that of its instance is to run it, or this one runs it for another.
    pub elsewhere: bool,
}

/// What may begin.
#[derive(Debug, Default)]
pub struct Started {
    /// In this process.
    pub here: Vec<(RunId, DueActivity)>,
    /// In any worker that has room.
    pub elsewhere: Vec<DueActivity>,
}

/// Activities that are due, in their order.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) here: VecDeque<DueActivity>,
    pub(super) elsewhere: VecDeque<DueActivity>,
}

impl Due {
    pub(super) fn push(&mut self, activity: DueActivity) {
        let due = if activity.elsewhere { &mut self.elsewhere } else { &mut self.here };
        due.push_back(activity);
    }

    /// One that has waited goes before the others.
    pub(super) fn push_front(&mut self, activity: DueActivity) {
        if activity.elsewhere {
            self.elsewhere.push_front(activity);
        } else {
            self.here.push_front(activity);
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&DueActivity) -> bool) {
        self.here.retain(&mut keep);
        self.elsewhere.retain(&mut keep);
    }
}
