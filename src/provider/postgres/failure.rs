//! What a failure of PostgreSQL means: for the work that it kept from being done, and for the connection.
//!
//! Owns: the one reading of its codes. Must never: blame the work for what is the server's, a pooler's or the
//! network's: only what a statement says of its own values may be the fault of a piece of work. Proved by the
//! tables below, `tests/provider_postgres/faults.rs` and `__test__/outage.spec.mjs`.

use std::fmt::Write as _;

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::provider::{ProviderError, ProviderErrorKind};

use super::tls;

/// Beginnings of codes that are about what a statement was given: values that it does not take, what the tables
/// do not allow, what is too large. A statement that is wrong by itself is a defect, and fails alone as well.
const OF_THE_WORK: [&str; 7] = ["21", "22", "23", "42", "44", "54", "P0"];
/// Those among them that are not: what the role may do, and a table or a prepared statement that is gone.
const OF_THE_SERVER: [&str; 6] = ["23505", "42501", "42P01", "42P05", "42P06", "42P07"];

/// Beginnings of codes that say that the connection is gone, and with it what was under way: a pooler has lost
/// the server, a transaction has stood still or taken longer than it may, the server goes down.
const LOST: [&str; 5] = ["08", "25P03", "25P04", "40003", "57P"];
/// Those that say that the connection is not what it was: a statement that was prepared on it is not there, or
/// one that was not is.
const CHANGED: [&str; 2] = ["26", "42P05"];
/// Those that say that the server does not do what it did: a failover has left a server that only reads, tables
/// are not those for which a statement was prepared, a pooler has no other word for what it meets.
const DOUBTFUL: [&str; 6] = ["0A", "25", "55000", "58", "F0", "XX000"];

/// What a failure of a statement is, beside an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The transaction met another one and can be tried again.
    Conflict,
    /// The connection is gone, or of no use: it can be tried again on another one.
    Lost,
    /// No answer came in time, or one by which the server is not to be trusted: the connection is given up.
    Doubtful,
}

/// A question that was not answered as it was to be.
pub(super) enum Failure {
    Server(tokio_postgres::Error),
    Late,
}

impl Failure {
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Late => Some(Trouble::Doubtful),
            Self::Server(error) => match error.code() {
                Some(code) => trouble(code, error.as_db_error().is_some_and(ends_connection)),
                None => Some(Trouble::Lost),
            },
        }
    }
}

/// The server closes the connection after such a word.
fn ends_connection(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

fn trouble(code: &SqlState, ends_connection: bool) -> Option<Trouble> {
    match *code {
        // A unique id that another transaction has just taken, or what it has just made: the next try sees it.
        SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::UNIQUE_VIOLATION
        | SqlState::DUPLICATE_SCHEMA
        | SqlState::DUPLICATE_TABLE => Some(Trouble::Conflict),
        ref code if ends_connection || is_of(code, &LOST) || is_of(code, &CHANGED) => {
            Some(Trouble::Lost)
        }
        ref code if is_of(code, &DOUBTFUL) => Some(Trouble::Doubtful),
        _ => None,
    }
}

fn kind(code: &SqlState) -> ProviderErrorKind {
    use ProviderErrorKind as Kind;
    match *code {
        SqlState::DISK_FULL => Kind::Full,
        SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::INSUFFICIENT_PRIVILEGE => Kind::ReadOnly,
        // Where nothing was open yet: see `ProviderError::once_open`.
        SqlState::INVALID_PASSWORD
        | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        | SqlState::INVALID_CATALOG_NAME => Kind::Invalid,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => Kind::Corrupt,
        ref code if is_of(code, &OF_THE_WORK) && !is_of(code, &OF_THE_SERVER) => Kind::Permanent,
        _ => Kind::Transient,
    }
}

/// Whether a code begins with one of these.
pub(super) fn is_of(code: &SqlState, classes: &[&str]) -> bool {
    classes.iter().any(|class| code.code().starts_with(class))
}

/// A failure of PostgreSQL, as the contract names it.
pub(super) fn failed(operation: &str, error: &tokio_postgres::Error) -> ProviderError {
    use ProviderErrorKind as Kind;
    if tls::is_distrust(error) {
        let hint = "sslrootcert in the URL names the file of the authority that signed it";
        return ProviderError::new(Kind::Invalid, operation, format!("{}; {hint}", chain(error)));
    }
    match error.code() {
        None => ProviderError::new(Kind::Transient, operation, chain(error)),
        Some(code) => {
            let said = format!("{} ({})", chain(error), code.code());
            ProviderError::new(kind(code), operation, said)
        }
    }
}

/// An error with its causes: that of the driver alone says little.
pub(super) fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::ProviderErrorKind as Kind;
    use super::*;

    /// What a code means, and what becomes of the connection on which an ERROR with it came.
    const CODES: [(&str, Kind, Option<Trouble>); 38] = [
        // The server or a pooler: it passes.
        ("XX000", Kind::Transient, Some(Trouble::Doubtful)),
        ("F0000", Kind::Transient, Some(Trouble::Doubtful)),
        ("58030", Kind::Transient, Some(Trouble::Doubtful)),
        ("55000", Kind::Transient, Some(Trouble::Doubtful)),
        ("25006", Kind::ReadOnly, Some(Trouble::Doubtful)),
        ("25P02", Kind::Transient, Some(Trouble::Doubtful)),
        ("25P03", Kind::Transient, Some(Trouble::Lost)),
        ("25P04", Kind::Transient, Some(Trouble::Lost)),
        ("08P01", Kind::Transient, Some(Trouble::Lost)),
        ("08006", Kind::Transient, Some(Trouble::Lost)),
        ("57P01", Kind::Transient, Some(Trouble::Lost)),
        ("57P03", Kind::Transient, Some(Trouble::Lost)),
        ("57P05", Kind::Transient, Some(Trouble::Lost)),
        ("57014", Kind::Transient, None),
        ("53300", Kind::Transient, None),
        ("53200", Kind::Transient, None),
        ("53100", Kind::Full, None),
        ("55P03", Kind::Transient, None),
        ("42501", Kind::ReadOnly, None),
        ("42P01", Kind::Transient, None),
        ("3F000", Kind::Transient, None),
        // Wrong options, where no hub was open yet.
        ("3D000", Kind::Invalid, None),
        ("28P01", Kind::Invalid, None),
        ("28000", Kind::Invalid, None),
        // The connection has lost its prepared statements, or has another one's.
        ("26000", Kind::Transient, Some(Trouble::Lost)),
        ("42P05", Kind::Transient, Some(Trouble::Lost)),
        ("0A000", Kind::Transient, Some(Trouble::Doubtful)),
        // Other transactions.
        ("40001", Kind::Transient, Some(Trouble::Conflict)),
        ("40P01", Kind::Transient, Some(Trouble::Conflict)),
        ("40003", Kind::Transient, Some(Trouble::Lost)),
        ("23505", Kind::Transient, Some(Trouble::Conflict)),
        // What was to be read or written.
        ("XX001", Kind::Corrupt, None),
        ("XX002", Kind::Corrupt, None),
        ("22021", Kind::Permanent, None),
        ("23502", Kind::Permanent, None),
        ("42703", Kind::Permanent, None),
        ("54000", Kind::Permanent, None),
        ("P0001", Kind::Permanent, None),
    ];

    #[test]
    fn a_code_blames_the_work_only_for_its_own_values() {
        for (code, means, leaves) in CODES {
            let state = SqlState::from_code(code);
            assert_eq!((kind(&state), trouble(&state, false)), (means, leaves), "{code}");
        }
    }

    #[test]
    fn a_connection_is_gone_that_the_server_ends_with_whatever_code() {
        for code in ["XX000", "53300", "28000", "3D000", "57014", "22021"] {
            let state = SqlState::from_code(code);
            assert_eq!(trouble(&state, true), Some(Trouble::Lost), "{code}");
        }
    }
}
