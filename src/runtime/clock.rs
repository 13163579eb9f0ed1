//! The only place that reads a clock.
//!
//! Owns: what "now" is. Must never: be asked by core or a provider.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::core::TimeMs;

/// Milliseconds since the Unix epoch, by the machine's wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn now_ms() -> TimeMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    TimeMs::try_from(since.as_millis()).unwrap_or(TimeMs::MAX)
}

/// A point of the monotonic clock, for measuring spans.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn instant() -> Instant {
    Instant::now()
}
