//! What the log says of user code that failed.
//!
//! Owns: one line for each attempt, operation and orchestration that fails, and its level: what is tried again
//! is for whoever looks closely, the end of an activity a warning, that of an orchestration an error.
//! Must never: say anything before it is stored, or of what is replayed.
//! Proved by: `__test__/failure-logs.spec.mjs`.

use std::borrow::Cow;

use serde::Deserialize;

use crate::core::Payload;
use crate::core::commit::{End, TurnCommit};

use super::super::protocol::LogLevel;
use super::Step;

/// A longer message of an error is cut in the log; the status has all of it.
const MESSAGE_CHARS_MAX: usize = 500;

impl Step {
    /// Of a turn that was written.
    pub(super) fn log_failures(&mut self, id: &str, name: &str, commit: &TurnCommit) {
        for failed in &commit.failures {
            let (level, next) = if failed.again {
                (LogLevel::Debug, "is tried again")
            } else {
                (LogLevel::Warn, "is not tried again")
            };
            let shown = shown(&failed.failure);
            let message = format!(
                "Activity '{}' failed at attempt {} and {next}: {shown}",
                failed.name, failed.attempt
            );
            self.log(level, id, message);
        }
        if let Some(End::Fail { failure }) = &commit.end {
            let message = format!("Orchestration '{name}' failed: {}", shown(failure));
            self.log(LogLevel::Error, id, message);
        }
    }
}

/// The line for an operation of an entity.
pub(super) fn failed_operation(id: &str, operation: &str, failure: &Payload) -> String {
    format!("Operation '{operation}' of entity '{id}' failed: {}", shown(failure))
}

/// Name and message of an error; what is none of ours, as it is.
fn shown(failure: &Payload) -> String {
    #[derive(Deserialize)]
    struct Shown<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    let text = match serde_json::from_str::<Shown<'_>>(failure.get()) {
        Ok(Shown { name, message }) => format!("{name}: {message}"),
        Err(_) => failure.get().to_owned(),
    };
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}
