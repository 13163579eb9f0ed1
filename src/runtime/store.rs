//! The one thread that writes to the store.
//!
//! Owns: the provider, the grouping of work into transactions (all that queued while the last one
//! was made durable), what is tried again after a failure, and looking for what other processes
//! wrote. Must never: report anything of a transaction before it is durable.
//! Proved by `__test__/durability.spec.mjs` (strace) and `tests/store.rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::core::execution::Entropy;
use crate::core::limits::{COMMIT_BYTES, COMMIT_ITEMS, PURGE_INSTANCES};
use crate::core::request::{Answer, Command, Filter, HubFacts, HubSettings};
use crate::core::status::RuntimeStatus;
use crate::provider::transaction::{Context, Effect, Outcome, Work, apply};
use crate::provider::{Epoch, Provider, ProviderError, ProviderErrorKind};

use super::clock;
use super::fault::caller_error;
use super::outbox::{Event, Outbox};
use super::protocol::{Reply, RequestId, Retention};
use super::reader::{ReadRequest, serve};

/// Who is told of the outcome of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// The dispatcher.
    Dispatcher,
    /// The caller.
    Request(RequestId),
    /// Nobody.
    Nobody,
}

/// What the store thread is asked for.
#[derive(Debug)]
pub enum StoreMessage {
    /// To be done in order.
    Work(Vec<(Ticket, Work)>),
    /// To be read here, because the store has no second view.
    Read(ReadRequest),
    /// Ended instances that pass the filter are to be removed, bit by bit.
    PurgeBy(RequestId, Filter),
    /// Hub settings from now on.
    Settings(HubSettings),
    /// The last message.
    Close(Option<RequestId>),
}

/// How often the store is looked at for what other processes wrote. A look costs about 90 µs, so
/// this is 0.2 % of a core.
const POLL: Duration = Duration::from_millis(40);
/// Shortest time between two looks while there is own work.
const POLL_BUSY: Duration = Duration::from_millis(5);
/// Between two rounds of retention.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);
/// Longest pause before work that failed is tried again.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// See the module's text.
pub struct StoreThread {
    provider: Box<dyn Provider>,
    epoch: Option<Epoch>,
    settings: HubSettings,
    retention: Retention,
    entropy: Box<dyn Entropy + Send>,
    inbox: Receiver<StoreMessage>,
    outbox: Arc<Outbox>,
    queue: VecDeque<(Ticket, Work)>,
    purges: VecDeque<(RequestId, Filter, usize)>,
    closing: bool,
    /// Who is told that the store is closed.
    closer: Option<RequestId>,
    looked: Instant,
    retained: Option<Instant>,
    retry_after: Duration,
    lost: bool,
}

impl StoreThread {
    /// Of an open store; `epoch` if this process is the worker.
    pub fn new(
        provider: Box<dyn Provider>,
        epoch: Option<Epoch>,
        settings: HubSettings,
        retention: Retention,
        entropy: Box<dyn Entropy + Send>,
        inbox: Receiver<StoreMessage>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            provider,
            epoch,
            settings,
            retention,
            entropy,
            inbox,
            outbox,
            queue: VecDeque::new(),
            purges: VecDeque::new(),
            closing: false,
            closer: None,
            looked: clock::instant(),
            retained: None,
            retry_after: Duration::ZERO,
            lost: false,
        }
    }

    /// Runs until the hub closes or lets go of the thread.
    pub fn run(mut self) {
        self.look(true);
        while self.receive() {
            let worked = !self.queue.is_empty();
            self.work();
            self.purge_some();
            if self.epoch.is_some() && (!worked || self.looked.elapsed() >= POLL_BUSY) {
                self.look(false);
            }
            if self.closing && self.purges.is_empty() {
                // What could not be written by now is as lost as by a crash: a later process redoes it.
                break;
            }
            self.housekeeping(!worked);
        }
        if self.epoch.is_some() {
            self.tidy_up();
        }
        if let Some(rid) = self.closer {
            self.outbox.push([Event::Closed(rid)]);
        }
    }

    fn tidy_up(&mut self) {
        for result in [self.provider.maintain(true), self.provider.release()] {
            if let Err(error) = result {
                self.outbox.push([Event::Trouble(format!("Closing the store: {error}"))]);
            }
        }
    }

    /// Waits for something to do: `false` when the hub is gone.
    fn receive(&mut self) -> bool {
        let patience = if !self.queue.is_empty() {
            self.retry_after
        } else if self.epoch.is_some() {
            POLL
        } else {
            Duration::from_secs(3_600)
        };
        let first = if self.purges.is_empty() {
            match self.inbox.recv_timeout(patience) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        } else {
            match self.inbox.try_recv() {
                Ok(message) => message,
                Err(_) => return true,
            }
        };
        self.take(first);
        while self.queue.len() < COMMIT_ITEMS {
            let Ok(message) = self.inbox.try_recv() else {
                break;
            };
            self.take(message);
        }
        true
    }

    fn take(&mut self, message: StoreMessage) {
        match message {
            StoreMessage::Work(work) => self.queue.extend(work),
            StoreMessage::Read(request) => {
                // Reads see what was asked for before them.
                self.work();
                let event = serve(self.provider.as_mut(), request);
                self.outbox.push(event);
            }
            StoreMessage::PurgeBy(rid, filter) => self.purges.push_back((rid, filter, 0)),
            StoreMessage::Settings(settings) => {
                self.settings = settings.clone();
                self.queue.push_back((Ticket::Nobody, Work::PutSettings(settings)));
            }
            StoreMessage::Close(rid) => {
                self.closing = true;
                self.closer = rid;
            }
        }
    }

    /// Writes what is queued, transaction by transaction.
    fn work(&mut self) {
        while !self.queue.is_empty() && !self.lost {
            let batch = self.next_batch();
            if !self.write(batch) {
                return;
            }
            // All that came meanwhile: each message may be one turn.
            while self.queue.len() < COMMIT_ITEMS
                && let Ok(message) = self.inbox.try_recv()
            {
                self.take_work(message);
            }
        }
    }

    /// While work is written only more work is taken; what else comes waits for its turn.
    fn take_work(&mut self, message: StoreMessage) {
        match message {
            StoreMessage::Work(work) => self.queue.extend(work),
            other => self.take(other),
        }
    }

    fn next_batch(&mut self) -> Vec<(Ticket, Work)> {
        let (mut items, mut bytes) = (0, 0);
        for (_, work) in &self.queue {
            bytes += weight(work);
            if items == COMMIT_ITEMS || (items > 0 && bytes > COMMIT_BYTES) {
                break;
            }
            items += 1;
        }
        self.queue.drain(..items).collect()
    }

    /// Writes a batch as one transaction: `false` if it is to be tried again later.
    fn write(&mut self, batch: Vec<(Ticket, Work)>) -> bool {
        match self.transact(&batch) {
            Ok(done) => {
                self.retry_after = Duration::ZERO;
                // What others had written before this transaction is told before its outcomes: a turn
                // in it may have consumed such a message.
                self.look(false);
                self.report(batch, done);
                true
            }
            Err(error) => self.failed(batch, &error),
        }
    }

    fn transact(
        &mut self,
        batch: &[(Ticket, Work)],
    ) -> Result<Vec<(Outcome, Vec<Effect>)>, ProviderError> {
        let owner = self.epoch.is_some();
        let worker_lives = owner || self.provider.worker_lives()?;
        let mut done = Vec::with_capacity(batch.len());
        let (settings, entropy) = (&mut self.settings, self.entropy.as_mut());
        self.provider.transaction(self.epoch, &mut |rows| {
            done.clear();
            if !owner {
                *settings = rows.settings()?;
            }
            let hub = HubFacts { settings, worker_lives, now_ms: clock::now_ms() };
            let mut context = Context { hub, foreign: !owner, entropy, effects: Vec::new() };
            for (_, work) in batch {
                let outcome = apply(rows, work, &mut context)?;
                done.push((outcome, std::mem::take(&mut context.effects)));
            }
            Ok(())
        })?;
        Ok(done)
    }

    fn report(&mut self, batch: Vec<(Ticket, Work)>, done: Vec<(Outcome, Vec<Effect>)>) {
        let mut events = Vec::with_capacity(batch.len() * 2);
        for ((ticket, work), (outcome, effects)) in batch.into_iter().zip(done) {
            match ticket {
                Ticket::Dispatcher => events.push(Event::Done(work, outcome)),
                Ticket::Request(rid) => events.push(Event::Answer(rid, outcome)),
                Ticket::Nobody => {}
            }
            events.extend(effects.into_iter().map(Event::Effect));
        }
        self.outbox.push(events);
    }

    /// A transaction failed and wrote nothing.
    fn failed(&mut self, batch: Vec<(Ticket, Work)>, error: &ProviderError) -> bool {
        use ProviderErrorKind as Kind;
        match error.kind {
            Kind::LostOwnership => {
                self.lost = true;
                self.outbox.push([Event::Fatal(caller_error(error))]);
                true
            }
            Kind::Transient | Kind::Full | Kind::ReadOnly => {
                self.postpone(batch, error);
                false
            }
            _ if batch.len() == 1 => {
                for (ticket, work) in batch {
                    self.give_back(ticket, work, error);
                }
                true
            }
            // One item spoils the rest: halves find it, and the others are written.
            _ => {
                let mut first = batch;
                let second = first.split_off(first.len() / 2);
                self.queue.extend_front_ordered(second);
                self.write(first)
            }
        }
    }

    /// Callers are told at once; turns wait and are tried again.
    fn postpone(&mut self, batch: Vec<(Ticket, Work)>, error: &ProviderError) {
        let mut kept = Vec::new();
        let mut events = Vec::new();
        for (ticket, work) in batch {
            match ticket {
                Ticket::Request(rid) => {
                    events.push(Event::Reply(Reply::error(rid, caller_error(error))));
                }
                // A caller waits for this one too.
                _ if matches!(work, Work::Begin(_)) => events.push(not_begun(work, error)),
                _ => kept.push((ticket, work)),
            }
        }
        // Where only callers were refused, nothing is tried again.
        if !kept.is_empty() {
            if self.retry_after.is_zero() {
                events.push(Event::Trouble(format!(
                    "The store cannot be written, trying again: {error}"
                )));
            }
            self.retry_after = (self.retry_after * 2).clamp(Duration::from_millis(50), RETRY_MAX);
        }
        self.queue.extend_front_ordered(kept);
        self.outbox.push(events);
    }

    fn give_back(&mut self, ticket: Ticket, work: Work, error: &ProviderError) {
        let event = match ticket {
            Ticket::Request(rid) => Event::Reply(Reply::error(rid, caller_error(error))),
            Ticket::Dispatcher if matches!(work, Work::Begin(_)) => not_begun(work, error),
            Ticket::Dispatcher => Event::Unwritable(work, caller_error(error)),
            Ticket::Nobody => Event::Trouble(error.to_string()),
        };
        self.outbox.push([event]);
    }

    /// Looks for what other processes wrote.
    fn look(&mut self, opening: bool) {
        if self.epoch.is_none() || self.lost {
            return;
        }
        self.looked = clock::instant();
        match self.provider.arrivals() {
            Ok(arrivals) => {
                let nothing = arrivals.ready.is_empty()
                    && arrivals.messages.is_empty()
                    && arrivals.held.is_empty();
                if !nothing {
                    self.outbox.push([Event::Arrived(arrivals, opening)]);
                }
            }
            Err(error) => {
                self.outbox.push([Event::Trouble(format!("Looking for messages: {error}"))]);
            }
        }
    }

    fn purge_some(&mut self) {
        let Some((rid, filter, deleted)) = self.purges.pop_front() else {
            return;
        };
        match self.purge_batch(&filter, None) {
            Ok(count) if count == PURGE_INSTANCES => {
                self.purges.push_back((rid, filter, deleted + count));
            }
            Ok(count) => {
                let answer = Answer::Deleted { deleted: deleted + count };
                self.outbox.push([Event::Reply(Reply::ok(rid, &answer))]);
            }
            Err(error) => {
                self.outbox.push([Event::Reply(Reply::error(rid, caller_error(&error)))]);
            }
        }
    }

    fn purge_batch(
        &mut self,
        filter: &Filter,
        completed_before: Option<i64>,
    ) -> Result<usize, ProviderError> {
        let keys = self.provider.purgeable(filter, completed_before, PURGE_INSTANCES)?;
        if keys.is_empty() {
            return Ok(0);
        }
        let count = keys.len();
        self.transact(&[(Ticket::Nobody, Work::Command(Command::PurgeKeys(keys)))])?;
        Ok(count)
    }

    /// Housekeeping of the store, and retention in small pieces.
    fn housekeeping(&mut self, idle: bool) {
        if let Err(error) = self.provider.maintain(idle) {
            self.outbox.push([Event::Trouble(format!("Housekeeping of the store: {error}"))]);
        }
        let due = self.retained.is_none_or(|last| last.elapsed() >= RETENTION_PERIOD);
        if self.epoch.is_none() || !due {
            return;
        }
        let now = clock::now_ms();
        let mut more = false;
        for (status, age) in [
            (RuntimeStatus::Completed, self.retention.completed_ms),
            (RuntimeStatus::Failed, self.retention.failed_ms),
            (RuntimeStatus::Terminated, self.retention.terminated_ms),
        ] {
            let Some(age) = age else { continue };
            let filter = Filter { runtime_status: vec![status], ..Filter::default() };
            match self.purge_batch(&filter, Some(now - age)) {
                Ok(count) => more |= count == PURGE_INSTANCES,
                Err(error) => self.outbox.push([Event::Trouble(format!("Retention: {error}"))]),
            }
        }
        self.retained = (!more).then(clock::instant);
    }
}

fn not_begun(work: Work, error: &ProviderError) -> Event {
    Event::Done(work, Outcome::Begun { answer: Err(caller_error(error)), key: None })
}

fn weight(work: &Work) -> usize {
    match work {
        Work::Turn(commit) => commit.weight(),
        Work::Begin(begin) => {
            let input = begin.spec.input.as_ref().map_or(64, |input| input.get().len());
            input + begin.commit.as_ref().map_or(0, crate::core::commit::TurnCommit::weight)
        }
        Work::Command(Command::Start(specs)) => {
            specs.iter().map(|spec| spec.input.as_ref().map_or(64, |input| input.get().len())).sum()
        }
        Work::Command(Command::RaiseEvent { input, .. }) => {
            input.as_ref().map_or(64, |input| input.get().len())
        }
        Work::Keep { messages, .. } => {
            messages.iter().map(crate::core::message::Message::payload_bytes).sum()
        }
        _ => 64,
    }
}

trait ExtendFront<T> {
    /// Puts items before the others, in their order.
    fn extend_front_ordered(&mut self, items: Vec<T>);
}

impl<T> ExtendFront<T> for VecDeque<T> {
    fn extend_front_ordered(&mut self, items: Vec<T>) {
        for item in items.into_iter().rev() {
            self.push_front(item);
        }
    }
}
