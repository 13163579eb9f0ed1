//! What is no longer part of anything: rows of history beyond what one transaction removes, and pages
//! that hold nothing.
//!
//! Owns: how much of it goes at a time, so that no commit waits for long, and how many free pages the
//! hub's file keeps. Must never: touch a row that a reader could ask for.
//! Proved by `tests/provider_sqlite.rs`.

use rusqlite::params;

use crate::core::InstanceKey;
use crate::provider::Result;

use super::rows::{DELETE_HISTORY, SqliteRows};
use super::statement::column;

/// Rows of history that one transaction removes: some 10 ms.
pub(super) const ROWS_PER_TRANSACTION: i64 = 10_000;
/// The same for one that removes nothing but leftovers.
const ROWS_PER_PIECE: i64 = 2_000;
/// Pages given back to the file system in one transaction: some 2 ms.
const PAGES_PER_PIECE: i64 = 256;
/// Free pages that the file keeps for what comes next, beside an eighth of all.
const SPARE_PAGES: i64 = 2_000;

/// The first row of an instance's history, the last one, and the execution of that.
pub(super) const SPAN: &str = "SELECT \
    (SELECT min(hid) FROM history WHERE hid >= ?1 << 23 AND hid < (?1 + 1) << 23), hid, exec \
    FROM history WHERE hid >= ?1 << 23 AND hid < (?1 + 1) << 23 ORDER BY hid DESC LIMIT 1";
pub(super) const DELETE_HISTORY_TO: &str =
    "DELETE FROM history WHERE hid >= ?1 << 23 AND hid < ?2 AND exec <= ?3";
pub(super) const LEAVE_OVER: &str = "INSERT OR REPLACE INTO leftovers (iid, exec) VALUES (?1, ?2)";
pub(super) const LEFT_OVER: &str = "SELECT iid, exec FROM leftovers LIMIT 1";
pub(super) const NOT_LEFT_OVER: &str = "DELETE FROM leftovers WHERE iid = ?1";
const AUTO_VACUUM: &str = "PRAGMA auto_vacuum";
const FREE_PAGES: &str = "PRAGMA freelist_count";
const PAGES: &str = "PRAGMA page_count";
const GIVE_BACK: &str = "PRAGMA incremental_vacuum(256)";
const INCREMENTAL: i64 = 2;

impl SqliteRows<'_> {
    /// Removes all history of an instance. Too much for this transaction is left over; the instance
    /// must be gone, or go on with another execution.
    pub(super) fn delete_history(&mut self, key: InstanceKey) -> Result<()> {
        let operation = "remove history";
        let span = self.sql.one(operation, SPAN, [key], |row| {
            Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?))
        })?;
        let Some((first, last, exec)): Option<(i64, i64, i64)> = span else { return Ok(()) };
        let rows = last - first + 1;
        if rows <= self.deletable {
            self.deletable -= rows;
            return self.sql.run(operation, DELETE_HISTORY, [key]).map(|_| ());
        }
        self.tidies = true;
        let end = first + std::mem::take(&mut self.deletable);
        self.sql.run(operation, DELETE_HISTORY_TO, params![key, end, exec])?;
        self.sql.run("leave history over", LEAVE_OVER, params![key, exec]).map(|_| ())
    }

    /// See `Rows::tidy`.
    pub(super) fn tidy_some(&mut self) -> Result<bool> {
        let more = self.delete_leftovers()?;
        Ok(self.give_back_pages()? || more)
    }

    fn delete_leftovers(&mut self) -> Result<bool> {
        let operation = "remove history that was left over";
        let found =
            self.sql.one(operation, LEFT_OVER, [], |row| Ok((column(row, 0)?, column(row, 1)?)))?;
        let Some((key, exec)): Option<(i64, i64)> = found else { return Ok(false) };
        let first = self.sql.one(operation, SPAN, [key], |row| column::<i64>(row, 0))?;
        let removed = match first {
            None => 0,
            Some(first) => {
                let to = params![key, first + ROWS_PER_PIECE, exec];
                self.sql.run(operation, DELETE_HISTORY_TO, to)?
            }
        };
        // Rows of earlier executions come first.
        if removed == 0 {
            self.sql.run(operation, NOT_LEFT_OVER, [key])?;
        }
        Ok(true)
    }

    /// Pages that a purge leaves are used again, so some stay.
    fn give_back_pages(&mut self) -> Result<bool> {
        let operation = "give back free pages";
        let read = |text| self.sql.one(operation, text, [], |row| column::<i64>(row, 0));
        let (free, pages) =
            (read(FREE_PAGES)?.unwrap_or_default(), read(PAGES)?.unwrap_or_default());
        let surplus = free - SPARE_PAGES - pages / 8;
        // A hub that was made by an earlier version keeps its size.
        if surplus < PAGES_PER_PIECE || read(AUTO_VACUUM)? != Some(INCREMENTAL) {
            return Ok(false);
        }
        self.sql.each(operation, GIVE_BACK, [], |_| Ok(true))?;
        Ok(true)
    }
}
