//! Hubs in SQLite: one file, one worker, any number of clients.
//!
//! Owns: transactions, the ownership of a hub, and what happens when a connection is lost.
//! Must never: decide what a turn or a command changes. Proved by `tests/provider_sqlite.rs`,
//! `tests/conformance.rs` and `tests/differential.rs`.
//!
//! ```text
//! files       lock files: who the worker is, which clients wait     connection  tables and pragmas
//! rows        statements of a transaction                           query       Reader
//! arrivals    what other processes wrote                            listing     filters and pages
//! checkpoint  the size of the log                                   statement   rusqlite's errors
//! entities    their rows, questions about them                      history     where a row of it stands
//! place       opening, connections in place of lost ones            names       whether the files are still there
//! ```
//!
//! Whoever wants to write stands in line (`files::WaitingLine`) until SQLite gives it the lock. Who has
//! written looks at the line before it writes again, and stands back until someone has had a turn. So
//! neither a busy worker keeps clients out, nor busy clients the worker.

mod arrivals;
mod checkpoint;
mod columns;
mod connection;
mod entities;
mod files;
mod history;
mod listing;
mod names;
mod place;
#[cfg(test)]
mod plans;
mod query;
mod rows;
mod statement;
mod tidying;

use std::path::PathBuf;

use rusqlite::Connection;

use crate::core::partition::Shares;
use crate::core::request::HubSettings;
use crate::provider::{
    Arrivals, Epoch, Ownership, Provider, ProviderError, ProviderErrorKind, Reader, Result, Rows,
    Synced,
};

use arrivals::{Newest, Watch, data_version};
use checkpoint::{Log, checkpoint};
use connection::Purpose;
use files::{HubFiles, WorkerLock};
use names::Names;
use place::{Place, SqliteReader, begin, begin_at_once, connected, may_checkpoint};
use query::Source;
use rows::SqliteRows;
use statement::{Sql, column};

const EPOCH: &str = "SELECT epoch FROM hub";
const TAKE: &str = "UPDATE hub SET epoch = epoch + 1, owner = ?1 RETURNING hub_id, epoch";
const OWNER: &str = "SELECT owner FROM hub";
const NAME: &str = "SELECT hub_name FROM hub";
const PUT_NAME: &str = "UPDATE hub SET hub_name = ?1 WHERE hub_name IS NULL";

/// Commits between two looks whether the hub is there, where commits are not synced: some 1 ms.
const RELAXED_LOOK: u32 = 16;

/// How a hub is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; `None` for a hub in memory, which no other connection can reach.
    pub path: Option<PathBuf>,
    /// The hub's name, which it keeps. A hub with another name is refused.
    pub hub_name: Option<String>,
    /// Commits are not synced one by one: a power failure may take the last of them, and nothing else.
    pub relaxed: bool,
    /// What the hub is opened for.
    pub role: Role,
}

/// What a hub is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To run its instances, after [`Provider::acquire`].
    Worker,
    /// To send requests and to read.
    Client,
}

/// A hub in SQLite, as its one writing thread sees it.
pub struct SqliteProvider {
    // Before `owned`: the log is copied when the last connection is closed, while the hub is ours.
    conn: Option<Connection>,
    /// `None` for a hub in memory.
    place: Option<Place>,
    relaxed: bool,
    role: Role,
    owned: Option<Owned>,
    watch: Watch,
    log: Log,
    /// There may be something to tidy, see `Rows::tidy`.
    untidy: bool,
    /// The connection's `data_version` in its last transaction.
    last_turn: Option<i64>,
    /// Set while a commit runs, and after one that failed.
    in_doubt: bool,
    /// Commits since the last look whether the hub is there.
    unlooked: u32,
    /// The hub's files were removed, or others stand in their places.
    gone: Option<ProviderError>,
}

/// Whether a transaction waits for other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Wait,
    None,
}

/// What a worker has of a hub.
struct Owned {
    epoch: Epoch,
    _lock: Option<WorkerLock>,
}

impl SqliteProvider {
    /// Opens a hub, and makes it if there is none.
    pub fn open(options: &SqliteOptions) -> Result<Self> {
        let mut provider = Self {
            conn: None,
            place: None,
            relaxed: options.relaxed,
            role: options.role,
            owned: None,
            watch: Watch::default(),
            log: Log::default(),
            untidy: true,
            last_turn: None,
            in_doubt: false,
            unlooked: 0,
            gone: None,
        };
        if let Some(path) = &options.path {
            let (conn, place) = place::open(path, Purpose::writing(options.relaxed))?;
            provider.place = Some(place);
            provider.conn = Some(conn);
        } else {
            provider.conn = Some(connection::connect_in_memory()?);
        }
        if let Some(name) = &options.hub_name {
            provider.check_name(name)?;
        }
        Ok(provider)
    }

    /// A hub that was made without a name takes the first that it is given.
    fn check_name(&mut self, name: &str) -> Result<()> {
        let operation = "open the hub";
        let sql = Sql(self.connection()?);
        let read = || sql.one(operation, NAME, [], |row| column::<Option<String>>(row, 0));
        if read()?.flatten().is_none() {
            sql.run(operation, PUT_NAME, [name])?;
        }
        let stored = read()?.flatten().unwrap_or_default();
        if stored == name {
            return Ok(());
        }
        let cause = format!("the hub's name is '{stored}', not '{name}'");
        Err(ProviderError::new(ProviderErrorKind::Invalid, operation, cause))
    }

    /// Runs `work` in a transaction and gives the greatest keys that it gave. `None` if it would have
    /// had to wait, and was not to.
    fn write(
        &mut self,
        fenced: bool,
        patience: Patience,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<Option<Newest>> {
        let owned = self.owned.as_ref();
        let conn = connected(&mut self.conn, self.place.as_ref(), self.relaxed, owned.is_some())?;
        let sql = Sql(conn);
        let transaction = match patience {
            Patience::Wait => begin(sql, self.place.as_ref(), self.last_turn)?,
            Patience::None => match begin_at_once(sql, self.place.as_ref())? {
                Some(transaction) => transaction,
                None => return Ok(None),
            },
        };
        let version = data_version(sql)?;
        self.last_turn = Some(version);
        if let Some(owned) = owned.filter(|_| fenced) {
            let epoch = sql.one("check the ownership", EPOCH, [], |row| column(row, 0))?;
            if epoch != Some(owned.epoch) {
                return Err(lost("another worker has taken it"));
            }
        }
        self.watch.before_work(sql, version)?;
        let mut rows = SqliteRows::new(sql);
        work(&mut rows)?;
        self.in_doubt = true;
        transaction.commit("commit")?;
        self.in_doubt = false;
        self.untidy |= rows.tidies;
        Ok(Some(rows.newest))
    }

    fn run(
        &mut self,
        fence: Option<Epoch>,
        patience: Patience,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<Option<()>> {
        if let Some(gone) = &self.gone {
            return Err(gone.clone());
        }
        let epoch = self.owned.as_ref().map(|owned| owned.epoch);
        if fence.is_some() && fence != epoch {
            return Err(lost("this process does not have it"));
        }
        let written = self.write(fence.is_some(), patience, work);
        // Before anyone is told of it. What failed may have failed for that reason.
        self.unlooked += 1;
        let looked = if self.relaxed && written.is_ok() && self.unlooked < RELAXED_LOOK {
            Ok(None)
        } else {
            self.unlooked = 0;
            self.look(Names::look_at_hub)
        };
        let doubt = self.drop_doubtful_connection();
        looked?;
        let newest = match written {
            Ok(Some(newest)) => newest,
            Ok(None) => return Ok(None),
            // A disk that is full takes no part of a commit.
            Err(error) if doubt && error.kind != ProviderErrorKind::Full => {
                self.owned = None;
                return Err(lost(&format!("a commit is in doubt: {}", error.message)));
            }
            Err(error) => return Err(error),
        };
        self.watch.after_commit(newest);
        self.log.committed();
        Ok(Some(()))
    }

    /// Whether the hub is still where it was opened. Once it was not it never is again: what was written
    /// meanwhile may be in another file. `None` for a hub in memory.
    fn look<T>(&mut self, ask: impl FnOnce(&Names) -> Result<T>) -> Result<Option<T>> {
        if let Some(gone) = &self.gone {
            return Err(gone.clone());
        }
        let found = self.place.as_ref().map(|place| ask(&place.files.names)).transpose();
        if let Err(gone) = &found {
            self.gone = Some(gone.clone());
            if let Some(conn) = &self.conn {
                // What is removed at the last close is found by its name, and may be another hub's by now.
                may_checkpoint(conn, false)?;
            }
        }
        found
    }

    /// Removes a piece of what is no longer part of anything, unless another process wants to write.
    fn tidy(&mut self) -> Result<()> {
        let epoch = self.owned.as_ref().map(|owned| owned.epoch);
        if self.untidy {
            let mut more = false;
            let ran = self.run(epoch, Patience::None, &mut |rows| {
                more = rows.tidy()?;
                Ok(())
            })?;
            self.untidy = more || ran.is_none();
        }
        Ok(())
    }

    /// After a commit that failed, what the connection holds of the file may not be what is in it.
    /// A client keeps its connection: as the last one, it would leave the log with the failed commit
    /// to whoever opens the hub next, while its next commit overwrites that one.
    ///
    /// Gives whether the commit of a worker is in doubt. What it holds in memory may then not be what is
    /// stored, and what the system holds of the file may not be what is on the disk.
    fn drop_doubtful_connection(&mut self) -> bool {
        let doubt = self.in_doubt && self.place.is_some() && self.owned.is_some();
        if doubt {
            self.conn = None;
            if let Some(place) = &mut self.place {
                place.files.names.closed();
            }
            self.last_turn = None;
            self.watch.reconnected();
        }
        self.in_doubt = false;
        doubt
    }
}

impl Provider for SqliteProvider {
    fn transaction(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<()> {
        self.run(fence, Patience::Wait, work).map(|_| ())
    }

    fn at_once(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<Option<()>> {
        self.run(fence, Patience::None, work)
    }

    fn acquire(&mut self, settings: &HubSettings) -> Result<Ownership> {
        let operation = "take the hub";
        if self.role == Role::Client {
            let cause = "it was opened as a client";
            return Err(ProviderError::new(ProviderErrorKind::Invalid, operation, cause));
        }
        self.owned = None;
        let conn = connected(&mut self.conn, self.place.as_ref(), self.relaxed, false)?;
        let sql = Sql(conn);
        if let Some(place) = &self.place
            && !place.files.fall_free()?
        {
            return Err(in_use(sql));
        }
        // The lock is taken inside the transaction that tells of its owner: whoever sees the lock and
        // asks for the settings waits for them.
        let transaction = begin(sql, self.place.as_ref(), None)?;
        let lock = match &self.place {
            Some(place) => Some(place.files.take()?.ok_or_else(|| in_use(sql))?),
            None => None,
        };
        let owner = format!("process {}", std::process::id());
        let taken = sql.one(operation, TAKE, [owner], |row| {
            Ok((column::<String>(row, 0)?, column(row, 1)?))
        })?;
        SqliteRows::new(sql).put_settings(settings)?;
        transaction.commit(operation)?;
        let (hub_id, epoch) = taken.ok_or_else(|| {
            ProviderError::new(ProviderErrorKind::Corrupt, operation, "the hub has no row")
        })?;
        may_checkpoint(conn, lock.is_some())?;
        if lock.is_some() && !self.relaxed {
            let transaction = begin(sql, self.place.as_ref(), None)?;
            let lengthened = checkpoint::lengthen(sql);
            drop(transaction);
            if lengthened.is_err() {
                // There is no room for it now; what was taken of it is given back.
                checkpoint::shorten(sql);
            }
        }
        self.owned = Some(Owned { epoch, _lock: lock });
        self.log.committed();
        Ok(Ownership { hub_id, epoch, shares: Shares::WHOLE })
    }

    fn release(&mut self) -> Result<()> {
        let Some(owned) = self.owned.take() else { return Ok(()) };
        // The log may stay as it is: whoever opens the hub next reads it.
        let copied = self.connection().and_then(|conn| checkpoint(Sql(conn)));
        drop(owned);
        copied
    }

    fn worker_lives(&mut self) -> Result<bool> {
        // To ask makes a lock file, which is not to stand where the hub no longer is.
        self.look(Names::look)?;
        match &self.place {
            Some(place) if self.owned.is_none() => place.files.worker_lives(),
            _ => Ok(self.owned.is_some()),
        }
    }

    fn arrivals(&mut self) -> Result<Arrivals> {
        self.look(Names::look)?;
        let owner = self.owned.is_some();
        let conn = connected(&mut self.conn, self.place.as_ref(), self.relaxed, owner)?;
        self.watch.take(Sql(conn))
    }

    fn arrivals_found(&mut self) -> Option<Arrivals> {
        Some(self.watch.found())
    }

    fn maintain(&mut self, idle: bool) -> Result<()> {
        // Whoever looks or writes next says that the files are gone.
        let Ok(Some(log_bytes)) = self.look(Names::look_at_log) else { return Ok(()) };
        if !self.log.is_due(log_bytes, idle) {
            return Ok(());
        }
        let worker = self.owned.is_some();
        let conn = connected(&mut self.conn, self.place.as_ref(), self.relaxed, worker)?;
        self.log.maintain(Sql(conn), worker, idle)?;
        // What that writes is a reason to come by here again.
        if worker { self.tidy() } else { Ok(()) }
    }

    fn reader(&self) -> Result<Option<Box<dyn Reader>>> {
        let Some(place) = &self.place else { return Ok(None) };
        let conn = connection::connect(&place.files, Purpose::Read)?;
        Ok(Some(Box::new(SqliteReader { conn, files: place.files.clone() })))
    }

    fn hub_name(&mut self) -> Result<Option<String>> {
        let sql = Sql(self.connection()?);
        Ok(sql.one("read the hub's name", NAME, [], |row| column(row, 0))?.flatten())
    }

    fn durability(&mut self) -> Result<Synced> {
        let operation = "read what is synced";
        let of = |settings: &str| Synced { settings: settings.to_owned(), ..Synced::default() };
        if self.place.is_none() {
            return Ok(of("in memory"));
        }
        let sql = Sql(self.connection()?);
        let level = sql.one(operation, "PRAGMA synchronous", [], |row| column::<i64>(row, 0))?;
        Ok(match level {
            Some(1) => of("NORMAL"),
            Some(2) => of("FULL"),
            level => of(&format!("{level:?}")),
        })
    }
}

impl Source for SqliteProvider {
    fn connection(&mut self) -> Result<&Connection> {
        connected(&mut self.conn, self.place.as_ref(), self.relaxed, self.owned.is_some())
    }

    fn files(&self) -> Option<&HubFiles> {
        self.place.as_ref().map(|place| &place.files)
    }
}

fn in_use(sql: Sql<'_>) -> ProviderError {
    let operation = "take the hub";
    let owner = sql.one(operation, OWNER, [], |row| column::<Option<String>>(row, 0));
    let owner = owner.ok().flatten().flatten().unwrap_or_else(|| "a process".to_owned());
    let cause = format!("another worker has it: {owner}");
    ProviderError::new(ProviderErrorKind::HubInUse, operation, cause)
}

fn lost(cause: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::LostOwnership, "commit to the hub", cause)
}
