//! Hubs in PostgreSQL: one schema a hub, any number of clients.
//!
//! Owns: transactions, the lease of a worker, and what becomes of a commit whose answer was lost.
//! Must never: decide what a turn or a command changes, or take a commit for done or not done without
//! having asked. Proved by `tests/provider_postgres.rs`, `tests/conformance.rs` and
//! `tests/differential.rs`.
//!
//! ```text
//! session   a connection: statements, several at once      schema   tables, versions, the hub's row
//! rows      what a transaction knows and reads             batch    what it writes
//! query     Reader                                         listing  filters and pages
//! arrivals  what other processes wrote
//! ```
//!
//! A worker has a row in `workers`, which each of its commits writes. Another worker takes the hub only
//! after it has removed that row, when the lease in it has run out by the clock of the server. So a commit
//! and an ouster of its worker exclude each other, and no clock is trusted for more than when to try.

mod arrivals;
mod batch;
mod columns;
mod entities;
mod listing;
#[cfg(test)]
mod plans;
mod query;
mod rows;
mod schema;
mod session;

use std::time::{Duration, Instant};

use tokio_postgres::Row;

use crate::provider::transaction::{Foresight, Work};
use crate::provider::{
    Arrivals, Epoch, Ownership, Provider, ProviderError, ProviderErrorKind, Reader, Result, Rows,
};

use arrivals::Watch;
use columns::column;
use query::Source;
use rows::PostgresRows;
use session::{Ask, Place, Session, Trouble};

const BEGIN: &str = "BEGIN";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
const FENCE: &str = "UPDATE hub.workers \
    SET lease_until = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE epoch = $1 \
    RETURNING pg_current_xact_id()::text";
const NUMBER: &str = "SELECT pg_current_xact_id()::text";
const FATE: &str = "SELECT pg_xact_status($1::text::xid8)";
const LOCK_HUB: &str = "SELECT hub_id, last_epoch FROM hub.hub FOR UPDATE";
const LIVING: &str = "SELECT owner, epoch, \
    (extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint \
    FROM hub.workers WHERE lease_until > clock_timestamp()";
const OUST: &str = "DELETE FROM hub.workers WHERE lease_until <= clock_timestamp()";
const JOIN: &str = "INSERT INTO hub.workers (epoch, owner, lease_until) \
    VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 millisecond')";
const COUNT_EPOCH: &str = "UPDATE hub.hub SET last_epoch = $1";
const TAKE_PARTS: &str = "UPDATE hub.parts SET epoch = $1";
const LEAVE: &str = "DELETE FROM hub.workers WHERE epoch = $1";
const DURABILITY: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync')";

/// Tries of a transaction that meets others.
const TRIES: usize = 10;
/// How long is waited for the fate of a commit whose answer was lost.
const DOUBT: Duration = Duration::from_secs(30);
/// How often it is looked whether a worker that has the hub is alive.
const LOOK: Duration = Duration::from_millis(250);
/// A lease that ends so much later than before has been lengthened.
const SLACK: Duration = Duration::from_millis(100);
const TAKING: &str = "take the hub";
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
    /// How long a worker that is silent keeps the hub, in milliseconds.
    pub lease_ms: i64,
}

/// A hub in PostgreSQL, as its one writing thread sees it.
pub struct PostgresProvider {
    place: Place,
    session: Option<Session>,
    lease_ms: i64,
    facts: schema::Facts,
    epoch: Option<Epoch>,
    /// When the lease was last lengthened.
    renewed: Instant,
    watch: Watch,
    foresight: Foresight,
}

impl PostgresProvider {
    /// Opens a hub, and makes it if there is none.
    pub fn open(options: &PostgresOptions) -> Result<Self> {
        let schema = schema::name(options.hub_name.as_deref())?;
        let place = Place::parse(&options.url, &schema, options.relaxed)?;
        let mut session = Session::connect(&place)?;
        let facts = schema::prepare(&mut session, &place, options.hub_name.as_deref())?;
        Ok(Self {
            place,
            session: Some(session),
            lease_ms: options.lease_ms,
            facts,
            epoch: None,
            renewed: session::instant(),
            watch: Watch::default(),
            foresight: Foresight::default(),
        })
    }

    /// One try of a transaction. `Err(None)`: it met another one, and nothing was written.
    fn attempt(
        &mut self,
        fenced: bool,
        foresight: &Foresight,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> std::result::Result<(), Option<ProviderError>> {
        let (partitions, lease_ms) = (self.facts.partitions, self.lease_ms);
        let epoch = self.epoch.filter(|_| fenced);
        let rings = self.epoch.is_none();
        let session = self.connection().map_err(Some)?;
        session.take_trouble();
        let mut rows = PostgresRows::new(session, partitions, rings);
        let number = match epoch {
            Some(epoch) => Ask::new(FENCE).with(epoch).with(lease_ms),
            None => Ask::new(NUMBER),
        };
        let begun = rows.begin(vec![Ask::new(BEGIN), number], foresight);
        let begun = begun.and_then(|answers| transaction_number(&answers));
        let number = match begun {
            Ok(Some(number)) => number,
            Ok(None) => {
                self.roll_back();
                self.epoch = None;
                return Err(Some(lost("another worker has taken it")));
            }
            Err(error) => return Err(self.undo(error)),
        };
        if let Err(error) = work(&mut rows) {
            return Err(self.undo(error));
        }
        match rows.send(Some(Ask::new(COMMIT))) {
            Ok(()) => {
                if fenced {
                    self.renewed = session::instant();
                }
                Ok(())
            }
            Err(error) => self.ask_fate(&number, error),
        }
    }

    /// After a failure before the commit was sent: nothing is written.
    fn undo(&mut self, error: ProviderError) -> Option<ProviderError> {
        let trouble = self.session.as_mut().and_then(Session::take_trouble);
        self.roll_back();
        match trouble {
            Some(Trouble::Conflict) => None,
            _ => Some(error),
        }
    }

    fn roll_back(&mut self) {
        let Some(session) = &mut self.session else { return };
        let rolled_back = session.rows("roll back", Ask::new(ROLLBACK));
        if rolled_back.is_err() || session.is_lost() {
            self.session = None;
        }
    }

    /// After a commit that was sent and failed, or whose answer did not come.
    fn ask_fate(
        &mut self,
        number: &str,
        error: ProviderError,
    ) -> std::result::Result<(), Option<ProviderError>> {
        let trouble = self.session.as_mut().and_then(Session::take_trouble);
        match trouble {
            Some(Trouble::Lost) => {}
            trouble => {
                self.roll_back();
                let conflict = trouble == Some(Trouble::Conflict);
                return Err((!conflict).then_some(error));
            }
        }
        self.session = None;
        let asked = session::instant();
        let mut pause = Duration::from_millis(20);
        while asked.elapsed() < DOUBT {
            let fate = self.connection().and_then(|session| {
                let rows = session.rows(COMMITTING, Ask::new(FATE).with(number))?;
                rows.first().map_or(Ok(None), |row| column::<Option<String>>(row, 0))
            });
            match fate.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Ok(()),
                Ok(Some("aborted")) => return Err(Some(error)),
                // The server has not noticed yet that the connection is gone, or it is not there.
                Ok(Some("in progress")) => {}
                Ok(_) => break,
                Err(_) => self.session = None,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        // Whether it is written is not known: a worker must not go on from what it believes.
        self.epoch = None;
        Err(Some(lost(&format!("a commit is in doubt: {}", error.message))))
    }

    fn lengthen_lease(&mut self) -> Result<()> {
        let Some(epoch) = self.epoch else { return Ok(()) };
        let lease_ms = self.lease_ms;
        let rows = self
            .connection()?
            .rows("lengthen the lease", Ask::new(FENCE).with(epoch).with(lease_ms))?;
        if rows.is_empty() {
            self.epoch = None;
            return Err(lost("another worker has taken it"));
        }
        self.renewed = session::instant();
        Ok(())
    }

    /// Takes the hub if nobody has it; else says who does.
    fn take(&mut self) -> Result<std::result::Result<Ownership, Holder>> {
        let operation = TAKING;
        let lease_ms = self.lease_ms;
        let session = self.connection()?;
        let found =
            session.all(operation, &[Ask::new(BEGIN), Ask::new(LOCK_HUB), Ask::new(LIVING)])?;
        let [_, hub, living] = &found[..] else { return Err(no_row(operation)) };
        if let Some(row) = living.first() {
            let holder = Holder::read(row)?;
            session.rows(operation, Ask::new(ROLLBACK))?;
            return Ok(Err(holder));
        }
        let row = hub.first().ok_or_else(|| no_row(operation))?;
        let (hub_id, last): (String, Epoch) = (column(row, 0)?, column(row, 1)?);
        let epoch = last + 1;
        let owner = format!("process {}", std::process::id());
        session.all(
            operation,
            &[
                Ask::new(OUST),
                Ask::new(JOIN).with(epoch).with(owner).with(lease_ms),
                Ask::new(COUNT_EPOCH).with(epoch),
                Ask::new(TAKE_PARTS).with(epoch),
                Ask::new(COMMIT),
            ],
        )?;
        Ok(Ok(Ownership { hub_id, epoch }))
    }

    /// Takes the hub, once the lease of a worker that is silent has run out.
    fn take_in_time(&mut self) -> Result<Ownership> {
        let mut silent: Option<Holder> = None;
        loop {
            let holder = match self.take()? {
                Ok(ownership) => return Ok(ownership),
                Err(holder) => holder,
            };
            // A lease that ends later than it did has been lengthened meanwhile.
            let ends = session::instant() + holder.lease_left;
            let lives = silent
                .as_ref()
                .is_some_and(|seen| seen.epoch != holder.epoch || ends > seen.ends + SLACK);
            if lives {
                let cause = format!("another worker has it: {}", holder.owner);
                return Err(ProviderError::new(ProviderErrorKind::HubInUse, TAKING, cause));
            }
            std::thread::sleep(holder.lease_left.min(LOOK));
            silent = silent.or(Some(holder));
        }
    }
}

/// Who has the hub.
struct Holder {
    owner: String,
    epoch: Epoch,
    lease_left: Duration,
    /// When the lease ends, by the clock of this process.
    ends: Instant,
}

impl Holder {
    fn read(row: &Row) -> Result<Self> {
        let left: i64 = column(row, 2)?;
        let lease_left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
        Ok(Self {
            owner: column(row, 0)?,
            epoch: column(row, 1)?,
            lease_left,
            ends: session::instant() + lease_left,
        })
    }
}

impl Provider for PostgresProvider {
    fn transaction(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<()> {
        let foresight = std::mem::take(&mut self.foresight);
        if fence.is_some() && fence != self.epoch {
            return Err(lost("this process does not have it"));
        }
        for _ in 0..TRIES {
            match self.attempt(fence.is_some(), &foresight, work) {
                Ok(()) => return Ok(()),
                Err(Some(error)) => return Err(error),
                Err(None) => {}
            }
        }
        let cause = "it met other transactions each time";
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

    fn acquire(&mut self) -> Result<Ownership> {
        self.epoch = None;
        let taken = self.take_in_time();
        if taken.is_err() {
            self.roll_back();
        }
        let ownership = taken?;
        self.epoch = Some(ownership.epoch);
        self.renewed = session::instant();
        self.watch = Watch::default();
        Ok(ownership)
    }

    fn release(&mut self) -> Result<()> {
        let Some(epoch) = self.epoch.take() else { return Ok(()) };
        self.connection()?.rows("leave the hub", Ask::new(LEAVE).with(epoch)).map(|_| ())
    }

    fn worker_lives(&mut self) -> Result<bool> {
        if self.epoch.is_some() {
            return Ok(true);
        }
        let rows = self.connection()?.rows("look for a worker", Ask::new(LIVING))?;
        Ok(!rows.is_empty())
    }

    fn arrivals(&mut self) -> Result<Arrivals> {
        let session = connected(&mut self.session, &self.place)?;
        self.watch.take(session)
    }

    fn maintain(&mut self, _idle: bool) -> Result<()> {
        let third = u64::try_from(self.lease_ms / 3).unwrap_or_default();
        if self.epoch.is_some() && self.renewed.elapsed() >= Duration::from_millis(third) {
            self.lengthen_lease()?;
        }
        Ok(())
    }

    fn reader(&self) -> Result<Option<Box<dyn Reader>>> {
        let session = Session::connect(&self.place)?;
        Ok(Some(Box::new(PostgresReader { place: self.place.clone(), session: Some(session) })))
    }

    fn hub_name(&mut self) -> Result<Option<String>> {
        Ok(self.facts.hub_name.clone())
    }

    fn durability(&mut self) -> Result<String> {
        let rows = self.connection()?.rows("read what is synced", Ask::new(DURABILITY))?;
        let row = rows.first().ok_or_else(|| no_row("read what is synced"))?;
        let (commit, sync): (String, String) = (column(row, 0)?, column(row, 1)?);
        Ok(format!("synchronous_commit={commit}, fsync={sync}"))
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

/// The session in `slot`, made anew if it was lost.
fn connected<'s>(slot: &'s mut Option<Session>, place: &Place) -> Result<&'s mut Session> {
    if slot.as_ref().is_some_and(Session::is_lost) {
        *slot = None;
    }
    match slot {
        Some(session) => Ok(session),
        slot => Ok(slot.insert(Session::connect(place)?)),
    }
}

/// By what number the server knows the transaction; `None` if it is fenced off.
fn transaction_number(answers: &[Vec<Row>]) -> Result<Option<String>> {
    let row = answers.get(1).and_then(|rows| rows.first());
    row.map(|row| column(row, 0)).transpose()
}

fn lost(cause: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::LostOwnership, COMMITTING, cause)
}

fn no_row(operation: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Corrupt, operation, "the hub has no row")
}
