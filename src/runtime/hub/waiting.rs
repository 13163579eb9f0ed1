//! Callers that wait for the end of an instance.
//!
//! Owns: how they learn of it: from the dispatcher, or, where another process runs the instance, by looking.
//! Must never: let one wait for an instance that is not there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::error::{Error, raw};
use crate::core::request;
use crate::provider::{Hint, Hints, mark};

use super::super::clock;
use super::super::dispatcher::Step;
use super::super::protocol::{Reply, ReplyBody, RequestId};
use super::super::reader::ReadRequest;
use super::super::waiters::Watched;
use super::Hub;

/// How often it is looked whether instances that other processes run have ended.
const PAUSE: Duration = Duration::from_millis(20);
/// The same where those processes tell of it.
const PAUSE_TOLD: Duration = Duration::from_secs(1);
/// How many times as long as a sweep takes it pauses, so that it never is most of what a store has to do.
const PAUSES: u32 = 4;

/// Looking, again and again, whether any instance of other processes has ended that somebody waits for. One
/// sweep asks for all of them, and the next one waits until it is answered.
#[derive(Default)]
pub(super) struct Sweep {
    /// When it was last looked.
    begun: Option<Instant>,
    pause: Duration,
    under_way: bool,
    /// Somebody may wait for an instance of another process.
    wanted: bool,
    /// Instances of this process are to be asked for too, once.
    all: bool,
    /// What those processes are told, and whether they are heard.
    pub(super) hints: Option<Arc<Hints>>,
}

impl Sweep {
    fn is_due(&self) -> bool {
        !self.under_way
            && (self.all || self.begun.is_none_or(|begun| begun.elapsed() >= self.pause()))
    }

    fn pause(&self) -> Duration {
        self.pause.max(PAUSE)
    }

    /// It is answered.
    fn ended(&mut self) {
        self.under_way = false;
        let took = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let told = self.hints.as_ref().is_some_and(|hints| hints.hears());
        self.pause = if told { PAUSE_TOLD } else { PAUSE }.max(took * (PAUSES + 1));
    }

    /// The next one asks for all instances.
    pub(super) fn take_all(&mut self) {
        self.all = true;
    }
}

impl Hub {
    /// Of instances that other processes run this one learns by looking: sooner if it is told.
    pub(super) fn watch_others(&mut self, step: &mut Step) {
        if self.to_reader.is_none() || self.waiters.is_empty() {
            return;
        }
        let is_due = self.sweep.is_due();
        if is_due {
            let all = std::mem::take(&mut self.sweep.all);
            let others =
                |id: &&str| all || self.dispatcher.as_ref().is_none_or(|own| !own.holds_id(id));
            let ids: Vec<String> = self.waiters.ids().filter(others).map(str::to_owned).collect();
            self.sweep.begun = Some(clock::instant());
            self.sweep.wanted = !ids.is_empty();
            if self.sweep.wanted {
                self.sweep.under_way = true;
                self.read(ReadRequest::Sweep(ids));
            }
        }
        if let Some(hints) = self.sweep.hints.as_ref().filter(|_| self.sweep.wanted) {
            hints.wait();
        }
        // Its answer wakes this process by itself. What was not looked at may have changed hands.
        if !self.sweep.under_way && (self.sweep.wanted || !is_due) {
            let pause = i64::try_from(self.sweep.pause().as_millis()).unwrap_or(i64::MAX);
            let wake = step.out.wake_in_ms.map_or(pause, |wake| wake.min(pause));
            step.out.wake_in_ms = Some(wake);
        }
    }

    pub(super) fn hear(&mut self, hint: Hint) {
        match hint {
            Hint::Ended(marks) => {
                let ended = self.waiters.ids().filter(|id| marks.contains(&mark(id)));
                let ended: Vec<String> = ended.map(str::to_owned).collect();
                if !ended.is_empty() {
                    self.read(ReadRequest::Watch(ended));
                }
            }
            Hint::AnyEnded => self.sweep.take_all(),
            Hint::Bells => {}
        }
    }

    pub(super) fn answer_waiters(&mut self, step: &mut Step) {
        for view in step.ended.drain(..) {
            let rids = self.waiters.take(&view.instance_id);
            if rids.is_empty() {
                continue;
            }
            // One text, however many wait for it.
            let answer = ReplyBody::Ok(raw(&view));
            let replies = rids.into_iter().map(|rid| Reply { rid, body: answer.clone() });
            step.out.replies.extend(replies);
        }
    }

    pub(super) fn wait(&mut self, rid: RequestId, id: String, step: &mut Step) {
        self.waiters.add(&id, rid);
        self.sweep.wanted = true;
        let live = self.dispatcher.as_ref().is_some_and(|dispatcher| dispatcher.has(&id));
        if !live {
            step.watch.push(id);
        }
    }

    pub(super) fn watched(&mut self, answer: Watched, step: &mut Step) {
        match answer {
            Ok(settled) => {
                for (id, view) in settled {
                    match view {
                        Some(view) => step.ended.push(*view),
                        None => self.refuse_waiters(&id, &request::not_found(&id), step),
                    }
                }
            }
            Err((ids, error)) => {
                for id in ids {
                    self.refuse_waiters(&id, &error, step);
                }
            }
        }
    }

    /// What a sweep does not find may be about to be written: that is looked at in line with the work.
    pub(super) fn swept(&mut self, mut answer: Watched, step: &mut Step) {
        self.sweep.ended();
        if let Ok(settled) = &mut answer {
            let gone = settled.iter().filter(|(_, view)| view.is_none());
            step.watch.extend(gone.map(|(id, _)| id.clone()));
            settled.retain(|(_, view)| view.is_some());
        }
        self.watched(answer, step);
    }

    fn refuse_waiters(&mut self, id: &str, error: &Error, step: &mut Step) {
        for rid in self.waiters.take(id) {
            step.out.replies.push(Reply::error(rid, error.clone()));
        }
    }
}
