//! Which instances stay in memory.
//!
//! Owns: leaving memory. Must never: drop an instance of which something stands nowhere else.

use crate::core::InstanceKey;

use super::{Dispatcher, State, Step};

impl Dispatcher {
    /// Nothing of the instance is under way.
    pub(super) fn become_idle(&mut self, key: InstanceKey) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        live.state = State::Idle;
        if live.stale {
            return self.reload(key);
        }
        if !live.mailbox.is_empty() || !live.execution.begun() || live.violated {
            self.runnable.push(key);
            return;
        }
        // One whose activities run comes by here again with their results.
        if live.activities.is_empty() {
            self.tick += 1;
            live.last_used = self.tick;
            self.idle.push_back((self.tick, key));
        }
    }

    /// The instance leaves memory, in JavaScript too.
    pub(super) fn forget(&mut self, key: InstanceKey, step: &mut Step) {
        self.give_up_activities(key, step);
        let Some(live) = self.lives.remove(&key) else {
            return;
        };
        self.bytes -= live.bytes;
        if let State::Running(token, _) | State::Replaying(token) = live.state {
            self.tokens.remove(&token);
        }
        // The id may belong to a newer instance by now.
        if self.ids.get(&live.id) == Some(&key) {
            self.ids.remove(&live.id);
        }
        if live.in_js {
            step.out.drops.push(live.handle);
        }
    }

    /// Drops idle instances, the least recently used first, down to the bounds.
    pub(super) fn evict(&mut self, step: &mut Step) {
        while self.lives.len() > self.options.cached_instances
            || self.bytes > self.options.cached_bytes
        {
            if !self.drop_idle(step) {
                return;
            }
        }
        // Entries that a later turn made void would pile up under a cache that is never full.
        if self.idle.len() > 2 * self.lives.len() + 64 {
            let lives = &self.lives;
            self.idle
                .retain(|(tick, key)| lives.get(key).is_some_and(|live| live.last_used == *tick));
        }
    }
    /// Drops the idle instance that was used least recently: `false` if there is none.
    pub(super) fn drop_idle(&mut self, step: &mut Step) -> bool {
        while let Some((tick, key)) = self.idle.pop_front() {
            let current = self.lives.get(&key);
            if current.is_some_and(|live| live.last_used == tick && live.can_be_dropped()) {
                self.forget(key, step);
                return true;
            }
        }
        false
    }
}
