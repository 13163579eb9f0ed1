//! The dispatcher: which instance runs when, as a machine without threads, clock or I/O.
//!
//! Owns: the live instances and their way from message to turn to commit. Everything that it wants
//! done leaves as data in a `Step`: work for the store, loads, activations and activities for
//! JavaScript. Everything that happens comes back as a call. Must never: let an activity start, a
//! message go out or a caller be answered before what caused it is durable.
//! Proved by `tests/simulation.rs` (seeded crashes and delays) and the suites of `__test__/`.

mod admission;
mod backlog;
mod beginning;
mod cache;
mod crossing;
mod entities;
mod failures;
mod live;
mod options;
mod overdue;
mod parts;
mod recovery;
mod results;
mod suspects;
mod tasks;
mod turns;
mod unwritable;

use std::collections::{HashMap, HashSet, VecDeque};

use rustc_hash::FxHashMap;

use crate::core::entropy::Entropy;
use crate::core::error::engine_failure;
use crate::core::ids::fold_name;
use crate::core::limits::REPLAY_TURNS;
use crate::core::message::{Delivery, Message};
use crate::core::request::{Command, check_size};
use crate::core::view::StatusView;
use crate::core::{InstanceKey, Payload, TimeMs};
use crate::provider::transaction::{Effect, Outcome, StartedInstance, Work};
use crate::provider::{Arrivals, TimerRow};

use super::activities::Activities;
use super::protocol::{LogEntry, LogLevel, Outbound, Registered, RequestId, RunId, Token};
use super::timers::{TimerRange, Timers};
use backlog::{Backlog, Why};
use live::{Live, State, is_unstored};
pub use options::DispatcherOptions;
pub use overdue::Overdue;
pub use parts::{Era, outlives_worker};

/// What the dispatcher wants done.
#[derive(Debug, Default)]
pub struct Step {
    /// For the store, in order.
    pub work: Vec<Work>,
    /// Commands that waited for work above, to be sent after it.
    pub commands: Vec<(RequestId, Command)>,
    /// Ids whose instances are to be looked at for callers that wait.
    pub watch: Vec<String>,
    /// Instances to be loaded.
    pub loads: Vec<InstanceKey>,
    /// Timers are to be read from the store.
    pub timers: Option<TimerRange>,
    /// Keys of ready instances are to be read from the store, from this one on.
    pub ready_from: Option<InstanceKey>,
    /// Instances that have ended, durably: for callers that wait.
    pub ended: Vec<StatusView>,
    /// For JavaScript.
    pub out: Outbound,
    /// Instances to be counted before they run, written as one piece of work.
    count: Vec<InstanceKey>,
}

/// See the module's text.
pub struct Dispatcher {
    options: DispatcherOptions,
    entropy: Box<dyn Entropy + Send>,
    names: HashSet<String>,
    lives: FxHashMap<InstanceKey, Box<Live>>,
    /// Keys of the live instances whose id is known.
    ids: HashMap<String, InstanceKey>,
    /// Instances that this worker has not the code for.
    waiting: admission::Waiting,
    tokens: FxHashMap<Token, InstanceKey>,
    next_token: Token,
    last_handle: InstanceKey,
    activities: Activities,
    entities: entities::Entities,
    held: parts::Held,
    tasks: tasks::Tasks,
    timers: Timers,
    /// Instances that may have something to run.
    runnable: Vec<InstanceKey>,
    backlog: Backlog,
    waiting_loads: VecDeque<InstanceKey>,
    loads_in_flight: usize,
    /// How often this process has lost all that it had.
    era: Era,
    failed_loads: Vec<InstanceKey>,
    suspects: suspects::Suspects,
    opened_ms: Option<TimeMs>,
    /// Instances of which results are on their way to the store.
    keeping: FxHashMap<InstanceKey, Keeping>,
    /// Idle instances, least recently used first; entries whose tick is old are passed over.
    idle: VecDeque<(u64, InstanceKey)>,
    replay_turns: usize,
    tick: u64,
    bytes: usize,
    closed: bool,
}

/// See [`Dispatcher::keeping`].
#[derive(Debug, Default)]
struct Keeping {
    writes: u32,
    /// The instance is to be loaded once they are there.
    load: bool,
}

impl Dispatcher {
    /// An empty one.
    #[must_use]
    pub fn new(
        options: DispatcherOptions,
        registered: &Registered,
        entropy: Box<dyn Entropy + Send>,
    ) -> Self {
        let mut dispatcher = Self {
            activities: Activities::new(options.concurrent_activities),
            backlog: Backlog::new(options.backlog_keys),
            held: parts::Held::new(options.shares),
            tasks: tasks::Tasks::new(options.shares.partitions > 1, options.queues.clone()),
            options,
            entropy,
            names: HashSet::new(),
            lives: FxHashMap::default(),
            ids: HashMap::new(),
            waiting: admission::Waiting::default(),
            tokens: FxHashMap::default(),
            next_token: 1,
            last_handle: 0,
            entities: entities::Entities::default(),
            timers: Timers::default(),
            runnable: Vec::new(),
            waiting_loads: VecDeque::new(),
            loads_in_flight: 0,
            era: 0,
            failed_loads: Vec::new(),
            suspects: suspects::Suspects::default(),
            opened_ms: None,
            keeping: FxHashMap::default(),
            idle: VecDeque::new(),
            replay_turns: REPLAY_TURNS,
            tick: 0,
            bytes: 0,
            closed: false,
        };
        dispatcher.add_names(registered);
        dispatcher
    }

    /// Hands at most so many recorded turns to JavaScript in one piece, so that a test of a few turns
    /// takes the way of a long history.
    pub fn replay_in_pieces(&mut self, turns: usize) {
        self.replay_turns = turns;
    }

    /// Functions were registered. Instances that waited for them run.
    pub fn register(&mut self, registered: &Registered) {
        self.add_names(registered);
        for name in &registered.orchestrators {
            for key in self.waiting.take(name) {
                self.load(key, Why::Called);
            }
        }
    }

    fn add_names(&mut self, registered: &Registered) {
        self.names.extend(registered.orchestrators.iter().map(|name| fold_name(name)));
        if !self.tasks.is_shared() {
            // The bounds of the others hold for all workers together.
            self.activities.register(&registered.activities);
        }
        self.tasks.register(registered);
        self.entities.register(&registered.entities);
    }

    /// No activity starts from now on, nor an operation of an entity.
    pub fn drain(&mut self) {
        self.activities.drain();
        self.entities.drain();
    }

    /// The last call: what only memory holds goes to the store. Later calls do nothing.
    pub fn close(&mut self, step: &mut Step) {
        self.closed = true;
        for live in self.lives.values_mut() {
            if let Some(beginning) = live.beginning.take() {
                step.begin(beginning, None);
            }
        }
        // The process ends by itself: nothing that was under way took it down.
        self.leave_behind(&[], step);
    }

    /// A transaction was committed, with these consequences.
    pub fn effect(&mut self, effect: Effect, step: &mut Step) {
        if effect.key().is_some_and(|key| !self.held.has_key(key)) {
            return;
        }
        match effect {
            Effect::Started(started) => self.started(started, step),
            Effect::Delivered { key, delivery } => self.deliver(key, delivery, step),
            Effect::Changed { key } if key < 0 => self.entities.changed(key),
            Effect::Changed { key } => self.changed(key, step),
            Effect::EntityMade { key, id } => self.entities.made(key, id),
            Effect::TimerSet { key, task, fire_at } => self.timers.add(fire_at, key, task),
            Effect::Ended { .. } => {}
        }
    }

    /// Work of the dispatcher's own came back from the store.
    pub fn done(&mut self, work: Work, outcome: &Outcome, step: &mut Step) {
        if self.closed {
            // Nothing goes on, but who asked for a start is still there.
            if let (Work::Begin(begin), Outcome::Begun { answer, .. }) = (&work, outcome) {
                step.answer(begin.caller, answer);
            }
            return;
        }
        match (work, outcome) {
            (Work::Begin(begin), Outcome::Begun { answer, key }) => {
                self.begun(*begin, answer, *key, step);
            }
            (Work::Turn(commit), Outcome::Turn(verdict)) => {
                self.committed(*commit, verdict, step);
            }
            (Work::Entity(commit), Outcome::Entity(verdict)) => {
                self.entity_committed(&commit, verdict);
            }
            (Work::EntityCrashes { keys, .. }, _) => {
                for key in keys {
                    self.entity_counted(key);
                }
            }
            (Work::CountCrash(keys), _) => {
                for key in keys {
                    self.counted(key, step);
                }
            }
            (Work::Unpark(key), _) => self.unparked(key),
            (Work::Keep { key, .. }, _) => self.kept(key),
            (Work::Give(parts), _) => self.given(parts),
            (Work::Offer { tasks, running }, _) => self.offered(&tasks, running),
            (Work::Claim(_), Outcome::Claimed(claimed)) => self.claimed(claimed, step),
            _ => {}
        }
    }

    /// Instances and messages that another process wrote, or that stood in the store at the open.
    pub fn arrived(&mut self, arrivals: Arrivals, opening: bool, step: &mut Step) {
        let Arrivals { mut ready, mut held, mut messages, spared, .. } = arrivals;
        if opening {
            self.held.spare(spared);
        }
        ready.retain(|key| self.held.has_key(*key));
        held.retain(|key| self.held.has_key(*key));
        messages.retain(|(key, _)| self.held.has_key(*key));
        for key in ready {
            let opened = opening && self.held.may_have_killed(key);
            self.load(key, if opened { Why::Opened } else { Why::Ready });
        }
        for key in held {
            self.load_called_at_open(key);
        }
        for (key, delivery) in messages {
            let opened = opening && self.held.may_have_killed(key);
            if key < 0 {
                self.deliver_to_entity(key, delivery, opened, step);
                continue;
            }
            if opened {
                self.load_called_at_open(key);
            }
            self.deliver(key, delivery, step);
        }
    }

    /// Timers were read from the store, up to there.
    pub fn timers_read(&mut self, read_to: TimerRow, mut rows: Vec<TimerRow>) {
        rows.retain(|row| self.held.has_key(row.key));
        self.timers.add_read(read_to, rows);
    }

    /// Reading timers failed.
    pub fn timers_failed(&mut self) {
        self.timers.read_failed();
    }

    /// Does what time and the calls since the last one make possible. Ends each round of calls.
    pub fn advance(&mut self, now_ms: TimeMs, step: &mut Step) {
        if self.closed {
            return;
        }
        let opened_ms = *self.opened_ms.get_or_insert(now_ms);
        let mut signals = Vec::new();
        for row in self.timers.take_due(now_ms) {
            if !self.held.has_key(row.key) {
                continue;
            }
            if row.key < 0 {
                signals.push((row.key, row.task));
                continue;
            }
            // One that was due when the hub was opened may be what ended the process before.
            let waited = row.fire_at <= opened_ms && self.held.may_have_killed(row.key);
            if waited && !self.lives.contains_key(&row.key) {
                self.load_called_at_open(row.key);
            }
            let message = Message::TimerFired { task: row.task };
            self.deliver(row.key, Delivery { key: None, exec: None, message }, step);
        }
        if !signals.is_empty() {
            step.work.push(Work::Due(signals));
        }
        // One that took some messages and had no turn comes again with the others.
        while !self.runnable.is_empty() {
            for key in std::mem::take(&mut self.runnable) {
                self.run(key, now_ms, step);
            }
        }
        self.run_entities(step);
        self.give_what_rests(step);
        self.start_activities(step);
        self.evict(step);
        self.fill_room(step);
        self.send_loads(step);
        self.run_suspects(now_ms, step);
        self.entities.run_suspects(opened_ms, now_ms, step);
        if !step.count.is_empty() {
            step.work.push(Work::CountCrash(std::mem::take(&mut step.count)));
        }
        step.timers = self.timers.read_more(now_ms);
        let timers = self.timers.next_in(now_ms);
        let entities = self.entities.next_suspect_in(opened_ms, now_ms);
        let suspects = self.suspects_in(now_ms).into_iter().chain(entities).min();
        step.out.wake_in_ms = Some(suspects.map_or(timers, |ms| ms.min(timers)));
    }

    /// The hub is lost: the runs whose signal is to abort.
    pub fn abort_all(&mut self) -> Vec<RunId> {
        self.closed = true;
        let keys: Vec<InstanceKey> = self.lives.keys().copied().collect();
        keys.into_iter().flat_map(|key| self.activities.give_up(key, None)).collect()
    }

    /// Whether the instance is in memory and open.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// How many entities are in memory.
    #[must_use]
    pub fn live_entities(&self) -> usize {
        self.entities.live()
    }

    /// How many instances are in memory.
    #[must_use]
    pub fn live_instances(&self) -> usize {
        self.lives.len()
    }

    /// How many activities run.
    #[must_use]
    pub fn running_activities(&self) -> usize {
        self.activities.running()
    }

    fn started(&mut self, started: StartedInstance, step: &mut Step) {
        let key = started.key;
        if !self.may_begin() {
            return self.load(key, Why::Ready);
        }
        let live = Live::started(started);
        self.bytes += live.bytes;
        self.ids.insert(live.id.clone(), key);
        self.lives.insert(key, Box::new(live));
        if self.admits(key, step) {
            self.runnable.push(key);
        }
    }

    fn deliver(&mut self, key: InstanceKey, delivery: Delivery, step: &mut Step) {
        if key < 0 {
            return self.deliver_to_entity(key, delivery, false, step);
        }
        if matches!(delivery.message, Message::Changed) {
            step.work.extend(delivery.key.map(|key| Work::Forget(vec![key])));
            return self.changed(key, step);
        }
        if let (
            Some(_),
            Some(exec),
            Message::TaskCompleted { task, .. } | Message::TaskFailed { task, .. },
        ) = (delivery.key, delivery.exec, &delivery.message)
        {
            self.returned(key, exec, *task, step);
        }
        let Some(live) = self.lives.get_mut(&key) else {
            // One that has to wait for a place is read with all that came for it until then.
            self.load(key, Why::Called);
            if let Some(live) = self.lives.get_mut(&key) {
                live.mailbox.push_back(delivery);
            }
            return;
        };
        if delivery.key.is_some_and(|key| live.early.remove(&key)) {
            return;
        }
        if live.mailbox.is_empty() && matches!(live.state, State::Idle) {
            self.runnable.push(key);
        }
        live.mailbox.push_back(delivery);
    }

    /// The row of an instance was changed from outside.
    fn changed(&mut self, key: InstanceKey, step: &mut Step) {
        self.retract(key);
        match self.lives.get_mut(&key) {
            None => self.load(key, Why::Called),
            Some(live) => match live.state {
                State::Idle | State::Suspended | State::Suspect => self.reload(key),
                // The turn would be refused, and may never end.
                State::Running(..) | State::Replaying(_) => self.run_again(key, step),
                _ => live.stale = true,
            },
        }
    }

    fn token(&mut self, key: InstanceKey) -> Token {
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1).max(1);
        self.tokens.insert(token, key);
        token
    }
}

impl Step {
    fn warn(&mut self, id: &str, message: String) {
        self.log(LogLevel::Warn, id, message);
    }

    /// Something went wrong that is about no instance.
    pub(super) fn trouble(&mut self, message: String) {
        self.out.logs.push(LogEntry { level: LogLevel::Error, message, instance_id: None });
    }

    fn log(&mut self, level: LogLevel, id: &str, message: String) {
        let instance_id = Some(id.to_owned());
        self.out.logs.push(LogEntry { level, message, instance_id });
    }
}

/// The failure that takes the place of a payload over the hub's limit.
fn too_large(field: &str, payload: Option<&Payload>, limit: usize) -> Option<Payload> {
    let error = check_size(field, payload, limit).err()?;
    Some(engine_failure(error.code, &error.message))
}
