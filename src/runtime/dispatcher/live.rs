//! An instance that the process holds in memory.
//!
//! Owns: what is remembered of it and in which state it is. Must never: act.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use crate::core::commit::{End, TurnCommit};
use crate::core::execution::Execution;
use crate::core::message::{Delivery, Message};
use crate::core::replay::Replay;
use crate::core::request::{Command, StartSpec};
use crate::core::status::RuntimeStatus;
use crate::core::turn::Turn;
use crate::core::view::StatusView;
use crate::core::{ExecutionId, InstanceKey, MessageKey, Payload, TaskId, TimeMs};
use crate::provider::transaction::StartedInstance;

use super::super::protocol::{ExecutionStart, RequestId, Token};

/// Where an instance is on its way through a turn.
#[derive(Debug)]
pub(super) enum State {
    /// The store has been asked for it.
    Loading,
    /// It waits until it may run apart from others, see `suspects`.
    Suspect,
    /// That it may take the process down is being written.
    Counting,
    /// JavaScript runs recorded turns.
    Replaying(Token),
    /// That it is no longer held is being written.
    Unparking,
    /// Nothing is under way.
    Idle,
    /// JavaScript runs a turn.
    Running(Token, Turn),
    /// A turn is being written.
    Committing,
    /// It is suspended, and activities of it still run.
    Suspended,
}

/// A start that waits for its first turn, to be written with it.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Who is answered.
    pub(super) rid: RequestId,
    /// The start.
    pub(super) spec: StartSpec,
    /// Commands to the instance that came after the start.
    pub(super) commands: Vec<(RequestId, Command)>,
}

/// See the module's text.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Live {
    /// What JavaScript knows it by: its key, or a number below zero if it began before it had one.
    pub(super) handle: InstanceKey,
    /// Its start, if that is to be written with its first turn.
    pub(super) beginning: Option<Beginning>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) parent_id: Option<String>,
    pub(super) exec: ExecutionId,
    pub(super) input: Option<Payload>,
    pub(super) scheduled_ms: TimeMs,
    pub(super) created_ms: Option<TimeMs>,
    pub(super) custom_status: Option<Payload>,
    pub(super) execution: Execution,
    pub(super) replay: Option<Replay>,
    pub(super) state: State,
    pub(super) mailbox: VecDeque<Delivery>,
    /// Stored messages that were loaded before they were delivered, which they will be yet.
    pub(super) early: FxHashSet<MessageKey>,
    /// Results that the turn under way took and that stand nowhere but here.
    pub(super) unstored: Vec<Delivery>,
    /// Activities that are due or run.
    pub(super) activities: FxHashSet<TaskId>,
    /// Those of its execution that any worker may run, as they were when it was loaded.
    pub(super) away: FxHashSet<TaskId>,
    /// What its row says of being ready.
    pub(super) row_ready: bool,
    /// Its row has a problem to be cleared by the next turn.
    pub(super) has_problem: bool,
    /// What its row says of crashes, see `InstanceHead::crashes`.
    pub(super) crashes: u32,
    /// It came up when the hub was opened.
    pub(super) recovered: bool,
    /// It is held and is tried again.
    pub(super) held: bool,
    /// Its row was changed from outside; what is known here may be wrong.
    pub(super) stale: bool,
    /// Its code did something outside a turn, and is to be run so that it fails.
    pub(super) violated: bool,
    /// Its last turn was refused: the next one takes all messages, however many, as the end of an
    /// execution must have seen every event that was given to it.
    pub(super) takes_all: bool,
    /// JavaScript has its generator or function.
    pub(super) in_js: bool,
    pub(super) bytes: usize,
    pub(super) last_used: u64,
}

impl Live {
    /// One that has to be loaded.
    pub(super) fn loading(key: InstanceKey) -> Self {
        Self {
            handle: key,
            beginning: None,
            id: String::new(),
            name: String::new(),
            version: None,
            parent_id: None,
            exec: 0,
            input: None,
            scheduled_ms: 0,
            created_ms: None,
            custom_status: None,
            execution: Execution::default(),
            replay: None,
            state: State::Loading,
            mailbox: VecDeque::new(),
            early: FxHashSet::default(),
            unstored: Vec::new(),
            activities: FxHashSet::default(),
            away: FxHashSet::default(),
            row_ready: false,
            has_problem: false,
            crashes: 0,
            recovered: false,
            held: false,
            stale: false,
            violated: false,
            takes_all: false,
            in_js: false,
            bytes: 0,
            last_used: 0,
        }
    }

    /// One that was just started, of which everything is known.
    pub(super) fn started(started: StartedInstance) -> Self {
        Self {
            bytes: started.input.as_ref().map_or(0, |input| input.get().len()),
            id: started.id,
            name: started.name,
            version: started.version,
            parent_id: started.parent_id,
            input: started.input,
            scheduled_ms: started.scheduled_ms,
            row_ready: true,
            crashes: 1,
            state: State::Idle,
            ..Self::loading(started.key)
        }
    }

    /// JavaScript is to run it: what it knows it by, and what it needs if it does not have it.
    pub(super) fn enter_js(&mut self) -> (InstanceKey, Option<ExecutionStart>) {
        let known = std::mem::replace(&mut self.in_js, true);
        (self.handle, (!known).then(|| self.start()))
    }

    fn start(&self) -> ExecutionStart {
        let began = self.execution.began();
        ExecutionStart {
            instance_id: self.id.clone(),
            name: self.name.clone(),
            input: self.input.clone(),
            parent_instance_id: self.parent_id.clone(),
            version: self.version.clone(),
            exec: self.exec,
            rules: began.map_or(0, |began| began.rules),
            salt: began.map(|began| began.salt.clone()),
        }
    }

    /// Whether this activation of it is under way.
    pub(super) fn awaits(&self, token: Token) -> bool {
        matches!(self.state, State::Running(of, _) | State::Replaying(of) if of == token)
    }

    /// Whether nothing of it would be lost by forgetting it.
    pub(super) fn can_be_dropped(&self) -> bool {
        matches!(self.state, State::Idle)
            && self.mailbox.is_empty()
            && self.activities.is_empty()
            && self.execution.begun()
            && !self.execution.has_postponed()
    }

    /// Whether there is something for a turn, beside messages.
    pub(super) fn has_work(&self) -> bool {
        !self.execution.begun() || self.violated || self.execution.has_postponed()
    }

    /// The first messages for its next turn, of at most so many bytes of payloads if they are more than one.
    pub(super) fn take_messages(&mut self, most: usize, bytes: usize) -> Vec<Delivery> {
        let (mut count, mut taken) = (0, 0);
        for delivery in self.mailbox.iter().take(most) {
            taken += delivery.message.payload_bytes();
            if taken > bytes && count > 0 {
                break;
            }
            count += 1;
        }
        self.mailbox.drain(..count).collect()
    }

    /// Results of activities that stand nowhere but in memory. They leave the instance.
    pub(super) fn take_unstored(&mut self) -> Vec<Message> {
        let deliveries = std::mem::take(&mut self.unstored).into_iter();
        let deliveries = deliveries.chain(std::mem::take(&mut self.mailbox));
        // One of an earlier generation would pass for one of the task that has its number now.
        let current = deliveries.filter(|delivery| delivery.exec == Some(self.exec));
        current.filter(is_unstored).map(|delivery| delivery.message).collect()
    }

    /// The status that the commit of its last turn leaves.
    pub(super) fn ended_view(&self, commit: &TurnCommit) -> StatusView {
        let (status, output, failure) = match &commit.end {
            Some(End::Fail { failure }) => (RuntimeStatus::Failed, None, Some(failure.clone())),
            Some(End::Complete { result }) => (RuntimeStatus::Completed, result.clone(), None),
            _ => (RuntimeStatus::ContinuedAsNew, None, None),
        };
        StatusView {
            instance_id: self.id.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            status,
            created: self.created_ms,
            updated: commit.record.time_ms,
            scheduled: self.scheduled_ms,
            input: self.input.clone(),
            output,
            failure,
            custom_status: self.custom_status.clone(),
            problem: None,
            parent_instance_id: self.parent_id.clone(),
            waiting_for: None,
            history: None,
        }
    }
}

/// Whether a delivery stands nowhere but in memory. A timer stands in the store until a turn takes
/// it, so its firing need not be kept.
pub(super) fn is_unstored(delivery: &Delivery) -> bool {
    delivery.key.is_none()
        && matches!(delivery.message, Message::TaskCompleted { .. } | Message::TaskFailed { .. })
}
