//! A live execution as the engine knows it: its open tasks, folded from history.
//!
//! Owns: what each event does to the open tasks (`apply`, the same for a turn that just ran and for
//! one read back), and which event a message causes (`accept`). Must never: hold the user's code or
//! know how it runs. Proved by the tests of `turn.rs` and by `tests/replay.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::call::{Ask, Call, Children};
use super::entity::EntityLock;
use super::entropy::Entropy;
use super::history::{Began, HistoryEvent};
use super::ids::fold_name;
use super::message::Message;
use super::retry::Retry;
use super::{Name, Payload, TaskId, TimeMs, TurnNumber};

/// A task that has been asked for and has no outcome.
#[derive(Debug, Clone)]
pub enum OpenTask {
    /// An activity.
    Activity(Call),
    /// A sub-orchestration and the id of the instance that runs its current attempt.
    Child {
        /// The call.
        call: Call,
        /// Id of the child.
        instance_id: String,
        /// The code chose the id, so another attempt uses it again.
        chosen: bool,
        /// The version that the code chose.
        version: Option<String>,
    },
    /// A timer.
    Timer {
        /// When it fires.
        fire_at: TimeMs,
    },
    /// A wait for an external event.
    Event {
        /// Name of the event.
        name: Name,
        /// When the wait was opened.
        since_ms: TimeMs,
    },
    /// An operation of an entity.
    Entity {
        /// Id of the entity.
        entity_id: String,
        /// Name of the operation.
        operation: Name,
        /// When it was called.
        since_ms: TimeMs,
    },
    /// Entities that the execution wants to have for itself.
    Lock {
        /// Their ids.
        entities: Vec<String>,
        /// Since when.
        since_ms: TimeMs,
    },
}

/// A message as the event it causes, before that event is part of history.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The event. If the code is asked and says yes, `again_at` is filled in.
    pub event: HistoryEvent,
    /// The policy's `retryIf` decides whether there is another attempt, at this time.
    pub ask: Option<Ask>,
    /// The activity and the attempt, from 1, if it is one that failed.
    pub tried: Option<(Name, u32)>,
}

/// See the module's text.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    next_task: TaskId,
    open: BTreeMap<TaskId, OpenTask>,
    /// Open waits by folded name, oldest first.
    waits: HashMap<String, Vec<TaskId>>,
    /// Sub-orchestrations of fan-outs with a bound, by group.
    children: HashMap<u32, Children>,
    /// Those of them that waited and may be started now.
    released: Vec<TaskId>,
    /// Sub-orchestrations and timers that later turns start.
    postponed: BTreeSet<TaskId>,
    /// The entities that it has for itself, or has asked for.
    lock: Option<EntityLock>,
    /// Open activities with an attempt under way or due.
    runnable: usize,
    time_ms: TimeMs,
    begun: bool,
    /// How many turns it has had.
    turns: TurnNumber,
    began: Option<Began>,
}

impl Execution {
    /// One whose time does not run back behind this.
    #[must_use]
    pub fn since(time_ms: TimeMs) -> Self {
        Self { time_ms, ..Self::default() }
    }

    /// Whether the code has run at all.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// What it lives by; nothing before it begins, and nothing if an older version began it.
    #[must_use]
    pub fn began(&self) -> Option<&Began> {
        self.began.as_ref()
    }

    /// Its first turn begins.
    pub fn live_by(&mut self, began: Option<Began>) {
        self.began = began;
    }

    /// Time of the last turn.
    #[must_use]
    pub fn time_ms(&self) -> TimeMs {
        self.time_ms
    }

    /// The entities that the execution has for itself, or has asked for.
    #[must_use]
    pub fn lock(&self) -> Option<&EntityLock> {
        self.lock.as_ref()
    }

    /// The id that the next task gets.
    #[must_use]
    pub fn next_task(&self) -> TaskId {
        self.next_task
    }

    /// Open tasks in the order of their creation.
    pub fn open(&self) -> impl Iterator<Item = (TaskId, &OpenTask)> {
        self.open.iter().map(|(task, open)| (*task, open))
    }

    /// The open task of that id.
    #[must_use]
    pub fn task(&self, task: TaskId) -> Option<&OpenTask> {
        self.open.get(&task)
    }

    /// When the timer of an open task is due: its own, or that of another attempt.
    #[must_use]
    pub fn due_at(&self, task: TaskId) -> Option<TimeMs> {
        match self.open.get(&task)? {
            OpenTask::Timer { fire_at } => Some(*fire_at),
            OpenTask::Activity(call) | OpenTask::Child { call, .. } => call.again_at,
            OpenTask::Event { .. } | OpenTask::Entity { .. } | OpenTask::Lock { .. } => None,
        }
    }

    /// Whether a sub-orchestration waits for others of its fan-out to end before it is started.
    #[must_use]
    pub fn waits_for_others(&self, task: TaskId) -> bool {
        let Some(OpenTask::Child { call, .. }) = self.open.get(&task) else { return false };
        let children = call.group.and_then(|group| self.children.get(&group.id));
        children.is_some_and(|children| children.waiting.contains(&task))
    }

    /// Sub-orchestrations that waited for others and may be started now, since the last time.
    pub fn take_released(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.released)
    }

    /// The first of those that later turns start, at most so many, in the order of their creation.
    pub fn postponed(&self, most: usize) -> impl Iterator<Item = TaskId> {
        self.postponed.iter().copied().take(most)
    }

    /// Whether the task is started by a later turn.
    #[must_use]
    pub fn is_postponed(&self, task: TaskId) -> bool {
        self.postponed.contains(&task)
    }

    /// Whether later turns have something to start.
    #[must_use]
    pub fn has_postponed(&self) -> bool {
        !self.postponed.is_empty()
    }

    /// Whether an activity is under way or due, or something is to be started, which nothing in the
    /// store but history tells.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.runnable > 0 || self.has_postponed()
    }

    /// Whether an activity or an operation of an entity may be under way.
    #[must_use]
    pub fn awaits_answers(&self) -> bool {
        let awaits =
            |open: &OpenTask| matches!(open, OpenTask::Activity(_) | OpenTask::Entity { .. });
        self.open.values().any(awaits)
    }

    /// A turn begins. Time never runs back within an instance.
    pub fn begin_turn(&mut self, now_ms: TimeMs) -> TimeMs {
        self.time_ms = self.time_ms.max(now_ms);
        self.begun = true;
        self.time_ms
    }

    /// A turn is at its end: its number.
    pub fn end_turn(&mut self) -> TurnNumber {
        self.turns = self.turns.saturating_add(1);
        self.turns
    }

    /// How many turns it has had, which is the number of the last one.
    #[must_use]
    pub fn turns(&self) -> TurnNumber {
        self.turns
    }

    /// The event that a message causes now, or `None` if nothing waits for it any more.
    pub fn accept(
        &self,
        message: &Message,
        now_ms: TimeMs,
        entropy: &mut dyn Entropy,
    ) -> Option<Accepted> {
        let plain = |event| Some(Accepted { event, ask: None, tried: None });
        match message {
            Message::TaskCompleted { task, result } => match self.open.get(task)? {
                OpenTask::Activity(call) if call.again_at.is_none() => {
                    plain(HistoryEvent::TaskCompleted { task: *task, result: result.clone() })
                }
                _ => None,
            },
            Message::TaskFailed { task, failure } => match self.open.get(task)? {
                OpenTask::Activity(call) if call.again_at.is_none() => {
                    let (again_at, ask) = call.after_failure(now_ms, entropy);
                    let event = HistoryEvent::TaskFailed {
                        task: *task,
                        failure: failure.clone(),
                        again_at,
                    };
                    let tried = Some((call.name.clone(), call.attempt));
                    Some(Accepted { event, ask, tried })
                }
                _ => None,
            },
            Message::ChildCompleted { task, result } => match self.open.get(task)? {
                OpenTask::Child { call, .. } if call.again_at.is_none() => {
                    let result = result.clone();
                    plain(HistoryEvent::SubOrchestrationInstanceCompleted { task: *task, result })
                }
                _ => None,
            },
            Message::ChildFailed { task, child } => match self.open.get(task)? {
                OpenTask::Child { call, instance_id, .. }
                    if call.again_at.is_none() && *instance_id == child.instance_id =>
                {
                    let (again_at, ask) = call.after_failure(now_ms, entropy);
                    let event = HistoryEvent::SubOrchestrationInstanceFailed {
                        task: *task,
                        child: child.clone(),
                        again_at,
                    };
                    Some(Accepted { event, ask, tried: None })
                }
                _ => None,
            },
            Message::TimerFired { task } => self.timer_event(*task, now_ms, entropy),
            Message::EventRaised { name, input } => {
                // Of several open waits the newest is served first, as in Azure.
                let task = *self.waits.get(&fold_name(name))?.last()?;
                plain(HistoryEvent::EventRaised { task, input: input.clone() })
            }
            Message::EntityCompleted { .. }
            | Message::EntityFailed { .. }
            | Message::LockGranted { .. } => plain(self.entity_event(message)?),
            Message::Entity(_) | Message::TimerSet { .. } | Message::Changed => None,
        }
    }

    fn entity_event(&self, message: &Message) -> Option<HistoryEvent> {
        let task = message.task()?;
        match (message, self.open.get(&task)?) {
            (Message::EntityCompleted { result, .. }, OpenTask::Entity { .. }) => {
                Some(HistoryEvent::EntityOperationCompleted { task, result: result.clone() })
            }
            (Message::EntityFailed { failure, .. }, OpenTask::Entity { .. }) => {
                Some(HistoryEvent::EntityOperationFailed { task, failure: failure.clone() })
            }
            (Message::LockGranted { .. }, OpenTask::Lock { .. }) => {
                Some(HistoryEvent::EntityLockGranted { task })
            }
            _ => None,
        }
    }

    fn timer_event(
        &self,
        task: TaskId,
        now_ms: TimeMs,
        entropy: &mut dyn Entropy,
    ) -> Option<Accepted> {
        let event = match self.open.get(&task)? {
            OpenTask::Timer { fire_at } if *fire_at <= now_ms => HistoryEvent::TimerFired { task },
            OpenTask::Activity(call) if call.again_at.is_some_and(|at| at <= now_ms) => {
                HistoryEvent::TaskRetried { task, instance_id: None }
            }
            OpenTask::Child { call, instance_id, chosen, .. }
                if call.again_at.is_some_and(|at| at <= now_ms) =>
            {
                let id = if *chosen { instance_id.clone() } else { entropy.fresh_id() };
                HistoryEvent::TaskRetried { task, instance_id: Some(id) }
            }
            _ => return None,
        };
        Some(Accepted { event, ask: None, tried: None })
    }

    /// Takes an event of history into account. The same for new events and for old ones.
    pub fn apply(&mut self, event: &HistoryEvent) {
        match event {
            HistoryEvent::TaskScheduled { task, .. } => {
                self.runnable += 1;
                self.add_call(*task, event);
            }
            HistoryEvent::SubOrchestrationInstanceCreated { task, group, .. } => {
                self.add_call(*task, event);
                if let Some(group) = group {
                    self.children.entry(group.id).or_default().add(*task, group.limit);
                }
            }
            HistoryEvent::TimerCreated { task, fire_at } => {
                self.add(*task, OpenTask::Timer { fire_at: *fire_at });
            }
            HistoryEvent::EventAwaited { task, name } => {
                self.waits.entry(fold_name(name)).or_default().push(*task);
                self.add(*task, OpenTask::Event { name: name.clone(), since_ms: self.time_ms });
            }
            HistoryEvent::TaskFailed { task, again_at: Some(at), .. }
            | HistoryEvent::SubOrchestrationInstanceFailed { task, again_at: Some(at), .. } => {
                self.back_off(*task, *at);
            }
            HistoryEvent::TaskRetried { task, instance_id } => {
                self.try_again(*task, instance_id.as_deref());
            }
            HistoryEvent::TaskCompleted { task, .. }
            | HistoryEvent::TaskFailed { task, .. }
            | HistoryEvent::SubOrchestrationInstanceCompleted { task, .. }
            | HistoryEvent::SubOrchestrationInstanceFailed { task, .. }
            | HistoryEvent::TimerFired { task }
            | HistoryEvent::TimerCanceled { task }
            | HistoryEvent::EventRaised { task, .. }
            | HistoryEvent::EventWaitCanceled { task }
            | HistoryEvent::EntityOperationCompleted { task, .. }
            | HistoryEvent::EntityOperationFailed { task, .. }
            | HistoryEvent::EntityLockGranted { task } => self.close(*task),
            HistoryEvent::EntityOperationCalled { task, entity_id, operation, .. } => {
                let (entity_id, operation) = (entity_id.clone(), operation.clone());
                let since_ms = self.time_ms;
                self.add(*task, OpenTask::Entity { entity_id, operation, since_ms });
            }
            HistoryEvent::EntityLockRequested(lock) => {
                let (entities, since_ms) = (lock.entities.clone(), self.time_ms);
                self.lock = Some(lock.clone());
                self.add(lock.task, OpenTask::Lock { entities, since_ms });
            }
            HistoryEvent::EntityUnlockSent {} => {
                if let Some(lock) = self.lock.take() {
                    self.close(lock.task);
                }
            }
            HistoryEvent::StartsPostponed { task } => self.postpone_from(*task),
            HistoryEvent::StartsResumed { task } => {
                self.postponed = self.postponed.split_off(&(task + 1));
            }
            HistoryEvent::EntityOperationSignaled { .. }
            | HistoryEvent::ExecutionCompleted {}
            | HistoryEvent::ExecutionFailed {}
            | HistoryEvent::EventDiscarded { .. }
            | HistoryEvent::ExecutionTerminated { .. }
            | HistoryEvent::ExecutionSuspended { .. }
            | HistoryEvent::ExecutionResumed { .. }
            | HistoryEvent::ExecutionRewound { .. } => {}
        }
    }

    fn add_call(&mut self, task: TaskId, event: &HistoryEvent) {
        let call = |name: &Name, input: &Option<Payload>, retry: &Option<Retry>, group| Call {
            name: name.clone(),
            input: input.clone(),
            retry: retry.clone(),
            group,
            attempt: 1,
            first_ms: self.time_ms,
            since_ms: self.time_ms,
            again_at: None,
        };
        let open = match event {
            HistoryEvent::TaskScheduled { name, input, retry, group, .. } => {
                OpenTask::Activity(call(name, input, retry, *group))
            }
            HistoryEvent::SubOrchestrationInstanceCreated {
                name,
                instance_id,
                chosen,
                version,
                input,
                retry,
                group,
                ..
            } => OpenTask::Child {
                call: call(name, input, retry, *group),
                instance_id: instance_id.clone(),
                chosen: *chosen,
                version: version.clone(),
            },
            _ => return,
        };
        self.add(task, open);
    }

    fn postpone_from(&mut self, first: TaskId) {
        let starts = |(task, open): (&TaskId, &OpenTask)| match open {
            OpenTask::Timer { .. } => Some(*task),
            OpenTask::Child { .. } if !self.waits_for_others(*task) => Some(*task),
            _ => None,
        };
        let tasks: Vec<TaskId> = self.open.range(first..).filter_map(starts).collect();
        self.postponed.extend(tasks);
    }

    fn add(&mut self, task: TaskId, open: OpenTask) {
        self.next_task = self.next_task.max(task + 1);
        self.open.insert(task, open);
    }

    fn back_off(&mut self, task: TaskId, at: TimeMs) {
        match self.open.get_mut(&task) {
            Some(OpenTask::Activity(call)) => {
                call.again_at = Some(at);
                self.runnable -= 1;
            }
            Some(OpenTask::Child { call, .. }) => call.again_at = Some(at),
            _ => {}
        }
    }

    fn try_again(&mut self, task: TaskId, child: Option<&str>) {
        let now_ms = self.time_ms;
        let begin = |call: &mut Call| {
            call.attempt += 1;
            call.since_ms = now_ms;
            call.again_at = None;
        };
        match self.open.get_mut(&task) {
            Some(OpenTask::Activity(call)) => {
                begin(call);
                self.runnable += 1;
            }
            Some(OpenTask::Child { call, instance_id, .. }) => {
                begin(call);
                if let Some(child) = child {
                    child.clone_into(instance_id);
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, task: TaskId) {
        self.postponed.remove(&task);
        match self.open.remove(&task) {
            Some(OpenTask::Activity(call)) if call.again_at.is_none() => self.runnable -= 1,
            Some(OpenTask::Child { call, .. }) => {
                if let Some(children) =
                    call.group.and_then(|group| self.children.get_mut(&group.id))
                {
                    self.released.extend(children.remove(task));
                }
            }
            Some(OpenTask::Event { name, .. }) => {
                let folded = fold_name(&name);
                if let Some(waits) = self.waits.get_mut(&folded) {
                    waits.retain(|wait| *wait != task);
                    if waits.is_empty() {
                        self.waits.remove(&folded);
                    }
                }
            }
            _ => {}
        }
    }
}
