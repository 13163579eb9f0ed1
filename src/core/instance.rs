//! The rows of an instance, as values.
//!
//! Owns: what is known of an instance beside its history. Must never: be filled in by a provider's
//! own judgement: every field is written because a rule of core said so.

use serde::{Deserialize, Serialize};

use super::status::RuntimeStatus;
use super::{ExecutionId, InstanceKey, Payload, TaskId, TimeMs};

/// A task of an execution, to which a sub-orchestration or an entity reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ParentLink {
    /// The instance.
    #[serde(rename = "i")]
    pub key: InstanceKey,
    /// The execution that asked.
    #[serde(rename = "x")]
    pub exec: ExecutionId,
    /// The task it made there.
    #[serde(rename = "k")]
    pub task: TaskId,
}

/// What rules need to know of an instance, without its payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceHead {
    /// Key of the instance.
    pub key: InstanceKey,
    /// Its id.
    pub id: String,
    /// Name of its orchestrator, as it was given.
    pub name: String,
    /// The execution that is current.
    pub exec: ExecutionId,
    /// Its status.
    pub status: RuntimeStatus,
    /// Set for a sub-orchestration.
    pub parent: Option<ParentLink>,
    /// How often in a row the process will have died with the instance under way, if it dies now.
    pub crashes: u32,
    /// A problem stands in its row.
    pub has_problem: bool,
    /// Its function has begun, in this execution or an earlier one (`created_ms` is set).
    pub begun: bool,
    /// The entities that it has asked to have for itself: an `EntityLock` as JSON.
    pub locks: Option<String>,
}

/// What the first turn leaves in the row of an instance that is stored with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstTurn {
    /// When it was.
    pub time_ms: TimeMs,
    /// See [`InstanceChange::ready`].
    pub ready: bool,
}

/// A new instance: in status `Pending` and ready, or in `Running` if it has had its first turn.
#[derive(Debug, Clone)]
pub struct NewInstance {
    /// Its id.
    pub id: String,
    /// Name of its orchestrator.
    pub name: String,
    /// Its version, if it has one.
    pub version: Option<String>,
    /// Its input.
    pub input: Option<Payload>,
    /// Set for a sub-orchestration.
    pub parent: Option<ParentLink>,
    /// Id of the parent, for people.
    pub parent_id: Option<String>,
    /// When it was scheduled. Never changes.
    pub scheduled_ms: TimeMs,
    /// See [`InstanceHead::crashes`]: 1 if a worker has it at once, else 0.
    pub crashes: u32,
    /// Its first turn, if that is stored with it.
    pub begun: Option<FirstTurn>,
}

impl NewInstance {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> RuntimeStatus {
        if self.begun.is_some() { RuntimeStatus::Running } else { RuntimeStatus::Pending }
    }

    /// Its head, once it has a key.
    #[must_use]
    pub fn head(&self, key: InstanceKey) -> InstanceHead {
        InstanceHead {
            key,
            id: self.id.clone(),
            name: self.name.clone(),
            exec: 0,
            status: self.status(),
            parent: self.parent,
            crashes: self.crashes,
            has_problem: false,
            begun: self.begun.is_some(),
            locks: None,
        }
    }
}

/// A change of an instance's row: what is `None` stays. An inner `None` empties the field.
#[derive(Debug, Clone, Default)]
pub struct InstanceChange {
    /// New status.
    pub status: Option<RuntimeStatus>,
    /// New execution.
    pub exec: Option<ExecutionId>,
    /// Whether there is something to run that no message, timer or wait would bring about.
    pub ready: Option<bool>,
    /// When the orchestrator function first began.
    pub created_ms: Option<TimeMs>,
    /// Last checkpoint.
    pub updated_ms: Option<TimeMs>,
    /// When it ended.
    pub completed_ms: Option<Option<TimeMs>>,
    /// New input (continue-as-new).
    pub input: Option<Option<Payload>>,
    /// Result or reason.
    pub output: Option<Option<Payload>>,
    /// What it threw.
    pub failure: Option<Option<Payload>>,
    /// Custom status.
    pub custom_status: Option<Payload>,
    /// Why it is held, as JSON.
    pub problem: Option<Option<Payload>>,
    /// See [`InstanceHead::crashes`].
    pub crashes: Option<u32>,
    /// See [`InstanceHead::locks`].
    pub locks: Option<Option<String>>,
}

impl InstanceHead {
    /// Carries out what a change of the row means for the head.
    pub fn change(&mut self, change: &InstanceChange) {
        self.status = change.status.unwrap_or(self.status);
        self.exec = change.exec.unwrap_or(self.exec);
        self.crashes = change.crashes.unwrap_or(self.crashes);
        self.begun |= change.created_ms.is_some();
        if let Some(locks) = &change.locks {
            self.locks.clone_from(locks);
        }
        if let Some(problem) = &change.problem {
            self.has_problem = problem.is_some();
        }
    }
}

impl InstanceChange {
    /// Takes in a change that comes after this one.
    pub fn then(&mut self, later: Self) {
        let Self {
            status,
            exec,
            ready,
            created_ms,
            updated_ms,
            completed_ms,
            input,
            output,
            failure,
            custom_status,
            problem,
            crashes,
            locks,
        } = later;
        self.status = status.or(self.status);
        self.exec = exec.or(self.exec);
        self.ready = ready.or(self.ready);
        self.created_ms = created_ms.or(self.created_ms);
        self.updated_ms = updated_ms.or(self.updated_ms);
        self.completed_ms = completed_ms.or(self.completed_ms);
        self.input = input.or(self.input.take());
        self.output = output.or(self.output.take());
        self.failure = failure.or(self.failure.take());
        self.custom_status = custom_status.or(self.custom_status.take());
        self.problem = problem.or(self.problem.take());
        self.crashes = crashes.or(self.crashes);
        self.locks = locks.or(self.locks.take());
    }
}

/// Everything stored in an instance's row.
#[derive(Debug, Clone)]
pub struct InstanceRow {
    /// The head.
    pub head: InstanceHead,
    /// Its version, if it has one. Never changes.
    pub version: Option<String>,
    /// Something is to be run, see [`InstanceChange::ready`].
    pub ready: bool,
    /// When it was scheduled.
    pub scheduled_ms: TimeMs,
    /// When its function first began.
    pub created_ms: Option<TimeMs>,
    /// Last change of the row. Turns that change only history do not touch it.
    pub updated_ms: TimeMs,
    /// When it ended.
    pub completed_ms: Option<TimeMs>,
    /// Id of the parent.
    pub parent_id: Option<String>,
    /// Input of the current execution.
    pub input: Option<Payload>,
    /// Result or reason.
    pub output: Option<Payload>,
    /// What it threw.
    pub failure: Option<Payload>,
    /// Custom status.
    pub custom_status: Option<Payload>,
    /// Why it is held.
    pub problem: Option<Payload>,
}
