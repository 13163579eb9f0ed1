//! What can go wrong in a store.
//!
//! Owns: the kinds that callers act on. Must never: be shown to users as it is (`runtime::fault`
//! makes an `Error` of it).

use std::fmt;

/// The result of a call to a store.
pub type Result<T> = std::result::Result<T, ProviderError>;

/// What a failure means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderErrorKind {
    /// Nothing was written; the same call may succeed later (busy, out of space for a moment, I/O).
    Transient,
    /// Nothing was written: the disk is full.
    Full,
    /// The store cannot be written to at all.
    ReadOnly,
    /// The hub belongs to another epoch: this worker must stop.
    LostOwnership,
    /// Whether it was written is not known, and this worker must stop.
    InDoubt,
    /// Another worker has the hub.
    HubInUse,
    /// The file is not a hub.
    NotAHub,
    /// The hub was written by a newer version.
    TooNew,
    /// A row cannot be read.
    Corrupt,
    /// The caller's cursor, file name or the like is not valid.
    Invalid,
    /// Anything else.
    Permanent,
}

/// A failure of a store.
#[derive(Debug, Clone)]
pub struct ProviderError {
    /// What it means.
    pub kind: ProviderErrorKind,
    /// What was tried, and what the store said.
    pub message: String,
}

impl ProviderError {
    /// A failure of `operation`.
    pub fn new(kind: ProviderErrorKind, operation: &str, cause: impl fmt::Display) -> Self {
        Self { kind, message: format!("{operation}: {cause}") }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.message, self.kind)
    }
}

impl std::error::Error for ProviderError {}
