//! Workers that share a hub: who is alive, and who has which partitions.
//!
//! Owns: joining, leaving, the lease, taking partitions that are nobody's. Must never: take a partition
//! from a worker whose row is there. Proved by `tests/provider_postgres/leases.rs`.
//!
//! A worker has a row in `workers`, which each of its commits writes. Another worker removes that row only
//! when the lease in it has run out by the clock of the server, and takes its partitions after that. So a
//! commit and the ouster of its worker exclude each other, and no clock is trusted for more than when to
//! try. A partition of a worker that lives changes hands by that worker alone: it gives it in a transaction
//! of its own, in line with its commits.
//!
//! Each looks now and then who is there. So that nobody waits for that, whoever comes, goes or gives rings a
//! bell for each of the others, as for something that is to be run.

use std::time::{Duration, Instant};

use tokio_postgres::Row;

use crate::core::TimeMs;
use crate::core::partition::{Epoch, Member, Parts, balance};
use crate::core::request::HubSettings;
use crate::provider::{
    Balanced, ProviderError, ProviderErrorKind, Result, decode_settings, encode_settings,
};

use super::columns::{column, stored};
use super::departed;
use super::limits::{CommitSync, limited, limits};
use super::session::{self, Ask, Session};
use super::tasks;

/// Writes the worker's row: nothing is returned if it is gone.
pub(super) const FENCE: &str = concat!(
    "UPDATE hub.workers SET commits = commits + 1, \
     lease_until = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE epoch = $1 \
     RETURNING pg_current_xact_id()::text, commits, ",
    limits!("$3", "$4", "$5")
);
pub(super) const LIVING: &str =
    "SELECT EXISTS (SELECT 1 FROM hub.workers WHERE lease_until > clock_timestamp())";
const OTHERS: &str = "SELECT EXISTS (SELECT 1 FROM hub.workers \
    WHERE epoch <> $1 AND NOT leaving AND lease_until > clock_timestamp())";
const LOCK_HUB: &str =
    concat!("SELECT hub_id, last_epoch, ", limits!("$1", "$2", "$3"), " FROM hub.hub FOR UPDATE");
const JOIN: &str = "INSERT INTO hub.workers (epoch, owner, lease_until, leaving, commits, settings) \
    VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 millisecond', false, 0, $4)";
const COUNT_EPOCH: &str = "UPDATE hub.hub SET last_epoch = $1, settings = $2";
const MEMBERS: &str = "SELECT epoch, leaving, settings, \
    (extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint FROM hub.workers";
const OWNERS: &str = "SELECT part, epoch FROM hub.parts ORDER BY part";
const TAKE: &str = concat!(
    "UPDATE hub.parts AS p SET epoch = $1 \
     FROM (SELECT h.part FROM hub.parts AS h \
      JOIN unnest($2::smallint[], $3::bigint[]) AS free(part, epoch) \
       ON h.part = free.part AND h.epoch IS NOT DISTINCT FROM free.epoch \
      ORDER BY h.part FOR UPDATE OF h) AS free \
     WHERE p.part = free.part RETURNING p.part, ",
    limits!("$4", "$5", "$6")
);
const GIVE: &str = "UPDATE hub.parts SET epoch = NULL WHERE part = ANY($1) AND epoch = $2";
const COUNT: &str = "SELECT commits FROM hub.workers WHERE epoch = $1 FOR UPDATE";
const SAY_LEAVING: &str = "UPDATE hub.workers SET leaving = true WHERE epoch = $1";
const LEAVE: &str = "DELETE FROM hub.workers WHERE epoch = $1";
/// Tells all the others that there is something to see.
pub(super) const CALL: &str = "INSERT INTO hub.bells (part, iid) \
    SELECT (-1 - epoch % 32767)::smallint, 0 FROM hub.workers WHERE epoch <> $1";
/// Calls for those who are gone.
const HUSH: &str = "DELETE FROM hub.bells AS b USING \
    (SELECT part, bell FROM hub.bells AS c WHERE part < 0 AND NOT EXISTS \
      (SELECT FROM hub.workers WHERE (-1 - epoch % 32767)::smallint = c.part) \
     ORDER BY part, bell FOR UPDATE SKIP LOCKED) AS gone WHERE b.part = gone.part AND b.bell = gone.bell";
const SERVER_MS: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// How often a worker looks who else is there.
const LOOK: Duration = Duration::from_millis(500);
/// A lease that has just run out is looked at again so much later.
const MOMENT: Duration = Duration::from_millis(20);
const JOINING: &str = "join the hub";
const LEAVING: &str = "leave the hub";
const BALANCING: &str = "look who has what";

/// A worker's place among those of its hub.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) epoch: Epoch,
    /// Its partitions.
    pub(super) mine: Parts,
    /// Those of which nobody has been told yet that they are its own.
    pub(super) untold: Parts,
    /// Those of them in which no process is known to have died under its last owner.
    pub(super) spared: Parts,
    lease_ms: i64,
    /// What its commits wait for.
    sync: CommitSync,
    /// How many commits its row has counted.
    commits: i64,
    /// When the lease was last lengthened.
    renewed: Instant,
    /// When to look again who is there.
    next_look: Instant,
}

impl Membership {
    /// A new worker, without a partition, and the id of the hub.
    pub(super) fn join(
        session: &mut Session,
        lease_ms: i64,
        sync: CommitSync,
        settings: &HubSettings,
    ) -> Result<(Self, String)> {
        // Who is a worker, and of what, is never relaxed: it acts on it before it commits anything else.
        let lock = limited(Ask::new(LOCK_HUB), lease_ms, CommitSync::Full);
        let found = session.all(JOINING, &[Ask::new("BEGIN"), lock])?;
        let row = found.get(1).and_then(|rows| rows.first()).ok_or_else(no_row)?;
        let (hub_id, last): (String, Epoch) = (column(row, 0)?, column(row, 1)?);
        let epoch = last + 1;
        let owner = format!("process {}", std::process::id());
        let settings = encode_settings(settings);
        session.all(
            JOINING,
            &[
                Ask::new(HUSH),
                Ask::new(departed::FORGET),
                Ask::new(JOIN).with(epoch).with(owner).with(lease_ms).with(settings.clone()),
                Ask::new(COUNT_EPOCH).with(epoch).with(settings),
                Ask::new(CALL).with(epoch),
                Ask::new("COMMIT"),
            ],
        )?;
        let now = session::instant();
        let member = Self {
            epoch,
            mine: Parts::NONE,
            untold: Parts::NONE,
            spared: Parts::NONE,
            lease_ms,
            sync,
            commits: 0,
            renewed: now,
            next_look: now,
        };
        Ok((member, hub_id))
    }

    /// The statement that begins each of its transactions.
    pub(super) fn fence(&self) -> Ask<'static> {
        let fence = Ask::new(FENCE).with(self.epoch).with(self.lease_ms);
        limited(fence, self.lease_ms, self.sync)
    }

    /// What the fence returned: the number of the transaction.
    pub(super) fn check(&self, rows: &[Row]) -> Result<String> {
        let Some(row) = rows.first() else {
            return Err(lost("others have taken its place, as it was silent for too long"));
        };
        let counted: i64 = column(row, 1)?;
        if counted == self.commits + 1 {
            return column(row, 0);
        }
        let cause = format!(
            "the server knows of {counted} commits where there were {}: it has gone back in time",
            self.commits + 1
        );
        Err(lost(&cause))
    }

    /// Whether the last transaction that began with the fence is committed, by its row, which that one has
    /// locked until it is over; `None` if the row is gone.
    pub(super) fn counted(&self, session: &mut Session) -> Result<Option<bool>> {
        let rows = session.rows("read the count of commits", Ask::new(COUNT).with(self.epoch))?;
        let committed = |row: &Row| Ok(column::<i64>(row, 0)? == self.commits + 1);
        rows.first().map(committed).transpose()
    }

    /// A transaction that began with the fence is committed.
    pub(super) fn committed(&mut self) {
        self.commits += 1;
        self.renewed = session::instant();
    }

    /// Whether the lease is to be lengthened, as no commit has done so for a while.
    pub(super) fn is_silent(&self) -> bool {
        self.renewed.elapsed() >= self.lease_third()
    }

    fn lease_third(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.lease_ms / 3).unwrap_or_default())
    }

    /// How long there is nothing to do if nobody asks for something.
    pub(super) fn pause(&self) -> Duration {
        let lease = self.lease_third().saturating_sub(self.renewed.elapsed());
        let look = self.next_look.saturating_duration_since(session::instant());
        lease.min(look).max(MOMENT)
    }

    /// Whether it is time to look who is there.
    pub(super) fn is_due(&self) -> bool {
        session::instant() >= self.next_look
    }

    /// The partition of its bells by which others call it.
    pub(super) fn call_sign(&self) -> i16 {
        let sign = -1 - self.epoch % i64::from(i16::MAX);
        i16::try_from(sign).unwrap_or(i16::MIN)
    }

    /// It is time to look, whenever it last did.
    pub(super) fn called(&mut self) {
        self.next_look = session::instant();
    }

    /// Removes those who are gone, takes what is free and due to this worker, and says what it is to give.
    pub(super) fn balance(&mut self, session: &mut Session) -> Result<Balanced> {
        self.next_look = session::instant() + LOOK;
        let schema = session.schema().to_owned();
        let asks = [
            Ask::new(departed::OUST).with(self.epoch).with(schema),
            Ask::new(tasks::FREE),
            Ask::new(tasks::TAKEN).with(self.epoch),
            Ask::new(MEMBERS),
            Ask::new(OWNERS),
        ];
        let found = session.all(BALANCING, &asks)?;
        let [_, _, taken, workers, parts] = &found[..] else { return Ok(Balanced::default()) };
        let taken = taken.iter().map(tasks::task_ref).collect::<Result<_>>()?;
        let mut balanced = Balanced { taken, ..Balanced::default() };
        let mut members = Vec::with_capacity(workers.len());
        for row in workers {
            let member = Member { epoch: column(row, 0)?, leaving: column(row, 1)? };
            members.push(member);
            if member.epoch != self.epoch {
                let left = u64::try_from(column::<i64>(row, 3)?).unwrap_or_default();
                let ends = session::instant() + Duration::from_millis(left) + MOMENT;
                self.next_look = self.next_look.min(ends);
                // One of a newer version may have what this one cannot read.
                let settings = decode_settings(column(row, 2)?).unwrap_or_default();
                balanced.others.orchestrators.extend(settings.orchestrators);
                balanced.others.activities.extend(settings.activities);
            }
        }
        if !members.iter().any(|member| member.epoch == self.epoch) {
            return Err(lost("others have taken its place, as it was silent for too long"));
        }
        let owners: Vec<Option<Epoch>> =
            parts.iter().map(|row| column(row, 1)).collect::<Result<_>>()?;
        // Those included that it took by a statement whose answer was lost.
        let own = (0_u16..).zip(&owners).filter(|(_, owner)| **owner == Some(self.epoch));
        self.got(own.map(|(part, _)| part).collect::<Parts>().without(self.mine));
        let plan = balance(self.epoch, &members, &owners);
        balanced.give = plan.give;
        if !plan.take.is_empty() {
            let taken = self.take(session, plan.take, &owners)?;
            let former: Vec<(u16, Option<Epoch>)> = taken
                .iter()
                .map(|part| (part, owners.get(usize::from(part)).copied().flatten()))
                .collect();
            let spared = departed::spared(session, &former)?;
            self.spared = self.spared.without(taken).with(spared);
            self.got(taken);
        }
        balanced.gained = self.untold;
        Ok(balanced)
    }

    fn got(&mut self, parts: Parts) {
        self.mine = self.mine.with(parts);
        self.untold = self.untold.with(parts);
    }

    /// Takes partitions whose owners are still who they were: another worker may have been faster.
    fn take(&self, session: &mut Session, parts: Parts, owners: &[Option<Epoch>]) -> Result<Parts> {
        let numbers: Vec<i16> = parts.iter().map(stored).collect();
        let former: Vec<Option<Epoch>> =
            parts.iter().map(|part| owners.get(usize::from(part)).copied().flatten()).collect();
        let ask = Ask::new(TAKE).with(self.epoch).with(numbers).with(former);
        let taken =
            session.rows("take partitions", limited(ask, self.lease_ms, CommitSync::Full))?;
        let part = |row: &Row| Ok(column::<i16>(row, 0)?.unsigned_abs());
        taken.iter().map(part).collect()
    }
}

/// Whether any worker lives.
pub(super) fn anyone_lives(session: &mut Session) -> Result<bool> {
    let rows = session.rows("look for a worker", Ask::new(LIVING))?;
    rows.first().map_or(Ok(false), |row| column(row, 0))
}

/// Whether any worker lives beside this one, and stays.
pub(super) fn others_live(session: &mut Session, epoch: Epoch) -> Result<bool> {
    let rows = session.rows("look for other workers", Ask::new(OTHERS).with(epoch))?;
    rows.first().map_or(Ok(false), |row| column(row, 0))
}

/// Gives partitions, in a transaction of the worker that has them.
pub(super) fn give(session: &mut Session, epoch: Option<Epoch>, parts: Parts) -> Result<()> {
    let numbers: Vec<i16> = parts.iter().map(stored).collect();
    let give = Ask::new(GIVE).with(numbers).with(epoch);
    session.all("give partitions", &[give, Ask::new(CALL).with(epoch)]).map(|_| ())
}

/// Tells the others that a worker will end soon.
pub(super) fn say_leaving(session: &mut Session, epoch: Epoch) -> Result<()> {
    let asks = [SAY_LEAVING, CALL].map(|text| Ask::new(text).with(epoch));
    session.all(LEAVING, &asks).map(|_| ())
}

/// The worker is gone, and what it had is free.
pub(super) fn leave(session: &mut Session, epoch: Epoch) -> Result<()> {
    let asks = [tasks::GIVE_BACK, LEAVE, CALL].map(|text| Ask::new(text).with(epoch));
    session.all(LEAVING, &asks).map(|_| ())
}

/// The worker does not answer, and what it had is free. What it has taken of others is freed by whoever
/// looks next, as that of a worker that died.
pub(super) fn vanish(session: &mut Session, epoch: Epoch) -> Result<()> {
    let asks = [LEAVE, CALL].map(|text| Ask::new(text).with(epoch));
    session.all("hand the hub over", &asks).map(|_| ())
}

/// The server's clock.
pub(super) fn server_ms(session: &mut Session) -> Result<Option<TimeMs>> {
    let rows = session.rows("read the server's clock", Ask::new(SERVER_MS))?;
    rows.first().map(|row| column(row, 0)).transpose()
}

pub(super) fn lost(cause: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::LostOwnership, "commit to the hub", cause)
}

fn no_row() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Corrupt, JOINING, "the hub has no row")
}
