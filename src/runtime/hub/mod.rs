//! A hub as one process has it: the meeting point of JavaScript, the dispatcher and the threads.
//!
//! Owns: the exchange (one batch in, one batch out), callers that wait, opening and closing. Must
//! never: block, but for a lone commit on a fast disk (`writer`); everything else that takes time is
//! asked of a thread and comes back as an event.

mod registering;
mod rounds;
mod silence;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use crate::core::TimeMs;
use crate::core::entity::Signal;
use crate::core::error::{Error, ErrorCode};
use crate::core::limits;
use crate::core::request::{Command, HubSettings};
use crate::provider::Page;
use crate::provider::transaction::{Effect, Outcome, Work};

use super::clock::{self, HubClock};
use super::dispatcher::{Dispatcher, DispatcherOptions, Era, Step};
use super::entropy::SystemEntropy;
use super::opening::serve_store;
use super::outbox::{Event, Opened, Outbox};
use super::outgoing::Outgoing;
use super::protocol::{EngineOptions, Inbound, Reply, Request, RequestId, Role};
use super::reader::{self, Question, ReadRequest};
use super::store::StoreMessage;
use super::threads;
use super::waiters::Waiters;
use super::writer::{SharedWriter, Ticket, Underway};
use registering::{folded, served};
use waiting::Sweep;

/// After what time a reading that failed is tried again.
const REREAD_MS: TimeMs = 1_000;

/// See the module's text.
pub struct Hub {
    options: EngineOptions,
    settings: HubSettings,
    to_store: Sender<StoreMessage>,
    underway: Arc<Underway>,
    /// `None` before the hub is open and once it closes.
    writer: Option<Arc<SharedWriter>>,
    to_reader: Option<Sender<ReadRequest>>,
    outbox: Arc<Outbox>,
    outgoing: Outgoing,
    dispatcher: Option<Dispatcher>,
    clock: Arc<HubClock>,
    waiters: Waiters,
    watched: Option<Instant>,
    sweep: Sweep,
    opened: bool,
    failure: Option<Error>,
    closing: bool,
}

impl Hub {
    /// Returns at once; the reply to request 0 says how the open went.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn open(
        options: EngineOptions,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<Self> {
        let settings = HubSettings {
            unmatched_events: options.unmatched_events,
            payload_bytes: options.payload_bytes.unwrap_or(limits::PAYLOAD_BYTES),
            orchestrators: folded(&options.registered),
            default_version: options.default_version.clone(),
            activities: served(&options.registered, options.queues.as_deref()),
        };
        let (to_store, inbox) = channel();
        let exchange_bytes = options.exchange_bytes.unwrap_or(limits::EXCHANGE_BYTES);
        let outbox = Arc::new(Outbox::new(wake, exchange_bytes));
        let underway = Arc::new(Underway::default());
        let (thread_options, thread_settings) = (options.clone(), settings.clone());
        let thread_underway = Arc::clone(&underway);
        let clock = Arc::new(HubClock::default());
        let thread_clock = Arc::clone(&clock);
        let thread_sender = to_store.clone();
        threads::spawn("durafn-store", Arc::clone(&outbox), move |outbox| {
            serve_store(
                &thread_options,
                thread_settings,
                thread_sender,
                inbox,
                thread_underway,
                outbox,
                thread_clock,
            );
        })?;
        Ok(Self {
            options,
            settings,
            to_store,
            underway,
            writer: None,
            to_reader: None,
            outbox,
            outgoing: Outgoing::new(exchange_bytes),
            dispatcher: None,
            clock,
            waiters: Waiters::default(),
            watched: None,
            sweep: Sweep::default(),
            opened: false,
            failure: None,
            closing: false,
        })
    }

    /// Takes a batch from JavaScript and gives what has become possible.
    ///
    /// # Errors
    /// If the batch cannot be read, which is a defect.
    pub fn exchange(&mut self, inbound: &str) -> Result<String, String> {
        self.outbox.pulse().answered(0);
        let inbound: Inbound = if inbound.is_empty() {
            Inbound::default()
        } else {
            serde_json::from_str(inbound).map_err(|error| format!("unreadable batch: {error}"))?
        };
        let mut step = Step::default();
        let mut work = Vec::new();
        for rid in inbound.forget {
            self.waiters.forget(rid);
        }
        if let Some(dispatcher) = &mut self.dispatcher {
            for result in inbound.results {
                dispatcher.result(result, &mut step);
            }
            for outcome in inbound.turns {
                dispatcher.activation_done(outcome, &mut step);
            }
            for outcome in inbound.entities {
                dispatcher.entity_done(outcome, &mut step);
            }
            for (token, held_ms) in inbound.poisons {
                dispatcher.poisoned_thread(token, held_ms, &mut step);
            }
            for (inside, held_ms) in inbound.overdue {
                dispatcher.overdue_in_thread(inside, held_ms, &mut step);
            }
            for token in inbound.waiting {
                dispatcher.waits_in_thread(token, &mut step);
            }
            for id in inbound.violations {
                dispatcher.violated(&id);
            }
        }
        // After the results: a close keeps what has come in with it.
        for (rid, request) in inbound.requests {
            self.request(rid, request, &mut work, &mut step);
        }
        self.rounds(work, &mut step);
        let mut out = self.outgoing.next(step.out);
        out.inside = out.one();
        let inside = out.inside.unwrap_or_default();
        let out = serde_json::to_string(&out);
        self.outbox.pulse().answered(inside);
        out.map_err(|error| format!("unwritable batch: {error}"))
    }

    fn advance(&mut self, now_ms: TimeMs, step: &mut Step) {
        if let Some(dispatcher) = &mut self.dispatcher {
            let watch = self.watched.get_or_insert_with(clock::instant);
            if dispatcher.has_failed_reads() && watch.elapsed() > millis(REREAD_MS) {
                self.watched = None;
                dispatcher.retry_reads();
            }
            dispatcher.advance(now_ms, step);
            if dispatcher.has_failed_reads() {
                step.out.wake_in_ms = step.out.wake_in_ms.map(|wake| wake.min(REREAD_MS));
            }
        }
        self.watch_others(step);
    }

    /// Sends what the round produced: the dispatcher's work, commands that waited for it, then those
    /// of this round, in the order of the calls. Whether it is written already.
    fn send(&mut self, commands: Vec<(Ticket, Work)>, step: &mut Step) -> bool {
        let own = step.work.drain(..).map(|work| (Ticket::Dispatcher, work));
        let held = step.commands.drain(..);
        let held = held.map(|(rid, command)| (Ticket::Request(rid), Work::Command(command)));
        let work: Vec<_> = own.chain(held).chain(commands).collect();
        let written = !work.is_empty() && self.write(work);
        let mut watch = std::mem::take(&mut step.watch);
        watch.retain(|id| self.waiters.has(id));
        if !watch.is_empty() {
            // In line with the work: a start that was asked for before the wait is found.
            self.to_store(StoreMessage::Read(ReadRequest::Watch(watch)));
        }
        for question in Question::of(step) {
            self.read(ReadRequest::Own(self.era(), question));
        }
        self.answer_waiters(step);
        written
    }

    /// Writes work here and now if that is quick, or sends it to the store: whether it is written.
    fn write(&self, work: Vec<(Ticket, Work)>) -> bool {
        let work = match &self.writer {
            None => work,
            Some(writer) => match writer.write_here(self.era(), work) {
                Ok(()) => return true,
                Err(work) => work,
            },
        };
        self.to_store(StoreMessage::Work(self.era(), work));
        false
    }

    /// In which era the dispatcher decides. A client has but one.
    fn era(&self) -> Era {
        self.dispatcher.as_ref().map_or(0, Dispatcher::era)
    }

    /// A thread that is gone has said so by an event of its own.
    fn to_store(&self, message: StoreMessage) {
        self.underway.add();
        let _ = self.to_store.send(message);
    }

    fn read(&self, request: ReadRequest) {
        match &self.to_reader {
            Some(reader) => drop(reader.send(request)),
            None => self.to_store(StoreMessage::Read(request)),
        }
    }

    fn request(
        &mut self,
        rid: RequestId,
        request: Request,
        work: &mut Vec<(Ticket, Work)>,
        step: &mut Step,
    ) {
        if let Some(error) = self.refusal(&request) {
            step.out.replies.push(Reply::error(rid, error));
            return;
        }
        let request = match request.command() {
            Ok(Command::SignalEntity(signal)) => return add_signal(rid, signal, work),
            Ok(command) => {
                let command = self.dispatcher_takes(rid, command);
                work.extend(command.map(|command| (Ticket::Request(rid), Work::Command(command))));
                return;
            }
            Err(request) => request,
        };
        match request {
            Request::PurgeBy { filter } => {
                self.to_store(StoreMessage::PurgeBy(rid, filter));
            }
            Request::Get(get) => {
                self.read(ReadRequest::Get(self.status_request(rid, get)));
            }
            Request::List { filter, top, cursor } => {
                let page = Page { top: top.clamp(1, limits::PAGE_INSTANCES), cursor };
                self.read(ReadRequest::List { rid, filter, page });
            }
            Request::GetEntity { entity_id } => {
                self.read(ReadRequest::GetEntity { rid, entity_id });
            }
            Request::ListEntities { filter, top, cursor } => {
                let page = Page { top: top.clamp(1, limits::PAGE_INSTANCES), cursor };
                self.read(ReadRequest::ListEntities { rid, filter, page });
            }
            Request::Count { filter } => self.read(ReadRequest::Count { rid, filter }),
            Request::Stats {} => self.read(ReadRequest::Stats { rid }),
            Request::Wait { instance_id } => self.wait(rid, instance_id, step),
            Request::Backup { file } => self.backup(rid, PathBuf::from(file)),
            Request::Register(registered) => self.register(rid, &registered, step),
            Request::Drain {} => {
                self.outgoing.drain();
                if let Some(dispatcher) = &mut self.dispatcher {
                    dispatcher.drain();
                    self.to_store(StoreMessage::Leave);
                }
                step.out.replies.push(Reply::ok(rid, &()));
            }
            Request::Close {} => self.close(rid, work, step),
            Request::Panic {} => panic!("a panic was asked for"),
            _ => {}
        }
    }

    /// Gives a command to the dispatcher, or back: a single start can begin ahead of its commit, and
    /// what is for an instance that does waits for it.
    fn dispatcher_takes(&mut self, rid: RequestId, command: Command) -> Option<Command> {
        let Some(dispatcher) = &mut self.dispatcher else { return Some(command) };
        let command = match command {
            Command::Start(mut specs) if specs.len() == 1 => {
                match dispatcher.begin_ahead(rid, specs.remove(0), self.clock.now_ms()) {
                    Ok(()) => return None,
                    Err(spec) => Command::Start(vec![spec]),
                }
            }
            command => command,
        };
        dispatcher.hold_back(rid, command).err()
    }

    fn refusal(&self, request: &Request) -> Option<Error> {
        if let Some(error) = &self.failure {
            return (!matches!(request, Request::Close {} | Request::Drain {}))
                .then(|| error.clone());
        }
        self.closing.then(|| Error::new(ErrorCode::HubClosed, "The hub is closed."))
    }

    /// Copying takes as long as the file is large, so it has a thread and a view of its own.
    fn backup(&self, rid: RequestId, file: PathBuf) {
        match self.options.path.as_ref().map(PathBuf::from) {
            Some(path) => reader::spawn_backup(path, rid, file, &self.outbox),
            None => self.read(ReadRequest::Backup { rid, file }),
        }
    }

    fn close(&mut self, rid: RequestId, work: &mut Vec<(Ticket, Work)>, step: &mut Step) {
        self.closing = true;
        if let Some(dispatcher) = &mut self.dispatcher {
            dispatcher.close(step);
        }
        // Starts whose first turn has not come back are written without it, and answered.
        let own = step.work.drain(..).map(|work| match work {
            Work::Begin(_) => (Ticket::Dispatcher, work),
            _ => (Ticket::Nobody, work),
        });
        let held = step.commands.drain(..);
        let held = held.map(|(rid, command)| (Ticket::Request(rid), Work::Command(command)));
        let last = own.chain(held).chain(work.drain(..)).collect();
        self.to_store(StoreMessage::Work(self.era(), last));
        self.writer = None;
        self.underway.add();
        // A store that was never open has nobody who would answer.
        if self.to_store.send(StoreMessage::Close(Some(rid))).is_err() || !self.opened {
            step.out.replies.push(Reply::ok(rid, &()));
        }
        self.to_reader = None;
        self.outbox.close();
    }

    fn event(&mut self, event: Event, step: &mut Step) {
        match event {
            Event::Opened(opened) => self.opened(*opened, step),
            Event::NotOpened(error) => {
                self.failure = Some(error.clone());
                step.out.replies.push(Reply::error(0, error));
            }
            Event::Answer(rid, Outcome::Command(Ok(answer))) => {
                step.out.replies.push(Reply::ok(rid, &answer));
            }
            Event::Answer(rid, Outcome::Command(Err(error))) => {
                step.out.replies.push(Reply::error(rid, error));
            }
            Event::Signaled(verdicts) => {
                step.out.replies.extend(verdicts.into_iter().map(|(rid, verdict)| match verdict {
                    Ok(()) => Reply::ok(rid, &()),
                    Err(error) => Reply::error(rid, error),
                }));
            }
            Event::Answer(rid, _) | Event::Closed(rid) => {
                step.out.replies.push(Reply::ok(rid, &()));
            }
            Event::Reply(reply) => step.out.replies.push(reply),
            Event::Effect(Effect::Ended { instance_id }) => {
                // Whoever waits still did not hear of it from its last turn.
                if self.waiters.has(&instance_id) {
                    self.read(ReadRequest::Watch(vec![instance_id]));
                }
            }
            Event::Watched(answer) => self.watched(answer, step),
            Event::Swept(answer) => self.swept(answer, step),
            Event::Hint(hint) => self.hear(hint),
            Event::Trouble(message) => step.trouble(message),
            Event::Fatal(error) => self.fatal(error, step),
            event => self.dispatch(event, step),
        }
    }

    fn dispatch(&mut self, event: Event, step: &mut Step) {
        let Some(dispatcher) = &mut self.dispatcher else {
            return;
        };
        match event {
            Event::Done(work, outcome) => dispatcher.done(work, &outcome, step),
            Event::Unwritable(work, error) => dispatcher.unwritable(&work, &error, step),
            Event::Effect(effect) => dispatcher.effect(effect, step),
            Event::Arrived(arrivals, opening) => {
                dispatcher.tasks_wait(arrivals.tasks);
                dispatcher.arrived(arrivals, opening, step);
            }
            Event::Gained(parts, arrivals) => {
                dispatcher.gained(parts, arrivals, step);
                // One of them may have ended while nobody told this process.
                self.sweep.take_all();
            }
            Event::Give(count) => dispatcher.let_go(count),
            Event::Surveyed(others, taken) => dispatcher.surveyed(others, &taken, step),
            Event::Ousted => {
                self.outgoing.become_void();
                dispatcher.ousted(step);
            }
            // It was asked for by what this process had before it lost all.
            Event::Read(era, _) if era != dispatcher.era() => {}
            Event::Read(_, read) => read.tell(dispatcher, step),
            _ => {}
        }
    }

    fn opened(&mut self, opened: Opened, step: &mut Step) {
        let Opened { info, shares, reads, writer, hints } = opened;
        (self.to_reader, self.sweep.hints, self.opened) = (reads, hints, true);
        // A client has its short transactions waited for elsewhere.
        self.writer = (self.options.role == Role::Worker).then_some(writer);
        self.settings.payload_bytes = info.payload_bytes;
        if self.options.role == Role::Worker {
            let options = DispatcherOptions::of(&self.options, &info, shares);
            let (known, entropy) = (&self.options.registered, Box::new(SystemEntropy));
            self.dispatcher = Some(Dispatcher::new(options, known, entropy));
        }
        step.out.logs.extend(info.warnings());
        step.out.replies.push(Reply::ok(0, &info));
    }

    /// JavaScript refuses all that waits and lets go of the hub.
    fn fatal(&mut self, error: Error, step: &mut Step) {
        step.out.fatal.get_or_insert_with(|| error.clone().into());
        self.outgoing.clear();
        if let Some(mut dispatcher) = self.dispatcher.take() {
            step.out.aborts.extend(dispatcher.abort_all());
        }
        self.failure = Some(error);
        self.writer = None;
    }
}

impl Drop for Hub {
    /// The owner is gone without a close (a worker thread that was ended, say): the store is let go.
    fn drop(&mut self) {
        self.outbox.close();
        let _ = self.to_store.send(StoreMessage::Close(None));
    }
}

/// Signals that follow each other are one piece of work, so that a transaction takes many.
fn add_signal(rid: RequestId, signal: Signal, work: &mut Vec<(Ticket, Work)>) {
    match work.last_mut() {
        Some((Ticket::Requests, Work::Signals(signals))) if signals.len() < limits::SIGNALS => {
            signals.push((rid, signal));
        }
        _ => work.push((Ticket::Requests, Work::Signals(vec![(rid, signal)]))),
    }
}

fn millis(ms: TimeMs) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}
