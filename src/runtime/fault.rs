//! Failures of a store, as errors for callers.
//!
//! Owns: the one mapping from one to the other.

use crate::core::error::{Error, ErrorCode};
use crate::provider::{ProviderError, ProviderErrorKind};

/// The error that a caller gets for a failure of the store.
#[must_use]
pub fn caller_error(error: &ProviderError) -> Error {
    let (code, remedy) = match error.kind {
        ProviderErrorKind::Transient => {
            (ErrorCode::StoreUnavailable, "Nothing was written; try again.")
        }
        ProviderErrorKind::InDoubt => (
            ErrorCode::StoreUnavailable,
            "The server went away in the middle of it, so it may have been written: look before you try \
             again, or start with an instanceId of your own.",
        ),
        ProviderErrorKind::Full => (
            ErrorCode::StoreFull,
            "Nothing was written; make room on the disk and try again. Work that waits goes on by \
             itself.",
        ),
        ProviderErrorKind::ReadOnly => (
            ErrorCode::StoreReadOnly,
            "Make the file and its folder writable for this process; on a PostgreSQL server, give the role \
             the rights of docs/scaling.md.",
        ),
        ProviderErrorKind::LostOwnership | ProviderErrorKind::HubInUse => (
            ErrorCode::HubInUse,
            "One process at a time runs the workers of a hub; any number can use df.connect().",
        ),
        ProviderErrorKind::Gone => (
            ErrorCode::StoreGone,
            "What was not acknowledged may be written to a file that nobody finds. Put the files back, or leave \
             those that are there now, and open the hub again.",
        ),
        ProviderErrorKind::NotAHub => (
            ErrorCode::NotAHub,
            "Choose another file, or move this one away; on a PostgreSQL server, choose another hubName.",
        ),
        ProviderErrorKind::TooNew => {
            (ErrorCode::HubTooNew, "Update durafn to at least the version that wrote it.")
        }
        ProviderErrorKind::Corrupt => (
            ErrorCode::CorruptHistory,
            "A stored row cannot be read; other instances are not affected.",
        ),
        ProviderErrorKind::Invalid => (ErrorCode::InvalidOption, ""),
        ProviderErrorKind::Permanent => (ErrorCode::Internal, ""),
    };
    Error::new(code, format!("{}. {remedy}", error.message).trim_end().to_owned())
}
