//! Activities that run in another worker than their instance's, of a hub that several share.
//!
//! Owns: which activities those are, and what this worker runs for others. Must never: run one whose claim
//! is not durable, or take a result of another worker's that is not stored.
//! Proved by `__test__/cluster-activities.spec.mjs` and `tests/provider_postgres/tasks.rs`.
//!
//! An activity runs where its instance does, unless it has a bound that holds for the whole hub, this worker
//! does not serve it, or it has waited here for long while others might have room. Such a one is a row that
//! any worker takes when it has room; the instance's owner may be that one.

use std::collections::{HashMap, HashSet};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::core::error::{ErrorCode, engine_failure};
use crate::core::execution::OpenTask;
use crate::core::ids::fold_name;
use crate::core::limits::CRASHES;
use crate::core::message::Message;
use crate::core::task::{ActivityTask, Claim, Claimed, Served, TaskRef, TasksWait};
use crate::core::{ExecutionId, InstanceKey, TaskId};
use crate::provider::Peers;
use crate::provider::transaction::Work;

use super::super::activities::DueActivity;
use super::super::protocol::{ActivityStart, Registered, RunId};
use super::live::State;
use super::{Dispatcher, Step};

/// Activities that one piece of work offers.
const OFFERED: usize = 100;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Whether the hub has other workers, or may have.
    shared: bool,
    /// Queues whose activities it runs; all, if none are named.
    queues: Option<Vec<String>>,
    /// The registered activities by folded name, with their bound: whether it runs them.
    own: HashMap<String, (Option<usize>, bool)>,
    /// Folded names of the activities that other workers run.
    others: HashSet<String>,
    /// What it runs for other instances than its own, or took as any worker might.
    guests: FxHashMap<RunId, Guest>,
    waiting: TasksWait,
    /// A claim is under way, for so many.
    claiming: Option<usize>,
    /// How many were due without room when it was last looked who is there.
    crowd: usize,
    /// Folded names of activities that it was told nobody runs.
    unserved: HashSet<String>,
}

#[derive(Debug)]
struct Guest {
    of: TaskRef,
    name: String,
    /// That it is this worker's is stored.
    stored: bool,
}

impl Tasks {
    pub(super) fn new(shared: bool, queues: Option<Vec<String>>) -> Self {
        Self { shared, queues, ..Self::default() }
    }

    pub(super) fn register(&mut self, registered: &Registered) {
        for activity in &registered.activities {
            let serves = activity.is_served(self.queues.as_deref());
            self.own.insert(fold_name(&activity.name), (activity.max_concurrency, serves));
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whether an activity of that name is for any worker from the start.
    fn is_elsewhere(&self, name: &str) -> bool {
        let folded = fold_name(name);
        match self.own.get(&folded) {
            Some((limit, serves)) => limit.is_some() || !serves,
            None => self.others.contains(&folded),
        }
    }

    fn served(&self) -> Vec<Served> {
        let wanted = |limit: Option<usize>| match limit {
            None => self.waiting.free,
            Some(_) => self.waiting.limited,
        };
        let served = self.own.iter().filter(|(_, (limit, serves))| *serves && wanted(*limit));
        served.map(|(name, (limit, _))| Served { name: name.clone(), limit: *limit }).collect()
    }

    /// One that this worker ran for others is over: there may be room for another one of its name.
    pub(super) fn end(&mut self, run: RunId) -> Option<TaskRef> {
        let guest = self.guests.remove(&run)?;
        let limited = self.own.get(&guest.name).is_some_and(|(limit, _)| limit.is_some());
        self.waiting.limited |= limited;
        Some(guest.of)
    }

    pub(super) fn forget_all(&mut self) {
        self.guests.clear();
        self.claiming = None;
        self.crowd = 0;
    }
}

impl Dispatcher {
    /// Whether an activity is for any worker.
    pub(super) fn goes_elsewhere(&self, name: &str) -> bool {
        self.tasks.shared && self.tasks.is_elsewhere(name)
    }

    /// Activities wait that this worker runs.
    pub fn tasks_wait(&mut self, waiting: TasksWait) {
        self.tasks.waiting.free |= waiting.free;
        self.tasks.waiting.limited |= waiting.limited;
    }

    /// What the other workers run, and which activities are this one's by the store.
    pub fn surveyed(&mut self, others: Peers, taken: &[TaskRef], step: &mut Step) {
        self.tasks.others = others.activities.into_iter().map(|served| served.name).collect();
        let taken: FxHashSet<TaskRef> = taken.iter().copied().collect();
        let gone = |guest: &Guest| guest.stored && !taken.contains(&guest.of);
        let guests = self.tasks.guests.iter().filter(|(_, guest)| gone(guest));
        // Nobody waits for them any more.
        let aborted: Vec<RunId> = guests.map(|(run, _)| *run).collect();
        for run in aborted {
            self.tasks.guests.remove(&run);
            self.activities.end(run);
            step.out.aborts.push(run);
        }
        self.warn_of_unserved(step);
        // What was due the last time, and is still, has waited for long.
        let crowd = self.activities.without_room();
        let waited = std::mem::replace(&mut self.tasks.crowd, crowd).min(crowd);
        let others = &self.tasks.others;
        if waited > 0 && !others.is_empty() {
            self.activities.overflow(waited, |due| others.contains(&fold_name(&due.name)));
        }
    }

    /// Activities wait for a worker of their queue, and there is none.
    fn warn_of_unserved(&mut self, step: &mut Step) {
        let tasks = &self.tasks;
        let runs = |name: &str| {
            tasks.others.contains(name) || tasks.own.get(name).is_some_and(|(_, serves)| *serves)
        };
        let away = self.activities.away().map(|activity| (activity.key, fold_name(&activity.name)));
        let unserved: HashMap<String, InstanceKey> =
            away.filter(|(_, name)| !runs(name)).map(|(key, name)| (name, key)).collect();
        for (name, key) in &unserved {
            if let Some(live) = self.lives.get(key)
                && !self.tasks.unserved.contains(name)
            {
                let message = format!(
                    "Activity '{name}' waits: no worker of the hub serves its queue. Start one with \
                     that queue among its `queues`."
                );
                step.warn(&live.id, message);
            }
        }
        self.tasks.unserved = unserved.into_keys().collect();
    }

    /// Activities that any worker may run are offered to all.
    pub(super) fn offer(&mut self, due: Vec<DueActivity>, step: &mut Step) {
        let mut tasks = Vec::with_capacity(due.len());
        for activity in due {
            if let Some(task) = self.task_of(&activity) {
                tasks.push(task);
                continue;
            }
            self.activities.is_back(activity.key, activity.exec, activity.task);
            if let Some(live) = self.lives.get_mut(&activity.key) {
                live.activities.remove(&activity.task);
            }
        }
        step.offer(tasks, false);
    }

    fn task_of(&self, activity: &DueActivity) -> Option<ActivityTask> {
        let DueActivity { key, exec, task, .. } = *activity;
        let live = self.lives.get(&key)?;
        let Some(OpenTask::Activity(call)) = live.execution.task(task) else { return None };
        Some(ActivityTask {
            of: TaskRef { key, exec, task },
            attempt: call.attempt,
            instance_id: live.id.clone(),
            name: call.name.clone(),
            input: call.input.clone(),
        })
    }

    /// Takes what waits and there is room for.
    pub(super) fn claim(&mut self, step: &mut Step) {
        let room = self.activities.room();
        if !self.tasks.waiting.any() || self.tasks.claiming.is_some() || room == 0 {
            return;
        }
        let served = self.tasks.served();
        if served.is_empty() {
            self.tasks.waiting = TasksWait::default();
            return;
        }
        self.tasks.claiming = Some(room);
        step.work.push(Work::Claim(Claim { room, served }));
    }

    /// Activities that are this worker's to run.
    pub(super) fn claimed(&mut self, claimed: &[Claimed], step: &mut Step) {
        if self.tasks.claiming.take().is_none_or(|room| claimed.len() < room) {
            self.tasks.waiting = TasksWait::default();
        }
        for Claimed { task, claims } in claimed {
            let of = task.of;
            if *claims > CRASHES {
                let message = format!(
                    "{CRASHES} workers died, or did not answer, while activity '{}' ran, so it is not \
                     run again.",
                    task.name
                );
                let failure = engine_failure(ErrorCode::Poison, &message);
                let message = Message::TaskFailed { task: of.task, failure };
                step.work.push(Work::Report { of, message });
                continue;
            }
            let run = self.activities.take_in(DueActivity {
                key: of.key,
                exec: of.exec,
                task: of.task,
                name: task.name.clone(),
                group: None,
                elsewhere: true,
            });
            let name = fold_name(&task.name);
            self.tasks.guests.insert(run, Guest { of, name, stored: true });
            step.out.activities.push(ActivityStart {
                run,
                iid: of.key,
                exec: of.exec,
                task: of.task,
                attempt: task.attempt,
                instance_id: task.instance_id.clone(),
                name: task.name.clone(),
                input: task.input.clone(),
            });
        }
    }

    /// What runs of instances that go to another worker goes on, and is reported to that one.
    pub(super) fn lend(&mut self, goes: impl Fn(InstanceKey) -> bool, step: &mut Step) {
        let mut tasks = Vec::new();
        for (run, activity) in self.activities.lend(&goes) {
            let DueActivity { key, exec, task, .. } = activity;
            if let Some(task) = self.task_of(&activity) {
                tasks.push(task);
                let of = TaskRef { key, exec, task: activity.task };
                let name = fold_name(&activity.name);
                self.tasks.guests.insert(run, Guest { of, name, stored: false });
            }
            if let Some(live) = self.lives.get_mut(&key) {
                live.activities.remove(&task);
            }
        }
        for (key, task) in self.activities.forget_away(&goes) {
            if let Some(live) = self.lives.get_mut(&key) {
                live.activities.remove(&task);
            }
        }
        step.offer(tasks, true);
    }

    /// That activities are for any worker is written, or that this one runs them.
    pub(super) fn offered(&mut self, tasks: &[ActivityTask], running: bool) {
        if running {
            let refs: FxHashSet<TaskRef> = tasks.iter().map(|task| task.of).collect();
            for guest in self.tasks.guests.values_mut() {
                guest.stored |= refs.contains(&guest.of);
            }
        } else if let Some(task) = tasks.first() {
            // This worker has room, perhaps.
            let limited = self.tasks.own.get(&fold_name(&task.name));
            let limited = limited.is_some_and(|(limit, _)| limit.is_some());
            self.tasks_wait(TasksWait { free: !limited, limited });
        }
    }

    /// Activities could not be offered: they run here.
    pub(super) fn not_offered(&mut self, tasks: &[ActivityTask]) {
        for task in tasks {
            let TaskRef { key, exec, task } = task.of;
            self.activities.is_back(key, exec, task);
            if let Some(live) = self.lives.get_mut(&key)
                && live.activities.remove(&task)
            {
                self.due_here(key, task);
            }
        }
    }

    /// None could be taken: who looks whether any wait says so anew.
    pub(super) fn not_claimed(&mut self) {
        self.tasks.claiming = None;
        self.tasks.waiting = TasksWait::default();
    }

    /// The result of an activity that ran elsewhere has come, and is stored.
    pub(super) fn returned(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        task: TaskId,
        step: &mut Step,
    ) {
        if !self.activities.is_back(key, exec, task) {
            return;
        }
        let Some(live) = self.lives.get_mut(&key) else { return };
        live.activities.remove(&task);
        if live.activities.is_empty() && matches!(live.state, State::Suspended) {
            self.forget(key, step);
        }
    }
}

impl Step {
    fn offer(&mut self, mut tasks: Vec<ActivityTask>, running: bool) {
        while !tasks.is_empty() {
            let rest = tasks.split_off(tasks.len().min(OFFERED));
            self.work.push(Work::Offer { tasks, running });
            tasks = rest;
        }
    }
}
