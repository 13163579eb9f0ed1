//! What is no longer part of anything: rows of history beyond what one transaction removes, and pages
//! that hold nothing.
//!
//! Owns: how much of it goes at a time, so that no commit waits for long, and how many free pages the
//! hub's file keeps. Must never: touch a row that a reader could ask for.
//! Proved by `tests/provider_sqlite.rs`.

use rusqlite::params;

use crate::core::InstanceKey;
use crate::provider::Result;

use super::rows::SqliteRows;
use super::statement::column;

/// Rows of history that one transaction removes: some 10 ms.
pub(super) const ROWS_PER_TRANSACTION: i64 = 10_000;
/// The same for one that removes nothing but leftovers.
const ROWS_PER_PIECE: i64 = 2_000;
/// Pages given back to the file system in one transaction: some 2 ms.
const PAGES_PER_PIECE: i64 = 256;
/// Free pages that the file keeps for what comes next, beside an eighth of all.
const SPARE_PAGES: i64 = 2_000;

/// How many turns an instance's history has at most, and how many notices.
pub(super) const SPAN: &str = "SELECT \
    (SELECT max(hid) FROM history WHERE hid >= ?1 << 23 AND hid < (?1 + 1) << 23) - (?1 << 23), \
    -(SELECT min(hid) FROM history WHERE hid > -((?1 + 1) << 23) AND hid <= -(?1 << 23)) - (?1 << 23)";
pub(super) const DELETE_TURNS: &str =
    "DELETE FROM history WHERE hid >= ?1 << 23 AND hid < (?1 + 1) << 23";
pub(super) const DELETE_NOTICES: &str =
    "DELETE FROM history WHERE hid > -((?1 + 1) << 23) AND hid <= -(?1 << 23)";
/// From the end: an execution that goes on begins at the front.
pub(super) const DELETE_OLD_TURNS: &str = "DELETE FROM history WHERE hid IN (SELECT hid FROM history \
    WHERE hid >= ?1 << 23 AND hid < (?1 + 1) << 23 AND exec <= ?2 ORDER BY hid DESC LIMIT ?3)";
pub(super) const DELETE_OLD_NOTICES: &str = "DELETE FROM history WHERE hid IN (SELECT hid FROM history \
    WHERE hid > -((?1 + 1) << 23) AND hid <= -(?1 << 23) AND exec <= ?2 ORDER BY hid DESC LIMIT ?3)";
pub(super) const EXECUTION: &str = "SELECT exec FROM instances WHERE iid = ?1";
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
            Ok((column::<Option<i64>>(row, 0)?, column::<Option<i64>>(row, 1)?))
        })?;
        let (turns, notices) = span.unwrap_or_default();
        let rows = turns.unwrap_or_default() + notices.unwrap_or_default();
        if rows <= self.deletable {
            self.deletable -= rows;
            for (any, text) in [(turns, DELETE_TURNS), (notices, DELETE_NOTICES)] {
                if any.is_some() {
                    self.sql.run(operation, text, [key])?;
                }
            }
            return Ok(());
        }
        self.tidies = true;
        let exec = self.sql.one(operation, EXECUTION, [key], |row| column::<i64>(row, 0))?;
        let exec = exec.unwrap_or_default();
        let most = std::mem::take(&mut self.deletable);
        self.delete_old(operation, key, exec, most)?;
        self.sql.run("leave history over", LEAVE_OVER, params![key, exec]).map(|_| ())
    }

    /// Removes rows of executions up to `exec`: how many.
    fn delete_old(&self, operation: &str, key: InstanceKey, exec: i64, most: i64) -> Result<usize> {
        let turns = self.sql.run(operation, DELETE_OLD_TURNS, params![key, exec, most])?;
        let rest = most - i64::try_from(turns).unwrap_or(most);
        let notices = self.sql.run(operation, DELETE_OLD_NOTICES, params![key, exec, rest])?;
        Ok(turns + notices)
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
        let removed = self.delete_old(operation, key, exec, ROWS_PER_PIECE)?;
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
