//! Activities that any worker of a hub may run.
//!
//! Owns: who has taken which, and that no more of one name are taken than its limit allows.
//! Must never: free what a worker that lives has taken. Proved by `tests/provider_postgres/tasks.rs`.
//!
//! A row without a worker waits. One whose worker is gone is freed by whoever looks who is there. Activities
//! with a limit are counted and taken under a lock of the hub's row, so that two workers never count at the
//! same time.

use tokio_postgres::Row;

use crate::core::ids::fold_name;
use crate::core::partition::Epoch;
use crate::core::task::{ActivityTask, Claim, Claimed, Served, TaskRef, TasksWait};
use crate::provider::rows::TaskRows;
use crate::provider::{ProviderError, ProviderErrorKind, Result, payload_from};

use super::batch::signed;
use super::columns::{column, number};
use super::rows::PostgresRows;
use super::session::Ask;

pub(super) const OFFER: &str = "INSERT INTO hub.tasks \
    (iid, exec, task, attempt, instance_id, name, name_folded, input, worker, claims) \
    SELECT iid, exec, task, attempt, instance_id, name, name_folded, input, $9::bigint, \
     CASE WHEN $9::bigint IS NULL THEN 0 ELSE 1 END \
    FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[], \
     $7::text[], $8::bytea[]) WITH ORDINALITY \
     AS new(iid, exec, task, attempt, instance_id, name, name_folded, input, place) ORDER BY place \
    ON CONFLICT (iid, exec, task) DO NOTHING RETURNING iid, exec, task";
pub(super) const CLAIM: &str = "UPDATE hub.tasks AS t SET worker = $1, claims = t.claims + 1 \
    FROM (SELECT w.iid, w.exec, w.task FROM unnest($2::text[]) AS n(name) CROSS JOIN LATERAL \
      (SELECT iid, exec, task, tid FROM hub.tasks WHERE worker IS NULL AND name_folded = n.name \
       ORDER BY tid LIMIT $3 FOR UPDATE SKIP LOCKED) AS w ORDER BY w.tid LIMIT $3) AS free \
    WHERE t.iid = free.iid AND t.exec = free.exec AND t.task = free.task \
    RETURNING t.iid, t.exec, t.task, t.attempt, t.instance_id, t.name, t.input, t.claims";
pub(super) const CLAIM_LIMITED: &str = "UPDATE hub.tasks AS t SET worker = $1, claims = t.claims + 1 \
    FROM (SELECT w.iid, w.exec, w.task \
      FROM unnest($2::text[], $4::bigint[]) AS n(name, most) CROSS JOIN LATERAL \
      (SELECT iid, exec, task, tid FROM hub.tasks WHERE worker IS NULL AND name_folded = n.name \
       ORDER BY tid LIMIT greatest(0, least($3, n.most - (SELECT count(*) FROM hub.tasks \
        WHERE worker IS NOT NULL AND name_folded = n.name))) FOR UPDATE SKIP LOCKED) AS w \
      ORDER BY w.tid LIMIT $3) AS free \
    WHERE t.iid = free.iid AND t.exec = free.exec AND t.task = free.task \
    RETURNING t.iid, t.exec, t.task, t.attempt, t.instance_id, t.name, t.input, t.claims";
/// Which of these a worker has taken.
pub(super) const HELD: &str = "SELECT t.iid, t.exec, t.task FROM hub.tasks AS t \
    JOIN unnest($2::bigint[], $3::integer[], $4::bigint[]) AS w(iid, exec, task) \
     ON t.iid = w.iid AND t.exec = w.exec AND t.task = w.task \
    WHERE t.worker = $1 ORDER BY t.iid, t.exec, t.task FOR UPDATE OF t";
pub(super) const END: &str = "DELETE FROM hub.tasks AS t \
    USING unnest($1::bigint[], $2::integer[], $3::bigint[]) AS gone(iid, exec, task) \
    WHERE t.iid = gone.iid AND t.exec = gone.exec AND t.task = gone.task";
pub(super) const AWAY: &str = "SELECT task FROM hub.tasks WHERE iid = $1 \
    AND exec = (SELECT exec FROM hub.instances WHERE iid = $1)";
pub(super) const WAITING: &str = "SELECT EXISTS (SELECT 1 FROM unnest($1::text[]) AS n(name) \
      JOIN hub.tasks AS t ON t.worker IS NULL AND t.name_folded = n.name), \
    EXISTS (SELECT 1 FROM unnest($2::text[], $3::bigint[]) AS n(name, most) \
      WHERE EXISTS (SELECT 1 FROM hub.tasks WHERE worker IS NULL AND name_folded = n.name) \
       AND n.most > (SELECT count(*) FROM hub.tasks \
        WHERE worker IS NOT NULL AND name_folded = n.name))";
pub(super) const TAKEN: &str = "SELECT iid, exec, task FROM hub.tasks WHERE worker = $1";
/// What workers had that are gone.
pub(super) const FREE: &str = "UPDATE hub.tasks AS t SET worker = NULL, \
    claims = t.claims - CASE WHEN EXISTS (SELECT FROM hub.departed AS d \
     WHERE d.epoch = t.worker AND NOT d.died) THEN 1 ELSE 0 END FROM \
    (SELECT iid, exec, task FROM hub.tasks WHERE worker IS NOT NULL \
      AND NOT EXISTS (SELECT 1 FROM hub.workers AS w WHERE w.epoch = worker) \
     ORDER BY iid, exec, task FOR UPDATE SKIP LOCKED) AS freed \
    WHERE t.iid = freed.iid AND t.exec = freed.exec AND t.task = freed.task";
/// A worker that ends in peace gives back what it has not done: nobody died of it.
pub(super) const GIVE_BACK: &str = "UPDATE hub.tasks AS t SET worker = NULL, claims = claims - 1 FROM \
    (SELECT iid, exec, task FROM hub.tasks WHERE worker = $1 ORDER BY iid, exec, task FOR UPDATE) AS own \
    WHERE t.iid = own.iid AND t.exec = own.exec AND t.task = own.task";

/// The activities that a worker runs, as statements take them.
#[derive(Debug, Clone, Default)]
pub(super) struct ServedNames {
    free: Vec<String>,
    limited: Vec<String>,
    limits: Vec<i64>,
}

impl ServedNames {
    pub(super) fn of(served: &[Served]) -> Self {
        let mut names = Self::default();
        for Served { name, limit } in served {
            match limit {
                None => names.free.push(name.clone()),
                Some(limit) => {
                    names.limited.push(name.clone());
                    names.limits.push(i64::try_from(*limit).unwrap_or(i64::MAX));
                }
            }
        }
        names
    }

    /// Whether others may wait until one of them is done.
    pub(super) fn any_limited(&self) -> bool {
        !self.limited.is_empty()
    }

    /// Asks whether any of them wait.
    pub(super) fn waiting(&self) -> Ask<'_> {
        Ask::new(WAITING).with(&self.free).with(&self.limited).with(&self.limits)
    }
}

/// The answer to [`ServedNames::waiting`].
pub(super) fn wait(rows: &[Row]) -> Result<TasksWait> {
    let Some(row) = rows.first() else { return Ok(TasksWait::default()) };
    Ok(TasksWait { free: column(row, 0)?, limited: column(row, 1)? })
}

/// Reads `iid, exec, task`.
pub(super) fn task_ref(row: &Row) -> Result<TaskRef> {
    Ok(TaskRef {
        key: column(row, 0)?,
        exec: number("a task", column::<i32>(row, 1)?)?,
        task: number("a task", column::<i64>(row, 2)?)?,
    })
}

/// Asks which of these the worker has taken.
pub(super) fn held(worker: Epoch, reports: &[TaskRef]) -> Ask<'static> {
    of_refs(Ask::new(HELD).with(worker), reports)
}

/// Removes activities.
pub(super) fn end(gone: &[TaskRef]) -> Ask<'static> {
    of_refs(Ask::new(END), gone)
}

fn of_refs(ask: Ask<'static>, tasks: &[TaskRef]) -> Ask<'static> {
    ask.with(tasks.iter().map(|of| of.key).collect::<Vec<_>>())
        .with(tasks.iter().map(|of| signed(of.exec)).collect::<Vec<_>>())
        .with(tasks.iter().map(|of| i64::from(of.task)).collect::<Vec<_>>())
}

fn claimed(row: &Row) -> Result<Claimed> {
    let instance_id: String = column(row, 4)?;
    let input: Option<Vec<u8>> = column(row, 6)?;
    let input = match input {
        None => None,
        Some(bytes) => Some(payload_from(bytes).ok_or_else(|| {
            super::columns::corrupt(&instance_id, "the input of an activity is not JSON text")
        })?),
    };
    Ok(Claimed {
        task: ActivityTask {
            of: task_ref(row)?,
            attempt: number(&instance_id, column::<i32>(row, 3)?)?,
            name: column::<String>(row, 5)?.into(),
            input,
            instance_id,
        },
        claims: number("a task", column::<i32>(row, 7)?)?,
    })
}

impl PostgresRows<'_> {
    /// Activities that this worker has taken.
    pub(super) fn learn_held_tasks(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            self.known.held_tasks.insert(task_ref(row)?);
        }
        Ok(())
    }

    /// Removes an activity that this worker reports, if it has taken it.
    pub(super) fn end_held_task(&mut self, of: TaskRef) -> bool {
        let held = self.known.held_tasks.remove(&of);
        if held {
            self.batch.end_task(of);
            self.reported = true;
        }
        held
    }
}

impl TaskRows for PostgresRows<'_> {
    fn offer_tasks(&mut self, tasks: &[ActivityTask], running: bool) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let refs: Vec<TaskRef> = tasks.iter().map(|task| task.of).collect();
        let inputs: Vec<Option<&[u8]>> = tasks
            .iter()
            .map(|task| task.input.as_ref().map(|input| input.get().as_bytes()))
            .collect();
        let ask = of_refs(Ask::new(OFFER), &refs)
            .with(tasks.iter().map(|task| signed(task.attempt)).collect::<Vec<_>>())
            .with(tasks.iter().map(|task| task.instance_id.as_str()).collect::<Vec<_>>())
            .with(tasks.iter().map(|task| &*task.name).collect::<Vec<_>>())
            .with(tasks.iter().map(|task| fold_name(&task.name)).collect::<Vec<_>>())
            .with(inputs)
            .with(self.epoch.filter(|_| running));
        self.told.called |= !running;
        let offered = self.read("offer activities", ask)?;
        if running {
            // One may end in the same transaction.
            self.learn_held_tasks(&offered)?;
        }
        Ok(())
    }

    fn claim_tasks(&mut self, claim: &Claim) -> Result<Vec<Claimed>> {
        let worker = self.epoch.ok_or_else(no_worker)?;
        let ServedNames { free, limited, limits } = ServedNames::of(&claim.served);
        let room = i64::try_from(claim.room).unwrap_or(i64::MAX);
        let mut taken = Vec::new();
        if !limited.is_empty() {
            self.lock_hub()?;
            let ask = Ask::new(CLAIM_LIMITED).with(worker).with(limited).with(room).with(limits);
            taken = self.read("take activities", ask)?;
        }
        let room = room - i64::try_from(taken.len()).unwrap_or(room);
        if room > 0 && !free.is_empty() {
            let ask = Ask::new(CLAIM).with(worker).with(free).with(room);
            taken.append(&mut self.read("take activities", ask)?);
        }
        taken.iter().map(claimed).collect()
    }

    fn end_task(&mut self, of: TaskRef) -> Result<bool> {
        Ok(self.end_held_task(of))
    }
}

fn no_worker() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Permanent, "take activities", "this process is no worker")
}
