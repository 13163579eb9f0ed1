//! Columns of `instances`, in the order in which they are read.
//!
//! Owns: how a row of SQLite becomes a row of core. Must never: let an unreadable value pass for
//! another one. Proved by `tests/provider_sqlite.rs`.

use rusqlite::Row;
use rusqlite::types::FromSql;

use crate::core::instance::{InstanceHead, InstanceRow, ParentLink};
use crate::core::status::RuntimeStatus;
use crate::core::{Payload, error};
use crate::provider::{Result, payload_from};

use super::statement::{column, corrupt};

/// Columns of a head. `IS NOT NULL` looks at the type of the value alone: no payload is read.
macro_rules! head_columns {
    () => {
        "iid, id, name, exec, status, parent_iid, parent_exec, parent_task, crashes, \
         problem IS NOT NULL, created_ms IS NOT NULL, locks"
    };
}
pub(super) use head_columns;

/// Columns of a whole row.
macro_rules! row_columns {
    () => {
        concat!(
            $crate::provider::sqlite::columns::head_columns!(),
            ", ready, scheduled_ms, created_ms, updated_ms, completed_ms, parent_id, \
              input, output, failure, custom_status, problem, version"
        )
    };
}
pub(super) use row_columns;

/// What to do with a payload that is not JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Fail: the row is corrupt.
    Refuse,
    /// Say so in its place. A listing shows the other instances all the same.
    Mark,
}

/// Reads [`head_columns`].
pub(super) fn head(row: &Row<'_>) -> Result<InstanceHead> {
    let id: String = column(row, 1)?;
    let status = of(row, &id, 4)?;
    let status = RuntimeStatus::from_number(status)
        .ok_or_else(|| corrupt(&id, format!("{status} is not the number of a status")))?;
    let parent: Option<i64> = of(row, &id, 5)?;
    let parent = match parent {
        None => None,
        Some(key) => Some(ParentLink { key, exec: of(row, &id, 6)?, task: of(row, &id, 7)? }),
    };
    Ok(InstanceHead {
        key: of(row, &id, 0)?,
        name: of(row, &id, 2)?,
        exec: of(row, &id, 3)?,
        status,
        parent,
        crashes: of(row, &id, 8)?,
        has_problem: of(row, &id, 9)?,
        begun: of(row, &id, 10)?,
        locks: of(row, &id, 11)?,
        id,
    })
}

/// Reads [`row_columns`].
pub(super) fn instance(row: &Row<'_>, unreadable: Unreadable) -> Result<InstanceRow> {
    let head = head(row)?;
    let id = head.id.as_str();
    let payload = |index, field| payload(row, id, index, field, unreadable);
    Ok(InstanceRow {
        ready: of(row, id, 12)?,
        scheduled_ms: of(row, id, 13)?,
        created_ms: of(row, id, 14)?,
        updated_ms: of(row, id, 15)?,
        completed_ms: of(row, id, 16)?,
        parent_id: of(row, id, 17)?,
        input: payload(18, "input")?,
        output: payload(19, "output")?,
        failure: payload(20, "failure")?,
        custom_status: payload(21, "custom status")?,
        problem: payload(22, "problem")?,
        version: of(row, id, 23)?,
        head,
    })
}

fn of<T: FromSql>(row: &Row<'_>, id: &str, index: usize) -> Result<T> {
    row.get(index).map_err(|error| corrupt(id, error))
}

fn payload(
    row: &Row<'_>,
    id: &str,
    index: usize,
    field: &str,
    unreadable: Unreadable,
) -> Result<Option<Payload>> {
    let bytes: Option<Vec<u8>> = of(row, id, index)?;
    let Some(bytes) = bytes else { return Ok(None) };
    match (payload_from(bytes), unreadable) {
        (Some(payload), _) => Ok(Some(payload)),
        (None, Unreadable::Mark) => Ok(Some(error::raw(&format!("<unreadable {field}>")))),
        (None, Unreadable::Refuse) => Err(corrupt(id, format!("its {field} is not JSON text"))),
    }
}
