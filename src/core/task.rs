//! Activities that may run in another worker than their instance's.
//!
//! Owns: what such an activity is, and what a worker asks for when it has room. Must never: decide where
//! one runs (`runtime/dispatcher/tasks.rs` does).

use serde::{Deserialize, Serialize};

use super::{ExecutionId, InstanceKey, Name, Payload, TaskId};

/// Which activity of which execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskRef {
    /// Key of the instance.
    pub key: InstanceKey,
    /// Its execution.
    pub exec: ExecutionId,
    /// The task.
    pub task: TaskId,
}

/// An activity, with all that a worker needs to run it.
#[derive(Debug, Clone)]
pub struct ActivityTask {
    /// Which.
    pub of: TaskRef,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// Id of the instance.
    pub instance_id: String,
    /// Name of the activity.
    pub name: Name,
    /// Its input.
    pub input: Option<Payload>,
}

/// An activity that a worker has taken to run.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The activity.
    pub task: ActivityTask,
    /// How many workers have taken it, this one included, and not given it back.
    pub claims: u32,
}

/// What a worker would take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// How many at most.
    pub room: usize,
    /// Activities that it runs.
    pub served: Vec<Served>,
}

/// An activity that a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Its folded name.
    pub name: String,
    /// How many of it run at the same time in the whole hub, at most.
    pub limit: Option<usize>,
}

/// Whether activities wait that a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TasksWait {
    /// Of those without a limit.
    pub free: bool,
    /// Of those with one that is not reached.
    pub limited: bool,
}

impl TasksWait {
    /// Whether any do.
    #[must_use]
    pub fn any(self) -> bool {
        self.free || self.limited
    }
}
