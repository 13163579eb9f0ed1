//! Questions to a hub in SQLite.
//!
//! Owns: `Reader`, for whatever has a connection. Each answer is of one committed state.
//! Must never: write. Proved by `tests/conformance.rs` and `tests/provider_sqlite.rs`.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, params};

use crate::core::instance::InstanceRow;
use crate::core::request::Filter;
use crate::core::{InstanceKey, TimeMs};
use crate::provider::HistoryPlace;
use crate::provider::rows::NewMessage;
use crate::provider::snapshot::Lines;
use crate::provider::{
    Listing, Loaded, Page, ProviderError, ProviderErrorKind, Purgeable, Reader, Result, Rows,
    Snapshot, StoreStats, StoredMessage, TimerRow,
};

use super::columns::{self, Unreadable, row_columns};
use super::connection::{self, Purpose};
use super::entities;
use super::files::{HubFiles, file_failed, private_file};
use super::history::{self, History};
use super::listing;
use super::rows::{ROW, SqliteRows};
use super::statement::{Sql, column, failed};
use super::tidying::EXECUTION;

const SIZES: &str = "SELECT p.page_count * s.page_size, f.freelist_count * s.page_size \
    FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s";
pub(super) const FIND: &str = concat!("SELECT ", row_columns!(), " FROM instances WHERE id = ?1");
pub(super) const MESSAGES: &str = "SELECT mid, exec, body FROM messages \
    WHERE iid = ?1 AND taken = 1 AND (exec IS NULL OR exec = ?2) ORDER BY mid";
pub(super) const READY_FROM: &str =
    "SELECT iid FROM instances WHERE iid >= ?1 AND ready = 1 ORDER BY iid LIMIT ?2";
pub(super) const TIMERS_DUE: &str = "SELECT fire_at, iid, task FROM timers WHERE fire_at <= ?1 \
    AND (fire_at, iid, task) > (?2, ?3, ?4) ORDER BY fire_at, iid, task LIMIT ?5";

/// What has a connection to a hub.
pub(super) trait Source: Send {
    /// The connection, made anew if it was lost.
    fn connection(&mut self) -> Result<&Connection>;
    /// Where the hub is; `None` if in memory.
    fn files(&self) -> Option<&HubFiles>;
}

impl<S: Source> Reader for S {
    fn is_there(&mut self) -> Result<()> {
        self.files().map_or(Ok(()), |files| files.names.look())
    }

    fn find(&mut self, id: &str) -> Result<Option<InstanceRow>> {
        let sql = Sql(self.connection()?);
        sql.one("find an instance", FIND, [id], |row| columns::instance(row, Unreadable::Refuse))
    }

    fn load(&mut self, key: InstanceKey) -> Result<Option<Loaded>> {
        Sql(self.connection()?).reading(|sql| {
            let operation = "load an instance";
            let row =
                sql.one(operation, ROW, [key], |row| columns::instance(row, Unreadable::Refuse))?;
            let Some(row) = row else { return Ok(None) };
            let exec = row.head.exec;
            let of_this = params![key, exec];
            let History { bodies: history, last_turn } = history::read(sql, key, exec)?;
            let messages = sql.all(operation, MESSAGES, of_this, |row| {
                let (key, exec, body) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
                Ok(StoredMessage { key, exec, body })
            })?;
            Ok(Some(Loaded { row, history, last_turn, messages, away: Vec::new() }))
        })
    }

    fn history_after(
        &mut self,
        key: InstanceKey,
        after: HistoryPlace,
        bytes: usize,
    ) -> Result<Vec<(HistoryPlace, Vec<u8>)>> {
        Sql(self.connection()?).reading(|sql| {
            let exec = sql.one("read history", EXECUTION, [key], |row| column(row, 0))?;
            match exec {
                None => Ok(Vec::new()),
                Some(exec) => history::read_after(sql, key, exec, after, bytes),
            }
        })
    }

    fn list(&mut self, filter: &Filter, page: &Page) -> Result<Listing> {
        Sql(self.connection()?).reading(|sql| listing::list(sql, filter, page))
    }

    fn count(&mut self, filter: &Filter) -> Result<u64> {
        Sql(self.connection()?).reading(|sql| listing::count(sql, filter))
    }

    fn purgeable(
        &mut self,
        filter: &Filter,
        completed_before: Option<TimeMs>,
        page: &Page,
    ) -> Result<Purgeable> {
        let sql = Sql(self.connection()?);
        sql.reading(|sql| listing::purgeable(sql, filter, completed_before, page))
    }

    fn ready(&mut self, from: InstanceKey, limit: usize) -> Result<Vec<InstanceKey>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let params = params![from, limit];
        Sql(self.connection()?)
            .all("read ready instances", READY_FROM, params, |row| column(row, 0))
    }

    fn timers_after(
        &mut self,
        after: TimerRow,
        until: TimeMs,
        limit: usize,
    ) -> Result<Vec<TimerRow>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let range = params![until, after.fire_at, after.key, after.task, limit];
        Sql(self.connection()?).all("read timers", TIMERS_DUE, range, |row| {
            Ok(TimerRow { fire_at: column(row, 0)?, key: column(row, 1)?, task: column(row, 2)? })
        })
    }

    fn stats(&mut self) -> Result<StoreStats> {
        let row = |row: &rusqlite::Row<'_>| Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?));
        let sizes = Sql(self.connection()?).one("read the hub's size", SIZES, [], row)?;
        let (bytes, free) = sizes.unwrap_or_default();
        let free_bytes = Some(free.unsigned_abs());
        Ok(StoreStats { bytes: bytes.unsigned_abs(), free_bytes, tables: Vec::new() })
    }

    fn backup(&mut self, file: &Path) -> Result<()> {
        let operation = "copy the hub";
        let Some(text) = file.to_str() else {
            let cause = format!("{} is not a path in UTF-8", file.display());
            return Err(ProviderError::new(ProviderErrorKind::Invalid, operation, cause));
        };
        // SQLite fills a file that is there and empty, and nobody else is to read it.
        let copied = private_file()
            .create_new(true)
            .open(file)
            .map_err(|error| file_failed(operation, file, &error))?;
        let done = match self.files() {
            Some(files) => {
                connection::connect(files, Purpose::Copy).and_then(|conn| copy(&conn, text))
            }
            None => copy(self.connection()?, text),
        };
        let done = done
            .and_then(|()| copied.sync_all().map_err(|error| file_failed(operation, file, &error)));
        if done.is_err() {
            // Half a copy must not pass for one.
            let _ = std::fs::remove_file(file);
        }
        done
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Sql(self.connection()?).reading(snapshot)
    }
}

fn copy(conn: &Connection, file: &str) -> Result<()> {
    conn.execute("VACUUM INTO ?1", [file])
        .map(|_| ())
        .map_err(|error| failed("copy the hub", &error))
}

fn snapshot(sql: Sql<'_>) -> Result<Snapshot> {
    let operation = "read the whole hub";
    let mut lines = Lines::default();
    lines.settings(&SqliteRows::new(sql).settings()?);

    let text = concat!("SELECT ", row_columns!(), " FROM instances");
    let instances =
        sql.all(operation, text, [], |row| columns::instance(row, Unreadable::Refuse))?;
    let entities = sql.all(operation, entities::ALL, [], entities::entity)?;
    let ids: HashMap<InstanceKey, &str> = instances
        .iter()
        .map(|row| (row.head.key, row.head.id.as_str()))
        .chain(entities.iter().map(|row| (row.head.key, row.id.as_str())))
        .collect();
    let id = |key: InstanceKey| ids.get(&key).copied().unwrap_or("(gone)");
    for row in &instances {
        let parent = row.head.parent.map(|link| id(link.key));
        lines.instance(row, parent);
    }
    for row in &entities {
        lines.entity(row, row.head.lock.map(|lock| id(lock.key)));
    }

    let mut places: HashMap<InstanceKey, usize> = HashMap::new();
    let mut place = |key: InstanceKey| {
        let next = places.entry(key).or_default();
        *next += 1;
        *next
    };
    for row in &instances {
        let (key, exec) = (row.head.key, row.head.exec);
        for body in history::read(sql, key, exec)?.bodies {
            lines.history(id(key), place(key), exec, &body);
        }
    }
    let text = "SELECT iid, exec, event, taken, body FROM messages ORDER BY mid";
    sql.each(operation, text, [], |row| {
        let message = NewMessage {
            key: column(row, 0)?,
            exec: column(row, 1)?,
            event: column(row, 2)?,
            taken: column(row, 3)?,
            body: column(row, 4)?,
        };
        lines.message(id(message.key), place(message.key), &message);
        Ok(true)
    })?;
    sql.each(operation, "SELECT iid, event, open FROM waits", [], |row| {
        let event: String = column(row, 1)?;
        lines.wait(id(column(row, 0)?), &event, column(row, 2)?);
        Ok(true)
    })?;
    sql.each(operation, "SELECT iid, task, fire_at FROM timers", [], |row| {
        lines.timer(id(column(row, 0)?), column(row, 1)?, column(row, 2)?);
        Ok(true)
    })?;
    Ok(lines.finish())
}
