//! What waits for an entity, and what its next turn takes of that.
//!
//! Owns: who may have an operation carried out while an entity is locked, and in which order. Must
//! never: read a row or run an operation. Proved by the tests below and `tests/simulation.rs`.

use std::collections::{HashSet, VecDeque};

use super::MessageKey;
use super::entity::{EntityMessage, Grant};
use super::instance::ParentLink;

/// A message that waits for an entity.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Key of its row.
    pub key: MessageKey,
    /// What it is.
    pub message: EntityMessage,
}

/// What waits for an entity, in its order.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// What the next turn looks at.
    open: VecDeque<Waiting>,
    /// What waits for the end of the lock, apart, so that a turn of its holder does not look at it
    /// again.
    barred: VecDeque<Waiting>,
}

impl Mailbox {
    /// What is stored for an entity that was loaded.
    #[must_use]
    pub const fn new(open: VecDeque<Waiting>) -> Self {
        Self { open, barred: VecDeque::new() }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.barred.is_empty()
    }

    /// Whether a turn may find something.
    #[must_use]
    pub fn is_open(&self, lock: Option<&ParentLink>) -> bool {
        !self.open.is_empty() || (lock.is_none() && !self.barred.is_empty())
    }

    /// Something has come.
    pub fn push(&mut self, waiting: Waiting) {
        self.open.push_back(waiting);
    }

    /// All of it, in its order.
    #[must_use]
    pub fn into_all(mut self) -> VecDeque<Waiting> {
        self.unbar();
        self.open
    }

    /// What a turn took and has not carried out waits again, in its order.
    fn put_back(&mut self, taken: impl Iterator<Item = Waiting>) {
        self.open.extend(taken);
        self.open.make_contiguous().sort_by_key(|waiting| waiting.key);
    }

    /// The lock has come to its end.
    fn unbar(&mut self) {
        if !self.barred.is_empty() {
            let barred = std::mem::take(&mut self.barred);
            self.put_back(barred.into_iter());
        }
    }

    /// Takes the wish for the lock that its owner gave up.
    fn take_wish(&mut self, of: &ParentLink) -> Option<Waiting> {
        let is_it = |waiting: &Waiting| matches!(&waiting.message, EntityMessage::Lock { owner, .. } if owner == of);
        let at = self.barred.iter().position(is_it)?;
        self.barred.remove(at)
    }
}

/// What a turn takes of what waits.
#[derive(Debug, Default)]
pub struct Intake {
    /// Operations, to be carried out in this order.
    pub operations: Vec<Waiting>,
    /// Whoever has the lock gives it back.
    pub releases: bool,
    /// The lock is to be granted, after the operations.
    pub grant: Option<Grant>,
    /// Messages that are done with, beside the operations.
    pub spent: Vec<Waiting>,
}

impl Intake {
    /// Whether there is nothing for a turn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.spent.is_empty()
    }

    /// Only the first of its operations were carried out: the rest waits again, and what comes after.
    pub fn cut(&mut self, done: usize, mailbox: &mut Mailbox) {
        if done < self.operations.len() {
            self.put_back(done, mailbox);
        }
    }

    /// Nothing of it has been done: all of it waits again.
    pub fn give_back(&mut self, mailbox: &mut Mailbox) {
        self.put_back(0, mailbox);
    }

    fn put_back(&mut self, done: usize, mailbox: &mut Mailbox) {
        mailbox.put_back(self.operations.drain(done..).chain(self.spent.drain(..)));
        self.releases = false;
        self.grant = None;
    }

    /// Keys of the messages that it took.
    #[must_use]
    pub fn keys(&self) -> Vec<MessageKey> {
        self.operations.iter().chain(&self.spent).map(|waiting| waiting.key).collect()
    }

    /// Takes what the next turn of an entity carries out, at most so many operations, and no more bytes of
    /// payloads than that if it is more than one. While it is locked, operations of others wait, in their order.
    /// A wish for the lock waits for what stands before it, and what stands behind it waits for it.
    pub fn take(
        mailbox: &mut Mailbox,
        lock: Option<&ParentLink>,
        most: usize,
        bytes: usize,
    ) -> Self {
        let room = Room { operations: most, bytes, is_fresh: true };
        let Some(lock) = lock else {
            mailbox.unbar();
            return Self::take_open(mailbox, room);
        };
        Self::take_of_holder(mailbox, lock, room)
    }

    /// Of an entity that is not locked.
    fn take_open(mailbox: &mut Mailbox, mut room: Room) -> Self {
        let open = &mut mailbox.open;
        let plain = |waiting: &&Waiting| matches!(waiting.message, EntityMessage::Operation { .. });
        let first = open.iter().take_while(plain).take_while(|waiting| room.takes(waiting)).count();
        let mut intake = Self { operations: open.drain(..first).collect(), ..Self::default() };
        if open.is_empty() || room.is_full() {
            return intake;
        }
        // Wishes that were given up before they were granted.
        let given_up: HashSet<ParentLink> = open.iter().filter_map(given_up).collect();
        while let Some(item) = pop_if(open, |item| room.takes(item)) {
            match &item.message {
                EntityMessage::Operation { .. } => intake.operations.push(item),
                EntityMessage::Lock { owner, then } if !given_up.contains(owner) => {
                    intake.grant = Some(Grant { owner: *owner, then: then.clone() });
                    intake.spent.push(item);
                    break;
                }
                // What is left of one that was given up gives nothing back.
                EntityMessage::Lock { .. } | EntityMessage::Unlock { .. } => {
                    intake.spent.push(item);
                }
            }
        }
        intake
    }

    /// Of one that is locked.
    fn take_of_holder(mailbox: &mut Mailbox, lock: &ParentLink, mut room: Room) -> Self {
        let mut intake = Self::default();
        let is_holders = |item: &Waiting| match &item.message {
            EntityMessage::Operation { caller, .. } => {
                caller.as_ref().is_some_and(|of| is_of(of, lock))
            }
            _ => false,
        };
        while !intake.releases
            && let Some(item) = pop_if(&mut mailbox.open, |item| {
                // What is barred takes no room.
                if is_holders(item) { room.takes(item) } else { !room.is_full() }
            })
        {
            match &item.message {
                EntityMessage::Operation { .. } if is_holders(&item) => {
                    intake.operations.push(item);
                }
                EntityMessage::Unlock { owner } => {
                    intake.releases = owner == lock;
                    if !intake.releases {
                        intake.spent.extend(mailbox.take_wish(owner));
                    }
                    intake.spent.push(item);
                }
                EntityMessage::Operation { .. } | EntityMessage::Lock { .. } => {
                    mailbox.barred.push_back(item);
                }
            }
        }
        intake
    }
}

/// What a turn may yet take.
struct Room {
    operations: usize,
    bytes: usize,
    /// It has taken no operation.
    is_fresh: bool,
}

impl Room {
    fn is_full(&self) -> bool {
        self.operations == 0
    }

    /// Whether the turn takes this too: the first operation however large it is. Once one is left, the turn is full.
    fn takes(&mut self, waiting: &Waiting) -> bool {
        if self.is_full() {
            return false;
        }
        let EntityMessage::Operation { input, .. } = &waiting.message else { return true };
        let bytes = input.as_ref().map_or(0, |input| input.get().len());
        if bytes > self.bytes && !self.is_fresh {
            self.operations = 0;
            return false;
        }
        self.is_fresh = false;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.operations -= 1;
        true
    }
}

fn pop_if(
    queue: &mut VecDeque<Waiting>,
    is_taken: impl FnOnce(&Waiting) -> bool,
) -> Option<Waiting> {
    if is_taken(queue.front()?) { queue.pop_front() } else { None }
}

fn given_up(waiting: &Waiting) -> Option<ParentLink> {
    match &waiting.message {
        EntityMessage::Unlock { owner } => Some(*owner),
        _ => None,
    }
}

/// Whether a task is of the execution that has the lock.
fn is_of(task: &ParentLink, lock: &ParentLink) -> bool {
    task.key == lock.key && task.exec == lock.exec
}

#[cfg(test)]
mod tests {
    use super::super::{InstanceKey, TaskId};
    use super::*;

    fn link(key: InstanceKey, task: TaskId) -> ParentLink {
        ParentLink { key, exec: 0, task }
    }

    fn operation(name: &str, caller: Option<ParentLink>) -> EntityMessage {
        EntityMessage::Operation { name: name.to_owned(), input: None, caller }
    }

    fn lock(owner: ParentLink) -> EntityMessage {
        EntityMessage::Lock { owner, then: Vec::new() }
    }

    fn unlock(owner: ParentLink) -> EntityMessage {
        EntityMessage::Unlock { owner }
    }

    fn queue(messages: impl IntoIterator<Item = EntityMessage>) -> Mailbox {
        Mailbox::new((1..).zip(messages).map(|(key, message)| Waiting { key, message }).collect())
    }

    fn names(intake: &Intake) -> Vec<&str> {
        let mut names = Vec::new();
        for waiting in &intake.operations {
            match &waiting.message {
                EntityMessage::Operation { name, .. } => names.push(name.as_str()),
                other => panic!("no operation: {other:?}"),
            }
        }
        names
    }

    #[test]
    fn operations_are_taken_in_their_order_and_not_too_many() {
        let mut waiting = queue(["a", "b", "c"].map(|name| operation(name, None)));
        assert_eq!(names(&Intake::take(&mut waiting, None, 2, usize::MAX)), ["a", "b"]);
        assert_eq!(names(&Intake::take(&mut waiting, None, 2, usize::MAX)), ["c"]);
        assert!(Intake::take(&mut waiting, None, 2, usize::MAX).is_empty());
    }

    #[test]
    fn a_wish_for_the_lock_waits_for_what_is_before_it_and_holds_up_what_is_behind() {
        let owner = link(7, 0);
        let mut waiting = queue([operation("a", None), lock(owner), operation("b", None)]);
        let intake = Intake::take(&mut waiting, None, 10, usize::MAX);
        assert_eq!(names(&intake), ["a"]);
        assert_eq!(intake.grant.as_ref().map(|grant| grant.owner), Some(owner));
        assert_eq!(intake.keys(), [1, 2]);
        assert!(Intake::take(&mut waiting, Some(&owner), 10, usize::MAX).is_empty());
        assert_eq!(waiting.into_all().len(), 1);
    }

    #[test]
    fn while_it_is_locked_only_the_holders_operations_are_taken_until_it_is_given_back() {
        let holder = link(7, 0);
        let mut waiting = queue([
            operation("other", None),
            operation("mine", Some(link(7, 3))),
            lock(link(8, 0)),
            unlock(holder),
            operation("late", Some(link(7, 4))),
        ]);
        let intake = Intake::take(&mut waiting, Some(&holder), 10, usize::MAX);
        assert_eq!(names(&intake), ["mine"]);
        assert!(intake.releases && intake.grant.is_none());
        let next = Intake::take(&mut waiting, None, 10, usize::MAX);
        assert_eq!(names(&next), ["other"]);
        assert_eq!(next.grant.as_ref().map(|grant| grant.owner), Some(link(8, 0)));
        assert_eq!(waiting.into_all().len(), 1);
    }

    #[test]
    fn what_a_turn_did_not_get_to_waits_again_in_its_order() {
        let owner = link(7, 0);
        let mut waiting =
            queue([operation("a", None), operation("b", None), lock(owner), operation("c", None)]);
        let mut intake = Intake::take(&mut waiting, None, 10, usize::MAX);
        intake.cut(1, &mut waiting);
        assert_eq!((names(&intake), intake.keys()), (vec!["a"], vec![1]));
        assert!(intake.grant.is_none());
        let next = Intake::take(&mut waiting, None, 10, usize::MAX);
        assert_eq!((names(&next), next.grant.is_some()), (vec!["b"], true));
    }

    #[test]
    fn an_older_execution_of_the_holder_is_not_the_holder() {
        let holder = ParentLink { key: 7, exec: 1, task: 0 };
        let mut waiting = queue([operation("old", Some(link(7, 0)))]);
        assert!(Intake::take(&mut waiting, Some(&holder), 10, usize::MAX).is_empty());
    }

    #[test]
    fn what_waits_for_the_end_of_the_lock_is_not_looked_at_again() {
        let (holder, given_up) = (link(7, 0), link(8, 0));
        let mut waiting = queue([operation("other", None), lock(given_up), lock(link(9, 0))]);
        assert!(Intake::take(&mut waiting, Some(&holder), 10, usize::MAX).is_empty());
        assert!(!waiting.is_open(Some(&holder)) && waiting.is_open(None));
        waiting.push(Waiting { key: 4, message: operation("mine", Some(link(7, 3))) });
        waiting.push(Waiting { key: 5, message: unlock(given_up) });
        assert_eq!(waiting.open.len(), 2);
        let intake = Intake::take(&mut waiting, Some(&holder), 10, usize::MAX);
        assert_eq!(intake.keys(), [4, 2, 5]);
        let rest = Intake::take(&mut waiting, None, 10, usize::MAX);
        assert_eq!((names(&rest), rest.keys()), (vec!["other"], vec![1, 3]));
    }

    #[test]
    fn a_wish_that_is_given_up_is_never_granted() {
        let (gone, next) = (link(7, 0), link(8, 0));
        let mut waiting = queue([lock(gone), lock(next), unlock(gone)]);
        let intake = Intake::take(&mut waiting, None, 10, usize::MAX);
        assert_eq!(intake.grant.as_ref().map(|grant| grant.owner), Some(next));
        assert_eq!(intake.keys(), [1, 2]);
        // What is left of the one that was given up is done with, and gives nothing back.
        let rest = Intake::take(&mut waiting, Some(&next), 10, usize::MAX);
        assert!(!rest.releases && rest.keys() == [3] && waiting.is_empty());
    }
}
