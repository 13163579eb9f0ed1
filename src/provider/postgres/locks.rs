//! The one order in which transactions lock rows.
//!
//! Owns: what a transaction locks before its rules run, and that whatever it turns out to need beside is
//! locked in the same order. Must never: wait for a row while it has one that comes later. Proved by
//! `tests/provider_postgres/locks.rs`.
//!
//! Two transactions that lock the same rows in two orders wait for each other, until the server looks for
//! that after a second; meanwhile all commits of both processes wait. So the order is, everywhere:
//!
//! 1. the worker's own row of `workers` (the fence),
//! 2. the row of `hub`: whoever joins, counts activities that have a limit, or puts settings,
//! 3. rows of `instances`, by key; with them, an instance's parent where it may end, and its tree where all
//!    of that is asked for,
//! 4. rows of `entities`, by id,
//! 5. rows of `tasks` that are reported, by key,
//! 6. what is written, in the order of `Batch::asks`: new instances and new entities by id, as two may be
//!    given the same one; who comes second then begins anew.
//!
//! Rows of history, messages, waits and timers are those of an instance or entity, and are changed only by
//! who has locked that one, so that nobody waits for them. Tasks that wait are taken, what somebody had who
//! is gone is freed, and workers that are gone are removed, without waiting for those whom others have
//! locked; partitions are taken in their order.
//!
//! Steps 2 to 5 are one round trip, by what is foreseen (`transaction/foresight.rs`). A row that nobody has
//! foreseen is locked at once if the transaction has none yet. Else the transaction is begun anew, with that
//! one among those foreseen.

use tokio_postgres::Row;

use crate::core::InstanceKey;
use crate::provider::transaction::Foresight;
use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::columns::{self, column, head_columns};
use super::entities;
use super::history;
use super::rows::{
    INSTANCE_KEYS, KEPT_EVENTS, MESSAGE_KEYS, PostgresRows, READING, TAKEN_EVENTS, WAITS,
};
use super::session::Ask;
use super::tasks;

pub(super) const LOCK_HUB: &str = "SELECT one FROM hub.hub FOR UPDATE";
pub(super) const HEADS: &str = concat!(
    "SELECT ",
    head_columns!(),
    " FROM hub.instances WHERE iid = ANY(ARRAY(SELECT unnest($1::bigint[]) \
     UNION SELECT iid FROM hub.instances WHERE id = ANY($2::text[]) \
     UNION SELECT parent_iid FROM hub.instances \
      WHERE iid = ANY($3::bigint[]) AND parent_iid IS NOT NULL)) \
     ORDER BY iid FOR NO KEY UPDATE"
);
/// The same with parents of some, and with all that stands under some and is open or failed.
pub(super) const TREES: &str = concat!(
    "SELECT ",
    head_columns!(),
    " FROM hub.instances WHERE iid = ANY(ARRAY(SELECT unnest($1::bigint[]) \
     UNION SELECT iid FROM hub.instances WHERE id = ANY($2::text[]) \
     UNION SELECT parent_iid FROM hub.instances \
      WHERE iid = ANY($3::bigint[]) AND parent_iid IS NOT NULL \
     UNION SELECT parent_iid FROM hub.instances \
      WHERE id = ANY($4::text[]) AND parent_iid IS NOT NULL \
     UNION (WITH RECURSIVE tree(iid) AS (SELECT iid FROM hub.instances WHERE id = ANY($5::text[]) \
      UNION SELECT c.iid FROM tree AS t JOIN hub.instances AS c ON c.parent_iid = t.iid \
       WHERE c.completed_ms IS NULL OR c.status = 3) SELECT iid FROM tree))) \
     ORDER BY iid FOR NO KEY UPDATE"
);

/// What the work of a transaction asked for that nobody had foreseen.
#[derive(Debug, Default)]
pub(super) struct Later {
    asked: Foresight,
    /// It is to be begun anew with that.
    anew: bool,
}

fn heads(foresight: &Foresight) -> Ask<'_> {
    let Foresight { keys, ids, ending, ending_ids, trees, .. } = foresight;
    let plain = ending_ids.is_empty() && trees.is_empty();
    let ask = Ask::new(if plain { HEADS } else { TREES }).with(keys).with(ids).with(ending);
    if plain { ask } else { ask.with(ending_ids).with(trees) }
}

impl PostgresRows<'_> {
    /// Sends what begins the transaction, and with it reads all that is foreseen. Gives the rows of the
    /// statements in `first`.
    pub(super) fn begin(
        &mut self,
        first: Vec<Ask<'_>>,
        foresight: &Foresight,
    ) -> Result<Vec<Vec<Row>>> {
        let (first, mut asks) = (first.len(), first);
        let events: Vec<&str> = foresight.kept.iter().map(|(_, event)| event.as_str()).collect();
        let raised: Vec<&str> = foresight.waits.iter().map(|(_, event)| event.as_str()).collect();
        asks.push(Ask::new(LOCK_HUB));
        asks.push(heads(foresight));
        asks.push(entities::heads(&foresight.entities, &foresight.entity_ids));
        asks.push(tasks::held(self.epoch.unwrap_or_default(), &foresight.reports));
        asks.push(history::last_turns(&foresight.turns));
        asks.push(Ask::new(TAKEN_EVENTS).with(foresight.ending.as_slice()));
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let keys: Vec<InstanceKey> = foresight.kept.iter().map(|(key, _)| *key).collect();
        asks.push(Ask::new(KEPT_EVENTS).with(keys).with(events));
        let ids: Vec<&str> = foresight.waits.iter().map(|(id, _)| id.as_str()).collect();
        asks.push(Ask::new(WAITS).with(ids).with(raised));
        asks.push(Ask::new(INSTANCE_KEYS).with(count(foresight.starts)));
        asks.push(Ask::new(MESSAGE_KEYS).with(count(foresight.messages)));
        // A statement that would read nothing is not sent.
        let needed = [
            foresight.hub,
            !(foresight.keys.is_empty() && foresight.ids.is_empty()),
            !(foresight.entities.is_empty() && foresight.entity_ids.is_empty()),
            !foresight.reports.is_empty(),
            !foresight.turns.is_empty(),
            !foresight.ending.is_empty(),
            !foresight.kept.is_empty(),
            !foresight.waits.is_empty(),
            foresight.starts > 0,
            foresight.messages > 0,
        ];
        let mut place = 0;
        asks.retain(|_| {
            place += 1;
            place <= first || needed[place - 1 - first]
        });
        let mut answers = self.session.all("begin a transaction", &asks)?;
        let mut read = answers.split_off(first).into_iter();
        let mut next =
            |needed: bool| if needed { read.next().unwrap_or_default() } else { Vec::new() };
        let [_, heads, entities, held, turns, taken, kept, waits, instance_keys, message_keys] =
            needed.map(&mut next);
        self.known.hub |= foresight.hub;
        self.learn(foresight, &heads, &taken, &kept, &waits)?;
        self.learn_entities(&foresight.entities, &foresight.entity_ids, &entities)?;
        self.learn_turns(&foresight.turns, &turns)?;
        for row in &instance_keys {
            self.known.instance_keys.push_back(column(row, 0)?);
        }
        for row in &message_keys {
            self.known.message_keys.push_back(column(row, 0)?);
        }
        self.learn_held_tasks(&held)?;
        Ok(answers)
    }

    fn learn(
        &mut self,
        foresight: &Foresight,
        heads: &[Row],
        taken: &[Row],
        kept: &[Row],
        waits: &[Row],
    ) -> Result<()> {
        let known = &mut self.known;
        known.heads.extend(foresight.keys.iter().map(|key| (*key, None)));
        known.keys.extend(foresight.ids.iter().map(|id| (id.clone(), None)));
        known.taken.extend(foresight.ending.iter().map(|key| (*key, Vec::new())));
        known.kept.extend(foresight.kept.iter().map(|wait| (wait.clone(), None)));
        for row in heads {
            known.learn_head(columns::head(row)?);
        }
        for row in taken {
            known.taken.entry(column(row, 0)?).or_default().push(column(row, 1)?);
        }
        for row in kept {
            let wait = (column(row, 0)?, column(row, 1)?);
            known.kept.insert(wait, Some(columns::message(row, 2)?));
        }
        for row in waits {
            known.waits.insert((column(row, 0)?, column(row, 1)?), column(row, 2)?);
        }
        Ok(())
    }

    /// Has these instances, and what of them there is, for this transaction.
    pub(super) fn lock_heads(&mut self, keys: &[InstanceKey], ids: &[&str]) -> Result<()> {
        let known = &self.known;
        let missing = |key: &&InstanceKey| !known.heads.contains_key(key);
        let keys: Vec<InstanceKey> = keys.iter().filter(missing).copied().collect();
        let missing = |id: &&&str| !known.keys.contains_key(**id);
        let ids: Vec<String> = ids.iter().filter(missing).map(|id| (*id).to_owned()).collect();
        if keys.is_empty() && ids.is_empty() {
            return Ok(());
        }
        self.later.asked.keys.extend(&keys);
        self.later.asked.ids.extend(ids.iter().cloned());
        self.wait_or_begin_anew()?;
        let foresight = Foresight { keys, ids, ..Foresight::default() };
        let rows = self.read(READING, heads(&foresight))?;
        self.learn(&foresight, &rows, &[], &[], &[])
    }

    /// The same for entities.
    pub(super) fn lock_entities(&mut self, keys: &[InstanceKey], ids: &[String]) -> Result<()> {
        let known = &self.known;
        let missing = |key: &&InstanceKey| !known.entities.contains_key(key);
        let keys: Vec<InstanceKey> = keys.iter().filter(missing).copied().collect();
        let missing = |id: &&String| !known.entity_keys.contains_key(*id);
        let ids: Vec<String> = ids.iter().filter(missing).cloned().collect();
        if keys.is_empty() && ids.is_empty() {
            return Ok(());
        }
        self.later.asked.entities.extend(&keys);
        self.later.asked.entity_ids.extend(ids.iter().cloned());
        self.wait_or_begin_anew()?;
        let rows = self.read(READING, entities::heads(&keys, &ids))?;
        self.learn_entities(&keys, &ids, &rows)
    }

    /// Has the hub's row for this transaction.
    pub(super) fn lock_hub(&mut self) -> Result<()> {
        if self.known.hub {
            return Ok(());
        }
        self.later.asked.hub = true;
        self.wait_or_begin_anew()?;
        self.known.hub = true;
        self.read("lock the hub", Ask::new(LOCK_HUB)).map(|_| ())
    }

    /// Whether a row may be waited for that was not foreseen: else the transaction is begun anew.
    fn wait_or_begin_anew(&mut self) -> Result<()> {
        self.later.anew |= self.known.has_locked();
        if !self.later.anew {
            return Ok(());
        }
        let cause = "a row is to be locked before others";
        Err(ProviderError::new(ProviderErrorKind::Transient, READING, cause))
    }

    /// What is to be foreseen when it is begun anew, if it is.
    pub(super) fn take_later(&mut self) -> Option<Foresight> {
        let Later { asked, anew } = std::mem::take(&mut self.later);
        anew.then_some(asked)
    }
}
