//! What other processes wrote.
//!
//! Owns: the bells that they ring for an owner, and that each is told once: a bell is removed only after
//! what it rang for has been read, and one that has been told is remembered until it is gone. Must never:
//! lose what was read because a connection broke, or remove a bell that is another owner's by now. Proved by `tests/provider_postgres.rs`.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::core::partition::Parts;
use crate::provider::{Arrivals, Result};

use super::columns::{column, delivery, stored};
use super::membership::Membership;
use super::query::{BEGIN_READING, END_READING};
use super::session::{Ask, Session};
use super::tasks::{self, ServedNames};

const READY: &str = "SELECT iid FROM hub.instances \
    WHERE ready AND (iid & 255)::smallint = ANY($1) ORDER BY iid";
const MESSAGES: &str = "SELECT iid, mid, exec, body FROM hub.messages \
    WHERE taken AND (abs(iid) & 255)::smallint = ANY($1) ORDER BY mid";
const HELD: &str = "SELECT iid FROM hub.instances \
    WHERE status = 7 AND problem IS NOT NULL AND (iid & 255)::smallint = ANY($1) ORDER BY iid";
const RUNG: &str = "SELECT bell, part FROM hub.bells WHERE part = ANY($1)";
const BELLS: &str = "SELECT b.iid, m.mid, m.exec, m.body, b.mid, b.bell, b.part \
    FROM hub.bells AS b LEFT JOIN hub.messages AS m ON m.mid = b.mid WHERE b.part = ANY($1) \
    ORDER BY b.bell";
/// Only of what is the worker's own by now: one that has lost its place, and does not know, leaves to the new
/// owner what that one is to be told.
const SILENCE: &str = "DELETE FROM hub.bells AS b \
    USING unnest($1::smallint[], $2::bigint[]) AS told(part, bell) \
    WHERE b.part = told.part AND b.bell = told.bell \
    AND EXISTS (SELECT FROM hub.workers AS w WHERE w.epoch = $3) \
    AND (b.part < 0 OR EXISTS (SELECT FROM hub.parts AS p WHERE p.part = b.part AND p.epoch = $3))";

/// The statements, for the test of their plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] = [READY, HELD, RUNG, BELLS, SILENCE];

/// The watch over what others write, from when a worker joined.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Partitions that are its own, of which what waits in them has not been told.
    unseen: Parts,
    /// Bells whose message or instance has been told, and which may still be there: with their partition.
    told: BTreeMap<i64, i16>,
    /// Others have called this worker.
    called: bool,
    /// Activities that the worker runs.
    pub(super) served: ServedNames,
}

impl Watch {
    /// Of a worker that runs these activities.
    pub(super) fn of(served: ServedNames) -> Self {
        Self { served, ..Self::default() }
    }

    /// All that waits in these partitions is among what is taken next.
    pub(super) fn add(&mut self, parts: Parts) {
        self.unseen = self.unseen.with(parts);
    }

    /// Whether others have called this worker, once.
    pub(super) fn take_called(&mut self) -> bool {
        std::mem::take(&mut self.called)
    }

    /// What has come since the last call to these partitions, or by its call sign for this worker; and all
    /// that waits in partitions that are new.
    pub(super) fn take(&mut self, session: &mut Session, member: &Membership) -> Result<Arrivals> {
        let mine = member.mine.without(member.untold);
        let mut numbers = vec![member.call_sign()];
        numbers.extend(mine.iter().map(stored));
        self.told.retain(|_, part| numbers.binary_search(part).is_ok());
        let unseen: Parts = self.unseen.iter().filter(|part| mine.has(*part)).collect();
        let arrivals = if unseen.is_empty() {
            self.next(session, numbers)?
        } else {
            self.all(session, unseen)?
        };
        if !self.told.is_empty() {
            let (bells, parts): (Vec<i64>, Vec<i16>) = self.told.iter().unzip();
            let ask = Ask::new(SILENCE).with(parts).with(bells).with(member.epoch);
            // Where that fails, they are found again, and known.
            if session.rows("silence bells", ask).is_ok() {
                self.told.clear();
            }
        }
        Ok(arrivals)
    }

    /// All that waits in partitions, of one state: what a bell in it rings for is among the rest.
    pub(super) fn all(&mut self, session: &mut Session, parts: Parts) -> Result<Arrivals> {
        let numbers: Vec<i16> = parts.iter().map(stored).collect();
        let of_parts = [READY, MESSAGES, HELD, RUNG].map(|text| Ask::new(text).with(&numbers));
        let mut asks = vec![Ask::new(BEGIN_READING)];
        asks.extend(of_parts);
        asks.push(Ask::new(END_READING));
        let found = session.all("read what waits", &asks)?;
        let mut arrivals = Arrivals::default();
        let keys = |rows: &[Row]| rows.iter().map(|row| column(row, 0)).collect::<Result<_>>();
        if let [_, ready, messages, held, bells, _] = &found[..] {
            arrivals.ready = keys(ready)?;
            arrivals.messages = messages.iter().map(delivery).collect::<Result<_>>()?;
            arrivals.held = keys(held)?;
            for row in bells {
                self.told.insert(column(row, 0)?, column(row, 1)?);
            }
        }
        self.unseen = self.unseen.without(parts);
        Ok(arrivals)
    }

    fn next(&mut self, session: &mut Session, numbers: Vec<i16>) -> Result<Arrivals> {
        let mut arrivals = Arrivals::default();
        let asks = [Ask::new(BELLS).with(numbers), self.served.waiting()];
        let found = session.all("read what has come", &asks)?;
        let [bells, waiting] = &found[..] else { return Ok(arrivals) };
        arrivals.tasks = tasks::wait(waiting)?;
        for row in bells {
            let part: i16 = column(row, 6)?;
            if self.told.insert(column(row, 5)?, part).is_some() {
                continue;
            }
            if part < 0 {
                self.called = true;
                continue;
            }
            // A message that is gone was consumed by whoever loaded the instance.
            match (column::<Option<i64>>(row, 1)?, column::<Option<i64>>(row, 4)?) {
                (Some(_), _) => arrivals.messages.push(delivery(row)?),
                (None, None) => arrivals.ready.push(column(row, 0)?),
                (None, Some(_)) => {}
            }
        }
        Ok(arrivals)
    }
}
