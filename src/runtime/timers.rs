//! Timers that are due soon.
//!
//! Owns: the set in memory and the point up to which the store has been read. Must never: lose one (a timer beyond
//! that point stays in the store until it is reached), read one twice without need, or hold more than its bound for
//! having read ahead. Proved by `tests/simulation.rs`.

use std::collections::BTreeSet;

use crate::core::limits::{TIMER_HORIZON_MS, TIMERS_HELD};
use crate::core::{InstanceKey, TaskId, TimeMs};
use crate::provider::TimerRow;

/// Before every timer.
const START: TimerRow = TimerRow { fire_at: TimeMs::MIN, key: InstanceKey::MIN, task: 0 };

/// A part of the store's timers, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerRange {
    /// Those behind this one,
    pub after: TimerRow,
    /// up to this time.
    pub until: TimeMs,
}

impl TimerRange {
    /// Behind every timer in it.
    #[must_use]
    pub fn end(&self) -> TimerRow {
        TimerRow { fire_at: self.until, key: InstanceKey::MAX, task: TaskId::MAX }
    }

    /// How far a reading has come that took at most so many.
    #[must_use]
    pub fn read_to(&self, rows: &[TimerRow], limit: usize) -> TimerRow {
        rows.last().filter(|_| rows.len() >= limit).copied().unwrap_or_else(|| self.end())
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Timers {
    due: BTreeSet<TimerRow>,
    /// Every timer in the store up to this one is in `due`.
    read_to: TimerRow,
    /// This part is being read. A timer that is set meanwhile may be missed by that reading, so it is noted as if
    /// the reading had ended.
    reading: Option<TimerRange>,
    /// All is to be read once more.
    again: bool,
    /// The last reading failed, and nobody has said yet that it is to be made again.
    failed: bool,
}

impl Default for Timers {
    fn default() -> Self {
        let due = BTreeSet::new();
        Self { due, read_to: START, reading: None, again: false, failed: false }
    }
}

impl Timers {
    /// Notes a timer; one beyond the horizon is left to the store.
    pub fn add(&mut self, fire_at: TimeMs, key: InstanceKey, task: TaskId) {
        let row = TimerRow { fire_at, key, task };
        if row <= self.reading.map_or(self.read_to, |range| range.end()) {
            self.due.insert(row);
        }
    }

    /// Takes the timers whose time has come.
    pub fn take_due(&mut self, now_ms: TimeMs) -> Vec<TimerRow> {
        let mut taken = Vec::new();
        while let Some(first) = self.due.first().copied().filter(|row| row.fire_at <= now_ms) {
            self.due.pop_first();
            taken.push(first);
        }
        taken
    }

    /// What of the store is to be read now, if anything: what was read already is not, nor more than there is room
    /// for.
    pub fn read_more(&mut self, now_ms: TimeMs) -> Option<TimerRange> {
        let is_read = now_ms + TIMER_HORIZON_MS / 2 < self.read_to.fire_at;
        if self.failed || self.reading.is_some() || is_read || self.due.len() >= TIMERS_HELD {
            return None;
        }
        self.reading = Some(TimerRange { after: self.read_to, until: now_ms + TIMER_HORIZON_MS });
        self.reading
    }

    /// Takes what was read of the store, up to there. Those that are noted already are passed over.
    pub fn add_read(&mut self, read_to: TimerRow, rows: Vec<TimerRow>) {
        self.reading = None;
        self.read_to = if std::mem::take(&mut self.again) { START } else { read_to };
        self.due.extend(rows);
    }

    /// There may be timers in the store that no reading has seen.
    pub fn read_anew(&mut self) {
        self.again = self.reading.is_some();
        self.read_to = START;
    }

    /// A reading failed. It is made again after [`Self::retry`], not at once: what keeps the store from
    /// being read may last.
    pub fn read_failed(&mut self) {
        self.reading = None;
        self.failed = true;
    }

    /// Whether a reading waits to be made again.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// A reading that failed is to be made again.
    pub fn retry(&mut self) {
        self.failed = false;
    }

    /// How long until there is something to do, in milliseconds.
    #[must_use]
    pub fn next_in(&self, now_ms: TimeMs) -> TimeMs {
        let first = self.due.first().map(|row| row.fire_at);
        // While the store is read, its answer wakes the hub; one that failed is not made before its time, and one
        // for which there is no room when a timer has fired.
        let read_until = match self.reading {
            Some(range) => range.until,
            None if self.failed || self.due.len() >= TIMERS_HELD => now_ms + TIMER_HORIZON_MS,
            None => self.read_to.fire_at,
        };
        let horizon = read_until.saturating_sub(TIMER_HORIZON_MS / 2);
        first.map_or(horizon, |first| first.min(horizon)).saturating_sub(now_ms).max(0)
    }
}
