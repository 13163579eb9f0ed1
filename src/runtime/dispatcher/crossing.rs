//! What is too large to be handed over.
//!
//! Owns: what becomes of an instance, or of an operation of an entity, that no exchange can hold. Must never: let
//! it be another's fault. Proved by `__test__/exchange.spec.mjs`.

use crate::core::InstanceKey;
use crate::core::error::ErrorCode;
use crate::core::limits::EXCHANGES_UNDIVIDED;
use crate::core::replay::Problem;
use crate::provider::transaction::Park;

use super::super::protocol::{Activation, EntityActivation, Weigh};
use super::{Dispatcher, Step};

impl Dispatcher {
    /// Hands turns to JavaScript, unless they are too large for it.
    pub(super) fn send_activation(
        &mut self,
        key: InstanceKey,
        activation: Activation,
        step: &mut Step,
    ) {
        let (bytes, most) = (activation.bytes(), self.undivided());
        if bytes <= most {
            return step.out.activations.push(activation);
        }
        self.tokens.remove(&activation.token);
        let what = if activation.replayed > 0 { "A recorded turn" } else { "The next turn" };
        let message = format!(
            "{what} of this instance brings {bytes} bytes at once, and at most {most} can be handed over, so it is \
             held. Keep large data elsewhere and pass references; terminate the instance, or resume it under a \
             version of durafn that can hand over more."
        );
        self.hold_too_large(key, message, step);
    }

    /// The instance stands still until it is resumed.
    pub(super) fn hold_too_large(&mut self, key: InstanceKey, message: String, step: &mut Step) {
        if !self.begin_alone(key, step) {
            let problem = Problem::new(ErrorCode::PayloadTooLarge, message);
            self.park(key, Box::new(problem), Park::Hold, step);
        }
    }

    /// Whether JavaScript can be handed what an entity is to carry out.
    pub(super) fn is_too_large(&self, activation: &EntityActivation) -> bool {
        activation.bytes() > self.undivided()
    }

    /// Bytes of the largest single thing that crosses.
    fn undivided(&self) -> usize {
        self.options.exchange_bytes.saturating_mul(EXCHANGES_UNDIVIDED)
    }
}
