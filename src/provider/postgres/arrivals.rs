//! What other processes wrote.
//!
//! Owns: the bells that they ring for an owner, and that each is told once: a bell is removed only after
//! what it rang for has been read, and one that has been told is remembered until it is gone. Must never:
//! lose what was read because a connection broke. Proved by `tests/provider_postgres.rs`.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::provider::{Arrivals, Result};

use super::columns::{column, delivery};
use super::query::{BEGIN_READING, END_READING};
use super::session::{Ask, Session};

const ALL_READY: &str = "SELECT iid FROM hub.instances WHERE ready ORDER BY iid";
const ALL_MESSAGES: &str = "SELECT iid, mid, exec, body FROM hub.messages WHERE taken ORDER BY mid";
const ALL_HELD: &str = "SELECT iid FROM hub.instances \
    WHERE status = 7 AND problem IS NOT NULL ORDER BY iid";
const ALL_BELLS: &str = "SELECT bell, part FROM hub.bells WHERE part >= 0";
const BELLS: &str = "SELECT b.iid, m.mid, m.exec, m.body, b.mid, b.bell, b.part \
    FROM hub.bells AS b LEFT JOIN hub.messages AS m ON m.mid = b.mid WHERE b.part >= 0 \
    ORDER BY b.bell";
const SILENCE: &str = "DELETE FROM hub.bells AS b \
    USING unnest($1::smallint[], $2::bigint[]) AS told(part, bell) \
    WHERE b.part = told.part AND b.bell = told.bell";

/// The statements, for the test of their plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] = [ALL_READY, ALL_HELD, ALL_BELLS, BELLS, SILENCE];

/// The watch over what others write, from when a hub was taken.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What waited when the hub was taken has been told.
    begun: bool,
    /// Bells whose message or instance has been told, and which may still be there: with their partition.
    told: BTreeMap<i64, i16>,
}

impl Watch {
    /// What has come since the last call; at the first, all that waits.
    pub(super) fn take(&mut self, session: &mut Session) -> Result<Arrivals> {
        let arrivals = if self.begun { self.next(session)? } else { self.first(session)? };
        if !self.told.is_empty() {
            let (bells, parts): (Vec<i64>, Vec<i16>) = self.told.iter().unzip();
            let ask = Ask::new(SILENCE).with(parts).with(bells);
            // Where that fails, they are found again, and known.
            if session.rows("silence bells", ask).is_ok() {
                self.told.clear();
            }
        }
        Ok(arrivals)
    }

    /// Of one state: what a bell in it rings for is among the rest.
    fn first(&mut self, session: &mut Session) -> Result<Arrivals> {
        let texts = [BEGIN_READING, ALL_READY, ALL_MESSAGES, ALL_HELD, ALL_BELLS, END_READING];
        let found = session.all("read what waits", &texts.map(Ask::new))?;
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
        self.begun = true;
        Ok(arrivals)
    }

    fn next(&mut self, session: &mut Session) -> Result<Arrivals> {
        let mut arrivals = Arrivals::default();
        for row in &session.rows("read what has come", Ask::new(BELLS))? {
            if self.told.insert(column(row, 5)?, column(row, 6)?).is_some() {
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
