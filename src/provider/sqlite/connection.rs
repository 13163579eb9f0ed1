//! Connections to a hub's file: recognising it, making its tables, settings of SQLite.
//!
//! Owns: what file is a hub, which version of its tables, and the pragmas. Must never: change a file
//! before it is known to be a hub. Proved by `tests/provider_sqlite.rs`.

use std::cell::Cell;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::os::{locks, reads};
use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::checkpoint;
use super::files::{HubFiles, WaitingLine};
use super::statement::{Sql, Transaction, column, failed};

/// "dfn1", in the header of each hub.
pub(super) const APPLICATION_ID: i64 = 0x6466_6e31;

/// Each brings the tables from the version of its place to the next one. Once released, none changes.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../../migrations/sqlite/0001_hub.sql"),
    include_str!("../../../migrations/sqlite/0002_history.sql"),
    include_str!("../../../migrations/sqlite/0003_leftovers.sql"),
    include_str!("../../../migrations/sqlite/0004_entities.sql"),
    include_str!("../../../migrations/sqlite/0005_versions.sql"),
    include_str!("../../../migrations/sqlite/0006_turns.sql"),
];

/// Statements kept prepared: all that there are, and some sets of fields of an update.
const CACHED_STATEMENTS: usize = 128;

/// Tries to get a lock before `Transient` is the answer: some 30 s.
const BUSY_TRIES: i32 = 28_000;
/// The first tries come faster: a transaction of the other side takes less than a millisecond.
const EAGER_TRIES: i32 = 20;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To write, durably.
    Write,
    /// To write, at the risk of the last transactions when the power fails.
    WriteRelaxed,
    /// To read.
    Read,
    /// To copy the hub to another file, which SQLite takes for a write.
    Copy,
}

impl Purpose {
    pub(super) fn writing(relaxed: bool) -> Self {
        if relaxed { Self::WriteRelaxed } else { Self::Write }
    }
}

/// Connects to a hub whose file is there.
pub(super) fn connect(files: &HubFiles, purpose: Purpose) -> Result<Connection> {
    let writes = matches!(purpose, Purpose::Write | Purpose::WriteRelaxed);
    let access =
        if writes { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let operation = "open the hub";
    reads::name_refusals();
    files.names.look()?;
    locks::own_by_description();
    let conn = Connection::open_with_flags(&files.hub, flags)
        .and_then(|mut conn| {
            conn.busy_handler(Some(patience()))?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Ok(conn)
        })
        .map_err(|error| failed(operation, &error))?;
    recognise(&conn)?;
    files.names.look()?;
    if writes && conn.is_readonly("main").map_err(|error| failed(operation, &error))? {
        let cause = format!("{} cannot be written to", files.hub.display());
        return Err(ProviderError::new(ProviderErrorKind::ReadOnly, operation, cause));
    }
    configure(&conn, purpose)?;
    Ok(conn)
}

/// Opens a hub in memory, that of this connection alone.
pub(super) fn connect_in_memory() -> Result<Connection> {
    let conn =
        Connection::open_in_memory().map_err(|error| failed("open a hub in memory", &error))?;
    configure(&conn, Purpose::WriteRelaxed)?;
    migrate(&conn, 0)?;
    Ok(conn)
}

/// Makes the tables, or brings them up to date. One process does it at a time, and none while a
/// worker of an older version lives.
pub(super) fn prepare_tables(
    conn: &Connection,
    files: &HubFiles,
    line: &WaitingLine,
) -> Result<()> {
    let operation = "make the hub's tables";
    let version = recognise(conn)?;
    // A copy of a hub has tables but no write-ahead log.
    if version == MIGRATIONS.len() && journal_mode(conn, "PRAGMA journal_mode")? == "wal" {
        return Ok(());
    }
    let _closed = line.close()?;
    if version > 0 && files.worker_lives()? {
        let cause = "a worker of an older version has the hub; stop it first";
        return Err(ProviderError::new(ProviderErrorKind::HubInUse, operation, cause));
    }
    // Takes effect in an empty file alone: free pages can then be given back.
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
        .map_err(|error| failed(operation, &error))?;
    let mode = journal_mode(conn, "PRAGMA journal_mode = WAL")?;
    if mode != "wal" {
        let cause = format!("no write-ahead log on this file system, only mode '{mode}'");
        return Err(ProviderError::new(ProviderErrorKind::Permanent, operation, cause));
    }
    migrate(conn, recognise(conn)?)
}

fn journal_mode(conn: &Connection, sql: &str) -> Result<String> {
    let mode = Sql(conn).one("set the journal mode", sql, [], |row| column(row, 0))?;
    Ok(mode.unwrap_or_default())
}

fn migrate(conn: &Connection, from: usize) -> Result<()> {
    if from == MIGRATIONS.len() {
        return Ok(());
    }
    let operation = "make the hub's tables";
    let transaction = Transaction::immediate(Sql(conn))?;
    let batch = |sql: &str| conn.execute_batch(sql).map_err(|error| failed(operation, &error));
    for migration in &MIGRATIONS[from..] {
        batch(migration)?;
    }
    batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};",
        MIGRATIONS.len()
    ))?;
    transaction.commit(operation)
}

/// The version of a hub's tables, 0 for an empty file.
fn recognise(conn: &Connection) -> Result<usize> {
    let operation = "recognise the hub";
    let refused = |kind, cause: String| Err(ProviderError::new(kind, operation, cause));
    // Of one state: another process may be making the tables right now.
    let found = Sql(conn).reading(|sql| {
        let number = |text: &str| {
            let found: Option<i64> = sql.one(operation, text, [], |row| column(row, 0))?;
            Ok(found.unwrap_or_default())
        };
        Ok([
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ])
    })?;
    let [application, version, tables] = found;
    let known = MIGRATIONS.len();
    match (application, usize::try_from(version)) {
        (APPLICATION_ID, Ok(version)) if version <= known => Ok(version),
        (APPLICATION_ID, _) => refused(
            ProviderErrorKind::TooNew,
            format!(
                "its tables have version {version}; this version of durafn knows them up to \
                 {known}. Update durafn."
            ),
        ),
        (0, Ok(0)) if tables == 0 => Ok(0),
        _ => refused(
            ProviderErrorKind::NotAHub,
            "the file is a database of another program".to_owned(),
        ),
    }
}

fn configure(conn: &Connection, purpose: Purpose) -> Result<()> {
    let operation = "configure SQLite";
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // One plan for all values. Without this, SQLite compiles a statement with a range anew each time
    // that another value is bound, which is a seventh of all the work there is.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(|error| failed(operation, &error))?;
    let synchronous = if purpose == Purpose::WriteRelaxed { "NORMAL" } else { "FULL" };
    let log_bytes = checkpoint::KEPT_BYTES;
    let query_only = if purpose == Purpose::Read { "ON" } else { "OFF" };
    // No memory map: a truncated file would be a signal, not an error. No checkpoint that
    // a commit would wait for: see `checkpoint`.
    let pragmas = format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA query_only = {query_only};
         PRAGMA journal_size_limit = {log_bytes};
         PRAGMA mmap_size = 0;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 0;"
    );
    conn.execute_batch(&pragmas).map_err(|error| failed(operation, &error))
}

thread_local! {
    static TRIES: Cell<i32> = const { Cell::new(BUSY_TRIES) };
}

/// Runs statements that fail at once where they would have to wait for another process.
pub(super) fn without_patience<T>(work: impl FnOnce() -> T) -> T {
    with_tries(0, work)
}

/// Runs statements that try so often to get a lock.
pub(super) fn with_tries<T>(tries: i32, work: impl FnOnce() -> T) -> T {
    TRIES.set(tries);
    let done = work();
    TRIES.set(BUSY_TRIES);
    done
}

/// Waits for a lock that another process has. The jitter keeps two that wait from meeting again.
fn patience() -> impl FnMut(i32) -> bool + Send + 'static {
    |tries| {
        if tries >= TRIES.get() {
            return false;
        }
        let jitter = rand::random_range(0..500);
        let base = if tries < EAGER_TRIES { 100 } else { 800 };
        sleep(Duration::from_micros(base + jitter));
        true
    }
}

#[cfg(all(test, unix, target_pointer_width = "64"))]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_cannot_be_read_says_so_and_nothing_of_a_rollback() {
        let folder = tempfile::tempdir().unwrap();
        let files = HubFiles::prepare(&folder.path().join("hub.db")).unwrap();
        let line = files.line().unwrap();
        prepare_tables(&connect(&files, Purpose::Write).unwrap(), &files, &line).unwrap();
        let conn = Connection::open(&files.hub).unwrap();
        reads::REFUSED.set(true);
        let failed = recognise(&conn).unwrap_err();
        reads::REFUSED.set(false);
        assert_eq!(failed.kind, ProviderErrorKind::Transient);
        assert_eq!(failed.message, "recognise the hub: disk I/O error");
        assert_eq!(recognise(&conn).unwrap(), MIGRATIONS.len());
    }
}
