//! Instances that are not in memory: loaded, counted, replayed, parked.
//!
//! Owns: the way from rows back to a live execution. Must never: run a new turn of an execution
//! before its replay has been checked.

use std::collections::{HashSet, VecDeque};

use crate::core::error::ErrorCode;
use crate::core::execution::{Execution, OpenTask};
use crate::core::history::HistoryRecord;
use crate::core::instance::InstanceRow;
use crate::core::limits::{CRASHES, LOADS_IN_FLIGHT};
use crate::core::message::{Delivery, Message};
use crate::core::replay::{Problem, Replay, ReplayTurn};
use crate::core::status::RuntimeStatus;
use crate::core::turn::TurnOutcome;
use crate::core::view::StatusView;
use crate::core::{ExecutionId, InstanceKey, TaskId, TimeMs, TurnNumber};
use crate::provider::transaction::{Park, Work};
use crate::provider::{Loaded, ProviderError, ProviderErrorKind, StoredMessage};

use super::super::protocol::{Activation, ActivationTurn, LogLevel, OnNondeterminism};
use super::overdue::overdue_before;
use super::{Dispatcher, Live, State, Step};

impl Dispatcher {
    /// Asks again for an instance in memory, whose execution there is void.
    pub(super) fn reload(&mut self, key: InstanceKey) {
        self.retract(key);
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        live.state = State::Loading;
        live.stale = false;
        live.replay = None;
        self.waiting_loads.push_back(key);
    }

    pub(super) fn send_loads(&mut self, step: &mut Step) {
        while self.loads_in_flight < LOADS_IN_FLIGHT {
            let Some(key) = self.waiting_loads.pop_front() else {
                return;
            };
            if let Some(keeping) = self.keeping.get_mut(&key) {
                keeping.load = true;
                continue;
            }
            self.loads_in_flight += 1;
            step.loads.push(key);
        }
    }

    /// Readings that failed are tried again.
    pub fn retry_reads(&mut self) {
        self.waiting_loads.extend(self.failed_loads.drain(..));
        self.entities.retry_loads();
        self.timers.retry();
        self.backlog.retry();
    }

    /// Whether readings wait to be tried again.
    #[must_use]
    pub fn has_failed_reads(&self) -> bool {
        !self.failed_loads.is_empty()
            || self.timers.has_failed()
            || self.backlog.has_failed()
            || self.entities.has_failed()
    }

    /// The store has answered.
    pub fn loaded(
        &mut self,
        key: InstanceKey,
        answer: Result<Option<Loaded>, ProviderError>,
        step: &mut Step,
    ) {
        self.loads_in_flight -= 1;
        if self.held.lets_go_of(key) {
            // What it holds of unstored results goes to the store.
            self.keep_unstored(key, step);
            return self.forget(key, step);
        }
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        if !matches!(live.state, State::Loading) {
            return;
        }
        if std::mem::take(&mut live.stale) {
            self.waiting_loads.push_back(key);
            return;
        }
        live.violated = false;
        if std::mem::take(&mut live.in_js) {
            step.out.drops.push(live.handle);
        }
        match answer {
            Ok(Some(loaded)) => self.take(key, loaded, step),
            Ok(None) => self.forget(key, step),
            Err(error) if error.kind == ProviderErrorKind::Corrupt => {
                self.corrupt(key, &error.message, step);
            }
            Err(error) => {
                step.log(LogLevel::Error, "", format!("An instance could not be loaded: {error}"));
                self.failed_loads.push(key);
            }
        }
    }

    fn take(&mut self, key: InstanceKey, loaded: Loaded, step: &mut Step) {
        let Loaded { row, history, last_turn, messages, away } = loaded;
        if row.head.status.has_ended() {
            if !messages.is_empty() {
                let keys = messages.iter().map(|message| message.key).collect();
                step.work.push(Work::Forget(keys));
            }
            if row.head.status == RuntimeStatus::Failed {
                self.keep_unstored(key, step);
            }
            step.ended.push(StatusView::from(row));
            return self.forget(key, step);
        }
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        if live.exec != row.head.exec && !live.activities.is_empty() {
            self.give_up_activities(key, step);
        }
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        live.fill(&row);
        live.away = away.into_iter().collect();
        let bytes = weight(&row, &history);
        self.bytes = self.bytes - live.bytes + bytes;
        live.bytes = bytes;
        self.ids.insert(live.id.clone(), key);
        if live.recovered {
            step.tell_found(&row);
        }
        let suspended = row.head.status == RuntimeStatus::Suspended;
        let poisoned = has_crashed_too_often(&row);
        if suspended && !(row.head.has_problem && live.recovered && !poisoned) {
            return self.suspend(key, step);
        }
        live.held = suspended;
        match decode(history, last_turn, messages) {
            Err(cause) => return self.corrupt(key, &cause, step),
            Ok((records, deliveries)) => live.prepare(row.updated_ms, records, deliveries),
        }
        if live.recovered && poisoned {
            return self.poisoned(key, &row, step);
        }
        if !self.admits(key, step) {
            return;
        }
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        // A held instance is not counted: it runs only what it ran before. One that was under way when
        // the process ended is, and one that has run in no process yet.
        let deaths = row.head.crashes;
        if live.held || !(live.recovered || deaths == 0) {
            live.recovered = false;
            return self.replay_on(key, step);
        }
        live.state = State::Suspect;
        if self.runs_at_once(key, deaths) {
            self.count(key, step);
        }
    }

    /// That the instance may take the process down has been written, so it may run.
    pub(super) fn counted(&mut self, key: InstanceKey, step: &mut Step) {
        let Some(live) = self.lives.get_mut(&key) else { return };
        if matches!(live.state, State::Counting) {
            live.recovered = false;
            self.replay_on(key, step);
        }
    }

    /// Hands the next recorded turns to JavaScript, or goes on if there are none.
    fn replay_on(&mut self, key: InstanceKey, step: &mut Step) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        let turns = match &mut live.replay {
            Some(replay) => {
                let bytes = self.options.exchange_bytes;
                replay.next_turns(&mut live.execution, self.replay_turns, bytes)
            }
            None => Vec::new(),
        };
        if turns.is_empty() {
            live.replay = None;
            return self.replay_ended(key, step);
        }
        let (handle, start) = live.enter_js();
        let token = self.token(key);
        if let Some(live) = self.lives.get_mut(&key) {
            live.state = State::Replaying(token);
        }
        let replayed = turns.len();
        let turns = turns.into_iter().map(ActivationTurn::from).collect();
        let activation = Activation { token, iid: handle, start, turns, replayed };
        self.send_activation(key, activation, step);
    }

    /// JavaScript has run recorded turns.
    pub(super) fn replayed(&mut self, key: InstanceKey, outcomes: &[TurnOutcome], step: &mut Step) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        let checked = live.replay.as_mut().map_or(Ok(()), |replay| replay.check(outcomes));
        match checked {
            Ok(()) => self.replay_on(key, step),
            Err(problem) => {
                let how = match self.options.on_nondeterminism {
                    OnNondeterminism::Hold => Park::Hold,
                    OnNondeterminism::Fail => Park::Fail,
                };
                self.park(key, problem, how, step);
            }
        }
    }

    fn replay_ended(&mut self, key: InstanceKey, step: &mut Step) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        if live.held {
            live.state = State::Unparking;
            step.work.push(Work::Unpark(key));
        } else {
            self.resume(key);
        }
    }

    /// An instance that was held matches its history again, and the store knows.
    pub(super) fn unparked(&mut self, key: InstanceKey) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        if matches!(live.state, State::Unparking) {
            live.held = false;
            live.has_problem = false;
            live.row_ready = true;
            self.resume(key);
        }
    }

    /// An execution is where its history ends: what it asked for is under way again.
    fn resume(&mut self, key: InstanceKey) {
        let Some(live) = self.lives.get(&key) else {
            return;
        };
        let mut due: Vec<TaskId> = Vec::new();
        for (task, open) in live.execution.open() {
            match open {
                OpenTask::Activity(call) => match call.again_at {
                    None => due.push(task),
                    Some(at) => self.timers.add(at, key, task),
                },
                OpenTask::Child { call, .. } => {
                    if let Some(at) = call.again_at {
                        self.timers.add(at, key, task);
                    }
                }
                OpenTask::Timer { fire_at } => self.timers.add(*fire_at, key, task),
                OpenTask::Event { .. } | OpenTask::Entity { .. } | OpenTask::Lock { .. } => {}
            }
        }
        let of_this = |delivery: &&Delivery| delivery.exec.is_none_or(|exec| exec == live.exec);
        let answered: HashSet<TaskId> =
            live.mailbox.iter().filter(of_this).filter_map(answered_task).collect();
        let away = self.lives.get_mut(&key).map(|live| std::mem::take(&mut live.away));
        let away = away.unwrap_or_default();
        for task in due {
            if answered.contains(&task) {
                continue;
            }
            if !away.contains(&task) {
                self.due(key, task);
            } else if let Some(activity) = self.due_activity(key, task) {
                self.activities.is_away(activity);
            }
        }
        self.become_idle(key);
    }

    /// What is due and has not started waits until it is known whether it still shall, and as what: a
    /// replay under way knows of an earlier attempt only.
    pub(super) fn retract(&mut self, key: InstanceKey) {
        let due = self.activities.retract(key);
        if let Some(live) = self.lives.get_mut(&key) {
            live.activities.retain(|task| !due.contains(task));
        }
    }

    /// A suspended instance keeps nothing in memory but what still runs.
    fn suspend(&mut self, key: InstanceKey, step: &mut Step) {
        self.keep_unstored(key, step);
        self.retract(key);
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        if live.activities.is_empty() {
            self.forget(key, step);
        } else {
            live.state = State::Suspended;
        }
    }

    fn poisoned(&mut self, key: InstanceKey, row: &InstanceRow, step: &mut Step) {
        let message = match overdue_before(row) {
            None => format!(
                "The process died {} times in a row while this instance was under way, so it is \
                 parked. Mend the function that takes the process down, then resume the instance.",
                row.head.crashes
            ),
            Some(overdue) => format!(
                "Workers did not answer again and again while this instance was under way, and \
                 others took over, so it is parked. Mend the function, then resume the instance. \
                 Last: {overdue}"
            ),
        };
        self.park(key, Box::new(Problem::new(ErrorCode::Poison, message)), Park::Hold, step);
    }

    fn corrupt(&mut self, key: InstanceKey, cause: &str, step: &mut Step) {
        let message = format!(
            "The stored rows of this instance cannot be read ({cause}), so it is parked; the hub \
             runs on. Restore the store from a backup, or terminate the instance."
        );
        let problem = Box::new(Problem::new(ErrorCode::CorruptHistory, message));
        self.park(key, problem, Park::Hold, step);
    }

    /// An instance does not get on, and the store is told why.
    pub(super) fn park(
        &mut self,
        key: InstanceKey,
        problem: Box<Problem>,
        how: Park,
        step: &mut Step,
    ) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        step.log(LogLevel::Error, &live.id, problem.message.clone());
        if std::mem::take(&mut live.in_js) {
            step.out.drops.push(live.handle);
        }
        step.work.push(Work::Park { key, problem, how });
        match how {
            // What runs may end, and its results are kept.
            Park::Mark | Park::Hold => self.suspend(key, step),
            Park::Fail => self.forget(key, step),
        }
    }

    /// Results that stand nowhere but in memory go to the store.
    pub(super) fn keep_unstored(&mut self, key: InstanceKey, step: &mut Step) {
        let Some(live) = self.lives.get_mut(&key) else { return };
        let (exec, messages) = (live.exec, live.take_unstored());
        self.keep(key, exec, messages, step);
    }

    /// Results go to the store. Until they are there, a load would miss them.
    pub(super) fn keep(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        messages: Vec<Message>,
        step: &mut Step,
    ) {
        if !messages.is_empty() {
            self.keeping.entry(key).or_default().writes += 1;
            step.work.push(Work::Keep { key, exec, messages });
        }
    }

    /// Results have gone to the store.
    pub(super) fn kept(&mut self, key: InstanceKey) {
        let Some(keeping) = self.keeping.get_mut(&key) else { return };
        keeping.writes -= 1;
        if keeping.writes == 0 && self.keeping.remove(&key).is_some_and(|kept| kept.load) {
            self.waiting_loads.push_back(key);
        }
    }
}

impl Live {
    fn fill(&mut self, row: &InstanceRow) {
        self.id.clone_from(&row.head.id);
        self.name.clone_from(&row.head.name);
        self.version.clone_from(&row.version);
        self.parent_id.clone_from(&row.parent_id);
        self.exec = row.head.exec;
        self.input.clone_from(&row.input);
        self.scheduled_ms = row.scheduled_ms;
        self.created_ms = row.created_ms;
        self.custom_status.clone_from(&row.custom_status);
        self.row_ready = row.ready;
        // One that was told of just now may be on its way to the row.
        self.has_problem |= row.head.has_problem;
        self.crashes = row.head.crashes;
    }

    fn prepare(&mut self, updated_ms: TimeMs, records: Vec<HistoryRecord>, stored: Vec<Delivery>) {
        self.early = stored.iter().filter_map(|delivery| delivery.key).collect();
        // What has been delivered before is in both. The rest of what was stored will be delivered.
        let early = &mut self.early;
        self.mailbox.retain(|delivery| delivery.key.is_none_or(|key| !early.remove(&key)));
        let mut mailbox = VecDeque::from(stored);
        mailbox.append(&mut self.mailbox);
        self.mailbox = mailbox;
        // Without a turn the row alone knows a time that this execution must not run back behind.
        let begun = records.iter().any(|record| !record.notice);
        self.execution = Execution::since(if begun { 0 } else { updated_ms });
        self.replay = Some(Replay::new(records));
    }
}

impl From<ReplayTurn> for ActivationTurn {
    fn from(turn: ReplayTurn) -> Self {
        Self { time: turn.time_ms, resolutions: turn.resolutions }
    }
}

fn has_crashed_too_often(row: &InstanceRow) -> bool {
    row.head.crashes >= CRASHES
}

/// Bytes that it holds in memory: about those of its rows.
fn weight(row: &InstanceRow, history: &[Vec<u8>]) -> usize {
    let input = row.input.as_ref().map_or(0, |input| input.get().len());
    input + history.iter().map(Vec::len).sum::<usize>()
}

fn answered_task(delivery: &Delivery) -> Option<TaskId> {
    match delivery.message {
        Message::TaskCompleted { task, .. } | Message::TaskFailed { task, .. } => Some(task),
        _ => None,
    }
}

/// Each is let go of when it has been read: they are as large as what is made of them.
fn decode(
    history: Vec<Vec<u8>>,
    last_turn: TurnNumber,
    messages: Vec<StoredMessage>,
) -> Result<(Vec<HistoryRecord>, Vec<Delivery>), String> {
    let records: Vec<HistoryRecord> =
        history.into_iter().map(|body| HistoryRecord::decode(&body)).collect::<Result<_, _>>()?;
    let turns = records.iter().filter(|record| !record.notice).count();
    if usize::try_from(last_turn) != Ok(turns) {
        return Err(format!(
            "its history has {turns} turns, and the last one has number {last_turn}"
        ));
    }
    let deliveries = messages
        .into_iter()
        .map(|stored| {
            let message = Message::decode(&stored.body)?;
            Ok(Delivery { key: Some(stored.key), exec: stored.exec, message })
        })
        .collect::<Result<_, String>>()?;
    Ok((records, deliveries))
}
