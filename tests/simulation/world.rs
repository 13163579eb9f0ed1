//! One process and one store in virtual time, moved on one small event at a time.
//!
//! What is asynchronous in the hub is apart here: the store thread commits and later reports, the
//! reader thread reads at a moment of its own, JavaScript runs what it was given when it likes. Which
//! of them moves next, the seed says.

use std::collections::VecDeque;

use durafn::core::TimeMs;
use durafn::core::entity::EntityRow;
use durafn::core::error::{Error, ErrorCode};
use durafn::core::limits::READY_READ;
use durafn::core::message::{Delivery, Message};
use durafn::core::partition::Shares;
use durafn::core::request::{Answer, Command, EntityFilter, Filter, HubFacts, HubSettings};
use durafn::core::status::RuntimeStatus;
use durafn::core::version::Versioning;
use durafn::provider::memory::MemoryProvider;
use durafn::provider::transaction::{Context, Effect, Outcome, Work, apply};
use durafn::provider::{
    Arrivals, EntityReader, Epoch, Page, Provider, ProviderError, ProviderErrorKind, Reader,
};
use durafn::runtime::dispatcher::{Dispatcher, DispatcherOptions, Step};
use durafn::runtime::protocol::{OnNondeterminism, Registered, RegisteredActivity};

use super::host::Host;
use super::observer::Observer;
use super::process::{Answer as ReadAnswer, Event, Process, Read, Ticket, caller};
use super::programs;
use crate::common::rows::SeenRows;
use crate::common::{Rng, SeededEntropy, trace};

/// What may go wrong, in percent of the moves it may happen at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Transactions in which a read or a write fails.
    pub(crate) failed_commits: usize,
    /// Readings of the reader thread: of instances, entities, timers, ready keys.
    pub(crate) failed_reads: usize,
    pub(crate) clock_jumps: usize,
    /// Activations whose thread dies before they are answered.
    pub(crate) dead_threads: usize,
}

/// See the module's text.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) store: MemoryProvider,
    pub(crate) settings: HubSettings,
    pub(crate) options: DispatcherOptions,
    pub(crate) registered: Registered,
    pub(crate) faults: Faults,
    pub(crate) process: Option<Process>,
    pub(crate) observer: Observer,
    /// Time that passes, and what the wall clock shows beyond it.
    elapsed_ms: TimeMs,
    offset_ms: TimeMs,
    pub(crate) epoch: Epoch,
    entropy: SeededEntropy,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let orchestrators: Vec<String> = programs::NAMES.map(str::to_owned).to_vec();
        let folded = orchestrators.iter().map(|name| name.to_lowercase()).collect();
        let activities = programs::NAME_LIMITS.map(|(name, limit)| RegisteredActivity {
            name: name.to_uppercase(),
            max_concurrency: Some(limit),
            queue: None,
        });
        let mut rng = Rng::new(seed);
        let options = DispatcherOptions {
            threads: false,
            queues: None,
            cached_instances: *rng.pick(&[1, 2, 100]),
            active_instances: *rng.pick(&[1, 3, 100]),
            backlog_keys: *rng.pick(&[1, 2, 100]),
            cached_bytes: *rng.pick(&[200, 1_000_000]),
            concurrent_activities: *rng.pick(&[1, 3, 100]),
            turn_starts: *rng.pick(&[1, 2, 1_000]),
            turn_messages: *rng.pick(&[1, 2, 1_000]),
            entity_operations: *rng.pick(&[1, 2, 1_000]),
            exchange_bytes: *rng.pick(&[500, 1_000_000]),
            payload_bytes: 10_000,
            shares: Shares::WHOLE,
            on_nondeterminism: OnNondeterminism::Hold,
            versioning: Versioning::default(),
        };
        Self {
            rng,
            store: MemoryProvider::new(),
            settings: HubSettings { orchestrators: folded, ..HubSettings::default() },
            options,
            registered: Registered {
                orchestrators,
                activities: activities.to_vec(),
                entities: vec!["account".to_owned()],
            },
            faults: Faults::default(),
            process: None,
            observer: Observer::default(),
            elapsed_ms: 0,
            offset_ms: 1_000_000,
            epoch: 0,
            entropy: SeededEntropy::with_prefix(seed, "made"),
        }
    }

    pub(crate) fn now_ms(&self) -> TimeMs {
        self.elapsed_ms + self.offset_ms
    }

    // ------------------------------------------------------------------------------ processes

    /// A process takes the hub, as `durafn.open` does.
    pub(crate) fn open(&mut self) {
        self.epoch = self.store.acquire(&self.settings).unwrap().epoch;
        let prefix = format!("asked{}", self.epoch);
        let entropy = Box::new(SeededEntropy::with_prefix(self.rng.next(), &prefix));
        let arrivals = self.waiting();
        let mut dispatcher = Dispatcher::new(self.options.clone(), &self.registered, entropy);
        dispatcher.replay_in_pieces(*self.rng.pick(&[1, 2, 1_000]));
        self.process = Some(Process {
            dispatcher,
            host: Host::default(),
            requests: Vec::new(),
            to_store: VecDeque::new(),
            in_flight: None,
            reads: VecDeque::new(),
            outbox: VecDeque::from([Event::Arrived(arrivals, true)]),
            found: Arrivals::default(),
            wake_at: self.elapsed_ms,
            saw_ms: 0,
        });
    }

    /// All that waits in the store, as its first `arrivals` gives it.
    pub(crate) fn waiting(&mut self) -> Arrivals {
        let mut arrivals = Arrivals::default();
        let page = Page { top: 1_000, cursor: None };
        for row in self.store.list(&Filter::default(), &page).unwrap().rows {
            let key = row.head.key;
            if row.ready {
                arrivals.ready.push(key);
            }
            if row.head.status == RuntimeStatus::Suspended && row.problem.is_some() {
                arrivals.held.push(key);
            }
            for stored in self.store.load(key).unwrap().unwrap().messages {
                let message = Message::decode(&stored.body).unwrap();
                let delivery = Delivery { key: Some(stored.key), exec: stored.exec, message };
                arrivals.messages.push((key, delivery));
            }
        }
        for row in self.entities() {
            let key = row.head.key;
            for stored in self.store.load_entity(key).unwrap().unwrap().messages {
                let message = Message::decode(&stored.body).unwrap();
                let delivery = Delivery { key: Some(stored.key), exec: stored.exec, message };
                arrivals.messages.push((key, delivery));
            }
        }
        arrivals
    }

    /// Every entity that has a row.
    pub(crate) fn entities(&mut self) -> Vec<EntityRow> {
        let filter = EntityFilter { include_transient: true, ..EntityFilter::default() };
        self.store.list_entities(&filter, &Page { top: 1_000, cursor: None }).unwrap().rows
    }

    /// The process is gone, with everything but the store.
    pub(crate) fn crash(&mut self) {
        trace("dies", &());
        self.process = None;
        self.store.release().unwrap();
        self.observer.crashed();
    }

    /// The process ends by itself: what runs ends, what only memory holds is written.
    pub(crate) fn close(&mut self) {
        trace("closes", &());
        self.faults = Faults::default();
        self.process().dispatcher.drain();
        while !self.process().host.is_quiet()
            || self.process().in_flight.is_some()
            || !self.process().requests.is_empty()
        {
            self.step();
        }
        let mut step = Step::default();
        let process = self.process();
        process.dispatcher.close(&mut step);
        process.to_store.extend(step.work.drain(..).map(|work| (Ticket::Dispatcher, work)));
        while !self.process().to_store.is_empty() {
            self.commit();
            self.process().in_flight = None;
        }
        self.process = None;
        self.store.release().unwrap();
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a process")
    }

    // ------------------------------------------------------------------------------ moves

    /// Something small happens: `false` if nothing can but that time passes.
    pub(crate) fn step(&mut self) -> bool {
        let Some(process) = &self.process else { return false };
        let host = &process.host;
        let reported =
            !host.turns.is_empty() || !host.results.is_empty() || !host.operated.is_empty();
        let reported = reported || !process.requests.is_empty();
        let exchange = reported || !process.outbox.is_empty() || self.elapsed_ms >= process.wake_at;
        let moves = [
            (exchange, Self::exchange as fn(&mut Self)),
            (!process.to_store.is_empty() && process.in_flight.is_none(), Self::commit),
            (process.in_flight.is_some(), Self::report),
            (process.in_flight.is_none() && process.has_found(), Self::look),
            (!process.reads.is_empty(), Self::read),
            (!host.pending.is_empty(), Self::run_code),
            (!host.running.is_empty(), Self::finish_activity),
            (!host.batches.is_empty(), Self::operate),
        ];
        let possible: Vec<fn(&mut Self)> =
            moves.into_iter().filter(|(possible, _)| *possible).map(|(_, act)| act).collect();
        if possible.is_empty() {
            return false;
        }
        let act = *self.rng.pick(&possible);
        act(self);
        true
    }

    /// Time passes, and sometimes the wall clock is set.
    pub(crate) fn pass_time(&mut self, ms: TimeMs) {
        self.elapsed_ms += ms;
        if self.rng.chance(self.faults.clock_jumps) {
            self.offset_ms += *self.rng.pick(&[-60_000, -2_000, -50, 50, 2_000]);
        }
    }

    /// How long until the process does something by itself.
    pub(crate) fn idle_for(&mut self) -> TimeMs {
        let elapsed_ms = self.elapsed_ms;
        self.process.as_ref().map_or(1, |process| (process.wake_at - elapsed_ms).max(0))
    }

    /// Nothing is under way, here or in the store.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            process.host.is_quiet()
                && process.requests.is_empty()
                && process.to_store.is_empty()
                && process.in_flight.is_none()
                && process.reads.is_empty()
                && process.outbox.is_empty()
                && !process.has_found()
                && !process.dispatcher.has_failed_reads()
        })
    }

    pub(crate) fn exchange(&mut self) {
        let now_ms = self.now_ms();
        let retry_reads = self.rng.chance(30);
        let process = self.process.as_mut().unwrap();
        let mut step = Step::default();
        let requests = std::mem::take(&mut process.requests).into_iter();
        let commands: Vec<Command> =
            requests.filter_map(|request| process.dispatcher_takes(request, now_ms)).collect();
        let Process { dispatcher, host, .. } = process;
        for result in std::mem::take(&mut host.results) {
            dispatcher.result(result, &mut step);
        }
        for outcome in std::mem::take(&mut host.turns) {
            dispatcher.activation_done(outcome, &mut step);
        }
        for outcome in std::mem::take(&mut host.operated) {
            dispatcher.entity_done(outcome, &mut step);
        }
        for event in std::mem::take(&mut process.outbox) {
            process.take(event, &mut step);
        }
        if retry_reads && process.dispatcher.has_failed_reads() {
            process.dispatcher.retry_reads();
        }
        process.dispatcher.advance(now_ms, &mut step);
        process.saw_ms = now_ms;
        self.perform(step);
        let commands = commands.into_iter().map(caller);
        self.process().to_store.extend(commands);
    }

    /// What the dispatcher wants is handed on.
    pub(crate) fn perform(&mut self, mut step: Step) {
        step.work.iter().for_each(|work| trace("wants", work));
        step.out.activations.iter().for_each(|activation| trace("activates", activation));
        for start in &step.out.activities {
            trace("starts", start);
            self.observer.activity_starts(&mut self.store, start);
        }
        for reply in &step.out.replies {
            Observer::answered(&mut self.store, reply);
        }
        for view in &step.ended {
            Observer::told_of_end(&mut self.store, view);
        }
        let process = self.process.as_mut().unwrap();
        process.to_store.extend(step.work.drain(..).map(|work| (Ticket::Dispatcher, work)));
        process.to_store.extend(step.commands.drain(..).map(|(_, command)| caller(command)));
        let era = process.dispatcher.era();
        let loads = step.loads.drain(..).map(Read::Load);
        let timers = step.timers.map(Read::Timers);
        let reads = loads.chain(timers).chain(step.ready_from.map(Read::Ready));
        process.reads.extend(reads.map(|read| (era, read)));
        process.host.take(std::mem::take(&mut step.out));
        process.host.check_bounds(self.options.concurrent_activities);
        process.wake_at = self.elapsed_ms + process.host.wake_in_ms;
    }

    /// The store thread writes some of what is queued.
    pub(crate) fn commit(&mut self) {
        // First the store thread tells what others had written when its batch was made.
        self.look();
        let process = self.process.as_mut().unwrap();
        let count = 1 + self.rng.below(process.to_store.len());
        let batch: Vec<(Ticket, Work)> = process.to_store.drain(..count).collect();
        let fails = self.rng.chance(self.faults.failed_commits);
        let calls = if fails { self.rng.below(8) } else { usize::MAX };
        let works: Vec<Work> = batch.iter().map(|(_, work)| work.clone()).collect();
        match self.transact(Some(self.epoch), calls, &works) {
            Ok((done, _)) => {
                let mut events = VecDeque::new();
                for ((ticket, work), (outcome, effects)) in batch.into_iter().zip(done) {
                    if ticket == Ticket::Dispatcher {
                        events.push_back(Event::Done(Box::new(work), outcome));
                    }
                    events.extend(effects.into_iter().map(Event::Effect));
                }
                self.process().in_flight = Some(events);
            }
            Err(error) => {
                assert_eq!(error.kind, ProviderErrorKind::Transient, "{error}");
                // Callers are told of the failure and try again; the rest waits in its order.
                let process = self.process();
                let mut refused = VecDeque::new();
                for (ticket, work) in batch.into_iter().rev() {
                    match work {
                        Work::Begin(_) => {
                            let answer = Err(Error::new(ErrorCode::StoreUnavailable, "injected"));
                            let outcome = Outcome::Begun { answer, key: None };
                            refused.push_front(Event::Done(Box::new(work), outcome));
                        }
                        _ if ticket == Ticket::Dispatcher => {
                            process.to_store.push_front((ticket, work));
                        }
                        _ => {}
                    }
                }
                process.outbox.extend(refused);
            }
        }
    }

    pub(crate) fn report(&mut self) {
        let process = self.process();
        process.outbox.extend(process.in_flight.take().unwrap());
    }

    fn look(&mut self) {
        let process = self.process();
        if process.has_found() {
            let found = std::mem::take(&mut process.found);
            process.outbox.push_back(Event::Arrived(found, false));
        }
    }

    /// The reader thread answers the next question.
    pub(crate) fn read(&mut self) {
        let fails = self.rng.chance(self.faults.failed_reads);
        // Only what is found to be damaged is not asked for again.
        let kinds =
            [ProviderErrorKind::Transient, ProviderErrorKind::Full, ProviderErrorKind::Permanent];
        let kind = *self.rng.pick(&kinds);
        let failure = || ProviderError::new(kind, "read", "injected");
        let (era, read) = self.process().reads.pop_front().unwrap();
        let answer = match read {
            Read::Load(key) if key < 0 && fails => {
                ReadAnswer::EntityLoaded(key, Box::new(Err(failure())))
            }
            Read::Load(key) if key < 0 => {
                ReadAnswer::EntityLoaded(key, Box::new(self.store.load_entity(key)))
            }
            Read::Load(key) if fails => ReadAnswer::Loaded(key, Box::new(Err(failure()))),
            Read::Load(key) => ReadAnswer::Loaded(key, Box::new(self.store.load(key))),
            Read::Ready(from) if fails => ReadAnswer::Ready(Err(from)),
            Read::Ready(from) => ReadAnswer::Ready(Ok(self.store.ready(from, READY_READ).unwrap())),
            Read::Timers(_) if fails => ReadAnswer::Timers(None),
            Read::Timers(range) => {
                // So few that most readings are cut short.
                let rows = self.store.timers_after(range.after, range.until, 2).unwrap();
                ReadAnswer::Timers(Some((range.read_to(&rows, 2), rows)))
            }
        };
        self.process().outbox.push_back(Event::Read(era, answer));
    }

    pub(crate) fn run_code(&mut self) {
        let (observer, rng) = (&mut self.observer, &mut self.rng);
        let host = &mut self.process.as_mut().unwrap().host;
        if rng.chance(self.faults.dead_threads) {
            return host.lose_thread(rng);
        }
        host.run_some(rng, &mut |replayed| observer.replayed(replayed));
    }

    fn operate(&mut self) {
        let host = &mut self.process.as_mut().unwrap().host;
        host.operate_some(&mut self.rng, self.faults.dead_threads);
    }

    fn finish_activity(&mut self) {
        let host = &mut self.process.as_mut().unwrap().host;
        host.finish_some(&mut self.rng);
    }

    // ------------------------------------------------------------------------------ callers

    /// A call of a client in the worker's process.
    pub(crate) fn call(&mut self, command: Command) {
        self.process().requests.push(command);
    }

    /// A call of another process, which is a transaction of its own.
    pub(crate) fn call_from_elsewhere(&mut self, command: Command) -> Result<Answer, Error> {
        let (done, found) = self.transact(None, usize::MAX, &[Work::Command(command)]).unwrap();
        if let Some(process) = &mut self.process {
            process.found.ready.extend(found.ready);
            process.found.messages.extend(found.messages);
        }
        match done.into_iter().next() {
            Some((Outcome::Command(verdict), _)) => verdict,
            other => panic!("not the outcome of a command: {other:?}"),
        }
    }

    /// One transaction: what became of each piece, and what another process would find of it.
    #[expect(clippy::type_complexity, reason = "two lists, named where they are taken apart")]
    fn transact(
        &mut self,
        fence: Option<Epoch>,
        calls: usize,
        works: &[Work],
    ) -> Result<(Vec<(Outcome, Vec<Effect>)>, Arrivals), ProviderError> {
        let hub = HubFacts {
            settings: &self.settings,
            worker_lives: self.process.is_some(),
            now_ms: self.elapsed_ms + self.offset_ms,
        };
        let (foreign, entropy) = (fence.is_none(), &mut self.entropy);
        let (mut done, mut found) = (Vec::new(), Arrivals::default());
        self.store.transaction(fence, &mut |rows| {
            let mut rows = SeenRows::new(rows, calls);
            let mut context = Context::new(hub.clone(), foreign, &mut *entropy);
            for work in works {
                let outcome = apply(&mut rows, work, &mut context)?;
                done.push((outcome, std::mem::take(&mut context.effects)));
            }
            found.ready.extend(rows.instances);
            for (key, stored) in rows.messages.into_iter().filter(|(_, stored)| stored.taken) {
                let message = Message::decode(&stored.body).unwrap();
                let delivery = Delivery { key: Some(key), exec: stored.exec, message };
                found.messages.push((stored.key, delivery));
            }
            Ok(())
        })?;
        for (work, (outcome, _)) in works.iter().zip(&done) {
            trace(if foreign { "commits elsewhere" } else { "commits" }, &(outcome, work));
            self.observer.committed(work, outcome);
        }
        Ok((done, found))
    }
}
