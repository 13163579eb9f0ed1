//! How large what crosses to JavaScript is.
//!
//! Owns: the counting of payloads, with a little for what stands around each. Must never: look into one.
//! Proved by the tests of `outgoing.rs`.

use crate::core::Payload;
use crate::core::history::ChildEnd;
use crate::core::turn::Resolution;

use super::{Activation, ActivityStart, EntityActivation, OperationStart, Reply, ReplyBody};

/// What stands around a payload, about.
const AROUND: usize = 64;

/// Something that crosses to JavaScript.
pub trait Weigh {
    /// Its bytes, about.
    fn bytes(&self) -> usize;
}

fn of(payload: Option<&Payload>) -> usize {
    payload.map_or(0, |payload| payload.get().len())
}

impl Weigh for Reply {
    fn bytes(&self) -> usize {
        AROUND
            + match &self.body {
                ReplyBody::Ok(ok) => ok.get().len(),
                ReplyBody::Error(error) => error.message.len(),
            }
    }
}

impl Weigh for ActivityStart {
    fn bytes(&self) -> usize {
        AROUND + of(self.input.as_ref())
    }
}

impl Weigh for Activation {
    fn bytes(&self) -> usize {
        let start = self.start.as_ref().map_or(0, |start| AROUND + of(start.input.as_ref()));
        let resolutions = self.turns.iter().flat_map(|turn| &turn.resolutions);
        AROUND + start + resolutions.map(Weigh::bytes).sum::<usize>()
    }
}

impl Weigh for Resolution {
    fn bytes(&self) -> usize {
        let of_child = |child: &ChildEnd| of(child.failure.as_ref()) + of(child.reason.as_ref());
        AROUND
            + match self {
                Self::Ok { value, .. } => of(value.as_ref()),
                Self::Fail { failure, .. } => failure.get().len(),
                Self::Ask { failure, child, .. } => {
                    of(failure.as_ref()) + child.as_ref().map_or(0, of_child)
                }
                Self::Child { child, .. } => of_child(child),
            }
    }
}

impl Weigh for EntityActivation {
    fn bytes(&self) -> usize {
        let input = |operation: &OperationStart| AROUND + of(operation.input.as_ref());
        AROUND + of(self.state.as_ref()) + self.operations.iter().map(input).sum::<usize>()
    }
}
