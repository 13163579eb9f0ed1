//! What the code of an orchestrator asks for, and the one mapping from it to history.
//!
//! Owns: recording an action as an event, comparing an action with a recorded event, and the words
//! in which a difference is told. Must never: decide when a comparison is due (`replay.rs` does).

use serde::{Deserialize, Serialize};

use super::entity::EntityLock;
use super::history::HistoryEvent;
use super::retry::Retry;
use super::{Name, Payload, TaskId, TimeMs, ids};

/// A bound on how many activities or sub-orchestrations of one fan-out run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Unique within the execution.
    pub id: u32,
    /// How many run at the same time.
    pub limit: u32,
}

/// A request of the code, in the order of the asking.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Run an activity.
    CallActivity {
        /// Name of the activity.
        name: Name,
        /// Its input.
        #[serde(default, deserialize_with = "super::present")]
        input: Option<Payload>,
        /// How it is tried again.
        retry: Option<Retry>,
        /// The fan-out it belongs to.
        group: Option<Group>,
    },
    /// Run a sub-orchestration.
    CallSubOrchestrator {
        /// Name of the orchestrator.
        name: Name,
        /// The id that the code chose.
        instance_id: Option<String>,
        /// The version that it chose.
        version: Option<String>,
        /// Its input.
        #[serde(default, deserialize_with = "super::present")]
        input: Option<Payload>,
        /// How it is tried again.
        retry: Option<Retry>,
        /// The fan-out it belongs to.
        group: Option<Group>,
    },
    /// Wait until a time.
    CreateTimer {
        /// When it fires.
        fire_at: TimeMs,
    },
    /// Drop a timer. Makes no task.
    CancelTimer {
        /// The timer's task.
        task: TaskId,
    },
    /// Wait for an external event.
    WaitForEvent {
        /// Name of the event.
        name: Name,
    },
    /// Wait for it no more. Makes no task.
    CancelWait {
        /// The wait's task.
        task: TaskId,
    },
    /// Have an entity carry out an operation.
    CallEntity {
        /// Id of the entity.
        entity_id: String,
        /// Name of the operation.
        operation: Name,
        /// Its input.
        #[serde(default, deserialize_with = "super::present")]
        input: Option<Payload>,
    },
    /// The same, and do not wait for it. Makes no task.
    SignalEntity {
        /// Id of the entity.
        entity_id: String,
        /// Name of the operation.
        operation: Name,
        /// Its input.
        #[serde(default, deserialize_with = "super::present")]
        input: Option<Payload>,
        /// Not before this time.
        fire_at: Option<TimeMs>,
    },
    /// Have entities for itself, until they are given back or the execution ends.
    LockEntities {
        /// Their ids.
        entities: Vec<String>,
    },
    /// Give them back. Makes no task.
    ReleaseEntities {},
}

impl Action {
    /// Whether the action makes a task, and so takes a task id.
    #[must_use]
    pub fn makes_task(&self) -> bool {
        !matches!(
            self,
            Self::CancelTimer { .. }
                | Self::CancelWait { .. }
                | Self::SignalEntity { .. }
                | Self::ReleaseEntities {}
        )
    }

    /// The event that records the action as `task`; `fresh_id` makes ids for children without one.
    pub fn record(self, task: TaskId, fresh_id: &mut dyn FnMut() -> String) -> HistoryEvent {
        match self {
            Self::CallActivity { name, input, retry, group } => {
                HistoryEvent::TaskScheduled { task, name, input, retry, group }
            }
            Self::CallSubOrchestrator { name, instance_id, version, input, retry, group } => {
                let chosen = instance_id.is_some();
                let instance_id = instance_id.unwrap_or_else(fresh_id);
                HistoryEvent::SubOrchestrationInstanceCreated {
                    task,
                    name,
                    instance_id,
                    chosen,
                    version,
                    input,
                    retry,
                    group,
                }
            }
            Self::CreateTimer { fire_at } => HistoryEvent::TimerCreated { task, fire_at },
            Self::CancelTimer { task } => HistoryEvent::TimerCanceled { task },
            Self::WaitForEvent { name } => HistoryEvent::EventAwaited { task, name },
            Self::CancelWait { task } => HistoryEvent::EventWaitCanceled { task },
            Self::CallEntity { entity_id, operation, input } => {
                let entity_id = ids::fold_entity_id(&entity_id);
                HistoryEvent::EntityOperationCalled { task, entity_id, operation, input }
            }
            Self::SignalEntity { entity_id, operation, input, fire_at } => {
                let entity_id = ids::fold_entity_id(&entity_id);
                HistoryEvent::EntityOperationSignaled { entity_id, operation, input, fire_at }
            }
            Self::LockEntities { entities } => {
                let entities = ids::lock_order(entities);
                HistoryEvent::EntityLockRequested(EntityLock { task, entities })
            }
            Self::ReleaseEntities {} => HistoryEvent::EntityUnlockSent {},
        }
    }

    /// Whether a replay that asks for this agrees with what is recorded: the same kind, the same
    /// name (without regard to case, as functions are found), the same chosen instance id. Inputs,
    /// versions, times and concurrency may differ (`docs/semantics.md` §3.5).
    #[must_use]
    pub fn agrees_with(&self, event: &HistoryEvent) -> bool {
        match (self, event) {
            (
                Self::CallActivity { name: actual, .. },
                HistoryEvent::TaskScheduled { name: recorded, .. },
            )
            | (
                Self::WaitForEvent { name: actual },
                HistoryEvent::EventAwaited { name: recorded, .. },
            ) => same_name(actual, recorded),
            (
                Self::CallSubOrchestrator { name: actual, instance_id: actual_id, .. },
                HistoryEvent::SubOrchestrationInstanceCreated {
                    name: recorded,
                    instance_id: recorded_id,
                    chosen,
                    ..
                },
            ) => {
                same_name(actual, recorded)
                    && actual_id.as_deref() == chosen.then_some(recorded_id.as_str())
            }
            (Self::CreateTimer { .. }, HistoryEvent::TimerCreated { .. })
            | (Self::ReleaseEntities {}, HistoryEvent::EntityUnlockSent {}) => true,
            (
                Self::CallEntity { entity_id: actual, operation: asked, .. },
                HistoryEvent::EntityOperationCalled { entity_id: recorded, operation, .. },
            )
            | (
                Self::SignalEntity { entity_id: actual, operation: asked, .. },
                HistoryEvent::EntityOperationSignaled { entity_id: recorded, operation, .. },
            ) => ids::fold_entity_id(actual) == *recorded && asked == operation,
            (
                Self::LockEntities { entities: actual },
                HistoryEvent::EntityLockRequested(EntityLock { entities: recorded, .. }),
            ) => ids::lock_order(actual.clone()) == *recorded,
            (
                Self::CancelTimer { task: actual },
                HistoryEvent::TimerCanceled { task: recorded },
            )
            | (
                Self::CancelWait { task: actual },
                HistoryEvent::EventWaitCanceled { task: recorded },
            ) => actual == recorded,
            _ => false,
        }
    }

    /// The action in words, for a mismatch.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::CallActivity { name, .. } => format!("callActivity('{name}')"),
            Self::CallSubOrchestrator { name, instance_id, .. } => {
                describe_child(name, instance_id.as_deref())
            }
            Self::CreateTimer { .. } => "createTimer()".to_owned(),
            Self::CancelTimer { task } => format!("cancel() of timer {task}"),
            Self::WaitForEvent { name } => format!("waitForExternalEvent('{name}')"),
            Self::CancelWait { task } => describe_cancelled_wait(*task),
            Self::CallEntity { entity_id, operation, .. } => {
                describe_operation("callEntity", &ids::fold_entity_id(entity_id), operation)
            }
            Self::SignalEntity { entity_id, operation, .. } => {
                describe_operation("signalEntity", &ids::fold_entity_id(entity_id), operation)
            }
            Self::LockEntities { entities } => describe_lock(&ids::lock_order(entities.clone())),
            Self::ReleaseEntities {} => "release() of a lock".to_owned(),
        }
    }
}

/// The recorded request in the same words as [`Action::describe`].
#[must_use]
pub fn describe_recorded(event: &HistoryEvent) -> String {
    match event {
        HistoryEvent::TaskScheduled { name, .. } => format!("callActivity('{name}')"),
        HistoryEvent::SubOrchestrationInstanceCreated { name, instance_id, chosen, .. } => {
            describe_child(name, chosen.then_some(instance_id.as_str()))
        }
        HistoryEvent::TimerCreated { .. } => "createTimer()".to_owned(),
        HistoryEvent::TimerCanceled { task } => format!("cancel() of timer {task}"),
        HistoryEvent::EventAwaited { name, .. } => format!("waitForExternalEvent('{name}')"),
        HistoryEvent::EventWaitCanceled { task } => describe_cancelled_wait(*task),
        HistoryEvent::EntityOperationCalled { entity_id, operation, .. } => {
            describe_operation("callEntity", entity_id, operation)
        }
        HistoryEvent::EntityOperationSignaled { entity_id, operation, .. } => {
            describe_operation("signalEntity", entity_id, operation)
        }
        HistoryEvent::EntityLockRequested(lock) => describe_lock(&lock.entities),
        HistoryEvent::EntityUnlockSent {} => "release() of a lock".to_owned(),
        other => format!("{other:?}"),
    }
}

fn describe_cancelled_wait(task: TaskId) -> String {
    format!("cancel() of the wait {task} for an event")
}

fn describe_child(name: &str, id: Option<&str>) -> String {
    match id {
        Some(id) => format!("callSubOrchestrator('{name}', instanceId '{id}')"),
        None => format!("callSubOrchestrator('{name}')"),
    }
}

fn describe_operation(verb: &str, entity_id: &str, operation: &str) -> String {
    format!("{verb}('{entity_id}', '{operation}')")
}

fn describe_lock(entities: &[String]) -> String {
    format!("lock('{}')", entities.join("', '"))
}

fn same_name(a: &str, b: &str) -> bool {
    a == b || ids::fold_name(a) == ids::fold_name(b)
}
