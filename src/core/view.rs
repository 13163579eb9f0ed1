//! Status and history of an instance, as a caller sees them.
//!
//! Owns: the fields of `docs/semantics.md` §1.2 and the order of the history view. Must never: be stored.
//! Proved by `tests/replay.rs` and `__test__/status.spec.mjs`.

use std::collections::HashMap;

use serde::Serialize;

use super::entity::EntityRow;
use super::error::raw;
use super::execution::{Execution, OpenTask};
use super::history::{HistoryEvent, HistoryRecord};
use super::instance::InstanceRow;
use super::status::RuntimeStatus;
use super::{Payload, TaskId, TimeMs};

/// What `getStatus` and listings give.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of InstanceRow and of docs/semantics.md")]
pub struct StatusView {
    pub instance_id: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub status: RuntimeStatus,
    pub created: Option<TimeMs>,
    pub updated: TimeMs,
    pub scheduled: TimeMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_status: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Vec<WaitingFor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<HistoryView>>,
}

/// What an open instance waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of docs/semantics.md")]
pub enum WaitingFor {
    Event { name: String, since: TimeMs },
    Timer { fire_at: TimeMs },
    Activity { name: String, attempt: u32, since: TimeMs },
    Orchestration { name: String, instance_id: String },
    Entity { entity_id: String, operation: String, since: TimeMs },
    Lock { entity_ids: Vec<String>, since: TimeMs },
}

/// One event of the history view.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of HistoryEvent")]
pub struct HistoryView {
    pub event_type: &'static str,
    pub timestamp: TimeMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fire_at: Option<TimeMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// What questions about entities give.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of EntityRow")]
pub struct EntityView {
    pub entity_id: String,
    pub exists: bool,
    pub locked: bool,
    pub updated: TimeMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Payload>,
}

impl From<EntityRow> for EntityView {
    fn from(row: EntityRow) -> Self {
        Self {
            entity_id: row.id,
            exists: row.head.exists,
            locked: row.head.lock.is_some(),
            updated: row.updated_ms,
            state: row.state,
            problem: row.problem,
        }
    }
}

impl From<InstanceRow> for StatusView {
    fn from(row: InstanceRow) -> Self {
        Self {
            instance_id: row.head.id,
            name: row.head.name,
            version: row.version,
            status: row.head.status,
            created: row.created_ms,
            updated: row.updated_ms,
            scheduled: row.scheduled_ms,
            input: row.input,
            output: row.output,
            failure: row.failure,
            custom_status: row.custom_status,
            problem: row.problem,
            parent_instance_id: row.parent_id,
            waiting_for: None,
            history: None,
        }
    }
}

/// What of a history a caller wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Shown {
    pub history: bool,
    pub inputs: bool,
    pub outputs: bool,
}

/// What only history tells, gathered row by row, so that no more than one of them is in memory beside what is shown:
/// the last checkpoint, what is waited for, and the history itself if it is wanted.
#[derive(Debug)]
pub struct HistoryReading {
    shown: Shown,
    execution: Execution,
    names: HashMap<TaskId, String>,
    view: Vec<HistoryView>,
    bytes: usize,
}

impl HistoryReading {
    /// Of no row yet.
    #[must_use]
    pub fn new(shown: Shown) -> Self {
        let (execution, names) = (Execution::default(), HashMap::new());
        Self { shown, execution, names, view: Vec::new(), bytes: 0 }
    }

    /// Bytes of what is to be shown so far, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the next row.
    pub fn add(&mut self, status: &mut StatusView, record: &HistoryRecord) {
        status.updated = status.updated.max(record.time_ms);
        if !status.status.has_ended() && !record.notice {
            self.execution.begin_turn(record.time_ms);
            record.events.iter().for_each(|event| self.execution.apply(event));
        }
        if !self.shown.history {
            return;
        }
        if self.view.is_empty() {
            self.begin(status, record.time_ms);
        }
        for event in record.events.iter().filter(|event| !is_of_the_engine(event)) {
            if let HistoryEvent::TaskScheduled { task, name, .. }
            | HistoryEvent::EventAwaited { task, name }
            | HistoryEvent::SubOrchestrationInstanceCreated { task, name, .. }
            | HistoryEvent::EntityOperationCalled { task, operation: name, .. } = event
            {
                self.names.insert(*task, name.to_string());
            }
            let view = status.event_view(record.time_ms, event, &self.names);
            self.push(view);
        }
    }

    /// All rows were added.
    pub fn finish(mut self, status: &mut StatusView) {
        if !status.status.has_ended() {
            let open = self.execution.open();
            status.waiting_for = Some(open.map(|(_, open)| WaitingFor::from(open)).collect());
        }
        if self.shown.history {
            if let (true, Some(created)) = (self.view.is_empty(), status.created) {
                self.begin(status, created);
            }
            status.history = Some(self.view);
        }
    }

    fn begin(&mut self, status: &StatusView, timestamp: TimeMs) {
        if status.created.is_some() {
            self.push(HistoryView {
                event_type: "ExecutionStarted",
                timestamp,
                name: Some(status.name.clone()),
                input: status.input.clone(),
                ..HistoryView::default()
            });
        }
    }

    fn push(&mut self, mut view: HistoryView) {
        if !self.shown.inputs {
            view.input = None;
        }
        if !self.shown.outputs {
            view.result = None;
        }
        let payloads = [&view.input, &view.result, &view.failure, &view.reason];
        let payloads = payloads.into_iter().flatten().map(|payload| payload.get().len());
        self.bytes += 128 + payloads.sum::<usize>();
        self.view.push(view);
    }
}

impl StatusView {
    fn event_view(
        &self,
        timestamp: TimeMs,
        event: &HistoryEvent,
        names: &HashMap<TaskId, String>,
    ) -> HistoryView {
        use HistoryEvent as E;
        let mut view = HistoryView { timestamp, ..HistoryView::default() };
        view.event_type = event_type(event);
        view.task_id = task_of(event);
        view.name = view.task_id.and_then(|task| names.get(&task).cloned());
        match event {
            E::TaskScheduled { input, .. } | E::EventRaised { input, .. } => {
                view.input.clone_from(input);
            }
            E::EntityOperationCalled { entity_id, input, .. } => {
                view.instance_id = Some(entity_id.clone());
                view.input.clone_from(input);
            }
            E::EntityOperationSignaled { entity_id, operation, input, fire_at } => {
                view.name = Some(operation.to_string());
                view.instance_id = Some(entity_id.clone());
                view.input.clone_from(input);
                view.fire_at = *fire_at;
            }
            E::EntityOperationFailed { failure, .. } => view.failure = Some(failure.clone()),
            E::EntityLockRequested(lock) => view.input = Some(raw(&lock.entities)),
            E::TaskCompleted { result, .. }
            | E::EntityOperationCompleted { result, .. }
            | E::SubOrchestrationInstanceCompleted { result, .. } => {
                view.result.clone_from(result);
            }
            E::TaskFailed { failure, again_at, .. } => {
                view.failure = Some(failure.clone());
                view.fire_at = *again_at;
            }
            E::TaskRetried { instance_id, .. } => view.instance_id.clone_from(instance_id),
            E::SubOrchestrationInstanceCreated { instance_id, input, .. } => {
                view.instance_id = Some(instance_id.clone());
                view.input.clone_from(input);
            }
            E::SubOrchestrationInstanceFailed { child, again_at, .. } => {
                view.instance_id = Some(child.instance_id.clone());
                view.failure.clone_from(&child.failure);
                view.reason.clone_from(&child.reason);
                view.fire_at = *again_at;
            }
            E::TimerCreated { fire_at, .. } => view.fire_at = Some(*fire_at),
            E::EventDiscarded { name } => view.name = Some(name.to_string()),
            E::ExecutionCompleted {} => view.result.clone_from(&self.output),
            E::ExecutionFailed {} => view.failure.clone_from(&self.failure),
            E::ExecutionTerminated { reason }
            | E::ExecutionSuspended { reason }
            | E::ExecutionResumed { reason }
            | E::ExecutionRewound { reason } => view.reason.clone_from(reason),
            E::TimerCanceled { .. }
            | E::TimerFired { .. }
            | E::EventAwaited { .. }
            | E::EventWaitCanceled { .. }
            | E::EntityLockGranted { .. }
            | E::EntityUnlockSent {}
            | E::StartsPostponed { .. }
            | E::StartsResumed { .. } => {}
        }
        view
    }
}

/// What happened to no task: the code does not see it, nor does who reads the history.
fn is_of_the_engine(event: &HistoryEvent) -> bool {
    matches!(event, HistoryEvent::StartsPostponed { .. } | HistoryEvent::StartsResumed { .. })
}

/// The name of a kind, as Durable Functions has it where it has the kind.
pub(super) fn event_type(event: &HistoryEvent) -> &'static str {
    use HistoryEvent as E;
    match event {
        E::TaskScheduled { .. } => "TaskScheduled",
        E::TaskCompleted { .. } => "TaskCompleted",
        E::TaskFailed { .. } => "TaskFailed",
        E::TaskRetried { .. } => "TaskRetried",
        E::SubOrchestrationInstanceCreated { .. } => "SubOrchestrationInstanceCreated",
        E::SubOrchestrationInstanceCompleted { .. } => "SubOrchestrationInstanceCompleted",
        E::SubOrchestrationInstanceFailed { .. } => "SubOrchestrationInstanceFailed",
        E::TimerCreated { .. } => "TimerCreated",
        E::TimerCanceled { .. } => "TimerCanceled",
        E::TimerFired { .. } => "TimerFired",
        E::EventAwaited { .. } => "EventAwaited",
        E::EventWaitCanceled { .. } => "EventWaitCanceled",
        E::EventRaised { .. } => "EventRaised",
        E::EventDiscarded { .. } => "EventDiscarded",
        E::EntityOperationCalled { .. } => "EntityOperationCalled",
        E::EntityOperationSignaled { .. } => "EntityOperationSignaled",
        E::EntityOperationCompleted { .. } => "EntityOperationCompleted",
        E::EntityOperationFailed { .. } => "EntityOperationFailed",
        E::EntityLockRequested(_) => "EntityLockRequested",
        E::EntityLockGranted { .. } => "EntityLockGranted",
        E::EntityUnlockSent {} => "EntityUnlockSent",
        E::StartsPostponed { .. } => "StartsPostponed",
        E::StartsResumed { .. } => "StartsResumed",
        E::ExecutionCompleted {} => "ExecutionCompleted",
        E::ExecutionFailed {} => "ExecutionFailed",
        E::ExecutionTerminated { .. } => "ExecutionTerminated",
        E::ExecutionSuspended { .. } => "ExecutionSuspended",
        E::ExecutionResumed { .. } => "ExecutionResumed",
        E::ExecutionRewound { .. } => "ExecutionRewound",
    }
}

fn task_of(event: &HistoryEvent) -> Option<TaskId> {
    use HistoryEvent as E;
    match event {
        E::TaskScheduled { task, .. }
        | E::TaskCompleted { task, .. }
        | E::TaskFailed { task, .. }
        | E::TaskRetried { task, .. }
        | E::SubOrchestrationInstanceCreated { task, .. }
        | E::SubOrchestrationInstanceCompleted { task, .. }
        | E::SubOrchestrationInstanceFailed { task, .. }
        | E::TimerCreated { task, .. }
        | E::TimerCanceled { task }
        | E::TimerFired { task }
        | E::EventAwaited { task, .. }
        | E::EventWaitCanceled { task }
        | E::EventRaised { task, .. }
        | E::EntityOperationCalled { task, .. }
        | E::EntityOperationCompleted { task, .. }
        | E::EntityOperationFailed { task, .. }
        | E::EntityLockGranted { task } => Some(*task),
        E::EntityLockRequested(lock) => Some(lock.task),
        _ => None,
    }
}

impl From<&OpenTask> for WaitingFor {
    fn from(open: &OpenTask) -> Self {
        match open {
            OpenTask::Activity(call) => Self::Activity {
                name: call.name.to_string(),
                attempt: call.attempt,
                since: call.since_ms,
            },
            OpenTask::Child { call, instance_id, .. } => Self::Orchestration {
                name: call.name.to_string(),
                instance_id: instance_id.clone(),
            },
            OpenTask::Timer { fire_at } => Self::Timer { fire_at: *fire_at },
            OpenTask::Event { name, since_ms } => {
                Self::Event { name: name.to_string(), since: *since_ms }
            }
            OpenTask::Entity { entity_id, operation, since_ms } => Self::Entity {
                entity_id: entity_id.clone(),
                operation: operation.to_string(),
                since: *since_ms,
            },
            OpenTask::Lock { entities, since_ms } => {
                Self::Lock { entity_ids: entities.clone(), since: *since_ms }
            }
        }
    }
}
