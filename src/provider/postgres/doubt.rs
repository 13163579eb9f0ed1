//! Commits whose answer was lost.
//!
//! Owns: finding out what became of one. Must never: take it for done or not done without having asked.
//! Proved by `tests/provider_postgres/faults.rs`.
//!
//! PostgreSQL is asked by the number of the transaction. A server that only speaks its protocol has none: there
//! a worker's row has counted the commit, or not. A client has no row there, and is told that it is not known.

use std::time::Duration;

use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::columns::column;
use super::query::Source as _;
use super::session::{self, Ask, Session, Trouble};
use super::{COMMITTING, PostgresProvider, Stopped, connected};

const FATE: &str = "SELECT pg_xact_status($1::text::xid8)";
/// How long is waited for the fate of a commit.
const DOUBT: Duration = Duration::from_secs(30);

enum Fate {
    Committed,
    NotCommitted,
    /// The server has not noticed yet that the connection is gone.
    Open,
    Unknown,
}

impl PostgresProvider {
    /// After a commit that was sent and failed, or whose answer did not come.
    pub(super) fn ask_fate(
        &mut self,
        fenced: bool,
        number: &str,
        error: ProviderError,
    ) -> std::result::Result<(), Stopped> {
        let trouble = self.session.as_mut().and_then(Session::take_trouble);
        match trouble {
            Some(Trouble::Lost | Trouble::Doubtful) => {}
            trouble => {
                self.roll_back();
                let conflict = trouble == Some(Trouble::Conflict);
                return Err(if conflict { Stopped::Again(error) } else { Stopped::For(error) });
            }
        }
        self.session = None;
        let asked = session::instant();
        let mut pause = Duration::from_millis(20);
        while asked.elapsed() < DOUBT {
            let fate =
                if self.place.distributed { self.count(fenced) } else { self.status(number) };
            match fate {
                Ok(Fate::Committed) => return Ok(()),
                Ok(Fate::NotCommitted) => return Err(Stopped::Again(error)),
                Ok(Fate::Open) => {}
                Ok(Fate::Unknown) => break,
                // It is not there.
                Err(_) => self.session = None,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        // Whether it is written is not known: a worker must not go on from what it believes.
        self.lose();
        let cause = format!("a commit is in doubt: {}", error.message);
        Err(Stopped::For(ProviderError::new(ProviderErrorKind::InDoubt, COMMITTING, cause)))
    }

    fn status(&mut self, number: &str) -> Result<Fate> {
        let rows = self.connection()?.rows(COMMITTING, Ask::new(FATE).with(number))?;
        let status: Option<String> = rows.first().map_or(Ok(None), |row| column(row, 0))?;
        Ok(match status.as_deref() {
            Some("committed") => Fate::Committed,
            Some("aborted") => Fate::NotCommitted,
            Some("in progress") => Fate::Open,
            _ => Fate::Unknown,
        })
    }

    fn count(&mut self, fenced: bool) -> Result<Fate> {
        let Some(member) = self.membership.as_ref().filter(|_| fenced) else {
            return Ok(Fate::Unknown);
        };
        let session = connected(&mut self.session, &self.place)?;
        Ok(match member.counted(session)? {
            Some(true) => Fate::Committed,
            Some(false) => Fate::NotCommitted,
            None => Fate::Unknown,
        })
    }
}
