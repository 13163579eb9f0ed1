//! What other processes wrote.
//!
//! Owns: the greatest keys seen, and what stands above them that this connection did not write.
//! Keys are never used again and a transaction of ours looks before it writes, so nothing is missed
//! and nothing is reported twice. Must never: say what is to be done with it.
//! Proved by `tests/provider_sqlite.rs`.

use rusqlite::Row;

use crate::core::message::{Delivery, Message};
use crate::core::status::RuntimeStatus;
use crate::core::{InstanceKey, MessageKey};
use crate::provider::{Arrivals, Result};

use super::statement::{Sql, column};

pub(super) const DATA_VERSION: &str = "PRAGMA data_version";
pub(super) const GREATEST_KEYS: &str = "SELECT name, seq FROM sqlite_sequence";
pub(super) const ALL_READY: &str = "SELECT iid FROM instances WHERE ready = 1 ORDER BY iid";
pub(super) const NEW_READY: &str =
    "SELECT iid FROM instances WHERE iid > ?1 AND ready = 1 ORDER BY iid";
pub(super) const NEW_MESSAGES: &str =
    "SELECT mid, iid, exec, body FROM messages WHERE mid > ?1 AND taken = 1 ORDER BY mid";
pub(super) const HELD: &str =
    "SELECT iid FROM instances WHERE status = ?1 AND problem IS NOT NULL ORDER BY iid";

/// The greatest keys of instances and messages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Newest {
    pub(super) iid: InstanceKey,
    pub(super) mid: MessageKey,
}

impl Newest {
    fn raise(&mut self, other: Self) {
        self.iid = self.iid.max(other.iid);
        self.mid = self.mid.max(other.mid);
    }
}

/// The watch over what others write.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// `None` until the first look.
    seen: Option<Newest>,
    /// The connection's `data_version` at the last look: another one's commit changes it.
    version: Option<i64>,
    found: Arrivals,
}

impl Watch {
    /// What has come since the last call.
    pub(super) fn take(&mut self, sql: Sql<'_>) -> Result<Arrivals> {
        if self.seen.is_none() {
            sql.reading(|sql| self.begin(sql))?;
        } else if self.version != Some(data_version(sql)?) {
            sql.reading(|sql| self.look(sql, data_version(sql)?))?;
        }
        Ok(std::mem::take(&mut self.found))
    }

    /// What transactions have found since then, without another look.
    pub(super) fn found(&mut self) -> Arrivals {
        std::mem::take(&mut self.found)
    }

    /// Called in each transaction that writes, before it does, with the `data_version`: what stands
    /// above the greatest keys now is not ours.
    pub(super) fn before_work(&mut self, sql: Sql<'_>, version: i64) -> Result<()> {
        self.look(sql, version)
    }

    /// Called after each commit, with the greatest keys that it gave.
    pub(super) fn after_commit(&mut self, newest: Newest) {
        if let Some(seen) = &mut self.seen {
            seen.raise(newest);
        }
    }

    /// The connection is another one: its `data_version` says nothing of the last look.
    pub(super) fn reconnected(&mut self) {
        self.version = None;
    }

    fn begin(&mut self, sql: Sql<'_>) -> Result<()> {
        let version = data_version(sql)?;
        self.found = Arrivals {
            ready: sql.all("read ready instances", ALL_READY, [], |row| column(row, 0))?,
            messages: sql.all("read messages", NEW_MESSAGES, [0], delivery)?,
            held: sql.all(
                "read held instances",
                HELD,
                [RuntimeStatus::Suspended.number()],
                |row| column(row, 0),
            )?,
            ..Arrivals::default()
        };
        self.seen = Some(greatest_keys(sql)?);
        self.version = Some(version);
        Ok(())
    }

    /// Runs in a transaction, so that version, rows and greatest keys are of one state.
    fn look(&mut self, sql: Sql<'_>, version: i64) -> Result<()> {
        let new = self.version != Some(version);
        let Some(mut seen) = self.seen.filter(|_| new) else { return Ok(()) };
        let ready: Vec<InstanceKey> =
            sql.all("read new instances", NEW_READY, [seen.iid], |row| column(row, 0))?;
        let messages = sql.all("read new messages", NEW_MESSAGES, [seen.mid], delivery)?;
        seen.raise(greatest_keys(sql)?);
        self.found.ready.extend(ready);
        self.found.messages.extend(messages);
        self.seen = Some(seen);
        self.version = Some(version);
        Ok(())
    }
}

/// Changes when another connection commits, and never by commits of this one.
pub(super) fn data_version(sql: Sql<'_>) -> Result<i64> {
    let version = sql.one("read the data version", DATA_VERSION, [], |row| column(row, 0))?;
    Ok(version.unwrap_or_default())
}

fn greatest_keys(sql: Sql<'_>) -> Result<Newest> {
    let mut newest = Newest::default();
    sql.each("read the greatest keys", GREATEST_KEYS, [], |row| {
        let (table, key): (String, i64) = (column(row, 0)?, column(row, 1)?);
        match table.as_str() {
            "instances" => newest.iid = key,
            "messages" => newest.mid = key,
            _ => {}
        }
        Ok(true)
    })?;
    Ok(newest)
}

/// A message that cannot be read arrives as a change of its instance: whoever loads that finds the
/// row and what is wrong with it, and no other instance is kept from its messages.
fn delivery(row: &Row<'_>) -> Result<(InstanceKey, Delivery)> {
    let key: MessageKey = column(row, 0)?;
    let body: Vec<u8> = column(row, 3)?;
    let delivery = match Message::decode(&body) {
        Ok(message) => Delivery { key: Some(key), exec: column(row, 2)?, message },
        Err(_) => Delivery { key: None, exec: None, message: Message::Changed },
    };
    Ok((column(row, 1)?, delivery))
}
