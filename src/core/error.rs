//! Errors that callers of durafn see, each with a stable code.
//!
//! Owns: the codes and the failures that the engine itself gives to user code.
//! Must never: hold an error of a library (providers and the runtime map theirs to these).

use std::fmt;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Payload;

/// Stable: programs compare these. Only new ones may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ErrorCode {
    /// The id belongs to an instance that has not ended.
    InstanceAlreadyExists,
    /// No instance has that id.
    InstanceNotFound,
    /// The instance has ended and cannot change any more.
    InstanceEnded,
    /// The instance has not ended, which the call needs.
    InstanceNotEnded,
    /// An instance id that breaks the rules for ids.
    InvalidInstanceId,
    /// An id of an entity that breaks the rules for those.
    InvalidEntityId,
    /// A function or event name that is empty, too long or holds control characters.
    InvalidName,
    /// An option or argument with a value that is not allowed.
    InvalidOption,
    /// No live worker of the hub registers the function.
    NotRegistered,
    /// A payload over the hub's limit.
    PayloadTooLarge,
    /// The entity has operations before it, or an orchestration has it for itself.
    EntityInUse,
    /// The orchestration had failed when the entity answered.
    EntityReplyLost,
    /// Only failed instances can be rewound.
    NotRewindable,
    /// The orchestrator does not do what its history says it did.
    Nondeterminism,
    /// The version of the instance is not this worker's to run.
    VersionMismatch,
    /// The instance took the process down too often.
    Poison,
    /// A function of the instance has held its thread for too long.
    TurnOverdue,
    /// A stored row cannot be read.
    CorruptHistory,
    /// The file belongs to a worker process that is alive.
    HubInUse,
    /// The file is not a durafn hub.
    NotAHub,
    /// The file was written by a newer version.
    HubTooNew,
    /// The hub is closed or closing.
    HubClosed,
    /// The store cannot be written.
    StoreReadOnly,
    /// The disk is full.
    StoreFull,
    /// The files of the store were removed, renamed or replaced while it was open.
    StoreGone,
    /// The store does not answer; trying again may help.
    StoreUnavailable,
    /// A defect of durafn.
    Internal,
}

impl ErrorCode {
    /// Whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, Self::StoreFull | Self::StoreUnavailable)
    }
}

/// An error with a code for programs and a message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong and how to mend it.
    pub message: String,
    /// Of a batch of starts, the position of the one refused.
    pub index: Option<usize>,
}

impl Error {
    /// An error that is not about an element of a batch.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), index: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

/// A failure that the engine gives to user code, in the shape of an error that crossed.
#[must_use]
pub fn engine_failure(code: ErrorCode, message: &str) -> Payload {
    #[derive(Serialize)]
    struct Failure<'a> {
        name: ErrorCode,
        message: &'a str,
        code: ErrorCode,
        /// JavaScript takes what has one for an error, at any depth.
        stack: String,
    }
    let stack = format!("{code:?}: {message}");
    raw(&Failure { name: code, message, code, stack })
}

/// JSON text of a value of the engine's own types, which always serialise.
pub fn raw<T: Serialize>(value: &T) -> Payload {
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()).into()
}
