//! The place of this process among the workers of a hub.
//!
//! Owns: what becomes of work when the place is lost, joining again, and the clock that all go by. Must
//! never: let work that the dispatcher asked for in an earlier era be written in a later one: what it goes
//! by may be wrong by then. Proved by `tests/provider_postgres/leases.rs` and `__test__/cluster.spec.mjs`.

use std::sync::Arc;
use std::time::Duration;

use crate::core::TimeMs;
use crate::core::request::HubSettings;
use crate::provider::transaction::Work;
use crate::provider::{Balanced, Hints, Listener, ProviderError, ProviderErrorKind};

use super::super::clock;
use super::super::dispatcher::outlives_worker;
use super::super::fault::caller_error;
use super::super::outbox::Event;
use super::{Ticket, Writer};

/// How often the clock of a server is looked at.
const CLOCK: Duration = Duration::from_secs(5);
/// Pause before a worker that has lost its place tries to join again.
const RETRY_JOIN: Duration = Duration::from_millis(250);

impl Writer {
    /// Others have the place of this worker, or the server does not say what became of a commit. What was
    /// asked for by callers is carried out once more, unless it may be written already.
    pub(in crate::runtime) fn ousted(
        &mut self,
        batch: Vec<(Ticket, Work)>,
        error: &ProviderError,
    ) -> bool {
        self.epoch = None;
        self.era += 1;
        self.outcast = true;
        self.outbox.push([Event::Ousted]);
        let waiting: Vec<_> = self.queue.drain(..).filter_map(still_wanted).collect();
        if error.kind == ProviderErrorKind::InDoubt {
            for (ticket, work) in batch {
                self.give_back(ticket, work, error);
            }
        } else {
            self.queue.extend(batch.into_iter().filter_map(still_wanted));
        }
        self.queue.extend(waiting);
        let settled = !self.resting && self.join_again(error);
        if !self.lost {
            self.outbox.push([Event::Trouble(format!("Joining again: {error}"))]);
        }
        settled
    }

    /// Whether it is a worker again, or never will be.
    fn join_again(&mut self, error: &ProviderError) -> bool {
        let provider = &mut self.provider;
        let joined = provider.join_again(&self.own).and_then(|ownership| {
            // Without knowing what waits in its partitions it has no use of them.
            ownership.map(|ownership| Ok((ownership, provider.arrivals()?))).transpose()
        });
        match joined {
            Ok(Some((ownership, arrivals))) => {
                self.outcast = false;
                self.epoch = Some(ownership.epoch);
                self.retry_after = Duration::ZERO;
                self.outbox.push([Event::Gained(ownership.shares.parts, arrivals)]);
                true
            }
            Ok(None) => {
                self.outcast = false;
                self.lost = true;
                self.outbox.push([Event::Fatal(caller_error(error))]);
                true
            }
            Err(said) => {
                if self.retry_after != RETRY_JOIN {
                    let message = format!("The hub cannot be joined, trying again: {said}");
                    self.outbox.push([Event::Trouble(message)]);
                }
                self.retry_after = RETRY_JOIN;
                false
            }
        }
    }

    /// Of a hub that several share: takes what is due to this worker, and tells what others are to have.
    pub fn balance(&mut self) {
        if self.lost {
            return;
        }
        let gone = ProviderErrorKind::LostOwnership;
        if self.outcast {
            let error = ProviderError::new(gone, "join the hub", "this worker has lost its place");
            self.join_again(&error);
        } else if self.epoch.is_some() {
            match self.provider.balance() {
                Ok(Some(balanced)) => self.tell_balance(balanced),
                Err(error) if error.kind == gone => {
                    self.ousted(Vec::new(), &error);
                }
                // Whatever keeps it from being read keeps work from being written, which is told of.
                Ok(None) | Err(_) => {}
            }
        }
        if self.clock_seen.is_none_or(|seen| seen.elapsed() >= CLOCK) {
            // The next look tries again.
            let _ = self.follow_clock();
        }
    }

    fn tell_balance(&mut self, balanced: Balanced) {
        let Balanced { gained, arrivals, give, others, taken } = balanced;
        if self.elsewhere != others.orchestrators {
            self.elsewhere.clone_from(&others.orchestrators);
            self.settings = self.with_elsewhere();
        }
        self.outbox.push([Event::Surveyed(others, taken)]);
        let gained = (!gained.is_empty()).then_some(Event::Gained(gained, arrivals));
        let give = (give > 0).then_some(Event::Give(give));
        self.outbox.push(gained.into_iter().chain(give));
    }

    pub(super) fn with_elsewhere(&self) -> HubSettings {
        let mut settings = self.own.clone();
        settings.orchestrators.extend(self.elsewhere.iter().cloned());
        settings
    }

    /// Whether other workers could take over what this one has.
    pub fn has_company(&mut self) -> bool {
        // Where it cannot be asked, nothing could be handed over either.
        self.provider.has_company().unwrap_or(false)
    }

    /// JavaScript does not answer, or does again: meanwhile this process does not become a worker.
    pub fn rests(&mut self, resting: bool) {
        self.resting = resting;
    }

    /// Writes what nobody has asked for.
    pub fn write_own(&mut self, work: Vec<Work>) {
        self.queue.extend(work.into_iter().map(|work| (Ticket::Nobody, work)));
        while self.write_some() {}
    }

    /// Gives all up that this worker has, after this last work: others take over at once. It joins again
    /// when it no longer rests. For `blamed` see [`crate::provider::Provider::hand_over`].
    pub fn hand_over(&mut self, last: Vec<Work>, blamed: bool) {
        self.write_own(last);
        if !self.queue.is_empty() || self.epoch.is_none() {
            return;
        }
        // Where the server does not hear it, the lease runs out.
        let _ = self.provider.hand_over(blamed);
        self.epoch = None;
        self.era += 1;
        self.outcast = true;
        self.outbox.push([Event::Ousted]);
    }

    /// This process will end soon: others are to have what it gives.
    pub fn leave(&mut self) {
        if let Err(error) = self.provider.leave() {
            self.outbox.push([Event::Trouble(format!("Leaving the hub: {error}"))]);
        }
    }

    /// Begins to hear what other processes tell.
    pub fn listen(&mut self, listener: Listener) -> Option<Arc<Hints>> {
        self.hints = self.provider.listen(listener);
        self.hints.clone()
    }

    /// Goes by the clock of the server, if there is one.
    ///
    /// # Errors
    /// The server does not say.
    pub fn follow_clock(&mut self) -> Result<(), ProviderError> {
        let (asked_ms, asked) = (clock::now_ms(), clock::instant());
        if let Some(server_ms) = self.provider.server_ms()? {
            self.clock.follow(server_ms, asked_ms, asked.elapsed());
        }
        self.clock_seen = Some(clock::instant());
        Ok(())
    }

    /// What time it is for the hub.
    #[must_use]
    pub fn now_ms(&self) -> TimeMs {
        self.clock.now_ms()
    }

    /// Whether it has lost its place as a worker for good.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether it has lost its place as a worker and tries to get one.
    #[must_use]
    pub fn is_outcast(&self) -> bool {
        self.outcast
    }
}

/// What is left of work after this worker has lost its place: what callers asked for.
pub(super) fn still_wanted((ticket, work): (Ticket, Work)) -> Option<(Ticket, Work)> {
    match ticket {
        Ticket::Dispatcher | Ticket::Nobody => outlives_worker(work).map(|work| (ticket, work)),
        Ticket::Request(_) | Ticket::Requests => Some((ticket, work)),
    }
}
