//! What can go wrong in a store.
//!
//! Owns: the kinds that callers act on, and which of them may be the fault of what was to be done. Must never:
//! be shown to users as it is (`runtime::fault` makes an `Error` of it). Proved by the test below.

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
    /// The store that was opened is no longer where it was: nobody will find what is written to it.
    Gone,
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

impl ProviderErrorKind {
    /// Whether it may be the fault of what was to be read or written. All others are about the store, and
    /// nothing is given up for them: they pass.
    #[must_use]
    pub fn blames_work(self) -> bool {
        matches!(self, Self::Corrupt | Self::Invalid | Self::Permanent)
    }

    /// Whether this process is no worker of the hub after it.
    #[must_use]
    pub fn ousts(self) -> bool {
        matches!(self, Self::LostOwnership | Self::InDoubt | Self::Gone)
    }
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

    /// What a failure to come as far as the work itself means once the hub was open: the options were right
    /// then, and no work is at fault, so it passes.
    #[must_use]
    pub fn once_open(self) -> Self {
        use ProviderErrorKind as Kind;
        let kind = match self.kind {
            Kind::Full | Kind::ReadOnly | Kind::LostOwnership | Kind::InDoubt | Kind::Gone => {
                self.kind
            }
            Kind::Transient
            | Kind::HubInUse
            | Kind::NotAHub
            | Kind::TooNew
            | Kind::Corrupt
            | Kind::Invalid
            | Kind::Permanent => Kind::Transient,
        };
        Self { kind, ..self }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.message, self.kind)
    }
}

impl std::error::Error for ProviderError {}

#[cfg(test)]
mod tests {
    use super::{ProviderError, ProviderErrorKind as Kind};

    #[test]
    fn on_the_way_to_the_work_nothing_is_at_fault_but_the_store() {
        for (kind, then) in [
            (Kind::Transient, Kind::Transient),
            (Kind::Full, Kind::Full),
            (Kind::ReadOnly, Kind::ReadOnly),
            (Kind::LostOwnership, Kind::LostOwnership),
            (Kind::InDoubt, Kind::InDoubt),
            (Kind::Gone, Kind::Gone),
            (Kind::HubInUse, Kind::Transient),
            (Kind::NotAHub, Kind::Transient),
            (Kind::TooNew, Kind::Transient),
            (Kind::Corrupt, Kind::Transient),
            (Kind::Invalid, Kind::Transient),
            (Kind::Permanent, Kind::Transient),
        ] {
            let error = ProviderError::new(kind, "connect", "no").once_open();
            assert_eq!((error.kind, error.message.as_str()), (then, "connect: no"), "{kind:?}");
            assert!(!error.kind.blames_work());
        }
    }
}
