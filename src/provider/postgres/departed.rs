//! How workers left: whether their process is known to have died.
//!
//! Owns: the mark by which a process shows that it lives, and what is remembered of those whose lease ran out.
//! Must never: take a process for dead whose connection lives: a lost lease is no death.
//! Proved by `tests/provider_postgres/departed.rs`.
//!
//! An instance that was under way when its process died is counted, and held after five deaths in a row. A
//! lease also runs out where a process is stopped, starved, or cut off. So a worker has an advisory lock of the
//! server for as long as its connection lives, which ends with its process. Where there is no such lock (a
//! pooler, a server that only speaks the protocol) or the connection was cut, a worker is taken for dead, and
//! clears what it is blamed for when it comes back.

use tokio_postgres::Row;

use crate::core::partition::{Epoch, Parts};
use crate::provider::Result;

use super::columns::column;
use super::session::{Ask, Session};

/// For as long as the connection lives.
const MARK: &str =
    "SELECT pg_try_advisory_lock(hashtext($1::text), ($2::bigint % 2147483647)::integer)";
/// One in the middle of a commit is passed over: it has lengthened its lease, or is found the next time.
pub(super) const OUST: &str = "WITH gone AS (DELETE FROM hub.workers WHERE epoch = ANY(ARRAY( \
      SELECT epoch FROM hub.workers WHERE epoch <> $1 AND lease_until <= clock_timestamp() \
      FOR UPDATE SKIP LOCKED)) RETURNING epoch) \
    INSERT INTO hub.departed (epoch, died, parts, left_at) SELECT g.epoch, \
     pg_try_advisory_xact_lock(hashtext($2::text), (g.epoch % 2147483647)::integer), \
     ARRAY(SELECT part FROM hub.parts AS p WHERE p.epoch = g.epoch), clock_timestamp() \
    FROM gone AS g ON CONFLICT (epoch) DO NOTHING";
const ALIVE: &str = "SELECT epoch FROM hub.departed WHERE epoch = ANY($1) AND NOT died";
/// One that was not ousted, and goes by itself.
const LEFT: &str = "INSERT INTO hub.departed (epoch, died, parts, left_at) \
    SELECT epoch, false, '{}', clock_timestamp() FROM hub.workers WHERE epoch = $1 \
    ON CONFLICT (epoch) DO NOTHING";
const CLEAR_INSTANCES: &str = "UPDATE hub.instances SET crashes = 1 WHERE iid = ANY(ARRAY( \
    SELECT iid FROM hub.instances WHERE crashes > 1 AND (iid & 255)::smallint = ANY(ARRAY( \
     SELECT unnest(parts) FROM hub.departed WHERE epoch = $1 AND died)) \
    ORDER BY iid FOR NO KEY UPDATE))";
const CLEAR_ENTITIES: &str = "UPDATE hub.entities SET crashes = 0 WHERE eid = ANY(ARRAY( \
    SELECT eid FROM hub.entities WHERE crashes > 0 AND (eid & 255)::smallint = ANY(ARRAY( \
     SELECT unnest(parts) FROM hub.departed WHERE epoch = $1 AND died)) \
    ORDER BY eid FOR NO KEY UPDATE))";
const LIVES: &str = "UPDATE hub.departed SET died = false WHERE epoch = $1 AND died";
/// Those of whom nothing is left.
pub(super) const FORGET: &str = "DELETE FROM hub.departed AS d \
    WHERE left_at < clock_timestamp() - interval '1 day' \
    AND NOT EXISTS (SELECT FROM hub.parts AS p WHERE p.epoch = d.epoch) \
    AND NOT EXISTS (SELECT FROM hub.tasks AS t WHERE t.worker = d.epoch)";

/// The statements, for the test of their plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [OUST, ALIVE, CLEAR_INSTANCES, CLEAR_ENTITIES];

/// Shows that the process of this worker lives, if the connection can.
pub(super) fn mark(session: &mut Session, epoch: Epoch) -> Result<()> {
    if !session.can_be_marked() || session.marked == Some(epoch) {
        return Ok(());
    }
    let schema = session.schema().to_owned();
    session.rows("show that the worker lives", Ask::new(MARK).with(schema).with(epoch))?;
    session.marked = Some(epoch);
    Ok(())
}

/// Of partitions that were taken, each with its last owner, those in which nobody died: it gave them, or its
/// process lives.
pub(super) fn spared(session: &mut Session, taken: &[(u16, Option<Epoch>)]) -> Result<Parts> {
    let former: Vec<Epoch> = taken.iter().filter_map(|(_, epoch)| *epoch).collect();
    let mut alive = Vec::new();
    if !former.is_empty() {
        let rows = session.rows("look who is gone", Ask::new(ALIVE).with(former))?;
        alive = rows.iter().map(|row: &Row| column::<Epoch>(row, 0)).collect::<Result<_>>()?;
    }
    let lives = |epoch: &Option<Epoch>| epoch.is_none_or(|epoch| alive.contains(&epoch));
    Ok(taken.iter().filter(|(_, epoch)| lives(epoch)).map(|(part, _)| *part).collect())
}

/// A worker that lost its lease is back. It has not died, and what it was blamed for is cleared.
pub(super) fn returned(session: &mut Session, former: Epoch) -> Result<()> {
    let asks = [LEFT, CLEAR_INSTANCES, CLEAR_ENTITIES, LIVES];
    let asks = asks.map(|text| Ask::new(text).with(former));
    session.all("come back to the hub", &asks).map(|_| ())
}
