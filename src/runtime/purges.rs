//! Ended instances that are removed bit by bit: what callers asked for, and retention.
//!
//! Owns: which batch is next, and when. What is to be removed is looked for where the store is read, and each
//! look goes on where the last one ended. Must never: hold other work up for longer than a small batch
//! takes, or fall behind for ever: after each batch the others have three times as long as it took, and
//! once a round of retention lasts, as long.
//! Proved by the tests below and by `__test__/api.spec.mjs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::core::limits::{PURGE_INSTANCES, PURGE_LOOK};
use crate::core::request::{Answer, Command, Filter};
use crate::core::status::RuntimeStatus;
use crate::core::{InstanceKey, TimeMs};
use crate::provider::transaction::Work;
use crate::provider::{Page, ProviderError, Purgeable, Reader};

use super::clock;
use super::fault::caller_error;
use super::outbox::Event;
use super::protocol::{Reply, RequestId, Retention};
use super::reader::ReadRequest;
use super::store::StoreMessage;
use super::writer::{Ticket, Underway, Writer};

/// Between two rounds of retention.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// Ended instances that are looked for, and how far that is.
#[derive(Debug, Clone)]
pub struct Search {
    filter: Filter,
    completed_before: Option<TimeMs>,
    page: Page,
    found: VecDeque<InstanceKey>,
    over: bool,
}

impl Search {
    fn new(filter: Filter, completed_before: Option<TimeMs>) -> Self {
        let page = Page { top: PURGE_LOOK, cursor: None };
        Self { filter, completed_before, page, found: VecDeque::new(), over: false }
    }

    /// Looks on, from where it last ended.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn look<R: Reader + ?Sized>(
        &self,
        reader: &mut R,
    ) -> Result<Purgeable, ProviderError> {
        reader.purgeable(&self.filter, self.completed_before, &self.page)
    }

    fn take(&mut self, found: Purgeable) {
        self.found.extend(found.keys);
        self.over = found.cursor.is_none();
        self.page.cursor = found.cursor;
    }

    /// Nothing is found that is not removed, and there may be more.
    fn is_to_look(&self) -> bool {
        self.found.is_empty() && !self.over
    }

    fn is_done(&self) -> bool {
        self.found.is_empty() && self.over
    }

    /// Removes the next batch of what was found.
    fn purge(&mut self, writer: &mut Writer) -> Result<usize, ProviderError> {
        let keys: Vec<InstanceKey> = self.found.iter().take(PURGE_INSTANCES).copied().collect();
        let count = keys.len();
        if count > 0 {
            writer.transact(&[(Ticket::Nobody, Work::Command(Command::PurgeKeys(keys)))])?;
        }
        self.found.drain(..count);
        Ok(count)
    }
}

/// The thread that reads, and how it answers the store's.
pub struct Finder {
    pub(super) reads: Sender<ReadRequest>,
    pub(super) to_store: Sender<StoreMessage>,
    pub(super) underway: Arc<Underway>,
}

impl Finder {
    /// Asks for a look: whether it will be answered.
    fn ask(&self, search: &Search) -> bool {
        let (to_store, underway) = (self.to_store.clone(), Arc::clone(&self.underway));
        let answer = move |found| {
            underway.add();
            // A store that is closed has nothing to purge.
            let _ = to_store.send(StoreMessage::Purgeable(found));
        };
        self.reads.send(ReadRequest::Purgeable(search.clone(), Box::new(answer))).is_ok()
    }
}

/// What a caller asked for.
#[derive(Debug)]
struct Asked {
    rid: RequestId,
    search: Search,
    /// How many are gone.
    deleted: usize,
}

/// A round of retention.
#[derive(Debug)]
struct Round {
    began: Instant,
    /// One for each end that is not kept for ever.
    searches: VecDeque<Search>,
}

/// For whom the next step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The first caller.
    Asked,
    /// The round of retention.
    Round,
}

/// See the module's text.
pub struct Purges {
    retention: Retention,
    asked: VecDeque<Asked>,
    round: Option<Round>,
    /// Without one, the store is read here.
    finder: Option<Finder>,
    /// For whom it is looked; nothing goes on before the answer.
    looking: Option<Whose>,
    /// Of the next round.
    round_due: Option<Instant>,
    /// Of the next batch, while there is other work.
    pause_ends: Option<Instant>,
}

impl Purges {
    /// With nothing asked for, and a round of retention due.
    #[must_use]
    pub fn new(retention: Retention, finder: Option<Finder>) -> Self {
        Self {
            retention,
            asked: VecDeque::new(),
            round: None,
            finder,
            looking: None,
            round_due: None,
            pause_ends: None,
        }
    }

    /// A caller wants the ended instances gone that pass the filter.
    pub fn ask(&mut self, rid: RequestId, filter: Filter) {
        let asked = Asked { rid, search: Search::new(filter, None), deleted: 0 };
        self.asked.push_back(asked);
    }

    /// Whether a caller waits.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Nobody waits any more.
    pub fn forget(&mut self) {
        self.asked.clear();
    }

    /// How long until the next batch of what is under way: at once if there is nothing else to do.
    #[must_use]
    pub fn due_in(&self, now: Instant, quiet: bool) -> Option<Duration> {
        if self.looking.is_some() || self.asked.is_empty() && self.round.is_none() {
            return None;
        }
        let pause = self.pause_ends.filter(|_| !quiet);
        Some(pause.map_or(Duration::ZERO, |ends| ends.saturating_duration_since(now)))
    }

    /// Removes the next batch, if it is due, and says what callers are told.
    pub fn purge_some(&mut self, writer: &mut Writer, quiet: bool) -> Option<Event> {
        let began = clock::instant();
        if writer.is_worker() && self.is_round_due(began) {
            self.begin_round(began, writer.now_ms());
        } else if self.due_in(began, quiet) != Some(Duration::ZERO) {
            return None;
        }
        let whose = if self.asked.is_empty() { Whose::Round } else { Whose::Asked };
        let event = match self.search(whose) {
            Some(search) if search.is_to_look() => self.look(whose, writer),
            Some(search) => {
                let purged = match search.purge(writer) {
                    // What is gone already need not be removed once more.
                    Err(error) if joins_again(writer, &error) => Ok(0),
                    purged => purged,
                };
                self.go_on(whose, purged)
            }
            None => None,
        };
        self.pause(began, clock::instant());
        event
    }

    fn search(&mut self, whose: Whose) -> Option<&mut Search> {
        match whose {
            Whose::Asked => self.asked.front_mut().map(|asked| &mut asked.search),
            Whose::Round => self.round.as_mut()?.searches.front_mut(),
        }
    }

    fn look(&mut self, whose: Whose, writer: &mut Writer) -> Option<Event> {
        let search = self.search(whose)?.clone();
        self.looking = Some(whose);
        if self.finder.as_ref().is_some_and(|finder| finder.ask(&search)) {
            return None;
        }
        self.found(search.look(writer.provider.as_mut()))
    }

    /// What was looked for last.
    pub fn found(&mut self, found: Result<Purgeable, ProviderError>) -> Option<Event> {
        let whose = self.looking.take()?;
        let taken = found.map(|found| {
            if let Some(search) = self.search(whose) {
                search.take(found);
            }
            0
        });
        self.go_on(whose, taken)
    }

    /// After a step, which has removed so many.
    fn go_on(&mut self, whose: Whose, step: Result<usize, ProviderError>) -> Option<Event> {
        match whose {
            Whose::Asked => self.go_on_for_caller(step),
            Whose::Round => self.go_on_with_round(step),
        }
    }

    fn go_on_for_caller(&mut self, step: Result<usize, ProviderError>) -> Option<Event> {
        let mut asked = self.asked.pop_front()?;
        let count = match step {
            Ok(count) => count,
            Err(error) => {
                return Some(Event::Reply(Reply::error(asked.rid, caller_error(&error))));
            }
        };
        asked.deleted += count;
        let (rid, deleted) = (asked.rid, asked.deleted);
        if asked.search.is_done() {
            return Some(Event::Reply(Reply::ok(rid, &Answer::Deleted { deleted })));
        }
        // The others have their turn.
        self.asked.push_back(asked);
        None
    }

    fn go_on_with_round(&mut self, step: Result<usize, ProviderError>) -> Option<Event> {
        let searches = &mut self.round.as_mut()?.searches;
        if searches.front().is_some_and(Search::is_done) {
            searches.pop_front();
        }
        if searches.is_empty() || step.is_err() {
            self.end_round();
        }
        step.err().map(|error| Event::Trouble(format!("Retention: {error}")))
    }

    fn is_round_due(&self, now: Instant) -> bool {
        let Retention { completed_ms, failed_ms, terminated_ms } = self.retention;
        let retains = completed_ms.or(failed_ms).or(terminated_ms).is_some();
        retains && self.round.is_none() && self.round_due.is_none_or(|due| due <= now)
    }

    fn begin_round(&mut self, began: Instant, now_ms: TimeMs) {
        let ends = [
            (RuntimeStatus::Completed, self.retention.completed_ms),
            (RuntimeStatus::Failed, self.retention.failed_ms),
            (RuntimeStatus::Terminated, self.retention.terminated_ms),
        ];
        let search = |(status, age_ms): (RuntimeStatus, Option<TimeMs>)| {
            let filter = Filter { runtime_status: vec![status], ..Filter::default() };
            age_ms.map(|age_ms| Search::new(filter, Some(now_ms - age_ms)))
        };
        let searches = ends.into_iter().filter_map(search).collect();
        self.round = Some(Round { began, searches });
    }

    fn pause(&mut self, began: Instant, ended: Instant) {
        let lasts = |since| ended.saturating_duration_since(since) >= RETENTION_PERIOD;
        let times = if self.round.as_ref().is_some_and(|round| lasts(round.began)) { 1 } else { 3 };
        self.pause_ends = Some(ended + ended.saturating_duration_since(began) * times);
    }

    fn end_round(&mut self) {
        let began = self.round.take().map(|round| round.began);
        let now = clock::instant();
        self.round_due = Some(began.map_or(now, |began| now.max(began)) + RETENTION_PERIOD);
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

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Duration = Duration::from_millis(2);

    #[test]
    fn after_a_batch_others_have_three_times_as_long() {
        let mut purges = Purges::new(Retention::default(), None);
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
        let mut purges =
            Purges::new(Retention { completed_ms: Some(1), ..Retention::default() }, None);
        let began = clock::instant();
        assert!(purges.is_round_due(began));
        purges.begin_round(began, 0);
        let late = began + RETENTION_PERIOD;
        purges.pause(late, late + BATCH);
        assert_eq!(purges.due_in(late + BATCH, false), Some(BATCH));
        purges.end_round();
        assert_eq!(purges.due_in(late, false), None);
        assert!(!purges.is_round_due(clock::instant()), "the next round comes later");
    }
}
