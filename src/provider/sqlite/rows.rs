//! The rows of a hub in SQLite, inside one transaction.
//!
//! Owns: the statements that change rows. Must never: begin or end a transaction, or refuse anything.
//! Proved by `tests/conformance.rs` and `tests/differential.rs`; that no statement scans a table, by
//! `tests/provider_sqlite.rs`.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, params, params_from_iter};

use crate::core::instance::{InstanceChange, InstanceHead, InstanceRow, NewInstance};
use crate::core::request::HubSettings;
use crate::core::{ExecutionId, InstanceKey, MessageKey, Payload, TaskId, TimeMs, TurnNumber, ids};
use crate::provider::rows::{Clear, NewMessage};
use crate::provider::{
    ProviderError, ProviderErrorKind, Result, Rows, StoredMessage, TaskRows, decode_settings,
    encode_settings,
};

use super::arrivals::Newest;
use super::columns::{self, Unreadable, head_columns, row_columns};
use super::history;
use super::statement::{Kept, Sql, column, one};
use super::tidying::ROWS_PER_TRANSACTION;

pub(super) const HEAD: &str = concat!("SELECT ", head_columns!(), " FROM instances WHERE iid = ?1");
pub(super) const HEAD_BY_ID: &str =
    concat!("SELECT ", head_columns!(), " FROM instances WHERE id = ?1");
pub(super) const ROW: &str = concat!("SELECT ", row_columns!(), " FROM instances WHERE iid = ?1");
pub(super) const CHILDREN: &str =
    concat!("SELECT ", head_columns!(), " FROM instances WHERE parent_iid = ?1");
pub(super) const INSERT_INSTANCE: &str = "INSERT INTO instances \
    (id, name, name_folded, exec, status, ready, scheduled_ms, created_ms, updated_ms, crashes, \
     parent_iid, parent_exec, parent_task, parent_id, input, version) \
    VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ifnull(?7, ?6), ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
pub(super) const DELETE_INSTANCE: &str = "DELETE FROM instances WHERE iid = ?1";

pub(super) const INSERT_MESSAGE: &str =
    "INSERT INTO messages (iid, exec, event, taken, body) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const DELETE_MESSAGE: &str = "DELETE FROM messages WHERE mid = ?1";
pub(super) const MESSAGES: &str =
    "SELECT mid, exec, body FROM messages WHERE iid = ?1 AND taken = ?2 ORDER BY mid";
pub(super) const DELETE_MESSAGES: &str = "DELETE FROM messages WHERE iid = ?1";
pub(super) const DELETE_TAKEN_MESSAGES: &str = "DELETE FROM messages WHERE iid = ?1 AND taken = 1";
// `event >= ''` is `event IS NOT NULL` in a form that the index can be searched by.
pub(super) const TAKEN_EVENTS: &str =
    "SELECT mid FROM messages WHERE iid = ?1 AND taken = 1 AND event >= '' ORDER BY mid";
pub(super) const KEPT_EVENT: &str = "SELECT mid, exec, body FROM messages \
    WHERE iid = ?1 AND taken = 0 AND event = ?2 ORDER BY mid LIMIT 1";
pub(super) const TAKE_EVENT: &str = "UPDATE messages SET taken = 1 WHERE mid = ?1";

pub(super) const OPEN_WAIT: &str = "INSERT INTO waits (iid, event, open) VALUES (?1, ?2, 1) \
    ON CONFLICT (iid, event) DO UPDATE SET open = open + 1";
pub(super) const TAKE_LAST_WAIT: &str =
    "DELETE FROM waits WHERE iid = ?1 AND event = ?2 AND open = 1";
pub(super) const TAKE_WAIT: &str = "UPDATE waits SET open = open - 1 WHERE iid = ?1 AND event = ?2";
pub(super) const DELETE_WAITS: &str = "DELETE FROM waits WHERE iid = ?1";

pub(super) const SET_TIMER: &str =
    "INSERT OR REPLACE INTO timers (iid, task, fire_at) VALUES (?1, ?2, ?3)";
pub(super) const CLEAR_TIMER: &str = "DELETE FROM timers WHERE iid = ?1 AND task = ?2";
pub(super) const DELETE_TIMERS: &str = "DELETE FROM timers WHERE iid = ?1";

pub(super) const SETTINGS: &str = "SELECT settings FROM hub";
pub(super) const PUT_SETTINGS: &str = "UPDATE hub SET settings = ?1";

/// The rows, in the transaction that is open on the connection.
pub(super) struct SqliteRows<'c> {
    pub(super) sql: Sql<'c>,
    // Each turn runs these.
    head: Kept<'c>,
    pub(super) neighbours: Kept<'c>,
    pub(super) append_turn: Kept<'c>,
    /// The greatest keys given.
    pub(super) newest: Newest,
    /// Rows of history that this transaction may still remove.
    pub(super) deletable: i64,
    /// It has removed history, so there may be something to tidy.
    pub(super) tidies: bool,
}

impl<'c> SqliteRows<'c> {
    pub(super) fn new(sql: Sql<'c>) -> Self {
        Self {
            sql,
            head: Kept::new(sql, HEAD),
            neighbours: Kept::new(sql, history::NEIGHBOURS),
            append_turn: Kept::new(sql, history::APPEND_TURN),
            newest: Newest::default(),
            deletable: ROWS_PER_TRANSACTION,
            tidies: false,
        }
    }
}

impl TaskRows for SqliteRows<'_> {}

impl Rows for SqliteRows<'_> {
    fn head(&mut self, key: InstanceKey) -> Result<Option<InstanceHead>> {
        let operation = "read an instance";
        one(self.head.get(operation)?, operation, [key], columns::head)
    }

    fn head_by_id(&mut self, id: &str) -> Result<Option<InstanceHead>> {
        self.sql.one("read an instance", HEAD_BY_ID, [id], columns::head)
    }

    fn row(&mut self, key: InstanceKey) -> Result<Option<InstanceRow>> {
        self.sql
            .one("read an instance", ROW, [key], |row| columns::instance(row, Unreadable::Refuse))
    }

    fn insert_instance(&mut self, new: &NewInstance) -> Result<InstanceKey> {
        let parent = new.parent.as_ref();
        self.sql.run(
            "insert an instance",
            INSERT_INSTANCE,
            params![
                new.id,
                new.name,
                ids::fold_name(&new.name),
                new.status().number(),
                new.begun.is_none_or(|first| first.ready),
                new.scheduled_ms,
                new.begun.map(|first| first.time_ms),
                new.crashes,
                parent.map(|link| link.key),
                parent.map(|link| link.exec),
                parent.map(|link| link.task),
                new.parent_id,
                new.input.as_ref().map(|payload| payload.get().as_bytes()),
                new.version,
            ],
        )?;
        self.newest.iid = self.sql.0.last_insert_rowid();
        Ok(self.newest.iid)
    }

    fn update_instance(&mut self, key: InstanceKey, change: &InstanceChange) -> Result<()> {
        let assignments = Assignments::of(change);
        let Some(sql) = assignments.statement() else { return Ok(()) };
        let values = assignments.values.into_iter().chain([integer(key)]);
        self.sql.run("update an instance", &sql, params_from_iter(values)).map(|_| ())
    }

    fn clear(&mut self, key: InstanceKey, what: Clear) -> Result<()> {
        let sql = self.sql;
        let delete = |text| sql.run("clear an instance", text, [key]);
        delete(DELETE_WAITS)?;
        delete(DELETE_TIMERS)?;
        match what {
            // No older execution has history but what is left over: it went when that one was cleared.
            Clear::Execution => {
                delete(DELETE_TAKEN_MESSAGES)?;
                self.delete_history(key)?;
            }
            Clear::Ended => {
                delete(DELETE_MESSAGES)?;
            }
            Clear::All => {
                delete(DELETE_MESSAGES)?;
                self.delete_history(key)?;
                delete(DELETE_INSTANCE)?;
                self.tidies = true;
            }
        }
        Ok(())
    }

    fn open_children(&mut self, key: InstanceKey) -> Result<Vec<InstanceHead>> {
        let mut children = self.sql.all("read children", CHILDREN, [key], columns::head)?;
        children.retain(|child| !child.status.has_ended());
        Ok(children)
    }

    fn is_next_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
    ) -> Result<bool> {
        self.has_only_the_turn_before(key, exec, turn)
    }

    fn append_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        body: &[u8],
    ) -> Result<()> {
        self.write_turn(key, exec, turn, body)
    }

    fn append_notice(&mut self, key: InstanceKey, exec: ExecutionId, body: &[u8]) -> Result<()> {
        self.write_notice(key, exec, body)
    }

    fn history(&mut self, key: InstanceKey, exec: ExecutionId) -> Result<Vec<Vec<u8>>> {
        Ok(history::read(self.sql, key, exec)?.bodies)
    }

    fn remove_turn(&mut self, key: InstanceKey, exec: ExecutionId, turn: TurnNumber) -> Result<()> {
        let params = params![key, turn, exec];
        self.sql.run("remove a turn", history::REMOVE_TURN, params).map(|_| ())
    }

    fn insert_message(&mut self, message: &NewMessage) -> Result<MessageKey> {
        let NewMessage { key, exec, event, taken, body } = message;
        let params = params![key, exec, event, taken, body];
        self.sql.run("insert a message", INSERT_MESSAGE, params)?;
        self.newest.mid = self.sql.0.last_insert_rowid();
        Ok(self.newest.mid)
    }

    fn remove_messages(&mut self, keys: &[MessageKey]) -> Result<()> {
        for key in keys {
            self.sql.run("remove a message", DELETE_MESSAGE, [key])?;
        }
        Ok(())
    }

    fn messages(&mut self, key: InstanceKey, taken: bool) -> Result<Vec<StoredMessage>> {
        self.sql.all("read messages", MESSAGES, params![key, taken], stored)
    }

    fn taken_events(&mut self, key: InstanceKey) -> Result<Vec<MessageKey>> {
        self.sql.all("read taken events", TAKEN_EVENTS, [key], |row| column(row, 0))
    }

    fn take_kept_event(&mut self, key: InstanceKey, event: &str) -> Result<Option<StoredMessage>> {
        let found = self.sql.one("read a kept event", KEPT_EVENT, params![key, event], stored)?;
        if let Some(message) = &found {
            self.sql.run("take an event", TAKE_EVENT, [message.key])?;
        }
        Ok(found)
    }

    fn open_wait(&mut self, key: InstanceKey, event: &str) -> Result<()> {
        self.sql.run("open a wait", OPEN_WAIT, params![key, event]).map(|_| ())
    }

    fn take_wait(&mut self, key: InstanceKey, event: &str) -> Result<bool> {
        let last = self.sql.run("take a wait", TAKE_LAST_WAIT, params![key, event])?;
        Ok(last > 0 || self.sql.run("take a wait", TAKE_WAIT, params![key, event])? > 0)
    }

    fn set_timer(&mut self, key: InstanceKey, task: TaskId, fire_at: TimeMs) -> Result<()> {
        self.sql.run("set a timer", SET_TIMER, params![key, task, fire_at]).map(|_| ())
    }

    fn clear_timer(&mut self, key: InstanceKey, task: TaskId) -> Result<()> {
        self.sql.run("clear a timer", CLEAR_TIMER, params![key, task]).map(|_| ())
    }

    fn settings(&mut self) -> Result<HubSettings> {
        let text: Option<String> =
            self.sql.one("read settings", SETTINGS, [], |row| column(row, 0))?;
        let corrupt =
            |cause: String| ProviderError::new(ProviderErrorKind::Corrupt, "read settings", cause);
        decode_settings(&text.ok_or_else(|| corrupt("the hub has none".to_owned()))?)
            .map_err(corrupt)
    }

    fn put_settings(&mut self, settings: &HubSettings) -> Result<()> {
        self.sql.run("put settings", PUT_SETTINGS, [encode_settings(settings)]).map(|_| ())
    }

    fn tidy(&mut self) -> Result<bool> {
        self.tidy_some()
    }
}

/// The columns that a change sets, in the order of the fields: a set of fields is one statement.
/// A column that is not named is not written, nor is an index it does not stand in.
pub(super) struct Assignments<'a> {
    table: &'static str,
    key: &'static str,
    columns: Vec<&'static str>,
    pub(super) values: Vec<ToSqlOutput<'a>>,
}

impl<'a> Assignments<'a> {
    pub(super) fn to(table: &'static str, key: &'static str) -> Self {
        let (columns, values) = (Vec::with_capacity(8), Vec::with_capacity(8));
        Self { table, key, columns, values }
    }

    fn of(change: &'a InstanceChange) -> Self {
        let mut all = Self::to("instances", "iid");
        all.add("status", change.status.map(|status| integer(status.number())));
        all.add("exec", change.exec.map(integer));
        all.add("ready", change.ready.map(integer));
        all.add("created_ms", change.created_ms.map(integer));
        all.add("updated_ms", change.updated_ms.map(integer));
        all.add("completed_ms", change.completed_ms.map(|time| time.map_or(NULL, integer)));
        all.add("input", change.input.as_ref().map(|payload| blob(payload.as_ref())));
        all.add("output", change.output.as_ref().map(|payload| blob(payload.as_ref())));
        all.add("failure", change.failure.as_ref().map(|payload| blob(payload.as_ref())));
        all.add("custom_status", change.custom_status.as_ref().map(|payload| blob(Some(payload))));
        all.add("problem", change.problem.as_ref().map(|payload| blob(payload.as_ref())));
        all.add("crashes", change.crashes.map(integer));
        let locks = change.locks.as_ref();
        all.add("locks", locks.map(|locks| locks.as_deref().map_or(NULL, text)));
        all
    }

    pub(super) fn add(&mut self, column: &'static str, value: Option<ToSqlOutput<'a>>) {
        if let Some(value) = value {
            self.columns.push(column);
            self.values.push(value);
        }
    }

    /// `None` if nothing is set. The key is the last parameter.
    pub(super) fn statement(&self) -> Option<String> {
        let (first, rest) = self.columns.split_first()?;
        let mut sql = String::with_capacity(160);
        for part in ["UPDATE ", self.table, " SET ", first] {
            sql.push_str(part);
        }
        for column in rest {
            sql.push_str(" = ?, ");
            sql.push_str(column);
        }
        for part in [" = ? WHERE ", self.key, " = ?"] {
            sql.push_str(part);
        }
        Some(sql)
    }
}

pub(super) const NULL: ToSqlOutput<'static> = ToSqlOutput::Owned(Value::Null);

pub(super) fn integer(number: impl Into<i64>) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Integer(number.into()))
}

pub(super) fn blob(payload: Option<&Payload>) -> ToSqlOutput<'_> {
    payload.map_or(NULL, |payload| ToSqlOutput::Borrowed(ValueRef::Blob(payload.get().as_bytes())))
}

fn text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

/// The widest update that a change can make, for the test of its plan.
#[cfg(test)]
pub(super) fn widest_update() -> String {
    let change = InstanceChange {
        status: Some(crate::core::status::RuntimeStatus::Running),
        exec: Some(1),
        ready: Some(true),
        created_ms: Some(1),
        updated_ms: Some(1),
        completed_ms: Some(None),
        input: Some(None),
        output: Some(None),
        failure: Some(None),
        custom_status: None,
        problem: Some(None),
        crashes: Some(0),
        locks: Some(None),
    };
    Assignments::of(&change).statement().unwrap()
}

fn stored(row: &Row<'_>) -> Result<StoredMessage> {
    Ok(StoredMessage { key: column(row, 0)?, exec: column(row, 1)?, body: column(row, 2)? })
}
