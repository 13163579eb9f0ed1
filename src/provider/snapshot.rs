//! The canonical text of a store's rows.
//!
//! Owns: what of a row counts when two stores are compared: everything but keys, which are replaced
//! by ids and by the place in their order. Must never: read a store.
//! Proved by `tests/differential.rs`.

use crate::core::entity::{EntityMessage, EntityRow};
use crate::core::instance::InstanceRow;
use crate::core::message::Message;
use crate::core::request::HubSettings;
use crate::core::{ExecutionId, Payload, TaskId, TimeMs};

use super::rows::NewMessage;
use super::{Snapshot, encode_settings};

/// Lines of a snapshot, as they are gathered.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<String>);

impl Lines {
    pub(super) fn settings(&mut self, settings: &HubSettings) {
        self.0.push(format!("hub settings={}", encode_settings(settings)));
    }

    /// An instance; `parent` is the id that the key of its parent link stands for now.
    pub(super) fn instance(&mut self, row: &InstanceRow, parent: Option<&str>) {
        let head = &row.head;
        let link = head.parent.map(|link| (parent, link.exec, link.task));
        self.0.push(format!(
            "instance {:?} name={:?} version={:?} exec={} status={:?} ready={} scheduled={} created={:?} \
             updated={} completed={:?} parent={link:?} parent_id={:?} crashes={} problem={} \
             custom_status={} input={} output={} failure={} locks={:?}",
            head.id,
            head.name,
            row.version,
            head.exec,
            head.status,
            row.ready,
            row.scheduled_ms,
            row.created_ms,
            row.updated_ms,
            row.completed_ms,
            row.parent_id,
            head.crashes,
            payload(row.problem.as_ref()),
            payload(row.custom_status.as_ref()),
            payload(row.input.as_ref()),
            payload(row.output.as_ref()),
            payload(row.failure.as_ref()),
            head.locks,
        ));
    }

    /// An entity; `owner` is the id that the key of its lock stands for now.
    pub(super) fn entity(&mut self, row: &EntityRow, owner: Option<&str>) {
        let lock = row.head.lock.map(|lock| (owner, lock.exec, lock.task));
        self.0.push(format!(
            "entity {:?} state={} lock={lock:?} scheduled={} updated={} problem={} crashes={}",
            row.id,
            payload(row.state.as_ref()),
            row.head.scheduled,
            row.updated_ms,
            payload(row.problem.as_ref()),
            row.crashes,
        ));
    }

    /// A row of history, the `place`th of its instance.
    pub(super) fn history(&mut self, id: &str, place: usize, exec: ExecutionId, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        self.0.push(format!("history {id:?} {place:06} exec={exec} body={body}"));
    }

    /// A message, the `place`th of its instance.
    pub(super) fn message(&mut self, id: &str, place: usize, message: &NewMessage) {
        let NewMessage { exec, event, taken, body, .. } = message;
        let body = without_keys(body);
        self.0.push(format!(
            "message {id:?} {place:06} exec={exec:?} event={event:?} taken={taken} body={body}"
        ));
    }

    pub(super) fn wait(&mut self, id: &str, event: &str, open: u32) {
        self.0.push(format!("wait {id:?} event={event:?} open={open}"));
    }

    pub(super) fn timer(&mut self, id: &str, task: TaskId, fire_at: TimeMs) {
        self.0.push(format!("timer {id:?} task={task} fire_at={fire_at}"));
    }

    pub(super) fn finish(mut self) -> Snapshot {
        self.0.sort_unstable();
        Snapshot(self.0)
    }
}

/// The body of a message. Those for entities hold keys, which differ from store to store.
fn without_keys(body: &[u8]) -> String {
    let Ok(Message::Entity(mut message)) = Message::decode(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    match &mut message {
        EntityMessage::Operation { caller, .. } => caller.iter_mut().for_each(|of| of.key = 0),
        EntityMessage::Lock { owner, .. } | EntityMessage::Unlock { owner } => owner.key = 0,
    }
    String::from_utf8_lossy(&Message::Entity(message).encode()).into_owned()
}

fn payload(payload: Option<&Payload>) -> &str {
    payload.map_or("-", |payload| payload.get())
}
