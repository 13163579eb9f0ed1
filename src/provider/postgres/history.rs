//! Rows of history in PostgreSQL, as a transaction asks for them.
//!
//! Owns: the numbers of turns, and that a last turn is read only once its instance is locked: whoever has
//! written another one meanwhile has been waited for. Must never: write (`batch.rs` does).
//! Proved by `tests/conformance.rs`.

use tokio_postgres::Row;

use crate::core::{ExecutionId, InstanceKey, TurnNumber};
use crate::provider::{HistoryPlace, Result};

use super::batch::signed;
use super::columns::{self, column};
use super::rows::PostgresRows;
use super::session::{Ask, Session};

pub(super) const HISTORY: &str = "SELECT body FROM hub.history WHERE iid = $1 AND exec = $2 \
    ORDER BY coalesce(after, number), number DESC";
/// The last turn of each execution, as it is once their rows are locked.
pub(super) const LAST_TURNS: &str = "SELECT t.iid, t.exec, h.number \
    FROM unnest($1::bigint[], $2::integer[]) AS t(iid, exec) CROSS JOIN LATERAL \
     (SELECT number FROM hub.history WHERE iid = t.iid AND exec = t.exec AND number > 0 \
      ORDER BY number DESC LIMIT 1) AS h";
pub(super) fn last_turns(of: &[(InstanceKey, ExecutionId)]) -> Ask<'static> {
    let keys: Vec<InstanceKey> = of.iter().map(|(key, _)| *key).collect();
    let execs: Vec<i32> = of.iter().map(|(_, exec)| signed(*exec)).collect();
    Ask::new(LAST_TURNS).with(keys).with(execs)
}

/// Turns and notices behind a place, in the order of the whole, so many of each. The bytes are those of the
/// bodies before, which are not read for it.
pub(super) const HISTORY_AFTER: &str = "SELECT number, after, body FROM \
    (SELECT number, after, body, sum(octet_length(body)) OVER in_order - octet_length(body) AS before FROM \
     ((SELECT number, after, body FROM hub.history WHERE iid = $1 AND number > $2 \
        AND exec = (SELECT exec FROM hub.instances WHERE iid = $1) ORDER BY number LIMIT 1000) \
      UNION ALL \
      (SELECT number, after, body FROM hub.history WHERE iid = $1 AND number < $3 \
        AND exec = (SELECT exec FROM hub.instances WHERE iid = $1) ORDER BY number DESC LIMIT 1000)) AS next \
     WINDOW in_order AS (ORDER BY coalesce(after, number), number DESC)) AS part \
    WHERE before < $4 ORDER BY coalesce(after, number), number DESC";
/// See `HISTORY_AFTER`.
const AT_ONCE: usize = 1_000;

/// Reads about so many bytes of the current history behind a place.
pub(super) fn read_after(
    session: &mut Session,
    key: InstanceKey,
    after: HistoryPlace,
    bytes: usize,
) -> Result<Vec<(HistoryPlace, Vec<u8>)>> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let ask = Ask::new(HISTORY_AFTER)
        .with(key)
        .with(i64::from(after.turn))
        .with(-after.notice)
        .with(bytes);
    let found = session.rows("read history", ask)?;
    let (mut place, mut rows) = (after, Vec::with_capacity(found.len()));
    let (mut turns, mut notices) = (0, 0);
    for row in &found {
        // Behind as many of a kind as were read, there may be more of it.
        if turns == AT_ONCE || notices == AT_ONCE {
            break;
        }
        let number: i64 = column(row, 0)?;
        if number > 0 {
            place.turn = columns::number("a turn", number)?;
            turns += 1;
        } else {
            place.notice = -number;
            notices += 1;
        }
        rows.push((place, column(row, 2)?));
    }
    Ok(rows)
}

/// The number of the last turn among rows of history, of which it is the second column.
pub(super) fn last_of(rows: &[Row]) -> Result<TurnNumber> {
    let mut last = 0;
    for row in rows {
        last = last.max(column::<i64>(row, 1)?);
    }
    columns::number("a turn", last)
}

impl PostgresRows<'_> {
    /// The number of the last turn of an execution, 0 if it has none.
    pub(super) fn last_turn(&mut self, key: InstanceKey, exec: ExecutionId) -> Result<TurnNumber> {
        let of = (key, exec);
        if !self.known.turns.contains_key(&of) {
            let rows = self.read("read the last turn", last_turns(&[of]))?;
            self.learn_turns(&[of], &rows)?;
        }
        Ok(self.known.turns.get(&of).copied().unwrap_or_default())
    }

    pub(super) fn learn_turns(
        &mut self,
        of: &[(InstanceKey, ExecutionId)],
        rows: &[Row],
    ) -> Result<()> {
        self.known.turns.extend(of.iter().map(|of| (*of, 0)));
        for row in rows {
            let exec = columns::exec(row, 1)?.unwrap_or_default();
            let turn = columns::number("a turn", column::<i64>(row, 2)?)?;
            self.known.turns.insert((column(row, 0)?, exec), turn);
        }
        Ok(())
    }

    pub(super) fn read_history(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
    ) -> Result<Vec<Vec<u8>>> {
        let rows = self.read("read history", Ask::new(HISTORY).with(key).with(signed(exec)))?;
        rows.iter().map(|row| column(row, 0)).collect()
    }
}
