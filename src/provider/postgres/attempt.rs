//! One try of a transaction.
//!
//! Owns: the fence at its beginning, the commit at its end, and why a try has come to nothing. Must never: take what
//! failed before the work's own statements for the fault of the work.
//! Proved by `tests/provider_postgres/faults.rs` and `__test__/outage.spec.mjs`.

use crate::provider::transaction::Foresight;
use crate::provider::{ProviderError, ProviderErrorKind, Result, Rows};

use super::columns::column;
use super::limits::{limited, limits};
use super::membership::Membership;
use super::rows::PostgresRows;
use super::session::{Ask, Session, Trouble};
use super::{COMMIT, COMMITTING, PostgresProvider, ROLLBACK, connected, departed};

const NUMBER: &str = concat!("SELECT pg_current_xact_id()::text, ", limits!("$1", "$2", "$3"));

/// Why a try of a transaction has come to nothing.
pub(super) enum Stopped {
    /// It met another one, or its connection broke: the next try may do.
    Again(ProviderError),
    /// A value does not suit what reads ahead, and would spoil the work of others: it is read when it is asked
    /// for, where only whoever asks fails.
    Foreseeing,
    /// It has to lock more rows, and all of them in one order.
    Locking,
    /// Anything else.
    For(ProviderError),
}

impl PostgresProvider {
    /// One try of a transaction.
    pub(super) fn attempt(
        &mut self,
        fenced: bool,
        foresight: &mut Foresight,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> std::result::Result<(), Stopped> {
        let session = connected(&mut self.session, &self.place).map_err(Stopped::For)?;
        session.take_trouble();
        let member = self.membership.as_ref();
        if let Some(member) = member.filter(|_| fenced)
            && let Err(error) = departed::mark(session, member.epoch)
        {
            return Err(self.undo(error));
        }
        let session = connected(&mut self.session, &self.place).map_err(Stopped::For)?;
        let worker = member.map(|member| (member.epoch, member.mine));
        let mut first = vec![Ask::new("BEGIN")];
        let mut rows = PostgresRows::new(session, self.facts.partitions, worker);
        let fence = member.filter(|_| fenced);
        let number = || limited(Ask::new(NUMBER), self.lease_ms, self.place.sync);
        first.push(fence.map_or_else(number, Membership::fence));
        let begun = rows.begin(first, foresight);
        let number = begun.and_then(|answers| {
            let answer = answers.last().map_or(&[][..], Vec::as_slice);
            match fence {
                Some(fence) => fence.check(answer),
                None => answer.first().map_or_else(|| Err(no_number()), |row| column(row, 0)),
            }
        });
        let number = match number {
            Ok(number) => number,
            Err(error) if error.kind == ProviderErrorKind::LostOwnership => {
                self.roll_back();
                self.lose();
                return Err(Stopped::For(error));
            }
            Err(error) if error.kind.blames_work() && !foresight.is_empty() => {
                self.undo(error);
                return Err(Stopped::Foreseeing);
            }
            Err(error) => return Err(self.undo(error)),
        };
        if let Err(error) = work(&mut rows) {
            let Some(later) = rows.take_later() else { return Err(self.undo(error)) };
            foresight.add_all(later);
            self.roll_back();
            return Err(Stopped::Locking);
        }
        let (mine, mut told) = (rows.mine, std::mem::take(&mut rows.told));
        told.called |= rows.reported && self.watch.served.any_limited();
        let sent = rows.send(Some(Ask::new(COMMIT)));
        match sent {
            Ok(()) => {}
            Err(error) => self.ask_fate(fenced, &number, error)?,
        }
        if let Some(member) = self.membership.as_mut().filter(|_| fenced) {
            member.committed();
            member.mine = mine;
        }
        self.tell(&told);
        Ok(())
    }

    /// After a failure before the commit was sent: nothing is written.
    pub(super) fn undo(&mut self, error: ProviderError) -> Stopped {
        let trouble = self.session.as_mut().and_then(Session::take_trouble);
        match trouble {
            Some(Trouble::Lost | Trouble::Doubtful) => self.session = None,
            _ => self.roll_back(),
        }
        match trouble {
            Some(Trouble::Conflict | Trouble::Lost) => Stopped::Again(error),
            _ => Stopped::For(error),
        }
    }

    pub(super) fn roll_back(&mut self) {
        let Some(session) = &mut self.session else { return };
        let rolled_back = session.rows("roll back", Ask::new(ROLLBACK));
        if rolled_back.is_err() || session.is_lost() {
            self.session = None;
        }
    }
}

fn no_number() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Permanent, COMMITTING, "the transaction has no number")
}
