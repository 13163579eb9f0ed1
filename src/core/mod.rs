//! The meaning of durable execution, as pure functions of their arguments.
//!
//! Owns: what history says, what a task resolves to, what an orchestrator may ask for next, what a
//! commit changes, which status follows which.
//!
//! Must never: read a clock, draw a random number, do I/O, know of storage, threads or JavaScript.
//! Time, randomness and ids come in as values. `tests/tidy.rs` proves the imports; the behaviour is
//! proved by the tests in these files and by `tests/replay.rs`.

pub mod action;
pub mod call;
pub mod commit;
pub mod entity;
pub mod entropy;
pub mod error;
pub mod execution;
pub mod history;
pub mod ids;
pub mod instance;
pub mod limits;
pub mod mailbox;
pub mod message;
pub mod partition;
pub mod replay;
pub mod request;
pub mod retry;
pub mod rewind;
pub mod status;
pub mod task;
pub mod turn;
pub mod version;
pub mod view;

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON value of the user's, as its text. It is carried, measured and compared to nothing: only
/// JavaScript makes values of it.
pub type Payload = Arc<RawValue>;

/// Reads a payload that may be missing: `null` is a value, and not the same as none.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(deserializer).map(Some)
}

/// A function or event name, shared between an open task and its history.
pub type Name = Arc<str>;

/// Key of an instance within its hub, or, below zero, of an entity. Never used again once it is gone.
pub type InstanceKey = i64;
/// Key of a stored message. Later messages have greater keys.
pub type MessageKey = i64;
/// Number of a task within its execution, from 0 in the order of creation.
pub type TaskId = u32;
/// Generation of an instance: 0, and one more for each continue-as-new.
pub type ExecutionId = u32;
/// Number of a turn within its execution, from 1.
pub type TurnNumber = u32;
/// Milliseconds since the Unix epoch.
pub type TimeMs = i64;
