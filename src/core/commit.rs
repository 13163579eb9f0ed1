//! What one turn changes in the store, and whether it may.
//!
//! Owns: the shape of a commit, the check before its first write, and the change of the instance's
//! row that it makes. Must never: write it. Proved by `tests/conformance.rs`.

use serde::Deserialize;

use super::entity::{EntityLock, EntitySend};
use super::history::HistoryRecord;
use super::instance::{FirstTurn, InstanceChange, InstanceHead};
use super::status::RuntimeStatus;
use super::{ExecutionId, InstanceKey, MessageKey, Name, Payload, TaskId, TimeMs, TurnNumber};

/// How an execution ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The function returned.
    Complete {
        /// What it returned.
        #[serde(default, deserialize_with = "super::present")]
        result: Option<Payload>,
    },
    /// It threw.
    Fail {
        /// What it threw.
        failure: Payload,
    },
    /// It goes on as a new execution.
    ContinueAsNew {
        /// Input of the new one.
        #[serde(default, deserialize_with = "super::present")]
        input: Option<Payload>,
        /// Events that came to waits and that the code has not looked at, oldest first: kept for it.
        #[serde(default)]
        events: Vec<CarriedEvent>,
    },
}

/// See [`End::ContinueAsNew`].
#[derive(Debug, Clone, Deserialize)]
pub struct CarriedEvent {
    /// Its name.
    pub name: String,
    /// Its data.
    #[serde(default, deserialize_with = "super::present")]
    pub input: Option<Payload>,
}

/// A sub-orchestration to be started with the turn.
#[derive(Debug, Clone)]
pub struct ChildStart {
    /// The task it answers to.
    pub task: TaskId,
    /// Name of its orchestrator.
    pub name: Name,
    /// Its id.
    pub instance_id: String,
    /// The version that was asked for.
    pub version: Option<String>,
    /// Its input.
    pub input: Option<Payload>,
    /// It was postponed: a turn that was undone since may have started it.
    pub postponed: bool,
}

/// Everything that one turn changes, to be written at once or not at all.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the row")]
pub struct TurnCommit {
    /// The instance.
    pub key: InstanceKey,
    /// Its execution.
    pub exec: ExecutionId,
    /// Its number in the execution, from 1: it follows the turn before that, and no other.
    pub turn: TurnNumber,
    /// The first turn of the execution.
    pub begins: bool,
    /// The row of history.
    pub record: HistoryRecord,
    /// Stored messages that the turn took.
    pub consumed: Vec<MessageKey>,
    /// Waits opened, by folded event name, one entry a wait.
    pub waits_opened: Vec<String>,
    /// Waits closed that earlier turns have opened, the same way.
    pub waits_closed: Vec<String>,
    /// Timers to be kept: task and time.
    pub timers_set: Vec<(TaskId, TimeMs)>,
    /// Timers to be dropped.
    pub timers_cleared: Vec<TaskId>,
    /// Sub-orchestrations to be started.
    pub children: Vec<ChildStart>,
    /// What goes to entities, in the order of the asking.
    pub sends: Vec<EntitySend>,
    /// The entities that the execution has for itself or has asked for, if they are others now.
    pub locks: Option<Option<EntityLock>>,
    /// Activities that may start once the commit is durable. Not stored: history tells them.
    pub activities: Vec<TaskId>,
    /// New custom status.
    pub custom_status: Option<Payload>,
    /// Whether an activity is under way or due after the turn.
    pub ready: bool,
    /// `ready` is not what the row says.
    pub ready_changed: bool,
    /// The row holds a count of crashes or a problem that the turn disproves.
    pub recovers: bool,
    /// Activities or operations of entities are under way, so an answer may have come that it has not seen.
    pub awaits: bool,
    /// The execution ends with the turn.
    pub end: Option<End>,
    /// Attempts of activities that the turn saw fail, for the log. Not stored: history tells them.
    pub failures: Vec<FailedTry>,
}

/// An attempt of an activity that failed.
#[derive(Debug, Clone)]
pub struct FailedTry {
    /// The activity.
    pub name: Name,
    /// From 1.
    pub attempt: u32,
    /// What it threw.
    pub failure: Payload,
    /// There is another attempt.
    pub again: bool,
}

/// Why a turn was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The instance is gone, has ended, or is in another execution.
    Gone,
    /// It is suspended.
    Suspended,
    /// The execution has this turn already, or not the one before it.
    OutOfTurn,
    /// An event was given to one of its waits that the turn, which ends the execution or closes a wait, has
    /// not seen.
    UnseenEvents,
}

/// What became of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnVerdict {
    /// Written.
    Committed,
    /// Not written; nothing changed.
    Refused(Refusal),
}

impl TurnCommit {
    pub(super) fn new(
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        begins: bool,
        custom_status: Option<Payload>,
        consumed: Vec<MessageKey>,
    ) -> Self {
        Self {
            key,
            exec,
            turn,
            begins,
            record: HistoryRecord { time_ms: 0, events: Vec::new(), notice: false, began: None },
            consumed,
            waits_opened: Vec::new(),
            waits_closed: Vec::new(),
            timers_set: Vec::new(),
            timers_cleared: Vec::new(),
            children: Vec::new(),
            sends: Vec::new(),
            locks: None,
            activities: Vec::new(),
            custom_status,
            ready: false,
            ready_changed: false,
            recovers: false,
            awaits: false,
            end: None,
            failures: Vec::new(),
        }
    }

    /// Whether the turn may be written, from what the store says now.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit(&self, head: Option<&InstanceHead>) -> Result<(), Refusal> {
        match head {
            Some(head) if head.exec == self.exec && !head.status.has_ended() => {
                if head.status == RuntimeStatus::Suspended {
                    Err(Refusal::Suspended)
                } else {
                    Ok(())
                }
            }
            _ => Err(Refusal::Gone),
        }
    }

    /// Whether the turn must have seen every event that was given to one of the waits: it ends or
    /// continues the execution, or closes a wait (`docs/semantics.md` §1.4).
    #[must_use]
    pub fn must_see_events(&self) -> bool {
        self.end.is_some() || !self.waits_closed.is_empty()
    }

    /// Whether it has.
    ///
    /// # Errors
    /// `UnseenEvents`.
    pub fn check_events_seen(&self, taken: &[MessageKey]) -> Result<(), Refusal> {
        let unseen = taken.iter().any(|key| !self.consumed.contains(key));
        if self.must_see_events() && unseen { Err(Refusal::UnseenEvents) } else { Ok(()) }
    }

    /// The change of the instance's row, or `None` if the turn leaves it as it is: an open
    /// instance's last update is told by its last row of history.
    #[must_use]
    pub fn row_change(&self, head: &InstanceHead) -> Option<InstanceChange> {
        let now = self.record.time_ms;
        let touched = self.begins
            || self.ready_changed
            || self.recovers
            || self.custom_status.is_some()
            || self.locks.is_some()
            || self.end.is_some();
        if !touched {
            return None;
        }
        let mut change = InstanceChange {
            updated_ms: Some(now),
            custom_status: self.custom_status.clone(),
            locks: self.locks.as_ref().map(|locks| locks.as_ref().map(EntityLock::encode)),
            ..InstanceChange::default()
        };
        if self.begins {
            change.status = Some(RuntimeStatus::Running);
            // That of the first generation stays, and that of a first turn that was rewound.
            change.created_ms = (!head.begun).then_some(now);
        }
        if self.ready_changed {
            change.ready = Some(self.ready);
        }
        if self.recovers {
            change.crashes = Some(1);
            change.problem = Some(None);
        }
        match &self.end {
            None => {}
            Some(End::Complete { result }) => {
                change.status = Some(RuntimeStatus::Completed);
                change.output = Some(result.clone());
                change.ended(now);
            }
            Some(End::Fail { failure }) => {
                change.status = Some(RuntimeStatus::Failed);
                change.failure = Some(Some(failure.clone()));
                change.ended(now);
            }
            Some(End::ContinueAsNew { input, .. }) => {
                change.status = Some(RuntimeStatus::ContinuedAsNew);
                change.exec = Some(self.exec + 1);
                change.input = Some(input.clone());
                change.ready = Some(true);
            }
        }
        Some(change)
    }

    /// What it leaves in the row of an instance that is stored with it, or `None` if that is more than
    /// that the instance has begun.
    #[must_use]
    pub fn first(&self) -> Option<FirstTurn> {
        let only_begins = self.begins
            && self.end.is_none()
            && self.custom_status.is_none()
            && self.locks.is_none()
            && !self.recovers;
        only_begins.then_some(FirstTurn { time_ms: self.record.time_ms, ready: self.ready })
    }

    /// Bytes of payload in the commit, for bounding a transaction.
    #[must_use]
    pub fn weight(&self) -> usize {
        let end = match &self.end {
            Some(End::Complete { result }) => bytes(result.as_ref()),
            Some(End::ContinueAsNew { input, events }) => {
                let carried = events.iter().map(|event| 64 + bytes(event.input.as_ref()));
                bytes(input.as_ref()) + carried.sum::<usize>()
            }
            Some(End::Fail { failure }) => failure.get().len(),
            None => 0,
        };
        end + self.record.payload_bytes()
    }
}

impl InstanceChange {
    /// The instance has ended at `now`.
    pub fn ended(&mut self, now: TimeMs) {
        self.completed_ms = Some(Some(now));
        self.ready = Some(false);
    }
}

impl HistoryRecord {
    /// Bytes of the payloads in it.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.events.iter().map(event_weight).sum()
    }
}

fn event_weight(event: &super::history::HistoryEvent) -> usize {
    use super::history::HistoryEvent as E;
    let payload = match event {
        E::TaskScheduled { input: payload, .. }
        | E::TaskCompleted { result: payload, .. }
        | E::SubOrchestrationInstanceCreated { input: payload, .. }
        | E::SubOrchestrationInstanceCompleted { result: payload, .. }
        | E::EventRaised { input: payload, .. }
        | E::EntityOperationCalled { input: payload, .. }
        | E::EntityOperationSignaled { input: payload, .. }
        | E::EntityOperationCompleted { result: payload, .. } => payload.as_ref(),
        E::TaskFailed { failure, .. } | E::EntityOperationFailed { failure, .. } => Some(failure),
        _ => None,
    };
    64 + bytes(payload)
}

fn bytes(payload: Option<&Payload>) -> usize {
    payload.map_or(0, |payload| payload.get().len())
}
