//! Columns of `instances`, in the order in which they are read.
//!
//! Owns: how a row of PostgreSQL becomes a row of core. Must never: let an unreadable value pass for
//! another one. Proved by `tests/conformance.rs`.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::core::instance::{InstanceHead, InstanceRow, ParentLink};
use crate::core::message::{Delivery, Message};
use crate::core::status::RuntimeStatus;
use crate::core::{InstanceKey, MessageKey, Payload, error};
use crate::provider::{ProviderError, ProviderErrorKind, Result, StoredMessage, payload_from};

/// Columns of a head.
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
            $crate::provider::postgres::columns::head_columns!(),
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
pub(super) fn head(row: &Row) -> Result<InstanceHead> {
    let id: String = column(row, 1)?;
    let status: i16 = column(row, 4)?;
    let status = RuntimeStatus::from_number(status.into())
        .ok_or_else(|| corrupt(&id, format!("{status} is not the number of a status")))?;
    let parent: Option<i64> = column(row, 5)?;
    let parent = match parent {
        None => None,
        Some(key) => Some(ParentLink {
            key,
            exec: number(&id, column::<i32>(row, 6)?)?,
            task: number(&id, column::<i64>(row, 7)?)?,
        }),
    };
    Ok(InstanceHead {
        key: column(row, 0)?,
        name: column(row, 2)?,
        exec: number(&id, column::<i32>(row, 3)?)?,
        status,
        parent,
        crashes: number(&id, column::<i32>(row, 8)?)?,
        has_problem: column(row, 9)?,
        begun: column(row, 10)?,
        locks: column(row, 11)?,
        id,
    })
}

/// Reads [`row_columns`].
pub(super) fn instance(row: &Row, unreadable: Unreadable) -> Result<InstanceRow> {
    let head = head(row)?;
    let id = head.id.as_str();
    let payload = |index, field| payload(row, id, index, field, unreadable);
    Ok(InstanceRow {
        ready: column(row, 12)?,
        scheduled_ms: column(row, 13)?,
        created_ms: column(row, 14)?,
        updated_ms: column(row, 15)?,
        completed_ms: column(row, 16)?,
        parent_id: column(row, 17)?,
        input: payload(18, "input")?,
        output: payload(19, "output")?,
        failure: payload(20, "failure")?,
        custom_status: payload(21, "custom status")?,
        problem: payload(22, "problem")?,
        version: column(row, 23)?,
        head,
    })
}

/// Reads `mid, exec, body` from a column on.
pub(super) fn message(row: &Row, from: usize) -> Result<StoredMessage> {
    Ok(StoredMessage {
        key: column(row, from)?,
        exec: exec(row, from + 1)?,
        body: column(row, from + 2)?,
    })
}

/// Reads `iid, mid, exec, body`. A message that cannot be read arrives as a change of its instance:
/// whoever loads that finds the row and what is wrong with it.
pub(super) fn delivery(row: &Row) -> Result<(InstanceKey, Delivery)> {
    let key: MessageKey = column(row, 1)?;
    let body: Vec<u8> = column(row, 3)?;
    let delivery = match Message::decode(&body) {
        Ok(message) => Delivery { key: Some(key), exec: exec(row, 2)?, message },
        Err(_) => Delivery { key: None, exec: None, message: Message::Changed },
    };
    Ok((column(row, 0)?, delivery))
}

/// The number of an execution.
pub(super) fn exec(row: &Row, index: usize) -> Result<Option<u32>> {
    let stored: Option<i32> = column(row, index)?;
    stored.map(|exec| number("a message", exec)).transpose()
}

/// A value of a row.
pub(super) fn column<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T> {
    row.try_get(index)
        .map_err(|error| ProviderError::new(ProviderErrorKind::Corrupt, "read a row", error))
}

pub(super) fn number<T: TryInto<u32> + Copy + std::fmt::Display>(
    whose: &str,
    stored: T,
) -> Result<u32> {
    stored.try_into().map_err(|_| corrupt(whose, format!("{stored} is out of range")))
}

fn payload(
    row: &Row,
    id: &str,
    index: usize,
    field: &str,
    unreadable: Unreadable,
) -> Result<Option<Payload>> {
    let bytes: Option<Vec<u8>> = column(row, index)?;
    let Some(bytes) = bytes else { return Ok(None) };
    match (payload_from(bytes), unreadable) {
        (Some(payload), _) => Ok(Some(payload)),
        (None, Unreadable::Mark) => Ok(Some(error::raw(&format!("<unreadable {field}>")))),
        (None, Unreadable::Refuse) => Err(corrupt(id, format!("its {field} is not JSON text"))),
    }
}

/// A row that cannot be read, naming whose it is.
pub(super) fn corrupt(whose: &str, cause: impl std::fmt::Display) -> ProviderError {
    let operation = format!("read the rows of instance '{whose}'");
    ProviderError::new(ProviderErrorKind::Corrupt, &operation, cause)
}

/// A partition as it is stored.
pub(super) fn stored(part: u16) -> i16 {
    i16::try_from(part).unwrap_or_default()
}
