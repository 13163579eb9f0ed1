//! Entities in the reference model.
//!
//! Owns: what each operation on them means. Must never: be clever.
//! Proved by `tests/conformance.rs` and `tests/differential.rs`.

use crate::core::entity::{EntityChange, EntityHead, EntityRow};
use crate::core::request::EntityFilter;
use crate::core::{InstanceKey, TimeMs};
use crate::provider::page::{self, EntitySieve};
use crate::provider::{EntityListing, EntityReader, EntityRows, LoadedEntity, Page, Result};

use super::{MemoryProvider, Tables, stored};

impl EntityReader for MemoryProvider {
    fn find_entity(&mut self, id: &str) -> Result<Option<EntityRow>> {
        Ok(self.tables.entities.values().find(|row| row.id == id).cloned())
    }

    fn load_entity(&mut self, key: InstanceKey) -> Result<Option<LoadedEntity>> {
        let Some(row) = self.tables.entities.get(&key).cloned() else { return Ok(None) };
        let messages = self.tables.messages.iter();
        let messages = messages.filter(|(_, message)| message.key == key && message.taken);
        Ok(Some(LoadedEntity { row, messages: messages.map(stored).collect() }))
    }

    fn list_entities(&mut self, filter: &EntityFilter, page: &Page) -> Result<EntityListing> {
        let sieve = EntitySieve::of(filter);
        let after = sieve.position(page)?;
        let mut rows: Vec<EntityRow> = self.tables.entities.values().cloned().collect();
        rows.retain(|row| {
            row.id.starts_with(&sieve.prefix)
                && after.as_ref().is_none_or(|after| row.id > *after)
                && sieve.passes(row.head.exists, row.updated_ms)
        });
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let more = rows.len() > page::size(page);
        rows.truncate(page::size(page));
        let cursor = rows.last().filter(|_| more).map(|row| EntitySieve::cursor(&row.id));
        Ok(EntityListing { rows, cursor })
    }
}

impl EntityRows for Tables {
    fn entity_by_id(&mut self, id: &str) -> Result<Option<EntityHead>> {
        let mut rows = self.entities.values();
        Ok(rows.find(|row| row.id == id).map(|row| row.head.clone()))
    }

    fn entity(&mut self, key: InstanceKey) -> Result<Option<EntityHead>> {
        Ok(self.entities.get(&key).map(|row| row.head.clone()))
    }

    fn entity_crashes(&mut self, key: InstanceKey) -> Result<Option<u32>> {
        Ok(self.entities.get(&key).map(|row| row.crashes))
    }

    fn insert_entity(&mut self, id: &str, now_ms: TimeMs) -> Result<InstanceKey> {
        let key = -self.next_key();
        let head = EntityHead { key, lock: None, exists: false, scheduled: 0, version: 0 };
        let row = EntityRow {
            head,
            id: id.to_owned(),
            state: None,
            updated_ms: now_ms,
            problem: None,
            crashes: 0,
        };
        self.entities.insert(key, row);
        Ok(key)
    }

    fn update_entity(&mut self, key: InstanceKey, change: &EntityChange) -> Result<()> {
        let Some(row) = self.entities.get_mut(&key) else { return Ok(()) };
        let change = change.clone();
        row.head.lock = change.lock.unwrap_or(row.head.lock);
        row.head.scheduled = change.scheduled.unwrap_or(row.head.scheduled);
        row.head.version = change.version.unwrap_or(row.head.version);
        row.updated_ms = change.updated_ms.unwrap_or(row.updated_ms);
        row.crashes = change.crashes.unwrap_or(row.crashes);
        for (field, new) in [(&mut row.state, change.state), (&mut row.problem, change.problem)] {
            if let Some(new) = new {
                *field = new;
            }
        }
        row.head.exists = row.state.is_some();
        Ok(())
    }

    fn remove_entity(&mut self, key: InstanceKey) -> Result<()> {
        self.messages.retain(|_, message| message.key != key);
        self.timers.retain(|(of, _), _| *of != key);
        self.entities.remove(&key);
        Ok(())
    }

    fn entity_is_awaited(&mut self, key: InstanceKey) -> Result<bool> {
        Ok(self.messages.values().any(|message| message.key == key))
    }
}
