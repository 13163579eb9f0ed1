//! Statements of SQLite: prepared once for each connection, with failures as the contract names them.
//!
//! Owns: what each failure of SQLite means for a caller. Must never: hold SQL of its own.
//! Proved by `tests/provider_sqlite.rs`.

use std::fmt;

use rusqlite::types::FromSql;
use rusqlite::{CachedStatement, Connection, ErrorCode, Params, Row, Statement};

use crate::provider::{ProviderError, ProviderErrorKind, Result};

/// A connection, for running statements on it.
#[derive(Clone, Copy)]
pub(super) struct Sql<'c>(pub(super) &'c Connection);

impl<'c> Sql<'c> {
    /// Runs a statement and gives the number of rows it changed.
    pub(super) fn run(self, operation: &str, sql: &str, params: impl Params) -> Result<usize> {
        run(&mut *self.prepare(operation, sql)?, operation, params)
    }

    /// The first row, if there is one.
    pub(super) fn one<T>(
        self,
        operation: &str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        one(&mut *self.prepare(operation, sql)?, operation, params, read)
    }

    /// Every row.
    pub(super) fn all<T>(
        self,
        operation: &str,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.each(operation, sql, params, |row| {
            found.push(read(row)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Rows, as long as `read` asks for more.
    pub(super) fn each(
        self,
        operation: &str,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut statement = self.prepare(operation, sql)?;
        let mut rows = statement.query(params).map_err(|error| failed(operation, &error))?;
        while let Some(row) = rows.next().map_err(|error| failed(operation, &error))? {
            if !read(row)? {
                break;
            }
        }
        Ok(())
    }

    fn prepare(self, operation: &str, sql: &str) -> Result<CachedStatement<'c>> {
        self.0.prepare_cached(sql).map_err(|error| failed(operation, &error))
    }

    /// Runs `work` in one read transaction, so that all its statements see one committed state.
    pub(super) fn reading<T>(self, work: impl FnOnce(Self) -> Result<T>) -> Result<T> {
        self.run("begin to read", "BEGIN", [])?;
        let transaction = Transaction(self);
        let found = work(self)?;
        transaction.commit("end reading")?;
        Ok(found)
    }
}

/// Runs a prepared statement and gives the number of rows it changed.
pub(super) fn run(
    statement: &mut Statement<'_>,
    operation: &str,
    params: impl Params,
) -> Result<usize> {
    statement.execute(params).map_err(|error| failed(operation, &error))
}

/// The first row of a prepared statement, if there is one.
pub(super) fn one<T>(
    statement: &mut Statement<'_>,
    operation: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut rows = statement.query(params).map_err(|error| failed(operation, &error))?;
    rows.next().map_err(|error| failed(operation, &error))?.map(read).transpose()
}

/// A statement that a transaction runs so often that the way to it through the cache would be felt.
pub(super) struct Kept<'c> {
    sql: Sql<'c>,
    text: &'static str,
    statement: Option<CachedStatement<'c>>,
}

impl<'c> Kept<'c> {
    pub(super) fn new(sql: Sql<'c>, text: &'static str) -> Self {
        Self { sql, text, statement: None }
    }

    pub(super) fn get(&mut self, operation: &str) -> Result<&mut CachedStatement<'c>> {
        match &mut self.statement {
            Some(statement) => Ok(statement),
            none => Ok(none.insert(self.sql.prepare(operation, self.text)?)),
        }
    }
}

/// An open transaction, rolled back when dropped, by a panic too.
pub(super) struct Transaction<'c>(Sql<'c>);

impl<'c> Transaction<'c> {
    /// Takes the lock of the one writer.
    pub(super) fn immediate(sql: Sql<'c>) -> Result<Self> {
        sql.run("begin a transaction", "BEGIN IMMEDIATE", [])?;
        Ok(Self(sql))
    }

    pub(super) fn commit(self, operation: &str) -> Result<()> {
        if self.0.0.is_autocommit() {
            let cause = "SQLite has rolled the transaction back after a failed statement";
            return Err(ProviderError::new(ProviderErrorKind::Transient, operation, cause));
        }
        self.0.run(operation, "COMMIT", []).map(|_| ())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.0.is_autocommit() {
            // A rollback that fails has ended the transaction too, or the connection is lost.
            let _ = self.0.run("roll back", "ROLLBACK", []);
        }
    }
}

/// A value of a row.
pub(super) fn column<T: FromSql>(row: &Row<'_>, index: usize) -> Result<T> {
    row.get(index).map_err(|error| failed("read a row", &error))
}

/// A failure of SQLite, as the contract names it.
pub(super) fn failed(operation: &str, error: &rusqlite::Error) -> ProviderError {
    use rusqlite::Error as E;
    let kind = match error {
        E::SqliteFailure(failure, _) => kind(failure.code),
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::Utf8Error(..) => ProviderErrorKind::Corrupt,
        _ => ProviderErrorKind::Permanent,
    };
    ProviderError::new(kind, operation, error)
}

fn kind(code: ErrorCode) -> ProviderErrorKind {
    match code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport
        | ErrorCode::OperationAborted
        | ErrorCode::OperationInterrupted
        | ErrorCode::OutOfMemory
        | ErrorCode::SchemaChanged
        | ErrorCode::SystemIoFailure => ProviderErrorKind::Transient,
        ErrorCode::DiskFull => ProviderErrorKind::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
            ProviderErrorKind::ReadOnly
        }
        // Not what a disk refused to read: see `reads`.
        ErrorCode::DatabaseCorrupt => ProviderErrorKind::Corrupt,
        ErrorCode::NotADatabase => ProviderErrorKind::NotAHub,
        _ => ProviderErrorKind::Permanent,
    }
}

/// A row that cannot be read, naming whose it is.
pub(super) fn corrupt(whose: &str, cause: impl fmt::Display) -> ProviderError {
    let operation = format!("read the rows of instance '{whose}'");
    ProviderError::new(ProviderErrorKind::Corrupt, &operation, cause)
}

#[cfg(test)]
mod tests {
    use super::ProviderErrorKind as Kind;
    use super::*;

    #[test]
    fn a_code_blames_the_work_only_for_what_it_asked_for() {
        use rusqlite::ffi;
        for (code, means) in [
            (ffi::SQLITE_BUSY, Kind::Transient),
            (ffi::SQLITE_BUSY_SNAPSHOT, Kind::Transient),
            (ffi::SQLITE_LOCKED, Kind::Transient),
            (ffi::SQLITE_PROTOCOL, Kind::Transient),
            (ffi::SQLITE_NOLFS, Kind::Transient),
            (ffi::SQLITE_ABORT_ROLLBACK, Kind::Transient),
            (ffi::SQLITE_INTERRUPT, Kind::Transient),
            (ffi::SQLITE_NOMEM, Kind::Transient),
            (ffi::SQLITE_SCHEMA, Kind::Transient),
            (ffi::SQLITE_IOERR, Kind::Transient),
            (ffi::SQLITE_IOERR_READ, Kind::Transient),
            (ffi::SQLITE_IOERR_SHMMAP, Kind::Transient),
            (ffi::SQLITE_FULL, Kind::Full),
            (ffi::SQLITE_READONLY, Kind::ReadOnly),
            (ffi::SQLITE_PERM, Kind::ReadOnly),
            (ffi::SQLITE_CANTOPEN, Kind::ReadOnly),
            (ffi::SQLITE_CORRUPT, Kind::Corrupt),
            (ffi::SQLITE_NOTADB, Kind::NotAHub),
            (ffi::SQLITE_TOOBIG, Kind::Permanent),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, Kind::Permanent),
            (ffi::SQLITE_MISMATCH, Kind::Permanent),
            (ffi::SQLITE_ERROR, Kind::Permanent),
            (ffi::SQLITE_MISUSE, Kind::Permanent),
        ] {
            let said = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(failed("read", &said).kind, means, "{code}");
        }
    }
}
