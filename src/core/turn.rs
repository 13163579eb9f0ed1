//! A turn: messages in, what the code is to be told, what the code made of it, one commit out.
//!
//! Owns: the order of a turn's events. Must never: run the code or store the commit.
//! Proved by the tests below and by `tests/replay.rs`.

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::commit::{ChildStart, End, FailedTry, TurnCommit};
use super::entity::{EntityLock, EntitySend, Signal};
use super::entropy::Entropy;
use super::error::{Error, ErrorCode};
use super::execution::{Accepted, Execution, OpenTask};
use super::history::{Began, ChildEnd, HistoryEvent, HistoryRecord, RULES};
use super::ids::fold_name;
use super::limits::TURN_STARTS;
use super::message::Delivery;
use super::{ExecutionId, InstanceKey, MessageKey, Name, Payload, TaskId, TimeMs};

/// What a task came to, as the code is told.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Resolution {
    /// It succeeded, fired, or its event came.
    Ok {
        /// The task.
        task: TaskId,
        /// Its value.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Payload>,
    },
    /// The activity failed.
    Fail {
        /// The task.
        task: TaskId,
        /// What it threw.
        failure: Payload,
    },
    /// It failed; the policy's `retryIf` shall say whether it is tried again.
    Ask {
        /// The task.
        task: TaskId,
        /// What it threw, if it is an activity.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Payload>,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// How it ended, if it is a sub-orchestration.
        #[serde(skip_serializing_if = "Option::is_none")]
        child: Option<ChildEnd>,
    },
    /// The sub-orchestration did not complete.
    Child {
        /// The task.
        task: TaskId,
        /// How it ended.
        child: ChildEnd,
    },
}

/// What the code made of one turn.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TurnOutcome {
    /// What it asked for, in order.
    pub actions: Vec<Action>,
    /// Answers to `Ask`, in the order of the asking.
    pub answers: Vec<(TaskId, bool)>,
    /// The last custom status it set.
    #[serde(deserialize_with = "super::present")]
    pub custom_status: Option<Payload>,
    /// It ended.
    pub end: Option<End>,
}

impl HistoryEvent {
    /// What the code is told of an event, or `None` if it concerns the engine alone.
    #[must_use]
    pub fn resolution(&self) -> Option<Resolution> {
        match self {
            Self::TaskCompleted { task, result: value }
            | Self::SubOrchestrationInstanceCompleted { task, result: value }
            | Self::EventRaised { task, input: value }
            | Self::EntityOperationCompleted { task, result: value } => {
                Some(Resolution::Ok { task: *task, value: value.clone() })
            }
            Self::TimerFired { task } | Self::EntityLockGranted { task } => {
                Some(Resolution::Ok { task: *task, value: None })
            }
            Self::TaskFailed { task, failure, again_at: None }
            | Self::EntityOperationFailed { task, failure } => {
                Some(Resolution::Fail { task: *task, failure: failure.clone() })
            }
            Self::SubOrchestrationInstanceFailed { task, child, again_at: None } => {
                Some(Resolution::Child { task: *task, child: child.clone() })
            }
            _ => None,
        }
    }
}

impl Accepted {
    fn resolution(&self) -> Option<Resolution> {
        let Some(ask) = self.ask else {
            return self.event.resolution();
        };
        match &self.event {
            HistoryEvent::TaskFailed { task, failure, .. } => Some(Resolution::Ask {
                task: *task,
                failure: Some(failure.clone()),
                attempt: ask.attempt,
                child: None,
            }),
            HistoryEvent::SubOrchestrationInstanceFailed { task, child, .. } => {
                Some(Resolution::Ask {
                    task: *task,
                    failure: None,
                    attempt: ask.attempt,
                    child: Some(child.clone()),
                })
            }
            _ => None,
        }
    }

    fn answered(mut self, again: bool) -> HistoryEvent {
        if let (Some(ask), true) = (self.ask, again) {
            match &mut self.event {
                HistoryEvent::TaskFailed { again_at, .. }
                | HistoryEvent::SubOrchestrationInstanceFailed { again_at, .. } => {
                    *again_at = Some(ask.again_at);
                }
                _ => {}
            }
        }
        self.event
    }
}

/// A turn that has begun: its messages are taken, the code has not answered.
#[derive(Debug)]
pub struct Turn {
    /// `currentUtcDateTime` of the turn.
    pub time_ms: TimeMs,
    /// The code has not run before in this execution.
    pub begins: bool,
    /// How many sub-orchestrations and timers it starts at most, unless it ends the execution.
    pub starts_max: usize,
    /// There is something that earlier turns have postponed.
    resumes: bool,
    accepted: Vec<Accepted>,
    consumed: Vec<MessageKey>,
}

impl Turn {
    /// Begins a turn with all messages that wait. Those that nothing waits for are consumed too.
    pub fn begin(
        execution: &mut Execution,
        exec: ExecutionId,
        deliveries: &[Delivery],
        now_ms: TimeMs,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let begins = !execution.begun();
        let time_ms = execution.begin_turn(now_ms);
        if begins {
            execution.live_by(Some(Began { rules: RULES, salt: salt(entropy) }));
        }
        let mut turn = Self {
            time_ms,
            begins,
            starts_max: TURN_STARTS,
            resumes: execution.has_postponed(),
            accepted: Vec::new(),
            consumed: Vec::new(),
        };
        // Tasks that the code decides on in this turn: open until then, and yet they take no more.
        let mut asked: Vec<TaskId> = Vec::new();
        for delivery in deliveries {
            turn.consumed.extend(delivery.key);
            let task = delivery.message.task();
            if delivery.exec.is_some_and(|other| other != exec)
                || task.is_some_and(|task| asked.contains(&task))
            {
                continue;
            }
            if let Some(accepted) = execution.accept(&delivery.message, now_ms, entropy) {
                match accepted.ask {
                    None => execution.apply(&accepted.event),
                    Some(_) => asked.extend(task),
                }
                turn.accepted.push(accepted);
            }
        }
        turn
    }

    /// What the code is told, in order.
    pub fn resolutions(&self) -> impl Iterator<Item = Resolution> {
        self.accepted.iter().filter_map(Accepted::resolution)
    }

    /// Whether the code has to run. A replay decides the same way from the recorded events.
    #[must_use]
    pub fn needs_code(&self) -> bool {
        self.begins || self.resolutions().next().is_some()
    }

    /// Whether nothing at all came of the messages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.begins && !self.resumes && self.accepted.is_empty()
    }

    /// Keys of the stored messages it took.
    #[must_use]
    pub fn consumed(&self) -> &[MessageKey] {
        &self.consumed
    }

    /// Takes what the code made of it and gives the commit of the turn. `row_ready` is what the
    /// instance's row says of being ready.
    ///
    /// # Errors
    /// `Internal`, if the outcome does not fit the turn (a defect on the other side).
    pub fn finish(
        self,
        key: InstanceKey,
        exec: ExecutionId,
        execution: &mut Execution,
        row_ready: bool,
        outcome: TurnOutcome,
        entropy: &mut dyn Entropy,
    ) -> Result<TurnCommit, Error> {
        let number = execution.end_turn();
        let mut commit =
            TurnCommit::new(key, exec, number, self.begins, outcome.custom_status, self.consumed);
        let mut events = Vec::with_capacity(self.accepted.len() + outcome.actions.len());
        let mut answers = outcome.answers.into_iter();
        for mut accepted in self.accepted {
            let tried = accepted.tried.take();
            let asked = accepted.ask.is_some();
            let again = if asked {
                let answer = answers.next();
                answer.ok_or_else(|| defect("an answer to retryIf is missing"))?.1
            } else {
                false
            };
            let event = accepted.answered(again);
            if asked {
                execution.apply(&event);
            }
            commit.note(&event, execution);
            commit.note_failure(tried, &event);
            events.push(event);
        }
        let most = if outcome.end.is_some() { usize::MAX } else { self.starts_max };
        events.extend(commit.start_postponed(execution, most));
        let mut fresh_id = || entropy.fresh_id();
        let mut postponed = None;
        for action in outcome.actions {
            let task = execution.next_task();
            let event = action.record(task, &mut fresh_id);
            commit.note_before(&event, execution);
            execution.apply(&event);
            if event.is_start() && (postponed.is_some() || commit.starts() >= most) {
                postponed.get_or_insert(task);
            } else {
                commit.note(&event, execution);
            }
            events.push(event);
        }
        if let Some(task) = postponed {
            let event = HistoryEvent::StartsPostponed { task };
            execution.apply(&event);
            events.push(event);
        }
        let released = execution.take_released();
        if outcome.end.is_none() {
            for task in released {
                commit.start_child(task, execution);
            }
        }
        commit.settle_locks(execution, outcome.end.is_some());
        events.extend(outcome.end.as_ref().and_then(end_event));
        let began = if self.begins { execution.began().cloned() } else { None };
        commit.record = HistoryRecord { time_ms: self.time_ms, events, notice: false, began };
        commit.ready = execution.ready();
        commit.awaits = outcome.end.is_some() && execution.awaits_answers();
        commit.ready_changed = row_ready != commit.ready;
        commit.end = outcome.end;
        Ok(commit)
    }
}

impl HistoryEvent {
    /// Whether it brings about a row of its own in the turn that asks for it.
    fn is_start(&self) -> bool {
        matches!(self, Self::SubOrchestrationInstanceCreated { .. } | Self::TimerCreated { .. })
    }
}

impl TurnCommit {
    fn starts(&self) -> usize {
        self.children.len() + self.timers_set.len()
    }

    /// Starts the first of what earlier turns have postponed.
    fn start_postponed(&mut self, execution: &mut Execution, most: usize) -> Option<HistoryEvent> {
        let room = most.saturating_sub(self.starts());
        let tasks: Vec<TaskId> = execution.postponed(room).collect();
        for &task in &tasks {
            match execution.task(task) {
                Some(OpenTask::Timer { fire_at }) => self.timers_set.push((task, *fire_at)),
                _ => self.start_child(task, execution),
            }
        }
        let event = HistoryEvent::StartsResumed { task: *tasks.last()? };
        execution.apply(&event);
        Some(event)
    }

    /// Notes what an event of the turn changes in rows beside history.
    fn note(&mut self, event: &HistoryEvent, execution: &Execution) {
        match event {
            HistoryEvent::TaskScheduled { task, .. } => self.activities.push(*task),
            HistoryEvent::TaskRetried { task, .. } => {
                self.timers_cleared.push(*task);
                match execution.task(*task) {
                    Some(OpenTask::Activity(_)) => self.activities.push(*task),
                    Some(OpenTask::Child { .. }) => self.start_child(*task, execution),
                    _ => {}
                }
            }
            HistoryEvent::SubOrchestrationInstanceCreated { task, .. }
                if !execution.waits_for_others(*task) =>
            {
                self.start_child(*task, execution);
            }
            HistoryEvent::TaskFailed { task, again_at: Some(at), .. }
            | HistoryEvent::SubOrchestrationInstanceFailed { task, again_at: Some(at), .. }
            | HistoryEvent::TimerCreated { task, fire_at: at } => {
                self.timers_set.push((*task, *at));
            }
            HistoryEvent::TimerFired { task } => self.timers_cleared.push(*task),
            HistoryEvent::TimerCanceled { task } => self.cancel_timer(*task),
            HistoryEvent::EventAwaited { name, .. } => self.open_wait(fold_name(name)),
            HistoryEvent::EntityOperationCalled { task, entity_id, operation, input } => {
                let signal = signal(entity_id, operation, input.as_ref(), None);
                self.sends.push(EntitySend::Call { task: *task, signal });
            }
            HistoryEvent::EntityOperationSignaled { entity_id, operation, input, fire_at } => {
                let signal = signal(entity_id, operation, input.as_ref(), *fire_at);
                self.sends.push(EntitySend::Signal(signal));
            }
            HistoryEvent::EntityLockRequested(lock) => {
                self.locks = Some(None);
                self.sends.push(EntitySend::Lock(lock.clone()));
            }
            _ => {}
        }
    }

    fn note_failure(&mut self, tried: Option<(Name, u32)>, event: &HistoryEvent) {
        if let (Some((name, attempt)), HistoryEvent::TaskFailed { failure, again_at, .. }) =
            (tried, event)
        {
            let (failure, again) = (failure.clone(), again_at.is_some());
            self.failures.push(FailedTry { name, attempt, failure, again });
        }
    }

    /// Notes what an event takes away, before that is gone.
    fn note_before(&mut self, event: &HistoryEvent, execution: &Execution) {
        match event {
            // There is one critical section at a time, so another one ends the one before.
            HistoryEvent::EntityUnlockSent {} | HistoryEvent::EntityLockRequested(_) => {
                self.unlock(execution.lock().cloned());
            }
            HistoryEvent::EventWaitCanceled { task } => {
                if let Some(OpenTask::Event { name, .. }) = execution.task(*task) {
                    self.close_wait(fold_name(name));
                }
            }
            _ => {}
        }
    }

    /// Waits of one name are as good as each other: one that opens in the same turn takes the place.
    fn close_wait(&mut self, event: String) {
        match self.waits_opened.iter().position(|opened| *opened == event) {
            Some(opened) => drop(self.waits_opened.remove(opened)),
            None => self.waits_closed.push(event),
        }
    }

    fn open_wait(&mut self, event: String) {
        match self.waits_closed.iter().position(|closed| *closed == event) {
            Some(closed) => drop(self.waits_closed.remove(closed)),
            None => self.waits_opened.push(event),
        }
    }

    fn unlock(&mut self, lock: Option<EntityLock>) {
        if let Some(lock) = lock {
            self.locks = Some(None);
            self.sends.push(EntitySend::Unlock(lock));
        }
    }

    /// What the turn leaves. What an execution that ends asks for in its last turn is never its own.
    fn settle_locks(&mut self, execution: &Execution, ends: bool) {
        if !ends {
            if self.locks.is_some() {
                self.locks = Some(execution.lock().cloned());
            }
            return;
        }
        let Some(lock) = execution.lock() else { return };
        let asked = self.sends.len();
        self.sends.retain(|send| !matches!(send, EntitySend::Lock(asked) if asked == lock));
        if self.sends.len() == asked {
            self.unlock(Some(lock.clone()));
        }
        self.locks = Some(None);
    }

    fn start_child(&mut self, task: TaskId, execution: &Execution) {
        if let Some(OpenTask::Child { call, instance_id, version, .. }) = execution.task(task) {
            self.children.push(ChildStart {
                task,
                name: call.name.clone(),
                instance_id: instance_id.clone(),
                version: version.clone(),
                input: call.input.clone(),
                postponed: execution.is_postponed(task),
            });
        }
    }

    fn cancel_timer(&mut self, task: TaskId) {
        // One created in this very turn never reaches the store.
        let before = self.timers_set.len();
        self.timers_set.retain(|(set, _)| *set != task);
        if self.timers_set.len() == before {
            self.timers_cleared.push(task);
        }
    }
}

/// 52 random bits.
fn salt(entropy: &mut dyn Entropy) -> Name {
    format!("{:013x}", entropy.unit().to_bits() & ((1 << 52) - 1)).into()
}

fn end_event(end: &End) -> Option<HistoryEvent> {
    match end {
        End::Complete { .. } => Some(HistoryEvent::ExecutionCompleted {}),
        End::Fail { .. } => Some(HistoryEvent::ExecutionFailed {}),
        End::ContinueAsNew { .. } => None,
    }
}

fn signal(
    entity_id: &str,
    operation: &str,
    input: Option<&Payload>,
    fire_at: Option<TimeMs>,
) -> Signal {
    let (entity_id, operation) = (entity_id.to_owned(), operation.to_owned());
    Signal { entity_id, operation, input: input.cloned(), fire_at }
}

fn defect(what: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("The outcome of a turn does not fit it: {what}."))
}
