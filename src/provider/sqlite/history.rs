//! Rows of history in SQLite.
//!
//! Owns: where a row stands. A turn: iid * 2^23 and its number in the execution. A notice: below zero,
//! -(iid * 2^23) and less for each one after the first, with the number of the turn that it follows.
//! Must never: let a turn take the place of one of its own execution.
//! Proved by `tests/conformance.rs` and `tests/provider_sqlite.rs`.
//!
//! One integer each, not a key of three columns: to find a place among those, SQLite reads whole rows.

use std::collections::VecDeque;

use rusqlite::params;

use crate::core::{ExecutionId, InstanceKey, TurnNumber};
use crate::provider::{HistoryPlace, ProviderError, ProviderErrorKind, Result};

use super::rows::SqliteRows;
use super::statement::{Sql, column, one, run};

/// Greatest number of a turn, and of a notice.
const LAST: u32 = (1 << 23) - 1;

/// Those that are there of a turn and the one before it. No turn has the number 0.
pub(super) const NEIGHBOURS: &str = "SELECT hid & 8388607 FROM history \
    WHERE hid >= (?1 << 23) + ?2 - 1 AND hid <= (?1 << 23) + ?2 AND exec = ?3 ORDER BY hid DESC";
/// What an earlier execution has left over may stand in its place.
pub(super) const APPEND_TURN: &str = "INSERT INTO history (hid, exec, body) \
    VALUES ((?1 << 23) + ?2, ?3, ?4) ON CONFLICT (hid) DO UPDATE \
    SET exec = excluded.exec, body = excluded.body WHERE exec < excluded.exec";
/// Behind the last turn, and behind the last notice.
pub(super) const APPEND_NOTICE: &str = "INSERT INTO history (hid, exec, body, after) \
    SELECT ifnull(last.hid, -(?1 << 23)) - 1, ?2, ?3, max(ifnull(last.after, 0), \
     ifnull((SELECT hid & 8388607 FROM history \
      WHERE hid >= ?1 << 23 AND hid < (?1 + 1) << 23 AND exec = ?2 ORDER BY hid DESC LIMIT 1), 0)) \
    FROM (SELECT 1) LEFT JOIN (SELECT hid, CASE exec WHEN ?2 THEN after END AS after FROM history \
     WHERE hid > -((?1 + 1) << 23) AND hid <= -(?1 << 23) ORDER BY hid LIMIT 1) AS last \
    WHERE ifnull(last.hid, 0) <> -((?1 + 1) << 23) + 1";
pub(super) const TURNS: &str = "SELECT hid & 8388607, body FROM history \
    WHERE hid > (?1 << 23) + ?3 AND hid < (?1 + 1) << 23 AND exec = ?2 ORDER BY hid";
pub(super) const NOTICES: &str = "SELECT -hid - (?1 << 23), after, body FROM history \
    WHERE hid > -((?1 + 1) << 23) AND hid < -(?1 << 23) - ?3 AND exec = ?2 ORDER BY hid DESC";
pub(super) const REMOVE_TURN: &str =
    "DELETE FROM history WHERE hid = (?1 << 23) + ?2 AND exec = ?3";

/// The history of an execution.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Bodies of its rows, oldest first.
    pub(super) bodies: Vec<Vec<u8>>,
    /// Number of the last turn.
    pub(super) last_turn: TurnNumber,
}

/// Reads the history of an execution.
pub(super) fn read(sql: Sql<'_>, key: InstanceKey, exec: ExecutionId) -> Result<History> {
    let rows = read_after(sql, key, exec, HistoryPlace::default(), usize::MAX)?;
    let last_turn = rows.last().map_or(0, |(place, _)| place.turn);
    Ok(History { bodies: rows.into_iter().map(|(_, body)| body).collect(), last_turn })
}

/// Reads about so many bytes of it behind a place, notices behind the turns that they follow.
pub(super) fn read_after(
    sql: Sql<'_>,
    key: InstanceKey,
    exec: ExecutionId,
    after: HistoryPlace,
    bytes: usize,
) -> Result<Vec<(HistoryPlace, Vec<u8>)>> {
    let operation = "read history";
    let mut left = Some(bytes);
    let mut notices: VecDeque<(i64, TurnNumber, Vec<u8>)> = VecDeque::new();
    sql.each(operation, NOTICES, params![key, exec, after.notice], |row| {
        let body: Vec<u8> = column(row, 2)?;
        left = left.and_then(|left| left.checked_sub(body.len()));
        notices.push_back((column(row, 0)?, column(row, 1)?, body));
        Ok(left.is_some())
    })?;
    let mut part = Part { rows: Vec::new(), place: after, left: Some(bytes), more: left.is_none() };
    sql.each(operation, TURNS, params![key, exec, after.turn], |row| {
        let turn = column(row, 0)?;
        part.take(&mut notices, |follows| follows < turn);
        if part.is_full(&notices) {
            return Ok(false);
        }
        part.place.turn = turn;
        part.add(column(row, 1)?);
        Ok(part.left.is_some())
    })?;
    part.take(&mut notices, |_| true);
    Ok(part.rows)
}

/// A part of a history, as it is read.
struct Part {
    rows: Vec<(HistoryPlace, Vec<u8>)>,
    place: HistoryPlace,
    /// Bytes that it may take yet; `None` once it is full.
    left: Option<usize>,
    /// There are notices behind those that were read.
    more: bool,
}

impl Part {
    fn add(&mut self, body: Vec<u8>) {
        self.left = self.left.and_then(|left| left.checked_sub(body.len().max(1)));
        self.rows.push((self.place, body));
    }

    /// Takes the notices whose time it is, as long as there is room.
    fn take(
        &mut self,
        notices: &mut VecDeque<(i64, TurnNumber, Vec<u8>)>,
        is_due: impl Fn(TurnNumber) -> bool,
    ) {
        while self.left.is_some()
            && notices.front().is_some_and(|(_, follows, _)| is_due(*follows))
            && let Some((notice, _, body)) = notices.pop_front()
        {
            self.place.notice = notice;
            self.add(body);
        }
    }

    /// Whether nothing more may be added: a notice that was not read might stand before it.
    fn is_full(&self, notices: &VecDeque<(i64, TurnNumber, Vec<u8>)>) -> bool {
        self.left.is_none() || self.more && notices.is_empty()
    }
}

impl SqliteRows<'_> {
    /// See `Rows::is_next_turn`.
    pub(super) fn has_only_the_turn_before(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
    ) -> Result<bool> {
        let operation = "look for the turn before";
        let params = params![key, turn, exec];
        let last = one(self.neighbours.get(operation)?, operation, params, |row| column(row, 0))?;
        Ok(turn > 0 && last.unwrap_or(0) == turn - 1)
    }

    /// See `Rows::append_turn`.
    pub(super) fn write_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        body: &[u8],
    ) -> Result<()> {
        let operation = "append a turn";
        if turn > LAST {
            let cause =
                "it has 8,388,607 turns; an orchestration of so many turns has to continue as new";
            return Err(ProviderError::new(ProviderErrorKind::Permanent, operation, cause));
        }
        let params = params![key, turn, exec, body];
        if run(self.append_turn.get(operation)?, operation, params)? == 0 {
            let cause = "the execution has it already";
            return Err(ProviderError::new(ProviderErrorKind::Permanent, operation, cause));
        }
        Ok(())
    }

    /// See `Rows::append_notice`. What does not fit any more is left out: history shows it, and nothing
    /// else hangs on it.
    pub(super) fn write_notice(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        body: &[u8],
    ) -> Result<()> {
        let params = params![key, exec, body];
        self.sql.run("append a notice", APPEND_NOTICE, params).map(|_| ())
    }
}
