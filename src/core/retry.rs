//! Retry policies: whether a failed task is tried again, and when.
//!
//! Owns: the arithmetic. Must never: draw the jitter (it comes in) or know what failed.

use serde::{Deserialize, Serialize};

use super::TimeMs;

/// The policy that an orchestrator gave with a call. Stored with the scheduled task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Delay before the second attempt, in milliseconds.
    pub first_retry_interval_ms: f64,
    /// Attempts in all, the first one included.
    pub max_number_of_attempts: u32,
    /// Factor from one delay to the next.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub backoff_coefficient: f64,
    /// Longest delay, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retry_interval_ms: Option<f64>,
    /// No attempt begins later than this after the first, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_timeout_ms: Option<f64>,
    /// Share of each delay that is drawn, 0 to 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter: f64,
    /// The orchestrator's `retryIf` is asked before another attempt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ask: bool,
}

fn one() -> f64 {
    1.0
}
#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::float_cmp,
    reason = "serde's signature; 1 is exact"
)]
fn is_one(value: &f64) -> bool {
    *value == 1.0
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Longest delay if the policy names none: six days, as in Durable Functions.
const MAX_RETRY_INTERVAL_MS: f64 = 6.0 * 24.0 * 3_600.0 * 1_000.0;

impl Retry {
    /// When the attempt after `failed_attempt` (counted from 1) begins; `None` if there is none.
    /// `drawn` is a random number of 0 to 1, used for the jitter.
    #[must_use]
    pub fn next_attempt_at(
        &self,
        failed_attempt: u32,
        first_attempt_ms: TimeMs,
        now_ms: TimeMs,
        drawn: f64,
    ) -> Option<TimeMs> {
        if failed_attempt >= self.max_number_of_attempts {
            return None;
        }
        let exponent = f64::from(failed_attempt.saturating_sub(1));
        let longest = self.max_retry_interval_ms.unwrap_or(MAX_RETRY_INTERVAL_MS);
        let delay = (self.first_retry_interval_ms * self.backoff_coefficient.powf(exponent))
            .clamp(0.0, longest.max(0.0));
        let delay = delay * (1.0 - self.jitter.clamp(0.0, 1.0) * drawn);
        #[expect(clippy::cast_possible_truncation, reason = "clamped above")]
        let at = now_ms.saturating_add(delay.ceil() as TimeMs);
        #[expect(clippy::cast_precision_loss, reason = "a span of milliseconds is far below 2^53")]
        let too_late =
            self.retry_timeout_ms.is_some_and(|limit| (at - first_attempt_ms) as f64 > limit);
        (!too_late).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Retry {
        Retry {
            first_retry_interval_ms: 100.0,
            max_number_of_attempts: 4,
            backoff_coefficient: 2.0,
            max_retry_interval_ms: Some(300.0),
            retry_timeout_ms: None,
            jitter: 0.0,
            ask: false,
        }
    }

    #[test]
    fn delays_grow_to_the_longest_and_end_with_the_attempts() {
        let at = |attempt| policy().next_attempt_at(attempt, 0, 1_000, 0.5);
        assert_eq!([at(1), at(2), at(3), at(4)], [Some(1_100), Some(1_200), Some(1_300), None]);
    }

    #[test]
    fn jitter_shortens_a_delay_by_its_share_at_most() {
        let policy = Retry { jitter: 0.5, ..policy() };
        assert_eq!(policy.next_attempt_at(1, 0, 0, 0.0), Some(100));
        assert_eq!(policy.next_attempt_at(1, 0, 0, 1.0), Some(50));
    }

    #[test]
    fn no_attempt_begins_after_the_timeout() {
        let policy = Retry { retry_timeout_ms: Some(150.0), ..policy() };
        assert_eq!(policy.next_attempt_at(1, 0, 0, 0.0), Some(100));
        assert_eq!(policy.next_attempt_at(2, 0, 120, 0.0), None);
    }
}
