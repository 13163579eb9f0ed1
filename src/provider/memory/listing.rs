//! Listings in the reference model.
//!
//! Owns: which instances a page has, and in which order. Must never: be clever.
//! Proved by `tests/conformance.rs` and `tests/differential.rs`.

use crate::core::ids;
use crate::core::instance::InstanceRow;
use crate::provider::page::{self, Position, Sieve};
use crate::provider::{Page, Result};

use super::Tables;

/// Rows, each with its place in the listing.
type Passing<'a> = Vec<(Position, &'a InstanceRow)>;

impl Tables {
    /// A page of the rows that pass, and where the next one begins.
    pub(super) fn page(&self, sieve: &Sieve, page: &Page) -> Result<(Passing<'_>, Option<String>)> {
        let after = Position::of(page, sieve)?;
        let mut passing = self.passing(sieve);
        passing.retain(|(place, _)| after.as_ref().is_none_or(|after| place > after));
        let more = passing.len() > page::size(page);
        passing.truncate(page::size(page));
        let cursor = passing.last().filter(|_| more).map(|(place, _)| place.encode());
        Ok((passing, cursor))
    }

    /// Rows that pass, in the order of the listing.
    pub(super) fn passing(&self, sieve: &Sieve) -> Passing<'_> {
        let mut passing = Vec::new();
        for row in self.instances.values() {
            let head = &row.head;
            let folded = ids::fold_name(&head.name);
            let begins = sieve.prefix.as_deref().is_none_or(|prefix| head.id.starts_with(prefix));
            if begins && sieve.passes(&folded, head.status, row.scheduled_ms) {
                let place = match sieve.prefix {
                    Some(_) => Position::Id(head.id.clone()),
                    None => Position::Schedule(row.scheduled_ms, head.key),
                };
                passing.push((place, row));
            }
        }
        passing.sort_by(|(a, _), (b, _)| a.cmp(b));
        passing
    }
}
