//! Writing to the store: work in, transactions, events out.
//!
//! Owns: the store's connection, the grouping of work into transactions, what is tried again after a
//! failure, and the choice of the thread: the store's own, or JavaScript's for a lone piece of work on
//! a fast disk, which saves two hand-overs of some 20 µs each. Must never: report anything of a
//! transaction before it is durable, or let work overtake work that was sent before it.
//! Proved by `__test__/durability.spec.mjs` (strace) and `tests/simulation.rs`.

mod place;
mod shared;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::commit::TurnCommit;
use crate::core::entity::Signal;
use crate::core::entropy::Entropy;
use crate::core::limits::{COMMIT_BYTES, COMMIT_ITEMS};
use crate::core::message::Message;
use crate::core::request::{Command, HubFacts, HubSettings};
use crate::core::task::ActivityTask;
use crate::provider::transaction::{Context, Effect, Outcome, Work, apply};
use crate::provider::{Arrivals, Epoch, Hints, Provider, ProviderError, ProviderErrorKind, Rows};

use super::clock::{self, HubClock};
use super::dispatcher::Era;
use super::fault::caller_error;
use super::outbox::{Event, Outbox};
use super::protocol::{Reply, RequestId};
use place::still_wanted;
pub use shared::{SharedWriter, Underway};

/// Who is told of the outcome of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// The dispatcher.
    Dispatcher,
    /// The caller.
    Request(RequestId),
    /// The callers that the work names.
    Requests,
    /// Nobody.
    Nobody,
}

/// Longest pause before work that failed is tried again.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Most pieces of work that are written on the JavaScript thread. More are worth a hand-over: the two
/// threads then work at the same time.
const INLINE_ITEMS: usize = 2;
/// How long after a commit of more pieces the JavaScript thread keeps from writing.
const CALM: Duration = Duration::from_millis(2);
/// Slowest commit that the JavaScript thread makes itself, so that a slow disk never holds it up.
const INLINE_PACE: Duration = Duration::from_micros(500);

type Steps<'a> = &'a mut dyn FnMut(&mut dyn Rows) -> Result<(), ProviderError>;
/// `None`: another process was in the way.
type AttemptResult<T> = Result<Option<T>, ProviderError>;

/// See the module's text.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Writer {
    /// The store.
    pub provider: Box<dyn Provider>,
    epoch: Option<Epoch>,
    /// Those of this process.
    own: HubSettings,
    /// What commands go by: the same with what the hub's other workers have.
    settings: HubSettings,
    entropy: Box<dyn Entropy + Send>,
    outbox: Arc<Outbox>,
    /// For other processes that wait.
    pub(super) hints: Option<Arc<Hints>>,
    queue: VecDeque<(Ticket, Work)>,
    retry_after: Duration,
    looked: Instant,
    /// The last look came to nothing, which was told.
    is_blind: bool,
    /// The hub is lost for good.
    lost: bool,
    /// This worker has lost its place, and is to join again.
    outcast: bool,
    /// Its JavaScript does not answer: it must not join.
    resting: bool,
    /// Work that was asked for in an earlier era is void.
    era: Era,
    /// Folded names of the orchestrators that other workers have.
    elsewhere: Vec<String>,
    clock: Arc<HubClock>,
    /// When the clock of the server was last looked at.
    clock_seen: Option<Instant>,
    /// Commits of work that was asked for, from any thread.
    commits: u64,
    /// What a commit of a few pieces takes, as a moving average.
    pace: Duration,
    /// When a commit last had more than a few.
    crowded: Option<Instant>,
}

impl Writer {
    /// Of an open store; `epoch` if this process is the worker.
    pub fn new(
        provider: Box<dyn Provider>,
        epoch: Option<Epoch>,
        settings: HubSettings,
        entropy: Box<dyn Entropy + Send>,
        outbox: Arc<Outbox>,
        clock: Arc<HubClock>,
    ) -> Self {
        Self {
            provider,
            epoch,
            own: settings.clone(),
            settings,
            entropy,
            outbox,
            hints: None,
            queue: VecDeque::new(),
            retry_after: Duration::ZERO,
            looked: clock::instant(),
            is_blind: false,
            lost: false,
            outcast: false,
            resting: false,
            era: 0,
            elsewhere: Vec::new(),
            clock,
            clock_seen: None,
            commits: 0,
            pace: Duration::ZERO,
            crowded: None,
        }
    }

    /// Whether this process is the hub's worker.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.epoch.is_some()
    }

    /// How many pieces of work wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The pause before work that failed is tried again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// How many commits it has made of work that was asked for.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// How long ago other processes' writing was last looked for.
    #[must_use]
    pub fn looked_ago(&self) -> Duration {
        self.looked.elapsed()
    }

    /// Whether the JavaScript thread may write itself: the disk is fast, and there is not so much to do
    /// that both threads are better at work at the same time.
    fn is_quick_and_quiet(&self) -> bool {
        self.pace <= INLINE_PACE && self.crowded.is_none_or(|last| last.elapsed() > CALM)
    }

    /// Adds work behind what waits.
    pub fn push(&mut self, era: Era, work: Vec<(Ticket, Work)>) {
        if era == self.era {
            self.queue.extend(work);
        } else {
            self.queue.extend(work.into_iter().filter_map(still_wanted));
        }
    }

    /// Replaces the hub's settings.
    pub fn put_settings(&mut self, settings: HubSettings) {
        self.provider.serve(&settings.activities);
        self.own = settings.clone();
        self.settings = self.with_elsewhere();
        self.queue.push_back((Ticket::Nobody, Work::PutSettings(settings)));
    }

    /// Writes one transaction of what waits: `false` if there is nothing that can be written now.
    pub fn write_some(&mut self) -> bool {
        if self.queue.is_empty() || self.lost {
            return false;
        }
        let batch = self.next_batch();
        self.write(batch)
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
        let begun = clock::instant();
        match self.transact(&batch) {
            Ok(done) => {
                self.written(batch, done, begun);
                true
            }
            Err(error) => self.failed(batch, &error),
        }
    }

    fn written(
        &mut self,
        batch: Vec<(Ticket, Work)>,
        done: Vec<(Outcome, Vec<Effect>)>,
        begun: Instant,
    ) {
        if batch.len() <= INLINE_ITEMS {
            self.pace = (self.pace * 3 + begun.elapsed()) / 4;
        } else {
            self.crowded = Some(clock::instant());
        }
        self.retry_after = Duration::ZERO;
        self.commits += 1;
        // What others had written before this transaction is told before its outcomes: a turn in it may
        // have consumed such a message.
        if self.is_worker()
            && let Some(found) = self.provider.arrivals_found()
        {
            self.looked = clock::instant();
            self.tell_arrivals(found, false);
        }
        self.report(batch, done);
    }

    /// Carries out a batch as one transaction, which nobody is told of.
    ///
    /// # Errors
    /// Those of the store; nothing was written.
    pub fn transact(
        &mut self,
        batch: &[(Ticket, Work)],
    ) -> Result<Vec<(Outcome, Vec<Effect>)>, ProviderError> {
        self.attempt(batch, |provider, epoch, work| provider.transaction(epoch, work).map(Some))
            .map(Option::unwrap_or_default)
    }

    fn attempt(
        &mut self,
        batch: &[(Ticket, Work)],
        run: impl FnOnce(&mut dyn Provider, Option<Epoch>, Steps<'_>) -> AttemptResult<()>,
    ) -> AttemptResult<Vec<(Outcome, Vec<Effect>)>> {
        let owner = self.epoch.is_some();
        let worker_lives = owner || {
            let lives = self.provider.worker_lives();
            lives.map_err(ProviderError::once_open)?
        };
        self.provider.foresee(&mut batch.iter().map(|(_, work)| work));
        let mut done = Vec::with_capacity(batch.len());
        let mut began = false;
        let (settings, entropy) = (&mut self.settings, self.entropy.as_mut());
        let clock = &self.clock;
        let ran = run(self.provider.as_mut(), self.epoch, &mut |rows| {
            done.clear();
            if !owner {
                *settings = rows.settings()?;
            }
            let hub = HubFacts { settings, worker_lives, now_ms: clock.now_ms() };
            let mut context = Context::new(hub, !owner, entropy);
            began = true;
            for (_, work) in batch {
                let outcome = apply(rows, work, &mut context)?;
                done.push((outcome, std::mem::take(&mut context.effects)));
            }
            Ok(())
        });
        // What fails before any of the work has begun is the fault of none.
        let ran = ran.map_err(|error| if began { error } else { error.once_open() })?;
        Ok(ran.map(|()| done))
    }

    fn report(&mut self, batch: Vec<(Ticket, Work)>, done: Vec<(Outcome, Vec<Effect>)>) {
        let mut events = Vec::with_capacity(batch.len() * 2);
        for ((ticket, work), (outcome, effects)) in batch.into_iter().zip(done) {
            match ticket {
                Ticket::Dispatcher => events.push(Event::Done(work, outcome)),
                Ticket::Request(rid) => events.push(Event::Answer(rid, outcome)),
                Ticket::Requests => {
                    if let Outcome::Signals(verdicts) = outcome {
                        events.push(Event::Signaled(verdicts));
                    }
                }
                Ticket::Nobody => {}
            }
            self.tell_ends(&effects);
            events.extend(effects.into_iter().map(Event::Effect));
        }
        self.outbox.push(events);
    }

    fn tell_ends(&self, effects: &[Effect]) {
        let Some(hints) = &self.hints else { return };
        for effect in effects {
            if let Effect::Ended { instance_id } = effect {
                hints.ended(instance_id);
            }
        }
    }

    /// A transaction failed and wrote nothing.
    fn failed(&mut self, batch: Vec<(Ticket, Work)>, error: &ProviderError) -> bool {
        use ProviderErrorKind as Kind;
        match error.kind {
            // What is gone is gone for a client, too.
            kind if kind == Kind::Gone || kind.ousts() && self.is_worker() => {
                self.ousted(batch, error)
            }
            // A client has no place to lose, and is none to get.
            kind if kind.ousts() => {
                for (ticket, work) in batch {
                    self.give_back(ticket, work, error);
                }
                true
            }
            kind if !kind.blames_work() => {
                self.postpone(batch, &error.clone().once_open());
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
                Ticket::Requests => events.push(not_sent(work, error)),
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
            Ticket::Requests => not_sent(work, error),
            Ticket::Nobody => Event::Trouble(error.to_string()),
        };
        self.outbox.push([event]);
    }

    /// Looks for what other processes wrote; `opening` at the first time.
    pub fn look(&mut self, opening: bool) {
        if !self.is_worker() || self.lost {
            return;
        }
        self.looked = clock::instant();
        let found = self.provider.arrivals();
        let was_blind = std::mem::replace(&mut self.is_blind, found.is_err());
        match found {
            Ok(arrivals) => self.tell_arrivals(arrivals, opening),
            Err(error) if error.kind == ProviderErrorKind::Gone => {
                self.ousted(Vec::new(), &error);
            }
            Err(error) if !was_blind => {
                self.outbox.push([Event::Trouble(format!("Looking for messages: {error}"))]);
            }
            Err(_) => {}
        }
    }

    fn tell_arrivals(&self, arrivals: Arrivals, opening: bool) {
        if !arrivals.is_empty() {
            self.outbox.push([Event::Arrived(arrivals, opening)]);
        }
    }
}

fn not_begun(work: Work, error: &ProviderError) -> Event {
    Event::Done(work, Outcome::Begun { answer: Err(caller_error(error)), key: None })
}

fn not_sent(work: Work, error: &ProviderError) -> Event {
    let Work::Signals(signals) = work else { return Event::Trouble(error.to_string()) };
    Event::Signaled(signals.into_iter().map(|(rid, _)| (rid, Err(caller_error(error)))).collect())
}

fn weight(work: &Work) -> usize {
    match work {
        Work::Turn(commit) => commit.weight(),
        Work::Begin(begin) => {
            let input = begin.spec.input.as_ref().map_or(64, |input| input.get().len());
            input + begin.commit.as_ref().map_or(0, TurnCommit::weight)
        }
        Work::Command(Command::Start(specs)) => {
            specs.iter().map(|spec| spec.input.as_ref().map_or(64, |input| input.get().len())).sum()
        }
        Work::Command(Command::RaiseEvent { input, .. }) => {
            input.as_ref().map_or(64, |input| input.get().len())
        }
        Work::Entity(commit) => commit.weight(),
        Work::Signals(signals) => {
            let bytes =
                |signal: &Signal| signal.input.as_ref().map_or(64, |input| input.get().len());
            signals.iter().map(|(_, signal)| bytes(signal)).sum()
        }
        Work::Offer { tasks, .. } => {
            let input =
                |task: &ActivityTask| task.input.as_ref().map_or(64, |input| input.get().len());
            tasks.iter().map(input).sum()
        }
        Work::Report { message, .. } => message.payload_bytes(),
        Work::Keep { messages, .. } => messages.iter().map(Message::payload_bytes).sum(),
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
