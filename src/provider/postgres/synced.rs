//! What a server keeps of acknowledged commits when it crashes, for people.
//!
//! Owns: what is said of it at the open: what `limits` sets because the server would not, and what only the
//! server can turn on. Must never: change a setting. Proved by `__test__/postgres-crash.spec.mjs`.

use crate::provider::{Result, Synced};

use super::columns::column;
use super::limits::{CommitSync, WEAKER};
use super::no_row;
use super::session::{Ask, Session};

/// A server that only speaks the protocol may not have the others.
const FOUND: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync', true), \
    current_setting('full_page_writes', true)";
const READING: &str = "read what is synced";

/// See the module's text.
pub(super) fn read(session: &mut Session, sync: CommitSync) -> Result<Synced> {
    let rows = session.rows(READING, Ask::new(FOUND))?;
    let row = rows.first().ok_or_else(|| no_row(READING))?;
    let (commit, fsync): (String, Option<String>) = (column(row, 0)?, column(row, 1)?);
    Ok(said(sync, &commit, fsync.as_deref(), column(row, 2)?))
}

fn said(sync: CommitSync, commit: &str, fsync: Option<&str>, pages: Option<&str>) -> Synced {
    let mut warnings = Vec::new();
    let raised = sync == CommitSync::Full && WEAKER.contains(&commit);
    if raised {
        warnings.push(format!(
            "The server's synchronous_commit is '{commit}' for this database and role, which would lose \
             acknowledged calls in a crash. The hub's transactions set it to 'on', as durability is 'full'."
        ));
    }
    if fsync == Some("off") {
        warnings.push(
            "The server's fsync is off: a power failure may lose acknowledged calls, or the whole database, \
             whatever durability is asked for. Set fsync = on in postgresql.conf."
                .to_owned(),
        );
    }
    if pages == Some("off") {
        warnings.push(
            "The server's full_page_writes is off: a power failure may leave half-written pages that nothing \
             can mend. Set full_page_writes = on in postgresql.conf, unless the file system rules them out."
                .to_owned(),
        );
    }
    let commit = if raised || sync == CommitSync::Relaxed { sync.level() } else { commit };
    let [fsync, pages] = [fsync, pages].map(|value| value.unwrap_or("unknown"));
    let settings = format!("synchronous_commit={commit}, fsync={fsync}, full_page_writes={pages}");
    Synced { settings, warnings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weaker_is_raised_and_told_and_what_is_stronger_stays() {
        for weak in WEAKER {
            let Synced { settings, warnings } =
                said(CommitSync::Full, weak, Some("on"), Some("on"));
            assert_eq!(settings, "synchronous_commit=on, fsync=on, full_page_writes=on");
            assert!(warnings.len() == 1 && warnings[0].contains(&format!("'{weak}'")), "{weak}");
        }
        for strong in ["on", "remote_apply"] {
            let Synced { settings, warnings } = said(CommitSync::Full, strong, None, None);
            assert!(settings.starts_with(&format!("synchronous_commit={strong}, fsync=unknown")));
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn who_is_relaxed_is_told_of_what_endangers_the_database() {
        let Synced { settings, warnings } =
            said(CommitSync::Relaxed, "on", Some("off"), Some("off"));
        assert_eq!(settings, "synchronous_commit=off, fsync=off, full_page_writes=off");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
}
