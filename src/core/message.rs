//! What can come to an instance between two turns.
//!
//! Owns: the shape of messages, in memory and stored. Must never: say what a message resolves.

use serde::{Deserialize, Serialize};

use super::entity::EntityMessage;
use super::history::ChildEnd;
use super::{ExecutionId, MessageKey, Payload, TaskId, TimeMs};

/// Something that happened for an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Message {
    /// An activity returned.
    TaskCompleted {
        /// Its task.
        task: TaskId,
        /// What it returned.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        result: Option<Payload>,
    },
    /// An attempt of an activity threw.
    TaskFailed {
        /// Its task.
        task: TaskId,
        /// What it threw.
        failure: Payload,
    },
    /// A timer's time has come, or that of another attempt. Never stored: the timer itself is.
    TimerFired {
        /// The task of the timer, or the one to be tried again.
        task: TaskId,
    },
    /// An external event.
    EventRaised {
        /// Its name, as the sender spelled it.
        name: String,
        /// Its data.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        input: Option<Payload>,
    },
    /// A sub-orchestration completed.
    ChildCompleted {
        /// Its task in the parent.
        task: TaskId,
        /// What it returned.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        result: Option<Payload>,
    },
    /// A sub-orchestration failed or was terminated, or could not be started.
    ChildFailed {
        /// Its task in the parent.
        task: TaskId,
        /// How it ended.
        child: ChildEnd,
    },
    /// An operation of an entity returned.
    EntityCompleted {
        /// The task that called it.
        task: TaskId,
        /// What it returned.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        result: Option<Payload>,
    },
    /// An operation of an entity threw.
    EntityFailed {
        /// The task that called it.
        task: TaskId,
        /// What it threw.
        failure: Payload,
    },
    /// The entities that the instance asked for are its own.
    LockGranted {
        /// The task that waits.
        task: TaskId,
    },
    /// For an entity, the only kind that entities get beside the two below.
    #[serde(rename = "E")]
    Entity(EntityMessage),
    /// Another process has set a timer of an entity.
    TimerSet {
        /// Which.
        task: TaskId,
        /// When it is due.
        fire_at: TimeMs,
    },
    /// The instance's row was changed from outside (suspended, resumed, ended, rewound): a live
    /// execution of it must be looked at again.
    Changed,
}

/// A message on its way into a turn.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Key of the stored row; `None` if only memory holds it.
    pub key: Option<MessageKey>,
    /// The execution it is for; `None` for whichever is there.
    pub exec: Option<ExecutionId>,
    /// What happened.
    pub message: Message,
}

impl Message {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn decode(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }

    /// The task that it is about. An external event finds its task by name.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::TaskCompleted { task, .. }
            | Self::TaskFailed { task, .. }
            | Self::TimerFired { task }
            | Self::ChildCompleted { task, .. }
            | Self::ChildFailed { task, .. }
            | Self::EntityCompleted { task, .. }
            | Self::EntityFailed { task, .. }
            | Self::LockGranted { task } => Some(*task),
            Self::EventRaised { .. } | Self::Entity(_) | Self::TimerSet { .. } | Self::Changed => {
                None
            }
        }
    }

    /// Bytes of the payload it carries.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        let payload = match self {
            Self::TaskCompleted { result, .. }
            | Self::ChildCompleted { result, .. }
            | Self::EntityCompleted { result, .. } => result.as_ref(),
            Self::TaskFailed { failure, .. } | Self::EntityFailed { failure, .. } => Some(failure),
            Self::Entity(EntityMessage::Operation { input, .. })
            | Self::EventRaised { input, .. } => input.as_ref(),
            Self::ChildFailed { child, .. } => child.failure.as_ref(),
            Self::TimerFired { .. }
            | Self::LockGranted { .. }
            | Self::Entity(_)
            | Self::TimerSet { .. }
            | Self::Changed => None,
        };
        payload.map_or(0, |payload| payload.get().len())
    }
}
