//! The persisted vocabulary: what happened in an execution, turn by turn.
//!
//! Owns: the shape of stored events. It only grows: new kinds and optional fields may be added, old
//! ones are read for ever. Must never: decide what an event means (`execution.rs` does).
//! Proved by `tests/golden.rs`, whose recorded histories are never edited.

use serde::{Deserialize, Serialize};

use super::action::Group;
use super::entity::EntityLock;
use super::retry::Retry;
use super::{Name, Payload, TaskId, TimeMs};

/// One row of history: a turn, or a notice of something done to the instance from outside.
///
/// Of a turn, the events that its messages caused stand first, in the order in which the code saw
/// them, then what the code asked for, in the order of the asking. Both orders bind a replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryRecord {
    /// `currentUtcDateTime` of the turn.
    #[serde(rename = "t")]
    pub time_ms: TimeMs,
    /// What happened, in order.
    #[serde(rename = "e")]
    pub events: Vec<HistoryEvent>,
    /// Not a turn: the code did not run.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub notice: bool,
    /// In the first turn of an execution: what it lives by. None in those of older versions.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Began>,
}

/// The rules by which new executions live, beside 0, which those without a number have:
/// 1: what `newGuid` gives differs from start to start, and an event whose wait has lost its race goes to
/// the next wait of its name. An execution keeps its rules, as a replay must do what was done.
pub const RULES: u32 = 1;

/// What an execution lives by, decided when it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// See [`RULES`].
    #[serde(rename = "r")]
    pub rules: u32,
    /// Drawn for this execution, so that what is derived from its id differs from that of another.
    #[serde(rename = "s")]
    pub salt: Name,
}

/// How a sub-orchestration ended that did not complete.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildEnd {
    /// Name of the child's orchestrator.
    pub name: Name,
    /// Id of the child.
    pub instance_id: String,
    /// `Failed` or `Terminated`.
    pub status: ChildStatus,
    /// Of a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    pub failure: Option<Payload>,
    /// Of a terminated one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    pub reason: Option<Payload>,
}

/// See [`ChildEnd::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildStatus {
    /// It threw, or could not be started.
    Failed,
    /// It was terminated.
    Terminated,
}

/// What happened. Field names are short because they stand in every row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum HistoryEvent {
    /// An activity was asked for.
    TaskScheduled {
        /// The task it made.
        #[serde(rename = "k")]
        task: TaskId,
        /// Name of the activity.
        #[serde(rename = "n")]
        name: Name,
        /// Its input.
        #[serde(
            rename = "i",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        input: Option<Payload>,
        /// How it is tried again.
        #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
        /// The fan-out that bounds its concurrency.
        #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
        group: Option<Group>,
    },
    /// An activity returned.
    TaskCompleted {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
        /// What it returned.
        #[serde(
            rename = "r",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        result: Option<Payload>,
    },
    /// An attempt of an activity threw.
    TaskFailed {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
        /// What it threw.
        #[serde(rename = "f")]
        failure: Payload,
        /// When the next attempt begins; without it the task has failed.
        #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
        again_at: Option<TimeMs>,
    },
    /// The delay before another attempt (of an activity or a sub-orchestration) is over.
    TaskRetried {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
        /// Of a sub-orchestration: the id of the instance that tries it now.
        #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
        instance_id: Option<String>,
    },
    /// A sub-orchestration was asked for.
    SubOrchestrationInstanceCreated {
        /// The task it made.
        #[serde(rename = "k")]
        task: TaskId,
        /// Name of the orchestrator.
        #[serde(rename = "n")]
        name: Name,
        /// Id of the child instance.
        #[serde(rename = "d")]
        instance_id: String,
        /// The code chose the id.
        #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
        chosen: bool,
        /// The version that the code chose.
        #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Its input.
        #[serde(
            rename = "i",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        input: Option<Payload>,
        /// How it is tried again.
        #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
        /// The fan-out that bounds its concurrency.
        #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
        group: Option<Group>,
    },
    /// A sub-orchestration returned.
    SubOrchestrationInstanceCompleted {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
        /// What it returned.
        #[serde(
            rename = "r",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        result: Option<Payload>,
    },
    /// An attempt of a sub-orchestration failed or was terminated.
    SubOrchestrationInstanceFailed {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
        /// How it ended.
        #[serde(rename = "f")]
        child: ChildEnd,
        /// When the next attempt begins; without it the task has failed.
        #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
        again_at: Option<TimeMs>,
    },
    /// A timer was asked for.
    TimerCreated {
        /// The task it made.
        #[serde(rename = "k")]
        task: TaskId,
        /// When it fires.
        #[serde(rename = "a")]
        fire_at: TimeMs,
    },
    /// The code cancelled a timer.
    TimerCanceled {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
    },
    /// A timer fired.
    TimerFired {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
    },
    /// The code began to wait for an external event.
    EventAwaited {
        /// The task it made.
        #[serde(rename = "k")]
        task: TaskId,
        /// Name of the event.
        #[serde(rename = "n")]
        name: Name,
    },
    /// The code waits no more.
    EventWaitCanceled {
        /// The task of the wait.
        #[serde(rename = "k")]
        task: TaskId,
    },
    /// An external event came to a wait.
    EventRaised {
        /// The task of the wait.
        #[serde(rename = "k")]
        task: TaskId,
        /// The event's data.
        #[serde(
            rename = "i",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        input: Option<Payload>,
    },
    /// An operation of an entity was called.
    EntityOperationCalled {
        /// The task it made.
        #[serde(rename = "k")]
        task: TaskId,
        /// Id of the entity.
        #[serde(rename = "d")]
        entity_id: String,
        /// Name of the operation.
        #[serde(rename = "n")]
        operation: Name,
        /// Its input.
        #[serde(
            rename = "i",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        input: Option<Payload>,
    },
    /// An operation of an entity was asked for whose result nobody waits for.
    EntityOperationSignaled {
        /// Id of the entity.
        #[serde(rename = "d")]
        entity_id: String,
        /// Name of the operation.
        #[serde(rename = "n")]
        operation: Name,
        /// Its input.
        #[serde(
            rename = "i",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        input: Option<Payload>,
        /// Not before this time.
        #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
        fire_at: Option<TimeMs>,
    },
    /// An operation that was called returned.
    EntityOperationCompleted {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
        /// What it returned.
        #[serde(
            rename = "r",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        result: Option<Payload>,
    },
    /// An operation that was called threw.
    EntityOperationFailed {
        /// Its task.
        #[serde(rename = "k")]
        task: TaskId,
        /// What it threw.
        #[serde(rename = "f")]
        failure: Payload,
    },
    /// The code asked to have entities for itself.
    EntityLockRequested(EntityLock),
    /// It has them.
    EntityLockGranted {
        /// The task that asked.
        #[serde(rename = "k")]
        task: TaskId,
    },
    /// The code gave them back.
    EntityUnlockSent {},
    /// The sub-orchestrations and timers that the code asked for in this turn, from this task on, are
    /// started by later turns.
    StartsPostponed {
        /// The first of them.
        #[serde(rename = "k")]
        task: TaskId,
    },
    /// Of those that were postponed, the ones up to this task are started.
    StartsResumed {
        /// The last of them.
        #[serde(rename = "k")]
        task: TaskId,
    },
    /// The function returned; the result stands in the instance's row.
    ExecutionCompleted {},
    /// The function threw; the failure stands in the instance's row.
    ExecutionFailed {},
    /// Notice: an event came that nothing waited for, and was not kept.
    EventDiscarded {
        /// Name of the event.
        #[serde(rename = "n")]
        name: Name,
    },
    /// Notice: terminated.
    ExecutionTerminated {
        /// Why.
        #[serde(
            rename = "f",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        reason: Option<Payload>,
    },
    /// Notice: suspended.
    ExecutionSuspended {
        /// Why.
        #[serde(
            rename = "f",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        reason: Option<Payload>,
    },
    /// Notice: resumed.
    ExecutionResumed {
        /// Why.
        #[serde(
            rename = "f",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        reason: Option<Payload>,
    },
    /// Notice: the last turn was undone so that it runs again.
    ExecutionRewound {
        /// Why.
        #[serde(
            rename = "f",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        reason: Option<Payload>,
    },
}

impl HistoryEvent {
    /// Whether the event is the code's own doing, to be compared when it is replayed.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        matches!(
            self,
            Self::TaskScheduled { .. }
                | Self::SubOrchestrationInstanceCreated { .. }
                | Self::TimerCreated { .. }
                | Self::TimerCanceled { .. }
                | Self::EventAwaited { .. }
                | Self::EventWaitCanceled { .. }
                | Self::EntityOperationCalled { .. }
                | Self::EntityOperationSignaled { .. }
                | Self::EntityLockRequested(_)
                | Self::EntityUnlockSent {}
        )
    }
}

impl HistoryRecord {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Every part of a record is a type of the engine or raw JSON text, so this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// What is wrong with the row, if it was damaged or written by a newer version.
    pub fn decode(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}
