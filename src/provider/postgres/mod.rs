//! Hubs in PostgreSQL: one schema a hub, any number of workers and clients.
//!
//! Owns: transactions, and what becomes of a commit whose answer was lost.
//! Must never: decide what a turn or a command changes, or take a commit for done or not done without
//! having asked. Proved by `tests/provider_postgres.rs`, `tests/conformance.rs` and
//! `tests/differential.rs`.
//!
//! ```text
//! tls       which certificates are trusted
//! place     the URL, connecting                            ask      a statement and its values
//! attempt   one try of a transaction
//! session   a connection: statements, several at once      schema   tables, versions, the hub's row
//! failure   what a code of the server means
//! rows      what a transaction reads (`known`, `history`)   batch    what it writes
//! query     Reader                                         listing  filters and pages
//! arrivals  what other processes wrote                    membership  who has which partitions
//! limits    what each transaction sets for itself          synced   what of it is said at the open
//! tasks     activities that any worker may run               locks    the one order in which rows are locked
//! doubt     commits whose answer was lost                  departed  which workers have died
//! hints     word that there is something to look at       listener    the connection for it
//! ```

mod arrivals;
mod ask;
mod attempt;
mod batch;
mod columns;
mod departed;
mod doubt;
mod entities;
mod failure;
pub(super) mod hints;
mod history;
mod known;
mod limits;
mod listener;
mod listing;
mod locks;
mod membership;
mod place;
#[cfg(test)]
mod plans;
mod query;
mod rows;
mod schema;
mod session;
mod synced;
mod tasks;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use crate::core::TimeMs;
use crate::core::partition::{Parts, Shares};
use crate::core::request::HubSettings;
use crate::core::task::Served;
use crate::provider::transaction::{Foresight, Work};
use crate::provider::{
    Arrivals, Balanced, Epoch, Ownership, Provider, ProviderError, ProviderErrorKind, Reader,
    Result, Rows, Synced,
};

use arrivals::Watch;
use attempt::Stopped;
use hints::{Hints, Listener, Message};
use limits::CommitSync;
use membership::Membership;
use query::Source;
use session::{Place, Session, Trouble};
use tasks::ServedNames;

const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// Tries of a transaction that meets others, or loses its connection before it is committed.
const TRIES: usize = 10;
const COMMITTING: &str = "commit to the hub";

/// How a hub is opened.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The URL of the database.
    pub url: String,
    /// The hub's name, which it keeps, and which is part of that of its schema.
    pub hub_name: Option<String>,
    /// The server does not sync each commit before it answers: if it dies, the last of them may be lost.
    pub relaxed: bool,
    /// How long a worker that is silent keeps what it has, in milliseconds.
    pub lease_ms: i64,
    /// The URL of the same database without a pooler between, to hear what other processes tell.
    pub listen_url: Option<String>,
    /// Only what PostgreSQL has in common with servers that speak its protocol.
    pub distributed: bool,
}

/// A hub in PostgreSQL, as its one writing thread sees it.
pub struct PostgresProvider {
    place: Place,
    session: Option<Session>,
    lease_ms: i64,
    facts: schema::Facts,
    membership: Option<Membership>,
    /// A membership that was lost, and whose row may still be there.
    former: Option<Epoch>,
    watch: Watch,
    foresight: Foresight,
    /// Where to hear what other processes tell.
    ear: Place,
    hints: Option<Arc<Hints>>,
}

impl PostgresProvider {
    /// Opens a hub, and makes it if there is none.
    pub fn open(options: &PostgresOptions) -> Result<Self> {
        let schema = schema::name(options.hub_name.as_deref())?;
        let mut place = Place::parse(&options.url, &schema, CommitSync::of(options.relaxed))?;
        if options.distributed {
            place = place.distribute();
        }
        let ear = match &options.listen_url {
            Some(url) => Place::parse(url, &schema, CommitSync::Full)?,
            None => place.clone(),
        };
        let mut session = Session::connect(&place)?;
        let facts = schema::prepare(&mut session, &place, options.hub_name.as_deref())?;
        Ok(Self {
            place,
            session: Some(session),
            lease_ms: options.lease_ms,
            facts,
            membership: None,
            former: None,
            watch: Watch::default(),
            foresight: Foresight::default(),
            ear,
            hints: None,
        })
    }

    /// What was written is to be looked at by others.
    fn tell(&self, written: &Message) {
        if let Some(hints) = &self.hints {
            hints.tell(written);
        }
    }

    /// Bells of these partitions are for this worker. One that it has given rings in vain.
    fn say_what_is_mine(&self) {
        if let (Some(hints), Some(member)) = (&self.hints, &self.membership) {
            hints.own(member.mine);
        }
    }

    /// This process is no worker of the hub any more.
    fn lose(&mut self) {
        self.former = self.membership.take().map(|member| member.epoch).or(self.former);
    }

    fn lengthen_lease(&mut self) -> Result<()> {
        let Some(member) = self.membership.as_mut().filter(|member| member.is_silent()) else {
            return Ok(());
        };
        let session = connected(&mut self.session, &self.place)?;
        departed::mark(session, member.epoch)?;
        let rows = session.rows("lengthen the lease", member.fence())?;
        let checked = member.check(&rows);
        if checked.is_ok() {
            member.committed();
        } else {
            self.lose();
        }
        checked.map(|_| ())
    }

    fn join(&mut self, settings: &HubSettings) -> Result<Ownership> {
        self.lose();
        let session = connected(&mut self.session, &self.place)?;
        if let Some(former) = self.former {
            departed::returned(session, former)?;
            membership::leave(session, former)?;
            self.former = None;
        }
        let (mut member, hub_id) =
            Membership::join(session, self.lease_ms, self.place.sync, settings)?;
        // Should it come no further, nobody waits for its lease to run out.
        self.former = Some(member.epoch);
        departed::mark(session, member.epoch)?;
        let balanced = member.balance(session)?;
        self.watch = Watch::of(ServedNames::of(&settings.activities));
        self.watch.add(balanced.gained);
        member.untold = Parts::NONE;
        let shares = Shares { partitions: self.facts.partitions, parts: member.mine };
        let epoch = member.epoch;
        (self.membership, self.former) = (Some(member), None);
        self.say_what_is_mine();
        self.tell(&Message::CALL);
        Ok(Ownership { hub_id, epoch, shares })
    }
}

impl Provider for PostgresProvider {
    fn transaction(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<()> {
        let mut foresight = std::mem::take(&mut self.foresight);
        let epoch = self.membership.as_ref().map(|member| member.epoch);
        if fence.is_some() && fence != epoch {
            return Err(membership::lost("this process does not have it"));
        }
        let mut said = String::new();
        let mut tries = 0;
        while tries < TRIES {
            match self.attempt(fence.is_some(), &mut foresight, work) {
                Ok(()) => return Ok(()),
                Err(Stopped::For(error)) => return Err(error),
                // That comes to an end by itself.
                Err(Stopped::Locking) => {}
                Err(Stopped::Again(error)) => {
                    said = error.message;
                    tries += 1;
                }
                Err(Stopped::Foreseeing) => {
                    foresight = Foresight::default();
                    tries += 1;
                }
            }
        }
        let cause = format!(
            "{TRIES} times it met other transactions, or lost the connection; at last: {said}"
        );
        Err(ProviderError::new(ProviderErrorKind::Transient, COMMITTING, cause))
    }

    fn foresee(&mut self, work: &mut dyn Iterator<Item = &Work>) {
        self.foresight = Foresight::of(work);
    }

    /// A server is never so near that nobody has to wait.
    fn at_once(
        &mut self,
        _fence: Option<Epoch>,
        _work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<Option<()>> {
        Ok(None)
    }

    fn acquire(&mut self, settings: &HubSettings) -> Result<Ownership> {
        let mut tries = 0;
        loop {
            let joined = self.join(settings);
            let Err(error) = joined else { return joined };
            let trouble = self.session.as_mut().and_then(Session::take_trouble);
            self.roll_back();
            tries += 1;
            if trouble != Some(Trouble::Conflict) || tries == TRIES {
                return Err(error);
            }
        }
    }

    fn join_again(&mut self, settings: &HubSettings) -> Result<Option<Ownership>> {
        self.acquire(settings).map(Some)
    }

    fn balance(&mut self) -> Result<Option<Balanced>> {
        let Some(member) = &mut self.membership else {
            return Err(membership::lost("this process does not have it"));
        };
        if !member.is_due() {
            return Ok(None);
        }
        let session = connected(&mut self.session, &self.place)?;
        let balanced = member.balance(session);
        if let Err(error) = &balanced
            && error.kind == ProviderErrorKind::LostOwnership
        {
            self.lose();
        }
        let mut balanced = balanced?;
        self.say_what_is_mine();
        if !balanced.gained.is_empty() {
            let session = connected(&mut self.session, &self.place)?;
            balanced.arrivals = self.watch.all(session, balanced.gained)?;
            if let Some(member) = &mut self.membership {
                balanced.arrivals.spared = member.spared;
                member.untold = Parts::NONE;
            }
        }
        Ok(Some(balanced))
    }

    fn serve(&mut self, activities: &[Served]) {
        self.watch.served = ServedNames::of(activities);
    }

    fn leave(&mut self) -> Result<()> {
        let Some(member) = &mut self.membership else { return Ok(()) };
        let session = connected(&mut self.session, &self.place)?;
        member.called();
        membership::say_leaving(session, member.epoch)?;
        self.tell(&Message::CALL);
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        let Some(member) = self.membership.take() else { return Ok(()) };
        membership::leave(self.connection()?, member.epoch)?;
        self.tell(&Message::CALL);
        Ok(())
    }

    fn hand_over(&mut self, blamed: bool) -> Result<()> {
        if !blamed {
            return self.release();
        }
        self.lose();
        let Some(epoch) = self.former else { return Ok(()) };
        membership::vanish(self.connection()?, epoch)?;
        self.former = None;
        self.tell(&Message::CALL);
        Ok(())
    }

    fn has_company(&mut self) -> Result<bool> {
        let Some(epoch) = self.membership.as_ref().map(|member| member.epoch) else {
            return Ok(false);
        };
        membership::others_live(self.connection()?, epoch)
    }

    fn worker_lives(&mut self) -> Result<bool> {
        if self.membership.is_some() {
            return Ok(true);
        }
        membership::anyone_lives(self.connection()?)
    }

    fn server_ms(&mut self) -> Result<Option<TimeMs>> {
        membership::server_ms(self.connection()?)
    }

    fn arrivals(&mut self) -> Result<Arrivals> {
        // Who is no worker has no bells.
        let Some(member) = &self.membership else { return Ok(Arrivals::default()) };
        let session = connected(&mut self.session, &self.place)?;
        let mut arrivals = self.watch.take(session, member)?;
        arrivals.spared = member.spared;
        if let Some(member) = self.membership.as_mut().filter(|_| self.watch.take_called()) {
            member.called();
        }
        Ok(arrivals)
    }

    fn maintain(&mut self, _idle: bool) -> Result<()> {
        self.lengthen_lease()
    }

    fn listen(&mut self, listener: Listener) -> Option<Arc<Hints>> {
        if self.place.distributed {
            return None;
        }
        let hints = Hints::new(listener);
        let at_once = self.membership.is_some();
        listener::spawn(Arc::clone(&hints), self.ear.for_purpose("hints"), at_once).ok()?;
        self.hints = Some(Arc::clone(&hints));
        self.say_what_is_mine();
        if at_once {
            // It joined before anybody could be told.
            self.tell(&Message::CALL);
        }
        Some(hints)
    }

    fn pause(&self) -> Option<Duration> {
        let hears = self.hints.as_ref().is_some_and(|hints| hints.hears());
        self.membership.as_ref().filter(|_| hears).map(Membership::pause)
    }

    fn reader(&self) -> Result<Option<Box<dyn Reader>>> {
        let session = Session::connect(&self.place)?;
        Ok(Some(Box::new(PostgresReader { place: self.place.clone(), session: Some(session) })))
    }

    fn hub_name(&mut self) -> Result<Option<String>> {
        Ok(self.facts.hub_name.clone())
    }

    fn durability(&mut self) -> Result<Synced> {
        let sync = self.place.sync;
        synced::read(self.connection()?, sync)
    }
}

impl Source for PostgresProvider {
    fn connection(&mut self) -> Result<&mut Session> {
        connected(&mut self.session, &self.place)
    }
}

/// A second connection, for reading.
struct PostgresReader {
    place: Place,
    session: Option<Session>,
}

impl Source for PostgresReader {
    fn connection(&mut self) -> Result<&mut Session> {
        connected(&mut self.session, &self.place)
    }
}

/// The session in `slot`, made anew if it was lost: the hub is open, so what keeps it from that passes.
fn connected<'s>(slot: &'s mut Option<Session>, place: &Place) -> Result<&'s mut Session> {
    if slot.as_ref().is_some_and(Session::is_lost) {
        *slot = None;
    }
    match slot {
        Some(session) => Ok(session),
        slot => {
            let session = Session::connect(place).map_err(ProviderError::once_open)?;
            Ok(slot.insert(session))
        }
    }
}

fn no_row(operation: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Corrupt, operation, "the hub has no row")
}
