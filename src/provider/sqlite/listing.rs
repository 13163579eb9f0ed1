//! Listings, counts and purges: instances that pass a filter.
//!
//! Owns: which index answers which filter. Without a prefix a filter is some ranges of one index, one
//! for each status, and a page is the merge of their beginnings. With a prefix it is a range of ids,
//! whose rows are then compared with the rest of the filter, a bounded number of them for a page.
//! Must never: read a payload of a row that is not on the page. Proved by `tests/provider_sqlite.rs`.

use rusqlite::types::Value;
use rusqlite::{Row, params};

use crate::core::instance::InstanceRow;
use crate::core::request::Filter;
use crate::core::status::RuntimeStatus;
use crate::core::{InstanceKey, Payload, TimeMs, limits};
use crate::provider::page::{self, Looked, Position, Sieve};
use crate::provider::{Listing, Page, Purgeable, Result};

use super::columns::{self, Unreadable};
use super::rows::ROW;
use super::statement::{Sql, column, corrupt};

/// Bytes of payloads after which a page is returned short.
const PAGE_BYTES: usize = 32 * 1024 * 1024;

/// The statements on one listing index: `$equal` says what stands before the time in it, with ?1 for
/// the name (of no use without one) and ?2 for the status.
macro_rules! by_index {
    ($equal:literal, $index:literal) => {
        ByIndex {
            keys_at: concat!(
                "SELECT scheduled_ms, iid FROM instances WHERE ",
                $equal,
                " AND scheduled_ms = ?3 AND iid > ?4 ORDER BY iid LIMIT ?5"
            ),
            keys_after: concat!(
                "SELECT scheduled_ms, iid FROM instances WHERE ",
                $equal,
                " AND scheduled_ms > ?3 AND scheduled_ms <= ?4 \
                  ORDER BY scheduled_ms, iid LIMIT ?5"
            ),
            count: concat!(
                "SELECT count(*) FROM instances WHERE ",
                $equal,
                " AND scheduled_ms BETWEEN ?3 AND ?4"
            ),
            ended_at: concat!(
                "SELECT scheduled_ms, iid, completed_ms FROM instances INDEXED BY ",
                $index,
                " WHERE ",
                $equal,
                " AND scheduled_ms = ?3 AND iid > ?4 ORDER BY iid LIMIT ?5"
            ),
            ended_after: concat!(
                "SELECT scheduled_ms, iid, completed_ms FROM instances INDEXED BY ",
                $index,
                " WHERE ",
                $equal,
                " AND scheduled_ms > ?3 AND scheduled_ms <= ?4 \
                  ORDER BY scheduled_ms, iid LIMIT ?5"
            ),
        }
    };
}

pub(super) struct ByIndex {
    /// Keys of one time, after a key. (SQLite does not search an index by a pair that ends in the
    /// row's key, so a page that begins within a time is two searches.)
    pub(super) keys_at: &'static str,
    /// Keys of later times, up to one.
    pub(super) keys_after: &'static str,
    pub(super) count: &'static str,
    /// The same with the times at which they ended, which no index has: so the index is named.
    pub(super) ended_at: &'static str,
    pub(super) ended_after: &'static str,
}

pub(super) const BY_STATUS: ByIndex =
    by_index!("?1 IS NULL AND status = ?2", "instances_by_status");
pub(super) const BY_NAME: ByIndex =
    by_index!("name_folded = ?1 AND status = ?2", "instances_by_name");

impl ByIndex {
    fn of(sieve: &Sieve) -> Self {
        if sieve.name.is_some() { BY_NAME } else { BY_STATUS }
    }
}

pub(super) const IDS_IN_RANGE: &str =
    "SELECT id, iid FROM instances WHERE id >= ?1 AND id < ?2 ORDER BY id";
pub(super) const ROWS_IN_RANGE: &str = "SELECT id, iid, name_folded, status, scheduled_ms, \
    completed_ms FROM instances WHERE id >= ?1 AND id < ?2 ORDER BY id";
pub(super) const COUNT_IDS_IN_RANGE: &str =
    "SELECT count(*) FROM instances WHERE id >= ?1 AND id < ?2";

/// A place in the order of the schedule.
type Key = (TimeMs, InstanceKey);

/// See `Reader::list`.
pub(super) fn list(sql: Sql<'_>, filter: &Filter, page: &Page) -> Result<Listing> {
    let sieve = Sieve::of(filter);
    let position = Position::of(page, &sieve)?;
    let size = page::size(page);
    let found = match (&sieve.prefix, position) {
        (Some(prefix), Some(Position::Id(id))) => by_id(sql, &sieve, prefix, Some(&id), size)?,
        (Some(prefix), _) => by_id(sql, &sieve, prefix, None, size)?,
        (None, Some(Position::Schedule(time, key))) => {
            by_schedule(sql, &sieve, Some((time, key)), size)?
        }
        (None, _) => by_schedule(sql, &sieve, None, size)?,
    };
    read_page(sql, found, size)
}

/// See `Reader::count`.
pub(super) fn count(sql: Sql<'_>, filter: &Filter) -> Result<u64> {
    let sieve = Sieve::of(filter);
    let mut count = 0;
    if let Some(prefix) = &sieve.prefix {
        let (first, end) = ids_from(prefix, None);
        if sieve.is_prefix_only() {
            count = total(sql, COUNT_IDS_IN_RANGE, params![first, end])?;
        } else {
            sql.each("count instances", ROWS_IN_RANGE, params![first, end], |row| {
                count += u64::from(Candidate::read(row)?.passes(&sieve));
                Ok(true)
            })?;
        }
        return Ok(count);
    }
    let text = ByIndex::of(&sieve).count;
    for status in &sieve.statuses {
        let range = params![sieve.name, status.number(), sieve.from, sieve.to];
        count += total(sql, text, range)?;
    }
    Ok(count)
}

/// See `Reader::purgeable`.
pub(super) fn purgeable(
    sql: Sql<'_>,
    filter: &Filter,
    completed_before: Option<TimeMs>,
    page: &Page,
) -> Result<Purgeable> {
    let sieve = Sieve::of_ended(filter, completed_before);
    let (before, top) = (completed_before.unwrap_or(TimeMs::MAX), page::size(page));
    let operation = "read ended instances";
    let position = Position::of(page, &sieve)?;
    if let Some(prefix) = &sieve.prefix {
        let after = position.and_then(Position::id);
        let (first, end) = ids_from(prefix, after.as_deref());
        let (mut found, mut looked_at) = (Purgeable::default(), 0);
        sql.each(operation, ROWS_IN_RANGE, params![first, end], |row| {
            let candidate = Candidate::read(row)?;
            looked_at += 1;
            if candidate.completed_ms.is_some_and(|time| time < before) && candidate.passes(&sieve)
            {
                found.keys.push(candidate.key);
            }
            found.cursor = (looked_at == top).then(|| Position::Id(candidate.id).encode());
            Ok(looked_at < top)
        })?;
        return Ok(found);
    }
    let index = ByIndex::of(&sieve);
    let after = position.and_then(Position::schedule);
    let looked =
        |row: &Row<'_>| Ok(Looked { place: read_key(row)?, completed_ms: column(row, 2)? });
    let mut ranges = Vec::new();
    for status in sieve.statuses.iter().map(|status| status.number()) {
        let (at, time) = from_place(&sieve, after);
        if let Some((time, key)) = at {
            let range = params![sieve.name, status, time, key, sql_limit(top)];
            ranges.push(sql.all(operation, index.ended_at, range, looked)?);
        }
        let range = params![sieve.name, status, time, sieve.to, sql_limit(top)];
        ranges.push(sql.all(operation, index.ended_after, range, looked)?);
    }
    Ok(page::purgeable(&ranges, before, top))
}

/// Where a reading goes on: within a time, if it is one of the filter's, and after a time.
fn from_place(sieve: &Sieve, after: Option<Key>) -> (Option<Key>, TimeMs) {
    let at = after.filter(|(time, _)| (sieve.from..=sieve.to).contains(time));
    let before_first = sieve.from.saturating_sub(1);
    (at, after.map_or(before_first, |(time, _)| time.max(before_first)))
}

/// Keys of rows that pass, up to one more than the page takes, each with its place; and the place up
/// to which was looked, if that was not to the end.
struct Found {
    keys: Vec<(Position, InstanceKey)>,
    looked_to: Option<Position>,
}

/// The first rows of each range, merged.
fn by_schedule(sql: Sql<'_>, sieve: &Sieve, after: Option<Key>, size: usize) -> Result<Found> {
    let operation = "list instances";
    let index = ByIndex::of(sieve);
    let limit = sql_limit(size + 1);
    let (at, time) = from_place(sieve, after);
    let mut keys: Vec<Key> = Vec::new();
    for status in sieve.statuses.iter().map(|status| status.number()) {
        if let Some((time, key)) = at {
            let range = params![sieve.name, status, time, key, limit];
            keys.extend(sql.all(operation, index.keys_at, range, read_key)?);
        }
        let range = params![sieve.name, status, time, sieve.to, limit];
        keys.extend(sql.all(operation, index.keys_after, range, read_key)?);
    }
    keys.sort_unstable();
    keys.truncate(size + 1);
    let place = |(time, key)| (Position::Schedule(time, key), key);
    Ok(Found { keys: keys.into_iter().map(place).collect(), looked_to: None })
}

/// The rows of a range of ids that pass, looking at a bounded number of them.
fn by_id(
    sql: Sql<'_>,
    sieve: &Sieve,
    prefix: &str,
    after: Option<&str>,
    size: usize,
) -> Result<Found> {
    let (first, end) = ids_from(prefix, after);
    let range = params![first, end];
    let mut found = Found { keys: Vec::new(), looked_to: None };
    let operation = "list instances";
    if sieve.is_prefix_only() {
        sql.each(operation, IDS_IN_RANGE, range, |row| {
            found.keys.push((Position::Id(column(row, 0)?), column(row, 1)?));
            Ok(found.keys.len() <= size)
        })?;
        return Ok(found);
    }
    let mut looked_at = 0;
    sql.each(operation, ROWS_IN_RANGE, range, |row| {
        let candidate = Candidate::read(row)?;
        if looked_at == limits::PAGE_SCAN_ROWS {
            return Ok(false);
        }
        looked_at += 1;
        let passes = candidate.passes(sieve);
        let place = Position::Id(candidate.id);
        found.looked_to = (looked_at == limits::PAGE_SCAN_ROWS).then(|| place.clone());
        if passes {
            found.keys.push((place, candidate.key));
        }
        Ok(found.keys.len() <= size)
    })?;
    Ok(found)
}

/// Reads the rows of a page. The next one begins after the last row, or, if all that passed are on
/// this page, where the looking stopped.
fn read_page(sql: Sql<'_>, found: Found, size: usize) -> Result<Listing> {
    let Found { keys, looked_to } = found;
    let more = keys.len() > size;
    let on_page = keys.len().min(size);
    let mut rows = Vec::with_capacity(on_page);
    let mut bytes = 0;
    for (place, key) in keys.into_iter().take(size) {
        let row =
            sql.one("list instances", ROW, [key], |row| columns::instance(row, Unreadable::Mark))?;
        bytes += row.as_ref().map_or(0, payload_bytes);
        rows.extend(row);
        let last = rows.len() == on_page;
        if bytes > PAGE_BYTES && !last || more && last {
            return Ok(Listing { rows, cursor: Some(place.encode()) });
        }
    }
    Ok(Listing { rows, cursor: looked_to.map(|place| place.encode()) })
}

fn payload_bytes(row: &InstanceRow) -> usize {
    let payloads = [&row.input, &row.output, &row.failure, &row.custom_status, &row.problem];
    payloads.into_iter().flatten().map(|payload: &Payload| payload.get().len()).sum()
}

/// What a filter compares of a row in a range of ids.
struct Candidate {
    id: String,
    key: InstanceKey,
    folded: String,
    status: RuntimeStatus,
    scheduled_ms: TimeMs,
    completed_ms: Option<TimeMs>,
}

impl Candidate {
    fn read(row: &Row<'_>) -> Result<Self> {
        let id: String = column(row, 0)?;
        let status = column(row, 3)?;
        Ok(Self {
            key: column(row, 1)?,
            folded: column(row, 2)?,
            status: RuntimeStatus::from_number(status)
                .ok_or_else(|| corrupt(&id, format!("{status} is not the number of a status")))?,
            scheduled_ms: column(row, 4)?,
            completed_ms: column(row, 5)?,
            id,
        })
    }

    fn passes(&self, sieve: &Sieve) -> bool {
        sieve.passes(&self.folded, self.status, self.scheduled_ms)
    }
}

/// The first id that may come, and the end of the ids with the prefix. Where there is no end a BLOB
/// stands for it: SQLite puts every text before every BLOB.
pub(super) fn ids_from(prefix: &str, after: Option<&str>) -> (String, Value) {
    // No id holds a NUL, so the text that follows an id at once is the id and a NUL.
    let first = after.map_or_else(|| prefix.to_owned(), |id| format!("{id}\0"));
    let end = page::after_prefix(prefix).map_or(Value::Blob(Vec::new()), Value::Text);
    (first, end)
}

fn read_key(row: &Row<'_>) -> Result<Key> {
    Ok((column(row, 0)?, column(row, 1)?))
}

fn total(sql: Sql<'_>, text: &str, params: &[&dyn rusqlite::ToSql]) -> Result<u64> {
    let count: Option<i64> = sql.one("count instances", text, params, |row| column(row, 0))?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
