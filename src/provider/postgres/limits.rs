//! What each transaction sets for itself.
//!
//! Owns: how long it may keep others waiting, and that its commit is on disk before it is acknowledged. Both are
//! set with the first statement of each transaction that locks or writes what somebody goes by, so that they
//! hold on any connection, that of a pooler too, and whatever the server, the database or the role say. Must
//! never: cost a statement of their own, or weaken what an operator has set. Proved by
//! `tests/provider_postgres/leases.rs`, `__test__/cluster.spec.mjs` and `__test__/postgres-crash.spec.mjs`.
//!
//! A process may stop in the middle of a transaction and keep its connection: the machine is suspended, or
//! out of reach. The server then ends the transaction, before the lease of its worker is over, and what it
//! had locked is free for whoever takes its place.
//!
//! `synchronous_commit` is raised to `on` from all that is weaker, `local` and `remote_write` too: where a
//! standby is synchronous, it is to have what was acknowledged when it takes the server's place. Where none
//! is, those three mean the same.

use super::session::Ask;

/// Longest time that a transaction may stand still, however long the lease is.
const STILL_MS_MAX: i64 = 5_000;
/// Shortest wait for a lock before it is given up. The server looks for a deadlock after one second, and is
/// to find it first.
const LOCK_MS_MIN: i64 = 2_000;

/// Expressions that set the limits for the transaction, from three parameters of these numbers: how long it
/// may stand still, or its answers may stay unread, how long it waits for the lock of another one, and what
/// its commit waits for. A server on another system than Linux cannot limit the second, and would log so each
/// time.
macro_rules! limits {
    ($still:literal, $lock:literal, $sync:literal) => {
        concat!(
            "set_config('idle_in_transaction_session_timeout', ",
            $still,
            ", true), CASE WHEN version() LIKE '%linux%' THEN set_config('tcp_user_timeout', ",
            $still,
            ", true) END, set_config('lock_timeout', ",
            $lock,
            ", true), set_config('synchronous_commit', CASE WHEN ",
            $sync,
            " = 'off' OR current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN ",
            $sync,
            " ELSE current_setting('synchronous_commit') END, true)"
        )
    };
}
pub(super) use limits;

/// What is weaker than `on`, as the statement above has it.
pub(super) const WEAKER: [&str; 3] = ["off", "local", "remote_write"];

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitSync {
    /// Nothing: the last commits may be lost with the server.
    Relaxed,
    /// The disk, and what the server is told to wait for beside it.
    Full,
}

impl CommitSync {
    pub(super) fn of(relaxed: bool) -> Self {
        if relaxed { Self::Relaxed } else { Self::Full }
    }

    /// The least value of `synchronous_commit` for it.
    pub(super) fn level(self) -> &'static str {
        match self {
            Self::Relaxed => "off",
            Self::Full => "on",
        }
    }
}

/// A statement with the parameters of its limits. A worker that waits for locks still has to lengthen its
/// lease in time.
pub(super) fn limited(ask: Ask<'static>, lease_ms: i64, sync: CommitSync) -> Ask<'static> {
    let still_ms = (lease_ms / 2).min(STILL_MS_MAX);
    ask.with(still_ms.to_string()).with(still_ms.max(LOCK_MS_MIN).to_string()).with(sync.level())
}
