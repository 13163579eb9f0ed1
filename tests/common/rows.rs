//! The rows of a transaction, seen through: what was called, what was inserted, and a failure after
//! so many operations.

use durafn::core::entity::{EntityChange, EntityHead};
use durafn::core::instance::{InstanceChange, InstanceHead, InstanceRow, NewInstance};
use durafn::core::partition::Parts;
use durafn::core::request::HubSettings;
use durafn::core::task::{ActivityTask, Claim, Claimed, TaskRef};
use durafn::core::{ExecutionId, InstanceKey, MessageKey, TaskId, TimeMs, TurnNumber};
use durafn::provider::rows::{Clear, NewMessage};
use durafn::provider::{
    EntityRows, ProviderError, ProviderErrorKind, Result, Rows, StoredMessage, TaskRows,
};

/// See the module's text.
pub(crate) struct SeenRows<'a> {
    rows: &'a mut dyn Rows,
    /// How many reads and writes succeed before one fails.
    calls_left: usize,
    /// The operations in their order, by name.
    pub(crate) calls: Vec<&'static str>,
    pub(crate) instances: Vec<InstanceKey>,
    pub(crate) messages: Vec<(MessageKey, NewMessage)>,
}

impl<'a> SeenRows<'a> {
    pub(crate) fn new(rows: &'a mut dyn Rows, calls_left: usize) -> Self {
        Self { rows, calls_left, calls: Vec::new(), instances: Vec::new(), messages: Vec::new() }
    }

    fn call(&mut self, call: &'static str) -> Result<&mut dyn Rows> {
        self.calls.push(call);
        match self.calls_left.checked_sub(1) {
            Some(left) => {
                self.calls_left = left;
                Ok(self.rows)
            }
            None => Err(ProviderError::new(ProviderErrorKind::Transient, call, "injected")),
        }
    }
}

impl EntityRows for SeenRows<'_> {
    fn entity_by_id(&mut self, id: &str) -> Result<Option<EntityHead>> {
        self.call("entity_by_id")?.entity_by_id(id)
    }
    fn entity(&mut self, key: InstanceKey) -> Result<Option<EntityHead>> {
        self.call("entity")?.entity(key)
    }
    fn foresee_entities(&mut self, ids: &[String]) -> Result<()> {
        self.rows.foresee_entities(ids)
    }
    fn entity_crashes(&mut self, key: InstanceKey) -> Result<Option<u32>> {
        self.call("entity_crashes")?.entity_crashes(key)
    }
    fn insert_entity(&mut self, id: &str, now_ms: TimeMs) -> Result<InstanceKey> {
        self.call("insert_entity")?.insert_entity(id, now_ms)
    }
    fn update_entity(&mut self, key: InstanceKey, change: &EntityChange) -> Result<()> {
        self.call("update_entity")?.update_entity(key, change)
    }
    fn remove_entity(&mut self, key: InstanceKey) -> Result<()> {
        self.call("remove_entity")?.remove_entity(key)
    }
    fn entity_is_awaited(&mut self, key: InstanceKey) -> Result<bool> {
        self.call("entity_is_awaited")?.entity_is_awaited(key)
    }
}

impl TaskRows for SeenRows<'_> {
    fn offer_tasks(&mut self, tasks: &[ActivityTask], running: bool) -> Result<()> {
        self.call("offer_tasks")?.offer_tasks(tasks, running)
    }

    fn claim_tasks(&mut self, claim: &Claim) -> Result<Vec<Claimed>> {
        self.call("claim_tasks")?.claim_tasks(claim)
    }

    fn end_task(&mut self, of: TaskRef) -> Result<bool> {
        self.call("end_task")?.end_task(of)
    }
}

impl Rows for SeenRows<'_> {
    fn head(&mut self, key: InstanceKey) -> Result<Option<InstanceHead>> {
        self.call("head")?.head(key)
    }
    fn head_by_id(&mut self, id: &str) -> Result<Option<InstanceHead>> {
        self.call("head_by_id")?.head_by_id(id)
    }
    fn row(&mut self, key: InstanceKey) -> Result<Option<InstanceRow>> {
        self.call("row")?.row(key)
    }
    fn insert_instance(&mut self, new: &NewInstance) -> Result<InstanceKey> {
        let key = self.call("insert_instance")?.insert_instance(new)?;
        self.instances.push(key);
        Ok(key)
    }
    fn update_instance(&mut self, key: InstanceKey, change: &InstanceChange) -> Result<()> {
        self.call("update_instance")?.update_instance(key, change)
    }
    fn clear(&mut self, key: InstanceKey, what: Clear) -> Result<()> {
        self.call("clear")?.clear(key, what)
    }
    fn open_children(&mut self, key: InstanceKey) -> Result<Vec<InstanceHead>> {
        self.call("open_children")?.open_children(key)
    }
    fn is_next_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
    ) -> Result<bool> {
        self.call("is_next_turn")?.is_next_turn(key, exec, turn)
    }
    fn append_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        body: &[u8],
    ) -> Result<()> {
        self.call("append_turn")?.append_turn(key, exec, turn, body)
    }
    fn append_notice(&mut self, key: InstanceKey, exec: ExecutionId, body: &[u8]) -> Result<()> {
        self.call("append_notice")?.append_notice(key, exec, body)
    }
    fn history(&mut self, key: InstanceKey, exec: ExecutionId) -> Result<Vec<Vec<u8>>> {
        self.call("history")?.history(key, exec)
    }
    fn remove_turn(&mut self, key: InstanceKey, exec: ExecutionId, turn: TurnNumber) -> Result<()> {
        self.call("remove_turn")?.remove_turn(key, exec, turn)
    }
    fn insert_message(&mut self, message: &NewMessage) -> Result<MessageKey> {
        let key = self.call("insert_message")?.insert_message(message)?;
        self.messages.push((key, message.clone()));
        Ok(key)
    }
    fn messages(&mut self, key: InstanceKey, taken: bool) -> Result<Vec<StoredMessage>> {
        self.call("messages")?.messages(key, taken)
    }
    fn remove_messages(&mut self, keys: &[MessageKey]) -> Result<()> {
        self.call("remove_messages")?.remove_messages(keys)
    }
    fn taken_events(&mut self, key: InstanceKey) -> Result<Vec<MessageKey>> {
        self.call("taken_events")?.taken_events(key)
    }
    fn take_kept_event(&mut self, key: InstanceKey, event: &str) -> Result<Option<StoredMessage>> {
        self.call("take_kept_event")?.take_kept_event(key, event)
    }
    fn open_wait(&mut self, key: InstanceKey, event: &str) -> Result<()> {
        self.call("open_wait")?.open_wait(key, event)
    }
    fn take_wait(&mut self, key: InstanceKey, event: &str) -> Result<bool> {
        self.call("take_wait")?.take_wait(key, event)
    }
    fn set_timer(&mut self, key: InstanceKey, task: TaskId, fire_at: TimeMs) -> Result<()> {
        self.call("set_timer")?.set_timer(key, task, fire_at)
    }
    fn clear_timer(&mut self, key: InstanceKey, task: TaskId) -> Result<()> {
        self.call("clear_timer")?.clear_timer(key, task)
    }
    fn settings(&mut self) -> Result<HubSettings> {
        self.call("settings")?.settings()
    }
    fn put_settings(&mut self, settings: &HubSettings) -> Result<()> {
        self.call("put_settings")?.put_settings(settings)
    }
    fn owns(&self, key: InstanceKey) -> bool {
        self.rows.owns(key)
    }
    fn give(&mut self, parts: Parts) -> Result<()> {
        self.call("give")?.give(parts)
    }
}
