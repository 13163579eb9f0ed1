//! Ended instances that are removed bit by bit: what callers asked for, and retention.
//!
//! Owns: which batch is next, and when. Must never: hold other work up for longer than a small batch
//! takes, or fall behind for ever: after each batch the others have three times as long as it took, and
//! once a round of retention lasts, as long.
//! Proved by the tests below and by `__test__/api.spec.mjs`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::core::limits::PURGE_INSTANCES;
use crate::core::request::{Answer, Command, Filter};
use crate::core::status::RuntimeStatus;
use crate::provider::ProviderError;
use crate::provider::transaction::Work;

use super::clock;
use super::fault::caller_error;
use super::outbox::Event;
use super::protocol::{Reply, RequestId, Retention};
use super::writer::{Ticket, Writer};

/// Between two rounds of retention.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// See the module's text.
#[derive(Debug)]
pub struct Purges {
    retention: Retention,
    /// Who asked, for which instances, and how many of them are gone.
    asked: VecDeque<(RequestId, Filter, usize)>,
    /// Of a round of retention that has more to do.
    round_began: Option<Instant>,
    /// Of the next round.
    round_due: Option<Instant>,
    /// Of the next batch, while there is other work.
    pause_ends: Option<Instant>,
}

impl Purges {
    /// With nothing asked for, and a round of retention due.
    #[must_use]
    pub fn new(retention: Retention) -> Self {
        let asked = VecDeque::new();
        Self { retention, asked, round_began: None, round_due: None, pause_ends: None }
    }

    /// A caller wants the ended instances gone that pass the filter.
    pub fn ask(&mut self, rid: RequestId, filter: Filter) {
        self.asked.push_back((rid, filter, 0));
    }

    /// Whether a caller waits.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// How long until the next batch of what is under way: at once if there is nothing else to do.
    #[must_use]
    pub fn due_in(&self, now: Instant, quiet: bool) -> Option<Duration> {
        if self.asked.is_empty() && self.round_began.is_none() {
            return None;
        }
        let pause = self.pause_ends.filter(|_| !quiet);
        Some(pause.map_or(Duration::ZERO, |ends| ends.saturating_duration_since(now)))
    }

    /// Removes the next batch, if it is due, and says what callers are told.
    pub fn purge_some(&mut self, writer: &mut Writer, quiet: bool) -> Option<Event> {
        let began = clock::instant();
        let round = writer.is_worker() && self.is_round_due(began);
        if !round && self.due_in(began, quiet) != Some(Duration::ZERO) {
            return None;
        }
        let event = match self.asked.pop_front() {
            Some(asked) => self.purge_asked(writer, asked),
            None => self.retain(writer),
        };
        self.pause(began, clock::instant());
        event
    }

    fn is_round_due(&self, now: Instant) -> bool {
        let Retention { completed_ms, failed_ms, terminated_ms } = self.retention;
        let retains = completed_ms.or(failed_ms).or(terminated_ms).is_some();
        retains && self.round_began.is_none() && self.round_due.is_none_or(|due| due <= now)
    }

    fn pause(&mut self, began: Instant, ended: Instant) {
        let lasts = |since| ended.saturating_duration_since(since) >= RETENTION_PERIOD;
        let times = if self.round_began.is_some_and(lasts) { 1 } else { 3 };
        self.pause_ends = Some(ended + ended.saturating_duration_since(began) * times);
    }

    fn purge_asked(
        &mut self,
        writer: &mut Writer,
        (rid, filter, deleted): (RequestId, Filter, usize),
    ) -> Option<Event> {
        Some(Event::Reply(match purge_batch(writer, &filter, None) {
            Ok(count) if count == PURGE_INSTANCES => {
                self.asked.push_back((rid, filter, deleted + count));
                return None;
            }
            Ok(count) => Reply::ok(rid, &Answer::Deleted { deleted: deleted + count }),
            // What is gone already need not be removed once more.
            Err(error) if joins_again(writer, &error) => {
                self.asked.push_back((rid, filter, deleted));
                return None;
            }
            Err(error) => Reply::error(rid, caller_error(&error)),
        }))
    }

    /// A batch of a round of retention, which ends when there is no full one.
    fn retain(&mut self, writer: &mut Writer) -> Option<Event> {
        let began = *self.round_began.get_or_insert_with(clock::instant);
        let now_ms = writer.now_ms();
        for (status, age_ms) in [
            (RuntimeStatus::Completed, self.retention.completed_ms),
            (RuntimeStatus::Failed, self.retention.failed_ms),
            (RuntimeStatus::Terminated, self.retention.terminated_ms),
        ] {
            let Some(age_ms) = age_ms else { continue };
            let filter = Filter { runtime_status: vec![status], ..Filter::default() };
            match purge_batch(writer, &filter, Some(now_ms - age_ms)) {
                Ok(count) if count == PURGE_INSTANCES => return None,
                Ok(_) => {}
                Err(error) => {
                    joins_again(writer, &error);
                    self.end_round(began);
                    return Some(Event::Trouble(format!("Retention: {error}")));
                }
            }
        }
        self.end_round(began);
        None
    }

    fn end_round(&mut self, began: Instant) {
        self.round_began = None;
        self.round_due = Some(clock::instant().max(began) + RETENTION_PERIOD);
    }
}

/// Whether this was a worker that has lost its place and is to have another one.
fn joins_again(writer: &mut Writer, error: &ProviderError) -> bool {
    if !error.kind.ousts() || !writer.is_worker() {
        return false;
    }
    writer.ousted(Vec::new(), error);
    !writer.is_lost()
}

fn purge_batch(
    writer: &mut Writer,
    filter: &Filter,
    completed_before: Option<i64>,
) -> Result<usize, ProviderError> {
    let keys = writer.provider.purgeable(filter, completed_before, PURGE_INSTANCES)?;
    if keys.is_empty() {
        return Ok(0);
    }
    let count = keys.len();
    writer.transact(&[(Ticket::Nobody, Work::Command(Command::PurgeKeys(keys)))])?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Duration = Duration::from_millis(2);

    #[test]
    fn after_a_batch_others_have_three_times_as_long() {
        let mut purges = Purges::new(Retention::default());
        let began = clock::instant();
        assert_eq!(purges.due_in(began, false), None);
        purges.ask(1, Filter::default());
        assert_eq!(purges.due_in(began, false), Some(Duration::ZERO));
        purges.pause(began, began + BATCH);
        assert_eq!(purges.due_in(began + BATCH, false), Some(3 * BATCH));
        assert_eq!(purges.due_in(began + BATCH, true), Some(Duration::ZERO), "nobody waits");
        assert_eq!(purges.due_in(began + 4 * BATCH, false), Some(Duration::ZERO));
    }

    #[test]
    fn a_round_that_lasts_goes_on_faster() {
        let mut purges = Purges::new(Retention { completed_ms: Some(1), ..Retention::default() });
        let began = clock::instant();
        assert!(purges.is_round_due(began));
        purges.round_began = Some(began);
        let late = began + RETENTION_PERIOD;
        purges.pause(late, late + BATCH);
        assert_eq!(purges.due_in(late + BATCH, false), Some(BATCH));
        purges.end_round(began);
        assert_eq!(purges.due_in(late, false), None);
        assert!(!purges.is_round_due(clock::instant()), "the next round comes later");
    }
}
