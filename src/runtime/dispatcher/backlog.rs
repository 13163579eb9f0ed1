//! Instances that are to run and have no place in memory yet.
//!
//! Owns: who of them comes next, as keys alone: what came for them stands in the store and is read with
//! them. Must never: hold more keys of instances that are ready than its bound (the store is asked for
//! the others again, by the index of what is ready), or forget one.
//! Proved by the tests below and by `tests/simulation.rs`.

use std::collections::BTreeSet;

use crate::core::InstanceKey;
use crate::core::limits::{LOADS_IN_FLIGHT, READY_READ};

use super::{Dispatcher, Live, Step};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Something came for them: they go first.
    called: BTreeSet<InstanceKey>,
    /// They came up when the hub was opened.
    opened: BTreeSet<InstanceKey>,
    /// They are ready, most of them new.
    ready: BTreeSet<InstanceKey>,
    /// Most keys in `opened` and `ready`.
    keys_max: usize,
    /// There was no room for the key of a ready instance: from this one on the store is read again.
    unread_from: Option<InstanceKey>,
    /// Up to this one they came up when the hub was opened.
    opened_to: InstanceKey,
    /// The store is being read.
    reading: bool,
    /// The last reading failed, and nobody has said yet that it is to be made again.
    failed: bool,
}

impl Backlog {
    pub(super) fn new(keys_max: usize) -> Self {
        Self {
            called: BTreeSet::new(),
            opened: BTreeSet::new(),
            ready: BTreeSet::new(),
            keys_max,
            unread_from: None,
            opened_to: 0,
            reading: false,
            failed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.called.is_empty() && self.opened.is_empty() && self.ready.is_empty()
    }

    /// Whether whoever starts now has to wait for others.
    fn is_waited_in(&self) -> bool {
        !self.is_empty() || self.unread_from.is_some() || self.reading
    }

    /// Something came for the instance, or it was changed.
    fn add_called(&mut self, key: InstanceKey) {
        self.called.insert(key);
    }

    /// The instance came up when the hub was opened. What came for it counts as that, too.
    fn add_opened(&mut self, key: InstanceKey, ready: bool) {
        if !ready || self.has_room() {
            self.opened.insert(key);
        } else {
            self.opened_to = self.opened_to.max(key);
            self.leave_to_the_store(key);
        }
    }

    fn add_ready(&mut self, key: InstanceKey) {
        if self.has_room() {
            self.ready.insert(key);
        } else {
            self.leave_to_the_store(key);
        }
    }

    fn has_room(&self) -> bool {
        self.opened.len() + self.ready.len() < self.keys_max
    }

    fn leave_to_the_store(&mut self, key: InstanceKey) {
        self.unread_from = Some(self.unread_from.map_or(key, |from| from.min(key)));
    }

    /// The next one, and whether it came up when the hub was opened.
    fn next(&mut self) -> Option<(InstanceKey, bool)> {
        let key = if let Some(key) = self.called.pop_first() {
            key
        } else if let Some(key) = self.opened.pop_first() {
            return Some((key, true));
        } else {
            self.ready.pop_first()?
        };
        self.ready.remove(&key);
        Some((key, self.opened.remove(&key)))
    }

    /// From which key on the store is to be read for instances that are ready, if it is.
    fn read_more(&mut self) -> Option<InstanceKey> {
        let few = self.opened.len() + self.ready.len() <= self.keys_max / 2;
        if self.failed || self.reading || !few {
            return None;
        }
        let from = self.unread_from.take()?;
        self.reading = true;
        Some(from)
    }

    fn read_failed(&mut self, from: InstanceKey) {
        self.reading = false;
        self.failed = true;
        self.leave_to_the_store(from);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// A reading that failed is to be made again.
    pub(super) fn retry(&mut self) {
        self.failed = false;
    }

    /// Nothing is to be done about those that go.
    pub(super) fn drop_keys(&mut self, goes: impl Fn(InstanceKey) -> bool) {
        for keys in [&mut self.called, &mut self.opened, &mut self.ready] {
            keys.retain(|key| !goes(*key));
        }
    }

    /// Of the keys that were read, those that are held.
    fn add_read(&mut self, keys: &[InstanceKey], held: impl Fn(InstanceKey) -> bool) {
        self.reading = false;
        for &key in keys.iter().filter(|key| held(**key)) {
            if key <= self.opened_to { self.add_opened(key, true) } else { self.add_ready(key) }
        }
        // A reading that was cut short goes on behind the last one that it saw.
        if let Some(last) = keys.last().filter(|_| keys.len() >= READY_READ) {
            self.leave_to_the_store(last + 1);
        }
    }
}

/// Why an instance is to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Something came for it.
    Called,
    /// It is ready, or held, since before the hub was opened.
    Opened,
    /// It was started.
    Ready,
}

impl Dispatcher {
    /// Whether one more instance may be in memory. Suspects that wait do not count, as they may wait
    /// for long.
    fn has_room(&self) -> bool {
        self.lives.len().saturating_sub(self.suspects.waiting()) < self.options.active_instances
    }

    /// The same; those that rest in memory give their places up.
    fn make_room(&mut self, step: &mut Step) -> bool {
        while !self.has_room() {
            if !self.drop_idle(step) {
                return false;
            }
        }
        true
    }

    /// Whether an instance that starts now may begin at once: one that rests gives its place up later.
    pub(super) fn may_begin(&self) -> bool {
        let held = self.lives.len().saturating_sub(self.suspects.waiting());
        !self.backlog.is_waited_in() && held < self.options.active_instances + self.idle.len()
    }

    /// Asks for an instance that is not in memory, at once or when there is room.
    pub(super) fn load(&mut self, key: InstanceKey, why: Why) {
        let opening = why == Why::Opened;
        if let Some(live) = self.lives.get_mut(&key) {
            live.recovered |= opening;
        } else if self.backlog.is_empty() && self.has_room() {
            self.load_now(key, opening);
        } else {
            match why {
                Why::Called => self.backlog.add_called(key),
                Why::Opened => self.backlog.add_opened(key, true),
                Why::Ready => self.backlog.add_ready(key),
            }
        }
    }

    /// The same for one that something came for before the hub was opened.
    pub(super) fn load_called_at_open(&mut self, key: InstanceKey) {
        if self.lives.contains_key(&key) || self.backlog.is_empty() && self.has_room() {
            self.load(key, Why::Opened);
        } else {
            self.backlog.add_opened(key, false);
        }
    }

    fn load_now(&mut self, key: InstanceKey, opening: bool) {
        let live = Live { recovered: opening, ..Live::loading(key) };
        self.lives.insert(key, Box::new(live));
        self.waiting_loads.push_back(key);
    }

    /// Gives what places there are to those that wait for one.
    pub(super) fn fill_room(&mut self, step: &mut Step) {
        while self.waiting_loads.len() < LOADS_IN_FLIGHT
            && !self.backlog.is_empty()
            && self.make_room(step)
        {
            let Some((key, opened)) = self.backlog.next() else { break };
            match self.lives.get_mut(&key) {
                Some(live) => live.recovered |= opened,
                None => self.load_now(key, opened),
            }
        }
        step.ready_from = self.backlog.read_more();
    }

    /// Instances that are ready were read from the store, from [`Step::ready_from`] on.
    pub fn ready_read(&mut self, keys: &[InstanceKey]) {
        self.backlog.add_read(keys, |key| self.held.has_key(key));
    }

    /// The reading failed and is made again, from the same key on.
    pub fn ready_failed(&mut self, from: InstanceKey) {
        self.backlog.read_failed(from);
    }

    /// How many instances wait for a place in memory and are known here.
    #[must_use]
    pub fn waiting_instances(&self) -> usize {
        let Backlog { called, opened, ready, .. } = &self.backlog;
        called.len() + opened.len() + ready.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(backlog: &mut Backlog) -> Vec<(InstanceKey, bool)> {
        std::iter::from_fn(|| backlog.next()).collect()
    }

    #[test]
    fn what_something_came_for_goes_first_and_everyone_goes_once() {
        let mut backlog = Backlog::new(10);
        for key in [5, 6] {
            backlog.add_ready(key);
        }
        for key in [2, 3] {
            backlog.add_opened(key, true);
        }
        for key in [6, 3, 9] {
            backlog.add_called(key);
        }
        let order = [(3, true), (6, false), (9, false), (2, true), (5, false)];
        assert_eq!(all(&mut backlog), order);
    }

    #[test]
    fn keys_beyond_the_bound_are_read_again_when_few_are_left() {
        let mut backlog = Backlog::new(4);
        (1..=3).for_each(|key| backlog.add_opened(key, true));
        (4..=9).for_each(|key| backlog.add_ready(key));
        assert_eq!(backlog.read_more(), None, "enough are known");
        assert_eq!(backlog.next(), Some((1, true)));
        assert_eq!(backlog.next(), Some((2, true)));
        assert_eq!(backlog.read_more(), Some(5));
        assert_eq!(backlog.read_more(), None, "one reading at a time");
        backlog.add_read(&[5, 6, 7, 8, 9], |_| true);
        assert_eq!(all(&mut backlog), [(3, true), (4, false), (5, false), (6, false)]);
        assert_eq!(backlog.read_more(), Some(7), "what did not fit is read once more");
    }

    #[test]
    fn one_that_came_up_at_the_open_is_known_as_that_when_it_is_read_again() {
        let mut backlog = Backlog::new(1);
        (1..=3).for_each(|key| backlog.add_opened(key, true));
        backlog.add_ready(4);
        assert_eq!(all(&mut backlog), [(1, true)]);
        assert_eq!(backlog.read_more(), Some(2));
        backlog.add_read(&[3, 4], |_| true);
        assert_eq!(all(&mut backlog), [(3, true)]);
        assert_eq!(backlog.read_more(), Some(4));
        backlog.add_read(&[4], |_| true);
        assert_eq!(all(&mut backlog), [(4, false)]);
    }

    #[test]
    fn a_reading_that_failed_waits_until_it_is_to_be_made_again() {
        let mut backlog = Backlog::new(1);
        for key in [1, 2] {
            backlog.add_ready(key);
        }
        backlog.next();
        let from = backlog.read_more().unwrap();
        backlog.read_failed(from);
        assert!(backlog.has_failed() && backlog.read_more().is_none());
        backlog.retry();
        assert_eq!(backlog.read_more(), Some(from));
    }
}
