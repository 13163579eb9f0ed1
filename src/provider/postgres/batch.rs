//! Writes of a transaction, gathered and sent as few statements over many rows.
//!
//! Owns: the order in which they are sent, and which of them must not be gathered together.
//! Must never: read. Proved by `tests/conformance.rs` and `tests/differential.rs`.
//!
//! What is removed goes first, so that an id that becomes free can be given again. A write that is to be
//! removed by a later one of the same transaction must have been sent by then: see [`Batch::meets`].

use std::collections::{BTreeMap, HashMap};

use crate::core::entity::EntityChange;
use crate::core::instance::{InstanceChange, NewInstance};
use crate::core::task::TaskRef;
use crate::core::{ExecutionId, InstanceKey, MessageKey, Payload, TaskId, TimeMs, TurnNumber, ids};
use crate::provider::rows::{Clear, NewMessage};

use super::entities::{self, NewEntity};
use super::session::Ask;
use super::tasks;

pub(super) const DELETE_WAITS: &str = "DELETE FROM hub.waits WHERE iid = ANY($1)";
pub(super) const DELETE_TIMERS: &str = "DELETE FROM hub.timers WHERE iid = ANY($1)";
/// In the order of their keys: a worker that reports some of them has those locked.
pub(super) const DELETE_TASKS: &str = "DELETE FROM hub.tasks AS t USING \
    (SELECT iid, exec, task FROM hub.tasks WHERE iid = ANY($1) ORDER BY iid, exec, task FOR UPDATE) \
     AS gone WHERE t.iid = gone.iid AND t.exec = gone.exec AND t.task = gone.task";
pub(super) const DELETE_MESSAGES: &str = "DELETE FROM hub.messages WHERE iid = ANY($1)";
pub(super) const DELETE_TAKEN_MESSAGES: &str =
    "DELETE FROM hub.messages WHERE iid = ANY($1) AND taken";
pub(super) const DELETE_HISTORY: &str = "DELETE FROM hub.history WHERE iid = ANY($1)";
pub(super) const DELETE_INSTANCES: &str = "DELETE FROM hub.instances WHERE iid = ANY($1)";
pub(super) const INSERT_INSTANCES: &str = "INSERT INTO hub.instances \
    (iid, id, name, name_folded, exec, status, ready, scheduled_ms, created_ms, updated_ms, \
     parent_iid, parent_exec, parent_task, parent_id, crashes, input, version) \
    SELECT iid, id, name, name_folded, 0, status, ready, scheduled_ms, created_ms, \
     coalesce(created_ms, scheduled_ms), parent_iid, parent_exec, parent_task, parent_id, crashes, \
     input, version \
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::boolean[], \
     $7::bigint[], $8::bigint[], $9::bigint[], $10::integer[], $11::bigint[], $12::text[], \
     $13::integer[], $14::bytea[], $15::text[]) AS new(iid, id, name, name_folded, status, \
     ready, scheduled_ms, created_ms, parent_iid, parent_exec, parent_task, parent_id, crashes, \
     input, version)";
pub(super) const UPDATE_INSTANCES: &str = "UPDATE hub.instances AS i SET \
    status = coalesce(c.status, i.status), exec = coalesce(c.exec, i.exec), \
    ready = coalesce(c.ready, i.ready), created_ms = coalesce(c.created_ms, i.created_ms), \
    updated_ms = coalesce(c.updated_ms, i.updated_ms), crashes = coalesce(c.crashes, i.crashes), \
    completed_ms = CASE WHEN c.fields & 1 <> 0 THEN c.completed_ms ELSE i.completed_ms END, \
    input = CASE WHEN c.fields & 2 <> 0 THEN c.input ELSE i.input END, \
    output = CASE WHEN c.fields & 4 <> 0 THEN c.output ELSE i.output END, \
    failure = CASE WHEN c.fields & 8 <> 0 THEN c.failure ELSE i.failure END, \
    problem = CASE WHEN c.fields & 16 <> 0 THEN c.problem ELSE i.problem END, \
    locks = CASE WHEN c.fields & 32 <> 0 THEN c.locks ELSE i.locks END, \
    custom_status = coalesce(c.custom_status, i.custom_status) \
    FROM unnest($1::bigint[], $2::smallint[], $3::integer[], $4::boolean[], $5::bigint[], \
     $6::bigint[], $7::integer[], $8::integer[], $9::bigint[], $10::bytea[], $11::bytea[], \
     $12::bytea[], $13::bytea[], $14::bytea[], $15::text[]) AS c(iid, status, exec, ready, \
     created_ms, updated_ms, crashes, fields, completed_ms, input, output, failure, problem, \
     custom_status, locks) \
    WHERE i.iid = c.iid";
pub(super) const REMOVE_TURNS: &str = "DELETE FROM hub.history AS h \
    USING unnest($1::bigint[], $2::integer[], $3::bigint[]) AS gone(iid, exec, number) \
    WHERE h.iid = gone.iid AND h.exec = gone.exec AND h.number = gone.number";
pub(super) const APPEND_TURNS: &str = "INSERT INTO hub.history (iid, exec, number, body) \
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bytea[])";
/// Behind the last turn, and behind the last notice.
pub(super) const APPEND_NOTICES: &str = "INSERT INTO hub.history (iid, exec, number, after, body) \
    SELECT n.iid, n.exec, least(0, first.number) - n.place, \
     greatest(0, first.after, (SELECT max(h.number) FROM hub.history AS h \
      WHERE h.iid = n.iid AND h.exec = n.exec)), n.body \
    FROM unnest($1::bigint[], $2::integer[], $3::bytea[]) \
     WITH ORDINALITY AS n(iid, exec, body, place) LEFT JOIN LATERAL \
     (SELECT number, after FROM hub.history WHERE iid = n.iid AND exec = n.exec \
      ORDER BY number LIMIT 1) AS first ON true";
pub(super) const DELETE_MESSAGE_KEYS: &str = "DELETE FROM hub.messages WHERE mid = ANY($1)";
pub(super) const INSERT_MESSAGES: &str = "INSERT INTO hub.messages (mid, iid, exec, event, taken, body) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::boolean[], \
     $6::bytea[])";
pub(super) const TAKE_EVENTS: &str = "UPDATE hub.messages SET taken = true WHERE mid = ANY($1)";
pub(super) const OPEN_WAITS: &str = "INSERT INTO hub.waits AS w (iid, event, open) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::integer[]) \
    ON CONFLICT (iid, event) DO UPDATE SET open = w.open + excluded.open";
pub(super) const TAKE_WAITS: &str = "UPDATE hub.waits AS w SET open = w.open - taken.number \
    FROM unnest($1::bigint[], $2::text[], $3::integer[]) AS taken(iid, event, number) \
    WHERE w.iid = taken.iid AND w.event = taken.event";
pub(super) const CLOSE_WAITS: &str = "DELETE FROM hub.waits AS w \
    USING unnest($1::bigint[], $2::text[]) AS taken(iid, event) \
    WHERE w.iid = taken.iid AND w.event = taken.event AND w.open <= 0";
pub(super) const SET_TIMERS: &str = "INSERT INTO hub.timers (iid, task, fire_at) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
    ON CONFLICT (iid, task) DO UPDATE SET fire_at = excluded.fire_at";
pub(super) const CLEAR_TIMERS: &str = "DELETE FROM hub.timers AS t \
    USING unnest($1::bigint[], $2::bigint[]) AS gone(iid, task) \
    WHERE t.iid = gone.iid AND t.task = gone.task";
pub(super) const RING_BELLS: &str = "INSERT INTO hub.bells (part, iid, mid) \
    SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[])";

/// What of an instance has writes that have not been sent.
#[derive(Debug, Clone, Copy, Default)]
struct Touched {
    row: bool,
    history: bool,
    rest: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Batch {
    cleared: Vec<(InstanceKey, Clear)>,
    instances: Vec<(InstanceKey, NewInstance)>,
    changes: Vec<(InstanceKey, InstanceChange)>,
    /// Where in `changes` an instance stands.
    changed: HashMap<InstanceKey, usize>,
    turns: Vec<(InstanceKey, ExecutionId, TurnNumber, Vec<u8>)>,
    turns_gone: Vec<(InstanceKey, ExecutionId, TurnNumber)>,
    /// Sent behind the turns: see [`Batch::has_notices`].
    notices: Vec<(InstanceKey, ExecutionId, Vec<u8>)>,
    messages: Vec<(MessageKey, NewMessage)>,
    messages_gone: Vec<MessageKey>,
    events_taken: Vec<MessageKey>,
    /// How many more, or fewer, are open.
    waits: BTreeMap<(InstanceKey, String), i32>,
    /// `None`: cleared.
    timers: BTreeMap<(InstanceKey, TaskId), Option<TimeMs>>,
    bells: Vec<(i16, InstanceKey, Option<MessageKey>)>,
    pub(super) entities: Vec<NewEntity>,
    pub(super) entity_changes: Vec<(InstanceKey, EntityChange)>,
    tasks_gone: Vec<TaskRef>,
    touched: HashMap<InstanceKey, Touched>,
}

impl Batch {
    /// Whether a clearing would miss a write that has not been sent.
    pub(super) fn meets(&self, key: InstanceKey, what: Clear) -> bool {
        let touched = self.touched.get(&key).copied().unwrap_or_default();
        match what {
            Clear::Ended => touched.rest,
            Clear::Execution => touched.rest || touched.history,
            Clear::All => touched.rest || touched.history || touched.row,
        }
    }

    pub(super) fn clear(&mut self, key: InstanceKey, what: Clear) {
        self.cleared.push((key, what));
    }

    pub(super) fn insert_instance(&mut self, key: InstanceKey, new: NewInstance) {
        self.touched.entry(key).or_default().row = true;
        self.instances.push((key, new));
    }

    pub(super) fn update_instance(&mut self, key: InstanceKey, change: &InstanceChange) {
        self.touched.entry(key).or_default().row = true;
        if let Some(place) = self.changed.get(&key) {
            self.changes[*place].1.then(change.clone());
        } else {
            self.changed.insert(key, self.changes.len());
            self.changes.push((key, change.clone()));
        }
    }

    pub(super) fn append_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        body: &[u8],
    ) {
        self.touched.entry(key).or_default().history = true;
        self.turns.push((key, exec, turn, body.to_vec()));
    }

    pub(super) fn append_notice(&mut self, key: InstanceKey, exec: ExecutionId, body: &[u8]) {
        self.touched.entry(key).or_default().history = true;
        self.notices.push((key, exec, body.to_vec()));
    }

    /// Whether a turn of the instance would come to stand before notices that came before it.
    pub(super) fn has_notices(&self, key: InstanceKey) -> bool {
        self.notices.iter().any(|(of, ..)| *of == key)
    }

    pub(super) fn remove_turn(&mut self, key: InstanceKey, exec: ExecutionId, turn: TurnNumber) {
        self.turns_gone.push((key, exec, turn));
    }

    pub(super) fn insert_message(&mut self, key: MessageKey, message: NewMessage) {
        self.touched.entry(message.key).or_default().rest = true;
        self.messages.push((key, message));
    }

    pub(super) fn remove_messages(&mut self, keys: &[MessageKey]) {
        self.messages_gone.extend(keys);
    }

    pub(super) fn take_event(&mut self, key: MessageKey) {
        self.events_taken.push(key);
    }

    pub(super) fn add_waits(&mut self, key: InstanceKey, event: &str, more: i32) {
        self.touched.entry(key).or_default().rest = true;
        *self.waits.entry((key, event.to_owned())).or_default() += more;
    }

    pub(super) fn set_timer(&mut self, key: InstanceKey, task: TaskId, fire_at: Option<TimeMs>) {
        self.touched.entry(key).or_default().rest = true;
        self.timers.insert((key, task), fire_at);
    }

    pub(super) fn ring(&mut self, part: i16, key: InstanceKey, message: Option<MessageKey>) {
        self.bells.push((part, key, message));
    }

    pub(super) fn end_task(&mut self, of: TaskRef) {
        self.tasks_gone.push(of);
    }

    /// The statements, in their order.
    pub(super) fn asks(&self) -> Vec<Ask<'_>> {
        let mut asks = Vec::new();
        self.ask_clears(&mut asks);
        if !self.tasks_gone.is_empty() {
            asks.push(tasks::end(&self.tasks_gone));
        }
        if !self.instances.is_empty() {
            asks.push(self.ask_instances());
        }
        if !self.changes.is_empty() {
            asks.push(self.ask_changes());
        }
        if !self.entities.is_empty() {
            asks.push(entities::insert(&self.entities));
        }
        asks.extend(self.entity_changes.iter().map(|(key, to)| entities::update(*key, to)));
        self.ask_history(&mut asks);
        self.ask_messages(&mut asks);
        self.ask_waits(&mut asks);
        self.ask_timers(&mut asks);
        if !self.bells.is_empty() {
            let bells = &self.bells;
            asks.push(
                Ask::new(RING_BELLS)
                    .with(column(bells, |bell| bell.0))
                    .with(column(bells, |bell| bell.1))
                    .with(column(bells, |bell| bell.2)),
            );
        }
        asks
    }

    fn ask_clears<'a>(&'a self, asks: &mut Vec<Ask<'a>>) {
        if self.cleared.is_empty() {
            return;
        }
        let keys = |wanted: fn(Clear) -> bool| -> Vec<InstanceKey> {
            let of_kind = self.cleared.iter().filter(|(_, what)| wanted(*what));
            of_kind.map(|(key, _)| *key).collect()
        };
        // Nobody waits for another's: whoever clears an instance has it.
        for (text, keys) in [
            (DELETE_WAITS, keys(|_| true)),
            (DELETE_TIMERS, keys(|_| true)),
            (DELETE_TASKS, keys(|_| true)),
            (DELETE_TAKEN_MESSAGES, keys(|what| what == Clear::Execution)),
            (DELETE_MESSAGES, keys(|what| what != Clear::Execution)),
            (DELETE_HISTORY, keys(|what| what != Clear::Ended)),
            (DELETE_INSTANCES, keys(|what| what == Clear::All)),
        ] {
            if !keys.is_empty() {
                asks.push(Ask::new(text).with(keys));
            }
        }
    }

    fn ask_instances(&self) -> Ask<'_> {
        // By id, as everybody does: another transaction may give the same ones.
        let mut all: Vec<_> = self.instances.iter().collect();
        all.sort_unstable_by(|(_, one), (_, other)| one.id.cmp(&other.id));
        let all = &all;
        let link = |new: &NewInstance| new.parent;
        Ask::new(INSERT_INSTANCES)
            .with(column(all, |(key, _)| *key))
            .with(column(all, |(_, new)| new.id.as_str()))
            .with(column(all, |(_, new)| new.name.as_str()))
            .with(column(all, |(_, new)| ids::fold_name(&new.name)))
            .with(column(all, |(_, new)| small(new.status().number())))
            .with(column(all, |(_, new)| new.begun.is_none_or(|first| first.ready)))
            .with(column(all, |(_, new)| new.scheduled_ms))
            .with(column(all, |(_, new)| new.begun.map(|first| first.time_ms)))
            .with(column(all, |(_, new)| link(new).map(|link| link.key)))
            .with(column(all, |(_, new)| link(new).map(|link| signed(link.exec))))
            .with(column(all, |(_, new)| link(new).map(|link| i64::from(link.task))))
            .with(column(all, |(_, new)| new.parent_id.as_deref()))
            .with(column(all, |(_, new)| signed(new.crashes)))
            .with(column(all, |(_, new)| bytes(new.input.as_ref())))
            .with(column(all, |(_, new)| new.version.as_deref()))
    }

    fn ask_changes(&self) -> Ask<'_> {
        let all = &self.changes;
        Ask::new(UPDATE_INSTANCES)
            .with(column(all, |(key, _)| *key))
            .with(column(all, |(_, to)| to.status.map(|status| small(status.number()))))
            .with(column(all, |(_, to)| to.exec.map(signed)))
            .with(column(all, |(_, to)| to.ready))
            .with(column(all, |(_, to)| to.created_ms))
            .with(column(all, |(_, to)| to.updated_ms))
            .with(column(all, |(_, to)| to.crashes.map(signed)))
            .with(column(all, |(_, to)| fields(to)))
            .with(column(all, |(_, to)| to.completed_ms.flatten()))
            .with(column(all, |(_, to)| inner(to.input.as_ref())))
            .with(column(all, |(_, to)| inner(to.output.as_ref())))
            .with(column(all, |(_, to)| inner(to.failure.as_ref())))
            .with(column(all, |(_, to)| inner(to.problem.as_ref())))
            .with(column(all, |(_, to)| bytes(to.custom_status.as_ref())))
            .with(column(all, |(_, to)| to.locks.as_ref().and_then(Option::as_deref)))
    }

    fn ask_history<'a>(&'a self, asks: &mut Vec<Ask<'a>>) {
        if !self.turns_gone.is_empty() {
            let gone = &self.turns_gone;
            asks.push(
                Ask::new(REMOVE_TURNS)
                    .with(column(gone, |(key, ..)| *key))
                    .with(column(gone, |(_, exec, _)| signed(*exec)))
                    .with(column(gone, |(.., turn)| i64::from(*turn))),
            );
        }
        if !self.turns.is_empty() {
            let all = &self.turns;
            asks.push(
                Ask::new(APPEND_TURNS)
                    .with(column(all, |(key, ..)| *key))
                    .with(column(all, |(_, exec, ..)| signed(*exec)))
                    .with(column(all, |(.., turn, _)| i64::from(*turn)))
                    .with(column(all, |(.., body)| body.as_slice())),
            );
        }
        if !self.notices.is_empty() {
            let all = &self.notices;
            asks.push(
                Ask::new(APPEND_NOTICES)
                    .with(column(all, |(key, ..)| *key))
                    .with(column(all, |(_, exec, _)| signed(*exec)))
                    .with(column(all, |(.., body)| body.as_slice())),
            );
        }
    }

    fn ask_messages<'a>(&'a self, asks: &mut Vec<Ask<'a>>) {
        if !self.messages_gone.is_empty() {
            asks.push(Ask::new(DELETE_MESSAGE_KEYS).with(self.messages_gone.as_slice()));
        }
        if !self.messages.is_empty() {
            let all = &self.messages;
            asks.push(
                Ask::new(INSERT_MESSAGES)
                    .with(column(all, |(key, _)| *key))
                    .with(column(all, |(_, message)| message.key))
                    .with(column(all, |(_, message)| message.exec.map(signed)))
                    .with(column(all, |(_, message)| message.event.as_deref()))
                    .with(column(all, |(_, message)| message.taken))
                    .with(column(all, |(_, message)| message.body.as_slice())),
            );
        }
        if !self.events_taken.is_empty() {
            asks.push(Ask::new(TAKE_EVENTS).with(self.events_taken.as_slice()));
        }
    }

    fn ask_waits<'a>(&'a self, asks: &mut Vec<Ask<'a>>) {
        let pairs = |sign: i32| -> Vec<(InstanceKey, &'a str, i32)> {
            let of_sign = self.waits.iter().filter(|(_, more)| more.signum() == sign);
            of_sign.map(|((key, event), more)| (*key, event.as_str(), more.abs())).collect()
        };
        for (sign, text) in [(1, OPEN_WAITS), (-1, TAKE_WAITS)] {
            let all = pairs(sign);
            if all.is_empty() {
                continue;
            }
            let keys = column(&all, |(key, ..)| *key);
            let events = column(&all, |(_, event, _)| *event);
            asks.push(
                Ask::new(text)
                    .with(keys.clone())
                    .with(events.clone())
                    .with(column(&all, |(.., number)| *number)),
            );
            if sign < 0 {
                asks.push(Ask::new(CLOSE_WAITS).with(keys).with(events));
            }
        }
    }

    fn ask_timers<'a>(&'a self, asks: &mut Vec<Ask<'a>>) {
        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for ((key, task), fire_at) in &self.timers {
            match fire_at {
                Some(fire_at) => set.push((*key, i64::from(*task), *fire_at)),
                None => gone.push((*key, i64::from(*task))),
            }
        }
        if !gone.is_empty() {
            let ask = Ask::new(CLEAR_TIMERS).with(column(&gone, |(key, _)| *key));
            asks.push(ask.with(column(&gone, |(_, task)| *task)));
        }
        if !set.is_empty() {
            asks.push(
                Ask::new(SET_TIMERS)
                    .with(column(&set, |(key, ..)| *key))
                    .with(column(&set, |(_, task, _)| *task))
                    .with(column(&set, |(.., fire_at)| *fire_at)),
            );
        }
    }
}

fn column<'a, R, T>(rows: &'a [R], value: impl FnMut(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// Which of the fields that can be emptied are set, see [`UPDATE_INSTANCES`].
fn fields(change: &InstanceChange) -> i32 {
    i32::from(change.completed_ms.is_some())
        | i32::from(change.input.is_some()) << 1
        | i32::from(change.output.is_some()) << 2
        | i32::from(change.failure.is_some()) << 3
        | i32::from(change.problem.is_some()) << 4
        | i32::from(change.locks.is_some()) << 5
}

fn bytes(payload: Option<&Payload>) -> Option<&[u8]> {
    payload.map(|payload| payload.get().as_bytes())
}

fn inner(payload: Option<&Option<Payload>>) -> Option<&[u8]> {
    payload.and_then(|payload| bytes(payload.as_ref()))
}

/// The stored form of a number that is never negative and never comes near the end.
pub(super) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn small(number: i64) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
