//! The only place that reads a clock.
//!
//! Owns: what "now" is. Must never: be asked by core or a provider.

use std::sync::atomic::{AtomicI64, Ordering};
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

/// The clock that a hub goes by: the machine's own, or that of a server which several machines share.
#[derive(Debug, Default)]
pub struct HubClock {
    /// How far the server's clock is ahead of the machine's, in milliseconds.
    ahead_ms: AtomicI64,
}

/// A difference of less is that of the way to the server and back.
const NOISE_MS: i64 = 5;

impl HubClock {
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> TimeMs {
        now_ms() + self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Goes by what a server said, which was asked at a time of the machine's clock and took so long.
    pub fn follow(&self, server_ms: TimeMs, asked_ms: TimeMs, took: Duration) {
        let took_ms = i64::try_from(took.as_millis()).unwrap_or_default();
        let ahead_ms = server_ms - (asked_ms + took_ms / 2);
        if (ahead_ms - self.ahead_ms.load(Ordering::Relaxed)).abs() > NOISE_MS + took_ms {
            self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_on_a_server_goes_by_the_server_and_not_by_the_way_to_it() {
        let clock = HubClock::default();
        let ahead_ms = |clock: &HubClock| clock.ahead_ms.load(Ordering::Relaxed);
        clock.follow(1_000_003, 1_000_000, Duration::from_millis(4));
        assert_eq!(ahead_ms(&clock), 0);
        clock.follow(4_600_002, 1_000_000, Duration::from_millis(4));
        assert_eq!(ahead_ms(&clock), 3_600_000);
    }
}
