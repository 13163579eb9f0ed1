//! What a transaction knows of the rows of a hub in PostgreSQL.
//!
//! Owns: what was read or written in it. Must never: hold what it does not know for sure.
//! Proved by `tests/conformance.rs` and `tests/differential.rs`.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::core::entity::EntityHead;
use crate::core::instance::InstanceHead;
use crate::core::task::TaskRef;
use crate::core::{ExecutionId, InstanceKey, MessageKey, TurnNumber};
use crate::provider::StoredMessage;
use crate::provider::rows::Clear;

/// What is known without asking. An entry that is not there is not known.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) heads: HashMap<InstanceKey, Option<InstanceHead>>,
    pub(super) keys: HashMap<String, Option<InstanceKey>>,
    /// Numbers of the last turns of executions.
    pub(super) turns: HashMap<(InstanceKey, ExecutionId), TurnNumber>,
    pub(super) taken: HashMap<InstanceKey, Vec<MessageKey>>,
    pub(super) kept: HashMap<(InstanceKey, String), Option<StoredMessage>>,
    pub(super) waits: HashMap<(InstanceKey, String), i32>,
    /// Entities, by key and by folded id.
    pub(super) entities: HashMap<InstanceKey, Option<EntityHead>>,
    pub(super) entity_keys: HashMap<String, Option<InstanceKey>>,
    /// The hub's row is locked.
    pub(super) hub: bool,
    /// Numbers for new entities.
    pub(super) new_entities: VecDeque<i64>,
    /// Numbers for new instances.
    pub(super) instance_keys: VecDeque<i64>,
    pub(super) message_keys: VecDeque<MessageKey>,
    /// Activities that this worker has taken, of those that it reports.
    pub(super) held_tasks: HashSet<TaskRef>,
}

impl Known {
    /// Whether the transaction has a row for itself that another one may wait for.
    pub(super) fn has_locked(&self) -> bool {
        self.hub
            || self.heads.values().any(Option::is_some)
            || self.entities.values().any(Option::is_some)
            || !self.held_tasks.is_empty()
    }

    pub(super) fn learn_head(&mut self, head: InstanceHead) {
        self.keys.insert(head.id.clone(), Some(head.key));
        self.heads.insert(head.key, Some(head));
    }

    /// Nothing is left of what was cleared.
    pub(super) fn forget(&mut self, key: InstanceKey, what: Clear) {
        for (of, open) in &mut self.waits {
            if of.0 == key {
                *open = 0;
            }
        }
        if what != Clear::Ended {
            self.turns.retain(|(of, _), _| *of != key);
        }
        if let Some(taken) = self.taken.get_mut(&key) {
            taken.clear();
        }
        if what != Clear::Execution {
            for (of, kept) in &mut self.kept {
                if of.0 == key {
                    *kept = None;
                }
            }
        }
        if what == Clear::All
            && let Some(head) = self.heads.insert(key, None).flatten()
        {
            self.keys.insert(head.id, None);
        }
    }
}
