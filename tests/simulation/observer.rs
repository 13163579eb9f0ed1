//! What stands outside and never dies: it sees each commit, each start of an activity and each
//! replay, and knows what must hold between them.

use std::collections::{HashMap, HashSet};

use durafn::core::commit::{TurnCommit, TurnVerdict};
use durafn::core::entity::{EntitySend, Signal};
use durafn::core::history::{HistoryEvent, HistoryRecord};
use durafn::core::request::{Answer, Command, DiscardReason, RaiseOutcome};
use durafn::core::view::StatusView;
use durafn::core::{ExecutionId, InstanceKey, TaskId, TimeMs};
use durafn::provider::Reader;
use durafn::provider::memory::MemoryProvider;
use durafn::provider::transaction::{Outcome, Work};
use durafn::runtime::protocol::{ActivityStart, Reply, ReplyBody};
use serde_json::Value;

use super::host::{Replayed, value};
use crate::common::json;

type Place = (InstanceKey, ExecutionId);

/// See the module's text.
#[derive(Default)]
pub(crate) struct Observer {
    /// The turns of each execution in which its code ran: their times and what it was told.
    turns: HashMap<Place, Vec<(TimeMs, Vec<String>)>>,
    begun: HashSet<Place>,
    times: HashMap<InstanceKey, TimeMs>,
    /// Tasks that have come to something.
    resolved: HashSet<(InstanceKey, ExecutionId, TaskId)>,
    /// How often each attempt of an activity was started.
    pub(crate) starts: HashMap<(InstanceKey, ExecutionId, TaskId, u32), u32>,
    /// Attempts of which a result was committed.
    attempts: HashMap<(InstanceKey, ExecutionId, TaskId), u32>,
    /// Events that were taken or kept, by instance id, in the order of their commits.
    pub(crate) events: HashMap<String, Vec<Value>>,
    /// What was sent to each entity to be added, by the commits that sent it.
    pub(crate) sent: HashMap<String, i64>,
    pub(crate) crashes: u32,
    /// How many events were for nobody.
    pub(crate) lost_events: u32,
    /// Keys of instances that began before they had one, by what JavaScript knows them by.
    keys: HashMap<InstanceKey, InstanceKey>,
}

impl Observer {
    pub(crate) fn crashed(&mut self) {
        self.crashes += 1;
    }

    fn sends(&mut self, signal: &Signal) {
        let sum = self.sent.entry(signal.entity_id.clone()).or_default();
        if signal.operation != "get" {
            *sum += signal.input.as_ref().map_or(0, |input| value(input).as_i64().unwrap());
        }
    }

    /// Work was committed.
    pub(crate) fn committed(&mut self, work: &Work, outcome: &Outcome) {
        match (work, outcome) {
            (Work::Command(Command::SignalEntity(signal)), Outcome::Command(Ok(Answer::Done))) => {
                self.sends(signal);
            }
            (Work::Turn(commit), Outcome::Turn(TurnVerdict::Committed)) => {
                self.turn(commit.key, commit);
            }
            (Work::Begin(begin), Outcome::Begun { key: Some(key), .. }) => {
                let commit = begin.commit.as_ref().unwrap();
                self.keys.insert(commit.key, *key);
                self.turn(*key, commit);
            }
            (
                Work::Command(Command::RaiseEvent { instance_id, input, .. }),
                Outcome::Command(Ok(Answer::Raised(
                    RaiseOutcome::Delivered | RaiseOutcome::Buffered,
                ))),
            ) => {
                let events = self.events.entry(instance_id.clone()).or_default();
                events.push(input.as_ref().map_or(Value::Null, value));
            }
            (
                Work::Command(Command::RaiseEvent { .. }),
                Outcome::Command(Ok(Answer::Raised(RaiseOutcome::Discarded {
                    reason: DiscardReason::NotFound,
                }))),
            ) => self.lost_events += 1,
            _ => {}
        }
    }

    fn turn(&mut self, key: InstanceKey, commit: &TurnCommit) {
        for send in &commit.sends {
            if let EntitySend::Signal(signal) | EntitySend::Call { signal, .. } = send {
                self.sends(signal);
            }
        }
        let place = (key, commit.exec);
        let time_ms = commit.record.time_ms;
        let last = self.times.insert(key, time_ms).unwrap_or(time_ms);
        assert!(last <= time_ms, "time of instance {key} ran back: {last}, {time_ms}");
        assert_eq!(commit.begins, self.begun.insert(place), "an execution begins once");
        let mut told = Vec::new();
        for event in &commit.record.events {
            told.extend(event.resolution().map(|resolution| json(&resolution)));
            self.event(place, event);
        }
        if commit.begins || !told.is_empty() {
            self.turns.entry(place).or_default().push((time_ms, told));
        }
    }

    fn event(&mut self, (key, exec): Place, event: &HistoryEvent) {
        if let HistoryEvent::TaskCompleted { task, .. } | HistoryEvent::TaskFailed { task, .. } =
            event
        {
            let attempt = self.attempts.entry((key, exec, *task)).or_default();
            *attempt += 1;
            let started = self.starts.get(&(key, exec, *task, *attempt));
            assert!(
                started.is_some(),
                "a result of an attempt that never started: key: {key}, {exec} {task} {attempt}"
            );
        }
        if let Some(resolution) = event.resolution() {
            let task = durafn::runtime::protocol::resolved_task(&resolution);
            assert!(self.resolved.insert((key, exec, task)), "task {task} of {key} resolved twice");
        }
    }

    /// Recorded turns are run again: they are those that were committed, told the same.
    pub(crate) fn replayed(&mut self, replayed: &Replayed<'_>) {
        let key = self.keys.get(&replayed.handle).copied().unwrap_or(replayed.handle);
        let committed = &self.turns[&(key, replayed.exec)];
        let committed = &committed[replayed.first..];
        assert!(replayed.turns.len() <= committed.len());
        for (again, (time_ms, told)) in replayed.turns.iter().zip(committed) {
            let told_again: Vec<String> = again.resolutions.iter().map(json).collect();
            assert_eq!((again.time, &told_again), (*time_ms, told));
        }
    }

    /// An activity starts: it is scheduled, durably, and no fan-out runs more than it may.
    pub(crate) fn activity_starts(&mut self, store: &mut MemoryProvider, start: &ActivityStart) {
        let (exec, task) = (start.exec, start.task);
        *self.starts.entry((start.iid, exec, task, start.attempt)).or_default() += 1;
        let Some(loaded) = store.load(start.iid).unwrap() else { return };
        if loaded.row.head.exec == exec {
            let scheduled = |event: &HistoryEvent| matches!(event, HistoryEvent::TaskScheduled { task: of, .. } if *of == task);
            let mut rows = loaded.history.iter().map(|row| HistoryRecord::decode(row).unwrap());
            assert!(rows.any(|row| row.events.iter().any(scheduled)), "it is not durable");
        }
    }

    /// A caller is told that its instance is started: it stands in the store.
    pub(crate) fn answered(store: &mut MemoryProvider, reply: &Reply) {
        let ReplyBody::Ok(answer) = &reply.body else { return };
        for id in value(answer)["instanceIds"].as_array().into_iter().flatten() {
            assert!(store.find(id.as_str().unwrap()).unwrap().is_some(), "{id} is not durable");
        }
    }

    /// Callers that wait are told of an end: it stands in the store.
    pub(crate) fn told_of_end(store: &mut MemoryProvider, view: &StatusView) {
        let Some(row) = store.find(&view.instance_id).unwrap() else { return };
        assert_eq!(row.head.status, view.status);
        assert_eq!(json(&row.output), json(&view.output));
        assert_eq!(json(&row.failure), json(&view.failure));
        assert_eq!(row.created_ms, view.created);
    }

    /// Attempts that ran more than once, which a crash allows.
    pub(crate) fn repeated(&self) -> usize {
        self.starts.values().filter(|count| **count > 1).count()
    }
}
