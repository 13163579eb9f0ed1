//! The hub while JavaScript does not come.
//!
//! Owns: what the store's thread may do with it then. Must never: be used while JavaScript is in it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::provider::transaction::Work;

use super::super::dispatcher::{Overdue, Step};
use super::super::pulse::{Inside, Pulse};
use super::Hub;

impl Hub {
    /// For JavaScript, and for whoever looks whether that answers.
    #[must_use]
    pub fn shared(self) -> (Arc<Mutex<Self>>, Arc<Pulse>) {
        let pulse = Arc::clone(self.outbox.pulse());
        let hub = Arc::new(Mutex::new(self));
        pulse.belongs_to(&hub);
        (hub, pulse)
    }

    /// JavaScript has not answered for so long.
    pub(in crate::runtime) fn overdue(&mut self, inside: Inside, silent: Duration) -> Overdue {
        match &mut self.dispatcher {
            Some(dispatcher) => dispatcher.overdue(inside, silent),
            None => Overdue::default(),
        }
    }

    /// Others are to take over: the last work of this worker, and whether it may be for an activity that it
    /// has taken.
    pub(in crate::runtime) fn hand_over(&mut self, inside: Inside) -> (Vec<Work>, bool) {
        let mut step = Step::default();
        let dispatcher = self.dispatcher.as_mut();
        let blamed = dispatcher.is_some_and(|dispatcher| dispatcher.hand_over(inside, &mut step));
        (step.work, blamed)
    }
}
