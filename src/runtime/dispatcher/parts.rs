//! Which partitions of the hub this process runs, of a hub that several processes share.
//!
//! Owns: getting partitions and letting them go. Must never: begin anything of a partition that it lets go,
//! or give one away while something of it is under way: a turn, a read. An activity goes on (`tasks.rs`).
//! Proved by `tests/provider_postgres` and `__test__/cluster.spec.mjs`.
//!
//! A hub that one process has as a whole has one partition, and none of this ever happens to it.

use crate::core::InstanceKey;
use crate::core::ids::partition_of;
use crate::core::partition::{PARTITIONS_MAX, Parts, Shares, partition_of_key};
use crate::provider::Arrivals;
use crate::provider::transaction::Work;

use super::super::protocol::RunId;
use super::backlog::Backlog;
use super::live::{Live, State};
use super::{Dispatcher, Step};

/// How often a worker has lost all that it had. What was decided or asked for in an earlier era is void.
pub type Era = u64;

/// What is left of the dispatcher's own work after its worker has lost its place: starts of callers, without
/// the first turns that it ran for them, and the settings of the process.
#[must_use]
pub fn outlives_worker(work: Work) -> Option<Work> {
    match work {
        Work::Begin(mut begin) => {
            begin.commit = None;
            Some(Work::Begin(begin))
        }
        Work::PutSettings(_) => Some(work),
        _ => None,
    }
}

impl Step {
    /// Nothing that was decided so far is to be done any more, but what callers have asked for. Gives the runs
    /// that JavaScript will not hear of.
    fn become_void(&mut self) -> Vec<RunId> {
        let work = std::mem::take(&mut self.work);
        self.work = work.into_iter().filter_map(outlives_worker).collect();
        self.loads.clear();
        self.count.clear();
        (self.timers, self.ready_from) = (None, None);
        self.out.activations.clear();
        self.out.entities.clear();
        self.out.activities.drain(..).map(|start| start.run).collect()
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Held {
    shares: Shares,
    /// Those of them that it lets go: nothing of them begins.
    leaving: Parts,
    /// Those of these that are given away, as soon as that is written.
    giving: Parts,
    /// See [`Arrivals::spared`].
    spared: Parts,
}

impl Held {
    pub(super) fn new(shares: Shares) -> Self {
        Self { shares, leaving: Parts::NONE, giving: Parts::NONE, spared: Parts::NONE }
    }

    /// Whether what comes for the instance or entity of that key is for this process to act on.
    pub(super) fn has_key(&self, key: InstanceKey) -> bool {
        self.shares.have_key(key) && !self.lets_go_of(key)
    }

    /// Whether what waited for that key when this process got its partition may have ended a process.
    pub(super) fn may_have_killed(&self, key: InstanceKey) -> bool {
        !self.spared.has(partition_of_key(key, self.shares.partitions))
    }

    /// The partitions in which nothing has ended a process.
    pub(super) fn spare(&mut self, parts: Parts) {
        self.spared = parts;
    }

    /// Whether an instance of that id would begin here.
    pub(super) fn has_id(&self, id: &str) -> bool {
        let part = partition_of(id, self.shares.partitions);
        self.shares.parts.has(part) && !self.leaving.has(part)
    }

    /// Whether this process has anything at all.
    pub(super) fn has_any(&self) -> bool {
        self.shares.parts != self.leaving
    }

    /// Whether the partition of that key is about to be given away.
    pub(super) fn lets_go_of(&self, key: InstanceKey) -> bool {
        !self.leaving.is_empty() && self.leaving.has(partition_of_key(key, self.shares.partitions))
    }

    /// The partition of a live instance. One that has no key yet has an id.
    fn part_of(&self, key: InstanceKey, live: &Live) -> u16 {
        if key < 0 {
            partition_of(&live.id, self.shares.partitions)
        } else {
            partition_of_key(key, self.shares.partitions)
        }
    }
}

impl Dispatcher {
    /// Whether the instance of that id is, or would be, this process's own.
    #[must_use]
    pub fn holds_id(&self, id: &str) -> bool {
        self.held.has_id(id)
    }

    /// This process has got partitions, in which all this waits.
    pub fn gained(&mut self, parts: Parts, arrivals: Arrivals, step: &mut Step) {
        self.held.shares.parts = self.held.shares.parts.with(parts);
        self.timers.read_anew();
        // What is due in them may be what ended the process that had them.
        self.opened_ms = None;
        self.arrived(arrivals, true, step);
    }

    /// Others are to have so many of its partitions: those in which least is under way.
    pub fn let_go(&mut self, count: usize) {
        let (mine, leaving) = (self.held.shares.parts, self.held.leaving);
        let mut weights = [0_usize; PARTITIONS_MAX as usize];
        for (key, live) in &self.lives {
            weights[usize::from(self.held.part_of(*key, live))] += 1;
        }
        let mut rest: Vec<u16> = mine.without(leaving).iter().collect();
        rest.sort_by_key(|part| weights[usize::from(*part)]);
        rest.truncate(count.saturating_sub(leaving.len()));
        self.held.leaving = leaving.with(rest.into_iter().collect());
    }

    /// Drops what rests of the partitions that are let go, and gives away those of which nothing is left.
    pub(super) fn give_what_rests(&mut self, step: &mut Step) {
        let leaving = self.held.leaving.without(self.held.giving);
        if leaving.is_empty() {
            return;
        }
        let partitions = self.held.shares.partitions;
        let goes = |key: InstanceKey| leaving.has(partition_of_key(key, partitions));
        self.backlog.drop_keys(goes);
        self.waiting.retain(|key| !goes(key));
        for (key, task) in self.activities.retract_all(goes) {
            if let Some(live) = self.lives.get_mut(&key) {
                live.activities.remove(&task);
            }
        }
        self.lend(goes, step);
        let mut rests: Vec<InstanceKey> = Vec::new();
        self.waiting_loads.retain(|key| {
            let stays = !goes(*key);
            if !stays {
                rests.push(*key);
            }
            stays
        });
        let mut busy = self.entities.drop_resting(goes, partitions, step);
        for (key, live) in &self.lives {
            let part = self.held.part_of(*key, live);
            if !leaving.has(part) {
                continue;
            }
            let rests_here = matches!(live.state, State::Idle | State::Suspect | State::Suspended);
            if rests_here && live.activities.is_empty() && live.beginning.is_none() {
                rests.push(*key);
            } else if !rests.contains(key) {
                busy.insert(part);
            }
        }
        self.drop_all(&rests, step);
        let quiet = leaving.without(busy);
        if !quiet.is_empty() {
            self.held.giving = self.held.giving.with(quiet);
            step.work.push(Work::Give(quiet));
        }
    }

    /// What of instances stands in memory alone goes to the store, and they leave memory.
    fn drop_all(&mut self, keys: &[InstanceKey], step: &mut Step) {
        let innocent = |key: &InstanceKey| {
            self.lives.get(key).is_some_and(|live| {
                live.crashes > 0 && !matches!(live.state, State::Suspect | State::Loading)
            })
        };
        let innocent: Vec<InstanceKey> = keys.iter().copied().filter(innocent).collect();
        if !innocent.is_empty() {
            step.work.push(Work::ClearCrash(innocent));
        }
        for key in keys {
            self.keep_unstored(*key, step);
            self.forget(*key, step);
        }
    }

    /// What only memory holds of instances goes to the store, and nothing but those that are blamed is held
    /// against any.
    pub(super) fn leave_behind(&mut self, blamed: &[InstanceKey], step: &mut Step) {
        let mut innocent = Vec::new();
        for (key, live) in &mut self.lives {
            let ran = !matches!(live.state, State::Suspect | State::Loading);
            if live.crashes > 0 && ran && !blamed.contains(key) {
                innocent.push(*key);
            }
            let messages = live.take_unstored();
            if !messages.is_empty() {
                step.work.push(Work::Keep { key: *key, exec: live.exec, messages });
            }
        }
        self.entities.leave_behind(blamed, step);
        if !innocent.is_empty() {
            step.work.push(Work::ClearCrash(innocent));
        }
    }

    /// Partitions are others' to take.
    pub(super) fn given(&mut self, parts: Parts) {
        let held = &mut self.held;
        held.shares.parts = held.shares.parts.without(parts);
        held.leaving = held.leaving.without(parts);
        held.giving = held.giving.without(parts);
    }

    /// In which era it decides.
    #[must_use]
    pub fn era(&self) -> Era {
        self.era
    }

    /// Others have taken this process for dead, and what it had. Nothing that it has in memory holds any
    /// more, nor what it has decided and not sent.
    pub fn ousted(&mut self, step: &mut Step) {
        self.era += 1;
        let unheard = step.become_void();
        for (_, mut live) in self.lives.drain() {
            if let Some(beginning) = live.beginning.take() {
                step.begin(beginning, None);
            }
            if live.in_js {
                step.out.drops.push(live.handle);
            }
        }
        let mut runs = self.activities.give_up_all();
        runs.retain(|run| !unheard.contains(run));
        step.out.aborts.extend(runs);
        self.tasks.forget_all();
        self.entities.forget_all();
        let partitions = self.held.shares.partitions;
        self.held = Held::new(Shares { partitions, parts: Parts::NONE });
        self.ids.clear();
        self.waiting = super::admission::Waiting::default();
        self.tokens.clear();
        self.timers = super::Timers::default();
        self.runnable.clear();
        self.backlog = Backlog::new(self.options.backlog_keys);
        self.waiting_loads.clear();
        self.failed_loads.clear();
        self.loads_in_flight = 0;
        self.suspects = super::suspects::Suspects::default();
        self.opened_ms = None;
        self.keeping.clear();
        self.idle.clear();
        self.bytes = 0;
    }

    /// An id for an instance that begins here.
    pub(super) fn own_id(&mut self) -> String {
        loop {
            let id = self.entropy.fresh_id();
            if self.held.has_id(&id) {
                return id;
            }
        }
    }
}
