//! What goes to JavaScript, in pieces.
//!
//! Owns: what does not fit into an exchange and goes with the next ones, in its order, and how large a piece is.
//! A piece is one text for V8, which holds none of more than 512 Mi characters, and is made twice over there.
//! Must never: lose or reorder anything of a kind, or hand over what was dropped or aborted while it waited.
//! Proved by the tests below and `__test__/exchange.spec.mjs`.

use std::collections::VecDeque;

use crate::core::error::{Error, ErrorCode};
use crate::core::limits::EXCHANGES_UNDIVIDED;

use super::protocol::{Activation, ActivityStart, EntityActivation, Outbound, Reply, Weigh};

/// See the module's text.
#[derive(Debug)]
pub struct Outgoing {
    /// Bytes of one piece, if it is more than one thing.
    most: usize,
    replies: VecDeque<Reply>,
    activities: VecDeque<ActivityStart>,
    activations: VecDeque<Activation>,
    entities: VecDeque<EntityActivation>,
}

impl Outgoing {
    /// Pieces of about so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            replies: VecDeque::new(),
            activities: VecDeque::new(),
            activations: VecDeque::new(),
            entities: VecDeque::new(),
        }
    }

    /// Bytes of one piece, about.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether something waits for the next exchange.
    #[must_use]
    pub fn waits(&self) -> bool {
        !(self.replies.is_empty()
            && self.activities.is_empty()
            && self.activations.is_empty()
            && self.entities.is_empty())
    }

    /// Of what came of an exchange, behind what waits, the next piece.
    pub fn next(&mut self, mut out: Outbound) -> Outbound {
        let undivided = self.most.saturating_mul(EXCHANGES_UNDIVIDED);
        for reply in &mut out.replies {
            if reply.bytes() > undivided {
                *reply = Reply::error(reply.rid, too_large(reply.bytes(), undivided));
            }
        }
        if !self.waits() && bytes_of(&out) <= self.most {
            return out;
        }
        self.forget(&out);
        self.replies.extend(out.replies);
        self.activities.extend(out.activities);
        self.activations.extend(out.activations);
        self.entities.extend(out.entities);
        let mut piece = Piece { bytes: 0, most: self.most };
        out.replies = piece.take(&mut self.replies);
        out.activities = piece.take(&mut self.activities);
        out.activations = piece.take(&mut self.activations);
        out.entities = piece.take(&mut self.entities);
        out.more |= self.waits();
        out
    }

    /// Nothing starts any more. What is given up here counts as under way, and runs after the next open.
    pub fn drain(&mut self) {
        self.activities.clear();
        self.entities.clear();
    }

    /// What was to begin is another worker's by now; answers are still owed.
    pub fn become_void(&mut self) {
        self.activities.clear();
        self.activations.clear();
        self.entities.clear();
    }

    /// Nothing that waits matters any more.
    pub fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// What was dropped or aborted is not begun.
    fn forget(&mut self, out: &Outbound) {
        if !out.drops.is_empty() {
            self.activations.retain(|activation| !out.drops.contains(&activation.iid));
        }
        if !out.aborts.is_empty() {
            self.activities.retain(|activity| !out.aborts.contains(&activity.run));
        }
    }
}

/// What an exchange takes.
struct Piece {
    bytes: usize,
    most: usize,
}

impl Piece {
    fn take<T: Weigh>(&mut self, waiting: &mut VecDeque<T>) -> Vec<T> {
        let mut count = 0;
        for item in waiting.iter() {
            let bytes = item.bytes();
            if self.bytes > 0 && self.bytes + bytes > self.most {
                break;
            }
            self.bytes += bytes;
            count += 1;
        }
        waiting.drain(..count).collect()
    }
}

fn bytes_of(out: &Outbound) -> usize {
    fn sum<T: Weigh>(items: &[T]) -> usize {
        items.iter().map(Weigh::bytes).sum()
    }
    sum(&out.replies) + sum(&out.activities) + sum(&out.activations) + sum(&out.entities)
}

fn too_large(bytes: usize, most: usize) -> Error {
    let message = format!(
        "The answer has {bytes} bytes, and at most {most} can be handed over at once. Ask for less: a smaller \
         page, or a status without its input or history."
    );
    Error::new(ErrorCode::PayloadTooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::raw;

    fn activation(token: u32, iid: i64, bytes: usize) -> Activation {
        let input = Some(raw(&"x".repeat(bytes)));
        let resolution = crate::core::turn::Resolution::Ok { task: 0, value: input };
        let turns =
            vec![super::super::protocol::ActivationTurn { time: 0, resolutions: vec![resolution] }];
        Activation { token, iid, start: None, turns, replayed: 0 }
    }

    fn reply(rid: u32, bytes: usize) -> Reply {
        Reply::ok(rid, &"x".repeat(bytes))
    }

    fn rids(out: &Outbound) -> Vec<u32> {
        out.replies.iter().map(|reply| reply.rid).collect()
    }

    fn tokens(out: &Outbound) -> Vec<u32> {
        out.activations.iter().map(|activation| activation.token).collect()
    }

    #[test]
    fn what_is_over_the_bound_follows_in_order_and_nothing_overtakes_it() {
        let mut outgoing = Outgoing::new(1_000);
        let replies = (1..=5).map(|rid| reply(rid, 400)).collect();
        let first = outgoing.next(Outbound { replies, ..Outbound::default() });
        assert_eq!((rids(&first), first.more), (vec![1, 2], true));
        let replies = vec![reply(6, 1)];
        let second = outgoing.next(Outbound { replies, ..Outbound::default() });
        assert_eq!((rids(&second), second.more), (vec![3, 4], true));
        let third = outgoing.next(Outbound::default());
        assert_eq!((rids(&third), third.more), (vec![5, 6], false));
    }

    #[test]
    fn one_thing_over_the_bound_goes_alone() {
        let mut outgoing = Outgoing::new(1_000);
        let activations = vec![activation(1, 1, 10), activation(2, 2, 5_000), activation(3, 3, 10)];
        let first = outgoing.next(Outbound { activations, ..Outbound::default() });
        assert_eq!(tokens(&first), [1]);
        assert_eq!(tokens(&outgoing.next(Outbound::default())), [2]);
        let last = outgoing.next(Outbound::default());
        assert_eq!((tokens(&last), last.more), (vec![3], false));
    }

    #[test]
    fn an_answer_that_no_exchange_can_hold_is_an_error_of_its_call() {
        let mut outgoing = Outgoing::new(1_000);
        let replies = vec![reply(1, 20_000), reply(2, 1)];
        let out = outgoing.next(Outbound { replies, ..Outbound::default() });
        let text = serde_json::to_string(&out).unwrap();
        assert!(text.contains(r#"[1,null,{"code":"PayloadTooLarge""#), "{text}");
        assert_eq!(rids(&out), [1, 2]);
    }

    #[test]
    fn what_is_dropped_while_it_waits_is_not_begun() {
        let mut outgoing = Outgoing::new(100);
        let activations = vec![activation(1, 1, 200), activation(2, 2, 200), activation(3, 3, 200)];
        outgoing.next(Outbound { activations, ..Outbound::default() });
        let activations = vec![activation(4, 2, 1)];
        let out = outgoing.next(Outbound { drops: vec![2], activations, ..Outbound::default() });
        assert_eq!(tokens(&out), [3]);
        assert_eq!(tokens(&outgoing.next(Outbound::default())), [4], "made again");
    }
}
