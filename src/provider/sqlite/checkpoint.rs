//! The write-ahead log, kept at a size.
//!
//! Owns: when the log is copied into the hub's file: by the worker, and by a client if nobody else does.
//! Must never: keep a client's call from its answer. Proved by `tests/provider_sqlite.rs`.

use crate::provider::Result;

use super::connection::with_tries;
use super::statement::{Sql, column};

/// Pages of log after which a worker copies them. A rarer copy holds the writer up for longer, a more
/// frequent one more often.
const BUSY_PAGES: i64 = 4_000;
/// The same when nothing waits.
const IDLE_PAGES: i64 = 1_000;
/// Pages of log at which something keeps it from beginning anew: whoever reads in the moment in which all
/// is copied. From here on new readers are waited for, for some milliseconds.
const LONG_PAGES: i64 = 6_000;
/// Pages of log after which a client copies them: more than a worker lets it have, so that no client does it
/// while a worker works.
const CLIENT_PAGES: i64 = 8_000;
/// Further pages before that is tried once more.
const LONGER_PAGES: i64 = 1_000;
/// How often a lock is asked for then: some 15 ms, which is longer than a page of a listing takes.
const RESTART_TRIES: i32 = 30;
/// What a log that became longer is cut to when it begins anew: as long as [`lengthen`] makes it.
pub(super) const KEPT_BYTES: i64 = (BUSY_PAGES + 100) * (4_096 + 24);
/// Bytes of log at which each commit is followed by a look at its pages: one may be long.
const LONG_BYTES: u64 = (CLIENT_PAGES * (4_096 + 24)).unsigned_abs();
/// Commits between two looks at the log's size.
const COMMITS_BETWEEN_LOOKS: u32 = 16;

const LENGTHEN: &str = "INSERT INTO history (hid, exec, body) VALUES (-1, 0, zeroblob(?1))";
const TRUNCATE: &str = "PRAGMA wal_checkpoint = TRUNCATE";
const RESTART: &str = "PRAGMA wal_checkpoint = RESTART";
const PASSIVE: &str = "PRAGMA wal_checkpoint = PASSIVE";
const LOOK: &str = "PRAGMA wal_checkpoint = NOOP";

/// How the log grows.
#[derive(Debug)]
pub(super) struct Log {
    commits: u32,
    /// The log is made to begin anew when it has so many pages.
    restart_at: i64,
}

impl Default for Log {
    fn default() -> Self {
        Self { commits: 0, restart_at: LONG_PAGES }
    }
}

impl Log {
    pub(super) fn committed(&mut self) {
        self.commits += 1;
    }

    /// Whether so much was written that it is time for housekeeping.
    pub(super) fn is_due(&self, bytes: u64, idle: bool) -> bool {
        let few = if idle || bytes >= LONG_BYTES { 1 } else { COMMITS_BETWEEN_LOOKS };
        self.commits >= few
    }

    /// Copies the log if it is long.
    pub(super) fn maintain(&mut self, sql: Sql<'_>, worker: bool, idle: bool) -> Result<()> {
        self.commits = 0;
        let (logged, to_copy) = pages(sql)?;
        let many = match (worker, idle) {
            (false, _) => CLIENT_PAGES,
            (true, false) => BUSY_PAGES,
            (true, true) => IDLE_PAGES,
        };
        if to_copy >= many {
            checkpoint(sql)?;
        }
        if !worker && logged < CLIENT_PAGES {
            return Ok(());
        }
        if logged < LONG_PAGES {
            self.restart_at = LONG_PAGES;
        } else if logged >= self.restart_at {
            // One that reads for long is not waited for: it is tried again later.
            with_tries(RESTART_TRIES, || sql.one("begin the log anew", RESTART, [], |_| Ok(())))?;
            self.restart_at = logged + LONGER_PAGES;
        }
        Ok(())
    }
}

/// Makes the log as long as it is going to be, in a transaction that is then rolled back: SQLite
/// writes what does not fit into its cache to the log. A sync that has to make the file longer takes
/// nearly twice as long as one that only overwrites it (0.20 against 0.12 ms here).
pub(super) fn lengthen(sql: Sql<'_>) -> Result<()> {
    sql.run("make the log long", LENGTHEN, [BUSY_PAGES * 4_096]).map(|_| ())
}

/// Gives back what the log takes up, if nobody reads it.
pub(super) fn shorten(sql: Sql<'_>) {
    // Nothing depends on it.
    let _ = sql.one("make the log short", TRUNCATE, [], |_| Ok(()));
}

/// Copies all that can be copied without waiting for anyone.
pub(super) fn checkpoint(sql: Sql<'_>) -> Result<()> {
    sql.one("copy the log into the hub", PASSIVE, [], |_| Ok(())).map(|_| ())
}

/// Pages in the log, and those of them that are not copied.
fn pages(sql: Sql<'_>) -> Result<(i64, i64)> {
    let pages = sql.one("look at the log", LOOK, [], |row| {
        let (logged, copied): (i64, i64) = (column(row, 1)?, column(row, 2)?);
        Ok((logged, logged - copied))
    })?;
    Ok(pages.unwrap_or_default())
}
