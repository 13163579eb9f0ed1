//! Threads of a hub.
//!
//! Owns: that a panic on one of them is told and ends the hub, not the process. Must never: do work.
//! Proved by `tests/threads.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::core::error::{Error, ErrorCode};

use super::outbox::{Event, Outbox};

/// Starts a thread.
///
/// # Errors
/// If the system gives none.
pub(super) fn spawn(
    name: &'static str,
    outbox: Arc<Outbox>,
    work: impl FnOnce(&Arc<Outbox>) + Send + 'static,
) -> std::io::Result<()> {
    let body = move || {
        if catch_unwind(AssertUnwindSafe(|| work(&outbox))).is_err() {
            let message = format!("The thread {name} panicked, and the hub is closed.");
            outbox.push([Event::Fatal(Error::new(ErrorCode::Internal, message))]);
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(|_| ())
}
