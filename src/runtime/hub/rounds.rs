//! The middle of an exchange: events in, work out, and again while work is written here and now.
//!
//! Owns: how long that goes on, and that no news are taken while older ones wait for JavaScript, so that what waits
//! there does not grow. Must never: end with news that nobody is woken for. Proved by `__test__/exchange.spec.mjs`
//! and `__test__/locks.spec.mjs`.

use super::super::dispatcher::Step;
use super::super::protocol::{GetRequest, RequestId};
use super::super::status_reading::StatusRequest;
use super::super::writer::Ticket;
use super::Hub;
use crate::core::view::Shown;
use crate::provider::transaction::Work;

/// Most commits of one exchange on the JavaScript thread; the next exchange goes on.
const ROUNDS: usize = 8;

impl Hub {
    pub(super) fn status_request(&self, rid: RequestId, get: GetRequest) -> StatusRequest {
        let GetRequest { instance_id, history, inputs, outputs } = get;
        let shown = Shown { history, inputs, outputs };
        StatusRequest { rid, instance_id, shown, exchange_bytes: self.outgoing.most() }
    }

    pub(super) fn rounds(&mut self, mut work: Vec<(Ticket, Work)>, step: &mut Step) {
        let waits = self.outgoing.waits();
        step.out.more = waits;
        for _ in 0..ROUNDS {
            if !waits {
                for event in self.outbox.take() {
                    self.event(event, step);
                    self.answer_waiters(step);
                }
            }
            self.advance(self.clock.now_ms(), step);
            if !self.send(std::mem::take(&mut work), step) {
                return;
            }
        }
        // Nobody is woken for what the last round has written.
        step.out.more = true;
    }
}
