//! Where a hub is, and connections to it.
//!
//! Owns: opening it, a connection in place of one that was lost, whose turn it is to write, and the second
//! connection, for reading. Must never: decide what becomes of a hub that is no longer there.
//! Proved by `tests/provider_sqlite.rs`.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::arrivals::data_version;
use super::connection::{self, Purpose};
use super::files::{HubFiles, WaitingLine};
use super::query::Source;
use super::statement::{Sql, Transaction, failed};

/// How often a hub is opened that is another file after that. In an overlay of file systems it is one: it is
/// copied to the upper one when it is first opened to be written.
const SETTLE_TRIES: u32 = 3;

/// Where a hub is, and how one gets to write it.
pub(super) struct Place {
    pub(super) files: HubFiles,
    pub(super) line: WaitingLine,
}

/// Opens a hub, and makes it if there is none.
pub(super) fn open(path: &Path, purpose: Purpose) -> Result<(Connection, Place)> {
    let mut files = HubFiles::prepare(path)?;
    for _ in 0..SETTLE_TRIES {
        let before = files.names.hub_id()?;
        let conn = connection::connect(&files, purpose).map_err(|error| files.explain(error))?;
        let line = files.line()?;
        connection::prepare_tables(&conn, &files, &line)?;
        if files.names.are_open(before)? {
            return Ok((conn, Place { files, line }));
        }
    }
    let cause = format!("{} is replaced again and again", files.hub.display());
    Err(ProviderError::new(ProviderErrorKind::Transient, "open the hub", cause))
}

/// A second connection, for reading.
pub(super) struct SqliteReader {
    pub(super) conn: Connection,
    pub(super) files: HubFiles,
}

impl Source for SqliteReader {
    fn connection(&mut self) -> Result<&Connection> {
        Ok(&self.conn)
    }

    fn files(&self) -> Option<&HubFiles> {
        Some(&self.files)
    }
}

/// The connection in `slot`, made anew if it was lost: the hub is open, so what keeps it from that passes.
pub(super) fn connected<'c>(
    slot: &'c mut Option<Connection>,
    place: Option<&Place>,
    relaxed: bool,
    owner: bool,
) -> Result<&'c Connection> {
    match (slot, place) {
        (Some(conn), _) => Ok(conn),
        (slot, Some(place)) => {
            let conn = connection::connect(&place.files, Purpose::writing(relaxed))
                .map_err(ProviderError::once_open)?;
            may_checkpoint(&conn, owner)?;
            Ok(slot.insert(conn))
        }
        (None, None) => {
            let cause = "a hub in memory is gone with its connection";
            Err(ProviderError::new(ProviderErrorKind::Permanent, "connect", cause))
        }
    }
}

/// Whether closing the connection, if it is the last one, copies the log into the hub's file.
pub(super) fn may_checkpoint(conn: &Connection, may: bool) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !may)
        .map(|_| ())
        .map_err(|error| failed("configure SQLite", &error))
}

/// Begins to write when it is this connection's turn.
pub(super) fn begin<'c>(
    sql: Sql<'c>,
    place: Option<&Place>,
    last_turn: Option<i64>,
) -> Result<Transaction<'c>> {
    let Some(Place { line, .. }) = place else { return Transaction::immediate(sql) };
    if let Some(version) = last_turn {
        line.stand_back(|| Ok(data_version(sql)? != version))?;
    }
    let _waiting = line.wait()?;
    Transaction::immediate(sql)
}

/// Begins to write, unless another process writes or wants to.
pub(super) fn begin_at_once<'c>(
    sql: Sql<'c>,
    place: Option<&Place>,
) -> Result<Option<Transaction<'c>>> {
    if place.is_some_and(|place| place.line.someone_waits()) {
        return Ok(None);
    }
    match connection::without_patience(|| Transaction::immediate(sql)) {
        Ok(transaction) => Ok(Some(transaction)),
        Err(error) if error.kind == ProviderErrorKind::Transient => Ok(None),
        Err(error) => Err(error),
    }
}
