//! Filters and cursors of listings, the same for every store.
//!
//! Owns: what a filter asks for, the order of a listing, and the text of a cursor.
//! Must never: read a row. Proved by the tests below and by `tests/provider_sqlite.rs`.

use crate::core::request::{EntityFilter, Filter};
use crate::core::status::RuntimeStatus;
use crate::core::{InstanceKey, TimeMs, ids, limits};

use super::{Page, ProviderError, ProviderErrorKind, Purgeable, Result};

/// A filter, made ready to be compared with rows.
#[derive(Debug, Clone)]
pub(super) struct Sieve {
    /// The folded name.
    pub(super) name: Option<String>,
    /// How the id begins. If set, the order of the listing is that of the ids.
    pub(super) prefix: Option<String>,
    /// Each status that passes, once.
    pub(super) statuses: Vec<RuntimeStatus>,
    /// First time that passes.
    pub(super) from: TimeMs,
    /// Last time that passes.
    pub(super) to: TimeMs,
}

impl Sieve {
    pub(super) fn of(filter: &Filter) -> Self {
        let any = filter.runtime_status.is_empty();
        let wanted = |status: &RuntimeStatus| any || filter.runtime_status.contains(status);
        Self {
            name: filter.name.as_deref().map(ids::fold_name),
            prefix: filter.id_prefix.clone(),
            statuses: RuntimeStatus::ALL.into_iter().filter(wanted).collect(),
            from: filter.created_from.unwrap_or(TimeMs::MIN),
            to: filter.created_to.unwrap_or(TimeMs::MAX),
        }
    }

    /// The same for a purge: of what has ended, and nothing that was scheduled so late that it
    /// cannot have ended before the time. That bound is what keeps a purge from looking at every
    /// instance that ended later.
    pub(super) fn of_ended(filter: &Filter, completed_before: Option<TimeMs>) -> Self {
        let mut sieve = Self::of(filter);
        sieve.statuses.retain(|status| status.has_ended());
        if let Some(before) = completed_before {
            sieve.to = sieve.to.min(before.saturating_sub(1));
        }
        sieve
    }

    /// Whether a row passes whose id has the prefix.
    pub(super) fn passes(&self, folded: &str, status: RuntimeStatus, scheduled_ms: TimeMs) -> bool {
        self.name.as_deref().is_none_or(|name| name == folded)
            && self.statuses.contains(&status)
            && (self.from..=self.to).contains(&scheduled_ms)
    }

    /// Whether the prefix is all that the filter asks for.
    pub(super) fn is_prefix_only(&self) -> bool {
        self.name.is_none()
            && self.statuses.len() == RuntimeStatus::ALL.len()
            && self.from == TimeMs::MIN
            && self.to == TimeMs::MAX
    }
}

/// A filter of entities, made ready to be compared with rows.
#[derive(Debug, Clone)]
pub(super) struct EntitySieve {
    /// How the id begins.
    pub(super) prefix: String,
    from: TimeMs,
    to: TimeMs,
    include_transient: bool,
}

impl EntitySieve {
    pub(super) fn of(filter: &EntityFilter) -> Self {
        let key = filter.key_prefix.as_deref().unwrap_or_default();
        let name = filter.name.as_deref().map(ids::fold_name);
        Self {
            prefix: name.map_or_else(|| "@".to_owned(), |name| format!("@{name}@{key}")),
            from: filter.last_operation_from.unwrap_or(TimeMs::MIN),
            to: filter.last_operation_to.unwrap_or(TimeMs::MAX),
            include_transient: filter.include_transient,
        }
    }

    pub(super) fn passes(&self, exists: bool, updated_ms: TimeMs) -> bool {
        (exists || self.include_transient) && (self.from..=self.to).contains(&updated_ms)
    }

    /// The text of a place in the listing: after the entity of this id.
    pub(super) fn cursor(id: &str) -> String {
        Position::Id(id.to_owned()).encode()
    }

    /// The id after which a page begins, `None` for the first.
    pub(super) fn position(&self, page: &Page) -> Result<Option<String>> {
        let Some(cursor) = page.cursor.as_deref() else { return Ok(None) };
        match Position::decode(cursor, Some(&self.prefix)) {
            Some(Position::Id(id)) => Ok(Some(id)),
            _ => Err(not_a_cursor("list entities", cursor)),
        }
    }
}

/// A place in a listing: after this row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Position {
    /// In the order of the schedule.
    Schedule(TimeMs, InstanceKey),
    /// In the order of the ids.
    Id(String),
}

impl Position {
    /// The place, of a listing in the order of the ids.
    pub(super) fn id(self) -> Option<String> {
        if let Self::Id(id) = self { Some(id) } else { None }
    }

    /// The same in the order of the schedule.
    pub(super) fn schedule(self) -> Option<(TimeMs, InstanceKey)> {
        if let Self::Schedule(time, key) = self { Some((time, key)) } else { None }
    }

    /// The cursor's text.
    pub(super) fn encode(&self) -> String {
        match self {
            Self::Schedule(time, key) => format!("s{time}.{key}"),
            Self::Id(id) => format!("i{id}"),
        }
    }

    /// The place where a page begins, `None` for the first.
    pub(super) fn of(page: &Page, sieve: &Sieve) -> Result<Option<Self>> {
        let Some(cursor) = page.cursor.as_deref() else { return Ok(None) };
        Self::decode(cursor, sieve.prefix.as_deref())
            .map(Some)
            .ok_or_else(|| not_a_cursor("list instances", cursor))
    }

    fn decode(cursor: &str, prefix: Option<&str>) -> Option<Self> {
        if let Some(prefix) = prefix {
            let id = cursor.strip_prefix('i')?;
            return id.starts_with(prefix).then(|| Self::Id(id.to_owned()));
        }
        let (time, key) = cursor.strip_prefix('s')?.split_once('.')?;
        Some(Self::Schedule(time.parse().ok()?, key.parse().ok()?))
    }
}

/// A row that a purge looks at, at its place in the order of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Looked {
    pub(super) place: (TimeMs, InstanceKey),
    pub(super) completed_ms: Option<TimeMs>,
}

/// What was found in the beginnings of some ranges, of `top` rows at most: up to where the first of those that
/// were cut short ends.
pub(super) fn purgeable(ranges: &[Vec<Looked>], before: TimeMs, top: usize) -> Purgeable {
    let cut = ranges.iter().filter(|range| range.len() >= top);
    let end = cut.filter_map(|range| range.last()).map(|last| last.place).min();
    let mut looked: Vec<Looked> = ranges.iter().flatten().copied().collect();
    looked.retain(|row| {
        end.is_none_or(|end| row.place <= end) && row.completed_ms.is_some_and(|time| time < before)
    });
    looked.sort_unstable();
    let cursor = end.map(|(time, key)| Position::Schedule(time, key).encode());
    Purgeable { keys: looked.into_iter().map(|row| row.place.1).collect(), cursor }
}

fn not_a_cursor(operation: &str, cursor: &str) -> ProviderError {
    let cause = format!("{cursor:?} is not a cursor of a listing with this filter");
    ProviderError::new(ProviderErrorKind::Invalid, operation, cause)
}

/// How many instances a page may have.
pub(super) fn size(page: &Page) -> usize {
    page.top.clamp(1, limits::PAGE_INSTANCES)
}

/// The first text after all that begin with `prefix`, in the order of bytes; `None` if there is none.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The character after U+D7FF is U+E000: what lies between is not text.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(cursor: &str, prefix: Option<&str>) -> Option<Position> {
        Position::decode(cursor, prefix)
    }

    #[test]
    fn cursors_go_there_and_back() {
        let schedule = Position::Schedule(-5, 7);
        assert_eq!(decode(&schedule.encode(), None), Some(schedule));
        let id = Position::Id("order-é".to_owned());
        assert_eq!(decode(&id.encode(), Some("order-")), Some(id));
    }

    #[test]
    fn cursors_of_another_order_or_prefix_and_nonsense_are_refused() {
        for bad in ["", "s", "s1", "s1.", "s.1", "sx.1", "s1.2.3", "i1.2", "x1.2"] {
            assert_eq!(decode(bad, None), None, "{bad}");
        }
        for bad in ["", "s1.2", "iorder", "ixorder-1"] {
            assert_eq!(decode(bad, Some("order-")), None, "{bad}");
        }
    }

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }

    #[test]
    fn a_status_named_twice_counts_once() {
        let twice = vec![RuntimeStatus::Failed, RuntimeStatus::Failed];
        let filter = Filter { runtime_status: twice, ..Filter::default() };
        assert_eq!(Sieve::of(&filter).statuses, [RuntimeStatus::Failed]);
    }
}
