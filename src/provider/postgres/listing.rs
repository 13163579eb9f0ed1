//! Listings, counts and purges: instances that pass a filter.
//!
//! Owns: which index answers which filter, as in SQLite: without a prefix a page is the merge of the
//! beginnings of some ranges, one for each status; with a prefix it is a range of ids, of which a bounded
//! number is looked at. Must never: read a payload of a row that is not on the page.
//! Proved by `tests/differential.rs`.

use std::collections::HashMap;

use tokio_postgres::Row;

use crate::core::instance::InstanceRow;
use crate::core::request::Filter;
use crate::core::status::RuntimeStatus;
use crate::core::{InstanceKey, Payload, TimeMs, limits};
use crate::provider::page::{self, Looked, Position, Sieve};
use crate::provider::{Listing, Page, Purgeable, Result};

use super::columns::{self, Unreadable, column, corrupt, row_columns};
use super::session::{Ask, Session};

/// Bytes of payloads after which a page is returned short.
const PAGE_BYTES: usize = 32 * 1024 * 1024;
const OPERATION: &str = "list instances";

/// The statements on one listing index: `$equal` says what stands before the time in it, with $1 for
/// the name (of no use without one) and $2 for the status.
macro_rules! by_index {
    ($equal:literal) => {
        ByIndex {
            keys: concat!(
                "SELECT scheduled_ms, iid FROM hub.instances WHERE ",
                $equal,
                " AND (scheduled_ms, iid) > ($3::bigint, $4::bigint) AND scheduled_ms <= $5 \
                  ORDER BY scheduled_ms, iid LIMIT $6"
            ),
            count: concat!(
                "SELECT count(*) FROM hub.instances WHERE ",
                $equal,
                " AND scheduled_ms BETWEEN $3 AND $4"
            ),
            ended: concat!(
                "SELECT scheduled_ms, iid, completed_ms FROM hub.instances WHERE ",
                $equal,
                " AND (scheduled_ms, iid) > ($3::bigint, $4::bigint) AND scheduled_ms <= $5 \
                  ORDER BY scheduled_ms, iid LIMIT $6"
            ),
        }
    };
}

pub(super) struct ByIndex {
    pub(super) keys: &'static str,
    pub(super) count: &'static str,
    pub(super) ended: &'static str,
}

pub(super) const BY_STATUS: ByIndex = by_index!("$1::text IS NULL AND status = $2::smallint");
pub(super) const BY_NAME: ByIndex = by_index!("name_folded = $1::text AND status = $2::smallint");

pub(super) const CANDIDATES: &str = "SELECT id, iid, name_folded, status, scheduled_ms, completed_ms \
    FROM hub.instances WHERE id >= $1 AND ($2::text IS NULL OR id < $2) ORDER BY id LIMIT $3";
pub(super) const COUNT_IDS: &str = "SELECT count(*) FROM hub.instances \
    WHERE id >= $1 AND ($2::text IS NULL OR id < $2) AND ($3::text IS NULL OR name_folded = $3) \
    AND status = ANY($4::smallint[]) AND scheduled_ms BETWEEN $5 AND $6";
pub(super) const ROWS: &str =
    concat!("SELECT ", row_columns!(), " FROM hub.instances WHERE iid = ANY($1)");

/// A place in the order of the schedule.
type Key = (TimeMs, InstanceKey);

impl ByIndex {
    fn of(sieve: &Sieve) -> Self {
        if sieve.name.is_some() { BY_NAME } else { BY_STATUS }
    }
}

/// See `Reader::list`.
pub(super) fn list(session: &mut Session, filter: &Filter, page: &Page) -> Result<Listing> {
    let sieve = Sieve::of(filter);
    let position = Position::of(page, &sieve)?;
    let size = page::size(page);
    let found = match (&sieve.prefix, position) {
        (Some(prefix), Some(Position::Id(id))) => by_id(session, &sieve, prefix, Some(&id), size)?,
        (Some(prefix), _) => by_id(session, &sieve, prefix, None, size)?,
        (None, Some(Position::Schedule(time, key))) => {
            by_schedule(session, &sieve, Some((time, key)), size)?
        }
        (None, _) => by_schedule(session, &sieve, None, size)?,
    };
    read_page(session, found, size)
}

/// See `Reader::count`.
pub(super) fn count(session: &mut Session, filter: &Filter) -> Result<u64> {
    let sieve = Sieve::of(filter);
    if let Some(prefix) = &sieve.prefix {
        let (first, end) = ids_from(prefix, None);
        // The server counts: no row of them comes here.
        let statuses: Vec<i16> = sieve.statuses.iter().copied().map(status_number).collect();
        let range = Ask::new(COUNT_IDS).with(first).with(end).with(sieve.name.as_deref());
        let ask = range.with(statuses).with(sieve.from).with(sieve.to);
        return total(&session.rows(OPERATION, ask)?);
    }
    let text = ByIndex::of(&sieve).count;
    let asks: Vec<Ask<'_>> = sieve
        .statuses
        .iter()
        .map(|status| by_status(text, &sieve, *status).with(sieve.from).with(sieve.to))
        .collect();
    session.all("count instances", &asks)?.iter().map(|rows| total(rows)).sum()
}

/// See `Reader::purgeable`.
pub(super) fn purgeable(
    session: &mut Session,
    filter: &Filter,
    completed_before: Option<TimeMs>,
    page: &Page,
) -> Result<Purgeable> {
    let sieve = Sieve::of_ended(filter, completed_before);
    let (before, top) = (completed_before.unwrap_or(TimeMs::MAX), page::size(page));
    let position = Position::of(page, &sieve)?;
    if let Some(prefix) = &sieve.prefix {
        let after = position.and_then(Position::id);
        let (first, end) = ids_from(prefix, after.as_deref());
        let mut all = candidates(session, &first, end.as_deref(), sql_limit(top))?;
        let last = all.last().filter(|_| all.len() == top);
        let cursor = last.map(|last| Position::Id(last.id.clone()).encode());
        all.retain(|one| one.completed_ms.is_some_and(|time| time < before) && one.passes(&sieve));
        return Ok(Purgeable { keys: all.iter().map(|candidate| candidate.key).collect(), cursor });
    }
    let text = ByIndex::of(&sieve).ended;
    let after = position.and_then(Position::schedule);
    let asks: Vec<Ask<'_>> = from_place(text, &sieve, after, top).collect();
    let looked = |row: &Row| {
        let place = (column(row, 0)?, column(row, 1)?);
        Ok(Looked { place, completed_ms: column(row, 2)? })
    };
    let found = session.all("read ended instances", &asks)?;
    let ranges: Vec<Vec<Looked>> =
        found.iter().map(|rows| rows.iter().map(looked).collect()).collect::<Result<_>>()?;
    Ok(page::purgeable(&ranges, before, top))
}

/// The statements on the ranges of a filter, from a place on.
fn from_place<'a>(
    text: &'static str,
    sieve: &'a Sieve,
    after: Option<Key>,
    limit: usize,
) -> impl Iterator<Item = Ask<'a>> {
    let first = (sieve.from.saturating_sub(1), InstanceKey::MAX);
    let (time, key) = after.map_or(first, |after| after.max(first));
    sieve.statuses.iter().map(move |status| {
        let ask = by_status(text, sieve, *status).with(time).with(key);
        ask.with(sieve.to).with(sql_limit(limit))
    })
}

/// Keys of rows that pass, up to one more than the page takes, each with its place; and the place up
/// to which was looked, if that was not to the end.
struct Found {
    keys: Vec<(Position, InstanceKey)>,
    looked_to: Option<Position>,
}

/// The first rows of each range, merged.
fn by_schedule(
    session: &mut Session,
    sieve: &Sieve,
    after: Option<Key>,
    size: usize,
) -> Result<Found> {
    let asks: Vec<Ask<'_>> = from_place(ByIndex::of(sieve).keys, sieve, after, size + 1).collect();
    let keys = merged(&session.all(OPERATION, &asks)?, size + 1)?;
    let place = |(time, key)| (Position::Schedule(time, key), key);
    Ok(Found { keys: keys.into_iter().map(place).collect(), looked_to: None })
}

/// The rows of a range of ids that pass, looking at a bounded number of them.
fn by_id(
    session: &mut Session,
    sieve: &Sieve,
    prefix: &str,
    after: Option<&str>,
    size: usize,
) -> Result<Found> {
    let (first, end) = ids_from(prefix, after);
    let most = if sieve.is_prefix_only() { size + 1 } else { limits::PAGE_SCAN_ROWS + 1 };
    let mut all = candidates(session, &first, end.as_deref(), sql_limit(most))?;
    let mut looked_to = None;
    if !sieve.is_prefix_only() && all.len() > limits::PAGE_SCAN_ROWS {
        all.truncate(limits::PAGE_SCAN_ROWS);
        looked_to = all.last().map(|candidate| Position::Id(candidate.id.clone()));
    }
    let passing = all.into_iter().filter(|candidate| candidate.passes(sieve)).take(size + 1);
    let keys: Vec<_> =
        passing.map(|candidate| (Position::Id(candidate.id), candidate.key)).collect();
    Ok(Found { keys, looked_to })
}

/// Reads the rows of a page. The next one begins after the last row, or, if all that passed are on
/// this page, where the looking stopped.
fn read_page(session: &mut Session, found: Found, size: usize) -> Result<Listing> {
    let Found { keys, looked_to } = found;
    let more = keys.len() > size;
    let on_page = keys.len().min(size);
    let wanted: Vec<InstanceKey> = keys.iter().take(size).map(|(_, key)| *key).collect();
    let mut read: HashMap<InstanceKey, InstanceRow> = HashMap::new();
    for row in &session.rows(OPERATION, Ask::new(ROWS).with(wanted))? {
        let row = columns::instance(row, Unreadable::Mark)?;
        read.insert(row.head.key, row);
    }
    let mut rows = Vec::with_capacity(on_page);
    let mut bytes = 0;
    for (number, (place, key)) in keys.into_iter().take(size).enumerate() {
        let row = read.remove(&key);
        bytes += row.as_ref().map_or(0, payload_bytes);
        rows.extend(row);
        let last = number + 1 == on_page;
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
    fn read(row: &Row) -> Result<Self> {
        let id: String = column(row, 0)?;
        let status: i16 = column(row, 3)?;
        Ok(Self {
            key: column(row, 1)?,
            folded: column(row, 2)?,
            status: RuntimeStatus::from_number(status.into())
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

fn candidates(
    session: &mut Session,
    first: &str,
    end: Option<&str>,
    limit: i64,
) -> Result<Vec<Candidate>> {
    let ask = Ask::new(CANDIDATES).with(first).with(end).with(limit);
    session.rows(OPERATION, ask)?.iter().map(Candidate::read).collect()
}

/// The first id that may come, and the end of the ids with the prefix, if there is one.
pub(super) fn ids_from(prefix: &str, after: Option<&str>) -> (String, Option<String>) {
    // No id holds a control character, so U+0001 after an id makes the text that follows it at once.
    let first = after.map_or_else(|| prefix.to_owned(), |id| format!("{id}\u{1}"));
    (first, page::after_prefix(prefix))
}

fn by_status<'a>(text: &'static str, sieve: &'a Sieve, status: RuntimeStatus) -> Ask<'a> {
    Ask::new(text).with(sieve.name.as_deref()).with(status_number(status))
}

fn status_number(status: RuntimeStatus) -> i16 {
    i16::try_from(status.number()).unwrap_or(i16::MAX)
}

fn merged(ranges: &[Vec<Row>], limit: usize) -> Result<Vec<Key>> {
    let rows = ranges.iter().flatten();
    let mut keys: Vec<Key> =
        rows.map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect::<Result<_>>()?;
    keys.sort_unstable();
    keys.truncate(limit);
    Ok(keys)
}

fn total(rows: &[Row]) -> Result<u64> {
    let count: i64 = rows.first().map_or(Ok(0), |row| column(row, 0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
