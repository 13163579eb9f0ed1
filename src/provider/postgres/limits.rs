//! How long a transaction may keep others waiting.
//!
//! Owns: the limits that each transaction which locks anything sets for itself, with its first statement,
//! so that they hold on any connection, that of a pooler too. Must never: cost a statement of their own.
//! Proved by `tests/provider_postgres/leases.rs` and `__test__/cluster.spec.mjs`.
//!
//! A process may stop in the middle of a transaction and keep its connection: the machine is suspended, or
//! out of reach. The server then ends the transaction, before the lease of its worker is over, and what it
//! had locked is free for whoever takes its place.

use super::session::Ask;

/// Longest time that a transaction may stand still, however long the lease is.
const STILL_MS_MAX: i64 = 5_000;
/// Shortest wait for a lock before it is given up. The server looks for a deadlock after one second, and is
/// to find it first.
const LOCK_MS_MIN: i64 = 2_000;

/// Expressions that set the limits for the transaction, from two parameters of these numbers: how long it
/// may stand still, or its answers may stay unread, and how long it waits for the lock of another one. A
/// server on another system than Linux cannot limit the second, and would log so each time.
macro_rules! limits {
    ($still:literal, $lock:literal) => {
        concat!(
            "set_config('idle_in_transaction_session_timeout', ",
            $still,
            ", true), CASE WHEN version() LIKE '%linux%' THEN set_config('tcp_user_timeout', ",
            $still,
            ", true) END, set_config('lock_timeout', ",
            $lock,
            ", true)"
        )
    };
}
pub(super) use limits;

/// A statement with the parameters of its limits. A worker that waits for locks still has to lengthen its
/// lease in time.
pub(super) fn limited(ask: Ask<'static>, lease_ms: i64) -> Ask<'static> {
    let still_ms = (lease_ms / 2).min(STILL_MS_MAX);
    ask.with(still_ms.to_string()).with(still_ms.max(LOCK_MS_MIN).to_string())
}
