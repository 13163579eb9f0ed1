//! Timers that are due soon.
//!
//! Owns: the set in memory and the point up to which the store has been read. Must never: lose one:
//! a timer beyond the horizon stays in the store until the horizon reaches it.

use std::collections::BTreeSet;

use crate::core::limits::TIMER_HORIZON_MS;
use crate::core::{InstanceKey, TaskId, TimeMs};
use crate::provider::TimerRow;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeSet<TimerRow>,
    /// Every timer in the store at or before this time is in `due`.
    read_until: TimeMs,
    /// The store is being read up to here. A timer that is set meanwhile may be missed by that
    /// reading, so it is noted as if the reading had ended.
    reading: Option<TimeMs>,
    /// What is being read is to be read once more.
    again: bool,
    /// The last reading failed, and nobody has said yet that it is to be made again.
    failed: bool,
}

impl Timers {
    /// Notes a timer; one beyond the horizon is left to the store.
    pub fn add(&mut self, fire_at: TimeMs, key: InstanceKey, task: TaskId) {
        if fire_at <= self.reading.unwrap_or(self.read_until) {
            self.due.insert(TimerRow { fire_at, key, task });
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

    /// Up to which time the store is to be read now, if at all.
    pub fn read_more(&mut self, now_ms: TimeMs) -> Option<TimeMs> {
        if self.failed || self.reading.is_some() || now_ms + TIMER_HORIZON_MS / 2 <= self.read_until
        {
            return None;
        }
        self.reading = Some(now_ms + TIMER_HORIZON_MS);
        self.reading
    }

    /// Takes what the store has up to `until`. Those that are noted already are passed over.
    pub fn add_read(&mut self, until: TimeMs, rows: Vec<TimerRow>) {
        self.reading = None;
        self.read_until = if std::mem::take(&mut self.again) { 0 } else { until };
        self.due.extend(rows);
    }

    /// There may be timers in the store that no reading has seen.
    pub fn read_anew(&mut self) {
        self.again = self.reading.is_some();
        self.read_until = 0;
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
        // While the store is read, its answer wakes the hub; one that failed is not made before its time.
        let read_until = if self.failed { now_ms + TIMER_HORIZON_MS } else { self.read_until };
        let horizon = self.reading.unwrap_or(read_until) - TIMER_HORIZON_MS / 2;
        let first = self.due.first().map_or(horizon, |row| row.fire_at.min(horizon));
        (first - now_ms).max(0)
    }
}
