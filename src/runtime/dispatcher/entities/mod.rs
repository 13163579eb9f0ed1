//! Entities in memory: which has its next turn when, and what becomes of it.
//!
//! Owns: the live entities and their way from message to turn to commit. What waits for one stands in
//! the store and, while the entity is in memory, here in its order. Must never: have two turns of one
//! entity under way, or run the code of one whose name nobody has registered.
//! Proved by `tests/simulation.rs` and `__test__/entities.spec.mjs`.

mod turns;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::core::entity::{EntityCommit, EntityMessage, EntityRow, EntityVersion};
use crate::core::ids::fold_name;
use crate::core::instance::ParentLink;
use crate::core::limits::{LOADS_IN_FLIGHT, SUSPECT_CALM_MS, SUSPECT_DEATHS, SUSPECT_MS};
use crate::core::mailbox::{Intake, Mailbox, Waiting};
use crate::core::partition::{Parts, partition_of_key};
use crate::core::{InstanceKey, MessageKey, Payload, TimeMs};
use crate::provider::transaction::Work;

use super::super::protocol::Token;
use super::Step;

/// Where an entity is on its way through a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The store has been asked for it.
    Loading,
    /// It waits until it may run apart from others.
    Suspect,
    /// That it may take the process down is being written.
    Counting,
    /// Nothing is under way.
    Idle,
    /// JavaScript carries operations out.
    Running(Token),
    /// A turn is being written.
    Committing,
}

/// An entity that the process holds in memory.
#[derive(Debug)]
struct LiveEntity {
    id: String,
    state: Option<Payload>,
    lock: Option<ParentLink>,
    version: EntityVersion,
    phase: Phase,
    mailbox: Mailbox,
    /// Messages that were loaded before they were delivered, which they will be yet.
    early: FxHashSet<MessageKey>,
    /// What the turn under way took.
    intake: Intake,
    /// Its row has a problem to be cleared by the next turn.
    has_problem: bool,
    /// What its row says of crashes.
    crashes: u32,
    /// Its messages stood in the store when the hub was opened.
    recovered: bool,
    bytes: usize,
    last_used: u64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Entities {
    lives: FxHashMap<InstanceKey, Box<LiveEntity>>,
    /// Folded names that are registered.
    names: HashSet<String>,
    /// Entities that wait for a name to be registered, by it.
    unregistered: HashMap<String, HashSet<InstanceKey>>,
    /// The same, as one set.
    waiting: FxHashSet<InstanceKey>,
    /// Entities that may have something to do.
    runnable: Vec<InstanceKey>,
    loads: VecDeque<InstanceKey>,
    loads_in_flight: usize,
    failed_loads: Vec<InstanceKey>,
    /// Entities that were under way at more than one death of the process, by deaths.
    suspects: BTreeSet<(u32, InstanceKey)>,
    /// The one of them that runs, and since when.
    suspect: Option<(InstanceKey, TimeMs)>,
    /// Idle entities, least recently used first; entries whose tick is old are passed over.
    idle: VecDeque<(u64, InstanceKey)>,
    tick: u64,
    bytes: usize,
    is_draining: bool,
}

impl LiveEntity {
    fn new(id: String, phase: Phase) -> Self {
        Self {
            id,
            state: None,
            lock: None,
            version: 0,
            phase,
            mailbox: Mailbox::default(),
            early: FxHashSet::default(),
            intake: Intake::default(),
            has_problem: false,
            crashes: 0,
            recovered: false,
            bytes: 0,
            last_used: 0,
        }
    }

    fn fill(&mut self, row: EntityRow) {
        self.id = row.id;
        self.state = row.state;
        self.lock = row.head.lock;
        self.version = row.head.version;
        self.has_problem = row.problem.is_some();
        self.crashes = row.crashes;
    }

    /// How many operations its next turn takes: one, if they may take the process down, so that the
    /// one that does is known.
    fn most(&self, limit: usize) -> usize {
        if self.crashes >= SUSPECT_DEATHS { 1 } else { limit }
    }

    fn commit(&self, key: InstanceKey) -> EntityCommit {
        EntityCommit {
            key,
            version: self.version,
            consumed: self.intake.keys(),
            operated: !self.intake.operations.is_empty(),
            releases: self.intake.releases,
            grant: self.intake.grant.clone(),
            recovers: self.has_problem || self.crashes > 0,
            ..EntityCommit::default()
        }
    }

    fn take_back(&mut self) {
        self.intake.give_back(&mut self.mailbox);
    }
}

impl Entities {
    pub(super) fn register(&mut self, names: &[String]) {
        for name in names {
            let name = fold_name(name);
            for key in self.unregistered.remove(&name).unwrap_or_default() {
                self.waiting.remove(&key);
                self.load(key);
            }
            self.names.insert(name);
        }
    }

    /// No operation begins from now on.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// There is a new one.
    pub(super) fn made(&mut self, key: InstanceKey, id: String) {
        self.lives.entry(key).or_insert_with(|| Box::new(LiveEntity::new(id, Phase::Idle)));
    }

    /// A message waits for an entity.
    pub(super) fn deliver(&mut self, key: InstanceKey, waiting: Waiting, opening: bool) {
        if self.waiting.contains(&key) {
            return;
        }
        let live = self.load(key);
        live.recovered |= opening;
        if live.early.remove(&waiting.key) {
            return;
        }
        let matters = match &live.lock {
            None => live.mailbox.is_empty(),
            Some(lock) => concerns(&waiting.message, lock),
        };
        live.mailbox.push(waiting);
        if matters && live.phase == Phase::Idle {
            self.runnable.push(key);
        }
    }

    /// The last call: what was counted and has not come to its end has done no harm.
    pub(super) fn leave_behind(&self, blamed: &[InstanceKey], step: &mut Step) {
        let ran = |phase| !matches!(phase, Phase::Suspect | Phase::Loading);
        let counted = self
            .lives
            .iter()
            .filter(|(key, live)| live.crashes > 0 && ran(live.phase) && !blamed.contains(*key));
        let keys: Vec<InstanceKey> = counted.map(|(key, _)| *key).collect();
        if !keys.is_empty() {
            step.work.push(Work::EntityCrashes { keys, counts: false });
        }
    }

    /// Those that go and of which nothing is under way leave memory: the partitions of the others.
    pub(super) fn drop_resting(
        &mut self,
        goes: impl Fn(InstanceKey) -> bool,
        partitions: u16,
        step: &mut Step,
    ) -> Parts {
        for keys in self.unregistered.values_mut() {
            keys.retain(|key| !goes(*key));
        }
        self.waiting.retain(|key| !goes(*key));
        let unasked: Vec<InstanceKey> =
            self.loads.iter().copied().filter(|key| goes(*key)).collect();
        self.loads.retain(|key| !goes(*key));
        let mut innocent = Vec::new();
        let (mut rests, mut busy) = (unasked, Parts::NONE);
        for (key, live) in self.lives.iter().filter(|(key, _)| goes(**key)) {
            match live.phase {
                Phase::Idle | Phase::Suspect => {
                    if live.crashes > 0 && live.phase == Phase::Idle {
                        innocent.push(*key);
                    }
                    rests.push(*key);
                }
                _ if rests.contains(key) => {}
                _ => busy.insert(partition_of_key(*key, partitions)),
            }
        }
        for key in rests {
            self.forget(key);
        }
        if !innocent.is_empty() {
            step.work.push(Work::EntityCrashes { keys: innocent, counts: false });
        }
        busy
    }

    /// Nothing in memory holds any more.
    pub(super) fn forget_all(&mut self) {
        let (names, is_draining) = (std::mem::take(&mut self.names), self.is_draining);
        *self = Self { names, is_draining, ..Self::default() };
    }

    fn load(&mut self, key: InstanceKey) -> &mut LiveEntity {
        let loads = &mut self.loads;
        self.lives.entry(key).or_insert_with(|| {
            loads.push_back(key);
            Box::new(LiveEntity::new(String::new(), Phase::Loading))
        })
    }

    /// Whether this activation of an entity is under way.
    pub(super) fn runs(&self, key: InstanceKey, token: Token) -> bool {
        self.lives.get(&key).is_some_and(|live| live.phase == Phase::Running(token))
    }

    /// What is known of the entity here is not what it is: it is read anew, with all that waits for it.
    fn reload(&mut self, key: InstanceKey) {
        self.forget(key);
        self.load(key);
    }

    /// Whether it is an entity in memory.
    pub(super) fn has(&self, key: InstanceKey) -> bool {
        self.lives.contains_key(&key)
    }

    pub(super) fn id_of(&self, key: InstanceKey) -> &str {
        self.lives.get(&key).map_or("", |live| live.id.as_str())
    }

    /// Its row is given a problem, for its next turn to clear: whether it is an entity in memory.
    pub(super) fn marked(&mut self, key: InstanceKey) -> bool {
        let live = self.lives.get_mut(&key);
        live.map(|live| live.has_problem = true).is_some()
    }

    /// The row was changed from outside: a purge, which leaves nothing.
    pub(super) fn changed(&mut self, key: InstanceKey) {
        if self.lives.get(&key).is_some_and(|live| live.phase == Phase::Idle) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: InstanceKey) {
        if let Some(live) = self.lives.remove(&key) {
            self.bytes -= live.bytes;
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failed_loads.is_empty()
    }

    pub(super) fn retry_loads(&mut self) {
        self.loads.extend(self.failed_loads.drain(..));
    }

    pub(super) fn live(&self) -> usize {
        self.lives.len()
    }

    /// Lets the next suspect run when the one before it has got on, or has lived long enough, and the
    /// process has lived long enough to be blamed on it: one that is killed in quick succession blames
    /// nobody.
    pub(super) fn run_suspects(&mut self, opened_ms: TimeMs, now_ms: TimeMs, step: &mut Step) {
        if self.suspects.is_empty() || self.suspects_in(opened_ms, now_ms) > 0 {
            return;
        }
        let Some((_, key)) = self.suspects.pop_first() else { return };
        let Some(live) = self.lives.get_mut(&key) else { return };
        self.suspect = Some((key, now_ms));
        live.phase = Phase::Counting;
        live.crashes += 1;
        step.work.push(Work::EntityCrashes { keys: vec![key], counts: true });
    }

    /// How long until the next suspect may run. A clock that was set back does not prolong it.
    fn suspects_in(&self, opened_ms: TimeMs, now_ms: TimeMs) -> TimeMs {
        let calm = (opened_ms + SUSPECT_CALM_MS - now_ms).min(SUSPECT_CALM_MS);
        let before = self
            .suspect
            .filter(|(key, _)| self.lives.get(key).is_some_and(|live| live.crashes > 0));
        let turn = before.map_or(0, |(_, since)| (since + SUSPECT_MS - now_ms).min(SUSPECT_MS));
        calm.max(turn).max(0)
    }

    /// The same, if any waits.
    pub(super) fn next_suspect_in(&self, opened_ms: TimeMs, now_ms: TimeMs) -> Option<TimeMs> {
        (!self.suspects.is_empty()).then(|| self.suspects_in(opened_ms, now_ms).max(1))
    }

    fn send_loads(&mut self, step: &mut Step) {
        while self.loads_in_flight < LOADS_IN_FLIGHT
            && let Some(key) = self.loads.pop_front()
        {
            self.loads_in_flight += 1;
            step.loads.push(key);
        }
    }

    fn measure(&mut self, key: InstanceKey) {
        let Some(live) = self.lives.get_mut(&key) else { return };
        let bytes = live.state.as_ref().map_or(0, |state| state.get().len());
        self.bytes = self.bytes - live.bytes + bytes;
        live.bytes = bytes;
    }

    /// Nothing of the entity is under way.
    fn become_idle(&mut self, key: InstanceKey) {
        let Some(live) = self.lives.get_mut(&key) else { return };
        live.phase = Phase::Idle;
        if live.mailbox.is_open(live.lock.as_ref()) {
            self.runnable.push(key);
            return;
        }
        self.tick += 1;
        live.last_used = self.tick;
        self.idle.push_back((self.tick, key));
    }

    /// Drops idle entities, the least recently used first, down to the bounds.
    fn evict(&mut self, count: usize, bytes: usize) {
        while self.lives.len() > count || self.bytes > bytes {
            let Some((tick, key)) = self.idle.pop_front() else { break };
            let droppable = self.lives.get(&key).is_some_and(|live| {
                live.last_used == tick && live.phase == Phase::Idle && live.mailbox.is_empty()
            });
            if droppable {
                self.forget(key);
            }
        }
        if self.idle.len() > 2 * self.lives.len() + 64 {
            let lives = &self.lives;
            self.idle
                .retain(|(tick, key)| lives.get(key).is_some_and(|live| live.last_used == *tick));
        }
    }
}

/// Whether a message means something to an entity that is locked.
fn concerns(message: &EntityMessage, lock: &ParentLink) -> bool {
    match message {
        EntityMessage::Operation { caller, .. } => caller.is_some_and(|of| of.key == lock.key),
        EntityMessage::Lock { .. } => false,
        EntityMessage::Unlock { .. } => true,
    }
}
