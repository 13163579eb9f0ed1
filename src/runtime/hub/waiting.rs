//! Callers that wait for the end of an instance.
//!
//! Owns: how they learn of it: from the dispatcher, or, where another process runs the instance, by looking.
//! Must never: let one wait for an instance that is not there.

use crate::core::TimeMs;
use crate::core::error::Error;
use crate::core::request;
use crate::core::view::StatusView;

use super::super::clock;
use super::super::dispatcher::Step;
use super::super::protocol::{Reply, RequestId};
use super::super::reader::ReadRequest;
use super::{Hub, millis};

/// How often it is looked whether an instance that another process runs has ended.
const WATCH_MS: TimeMs = 20;

impl Hub {
    /// Of instances that other processes run this one is told nothing, so it looks.
    pub(super) fn watch_others(&mut self, step: &mut Step) {
        let others = |id: &&str| self.dispatcher.as_ref().is_none_or(|own| !own.holds_id(id));
        if self.to_reader.is_none()
            || self.waiters.is_empty()
            || !self.waiters.ids().any(|id| others(&id))
        {
            return;
        }
        let last = self.looked.get_or_insert_with(clock::instant);
        if last.elapsed() >= millis(WATCH_MS) {
            self.looked = None;
            let ids: Vec<String> = self.waiters.ids().filter(others).map(str::to_owned).collect();
            for id in ids {
                self.read(ReadRequest::Watch(id));
            }
        }
        let wake = step.out.wake_in_ms.map_or(WATCH_MS, |wake| wake.min(WATCH_MS));
        step.out.wake_in_ms = Some(wake);
    }

    pub(super) fn answer_waiters(&mut self, step: &mut Step) {
        for view in step.ended.drain(..) {
            for rid in self.waiters.take(&view.instance_id) {
                step.out.replies.push(Reply::ok(rid, &view));
            }
        }
    }

    pub(super) fn wait(&mut self, rid: RequestId, id: String, step: &mut Step) {
        self.waiters.add(&id, rid);
        let live = self.dispatcher.as_ref().is_some_and(|dispatcher| dispatcher.has(&id));
        if !live {
            step.watch.push(id);
        }
    }

    pub(super) fn watched(
        &mut self,
        id: &str,
        row: Result<Option<Box<StatusView>>, Error>,
        step: &mut Step,
    ) {
        let error = match row {
            Ok(Some(view)) if view.status.has_ended() => {
                step.ended.push(*view);
                return;
            }
            Ok(Some(_)) => return,
            Ok(None) => request::not_found(id),
            Err(error) => error,
        };
        for rid in self.waiters.take(id) {
            step.out.replies.push(Reply::error(rid, error.clone()));
        }
    }
}
