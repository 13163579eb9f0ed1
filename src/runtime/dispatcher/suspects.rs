//! Instances that were under way at more than one death of the process in a row: they run again apart,
//! so that what kills the process is told from what happened to be beside it.
//!
//! Owns: who of them runs. Must never: count one that has not run. After two deaths they run in groups
//! that double while all goes well; after three and more each runs alone, and only once all others are
//! under way. Proved by `tests/simulation.rs` and `__test__/crash.spec.mjs`.

use std::collections::BTreeSet;

use crate::core::limits::{SUSPECT_CALM_MS, SUSPECT_DEATHS, SUSPECT_GROUP, SUSPECT_MS};
use crate::core::{InstanceKey, TimeMs};

use super::{Dispatcher, State, Step};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Suspects {
    /// Those that wait, by deaths.
    waiting: BTreeSet<(u32, InstanceKey)>,
    /// Those that run apart.
    group: Vec<InstanceKey>,
    since_ms: TimeMs,
    size: usize,
}

impl Default for Suspects {
    fn default() -> Self {
        Self { waiting: BTreeSet::new(), group: Vec::new(), since_ms: 0, size: 1 }
    }
}

impl Suspects {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl Dispatcher {
    /// An instance that was under way at `deaths` deaths is ready to run: `true` if it may at once.
    pub(super) fn runs_at_once(&mut self, key: InstanceKey, deaths: u32) -> bool {
        if deaths < SUSPECT_DEATHS {
            return true;
        }
        self.suspects.waiting.insert((deaths, key));
        false
    }

    /// Lets the next suspects run when those before them have got on, or have lived long enough.
    pub(super) fn run_suspects(&mut self, now_ms: TimeMs, step: &mut Step) {
        let lives = &self.lives;
        self.suspects.group.retain(|key| {
            lives.get(key).is_some_and(|live| live.crashes > 1 && !live.can_be_dropped())
        });
        let age_ms = since(self.opened_ms.unwrap_or(now_ms), now_ms);
        let others_come = self.loads_in_flight > 0 || !self.waiting_loads.is_empty();
        if others_come && age_ms < SUSPECT_MS {
            return;
        }
        let long_enough = since(self.suspects.since_ms, now_ms) >= SUSPECT_MS;
        if !self.suspects.group.is_empty() && !long_enough {
            return;
        }
        self.suspects.group.clear();
        let calm = age_ms >= SUSPECT_CALM_MS;
        let mut places = self.suspects.size;
        while places > 0 {
            let Some((deaths, key)) = self.suspects.waiting.pop_first() else { break };
            let Some(live) = self.lives.get_mut(&key) else { continue };
            if !matches!(live.state, State::Suspect) {
                continue;
            }
            let alone = deaths > SUSPECT_DEATHS;
            if alone && (!calm || !self.suspects.group.is_empty()) {
                self.suspects.waiting.insert((deaths, key));
                break;
            }
            self.suspects.group.push(key);
            self.count(key, step);
            places = if alone { 0 } else { places - 1 };
        }
        if !self.suspects.group.is_empty() {
            self.suspects.since_ms = now_ms;
            self.suspects.size = (self.suspects.size * 2).min(SUSPECT_GROUP);
        }
    }

    /// How long until the next suspects may run, if any wait.
    pub(super) fn suspects_in(&self, now_ms: TimeMs) -> Option<TimeMs> {
        let calm_ms = self.opened_ms.unwrap_or(now_ms) + SUSPECT_CALM_MS;
        let next_ms = if self.suspects.group.is_empty() {
            calm_ms
        } else {
            self.suspects.since_ms + SUSPECT_MS
        };
        (!self.suspects.waiting.is_empty()).then(|| (next_ms - now_ms).max(1))
    }

    /// The next death is counted before it can happen.
    pub(super) fn count(&mut self, key: InstanceKey, step: &mut Step) {
        if let Some(live) = self.lives.get_mut(&key) {
            live.state = State::Counting;
            live.crashes += 1;
            step.count.push(key);
        }
    }
}

/// How long ago something was; a clock that was set back does not prolong it.
fn since(then_ms: TimeMs, now_ms: TimeMs) -> TimeMs {
    if now_ms < then_ms { TimeMs::MAX } else { now_ms - then_ms }
}
