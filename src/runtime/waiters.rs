//! Callers that wait for an instance to end.
//!
//! Owns: who waits for which id. Must never: answer before the end is durable.

use std::collections::HashMap;

use crate::core::error::Error;
use crate::core::view::StatusView;

use super::protocol::RequestId;

/// Of instances that callers wait for, those that have ended, and `None` for those that are not there. Or
/// why that could not be read, and for which.
pub type Watched = Result<Vec<(String, Option<Box<StatusView>>)>, (Vec<String>, Error)>;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Waiters {
    by_id: HashMap<String, Vec<RequestId>>,
    /// What each waits for, so that one who gives up is found without a look at the others.
    ids: HashMap<RequestId, String>,
}

impl Waiters {
    /// A caller waits.
    pub fn add(&mut self, id: &str, rid: RequestId) {
        self.by_id.entry(id.to_owned()).or_default().push(rid);
        self.ids.insert(rid, id.to_owned());
    }

    /// A caller gave up.
    pub fn forget(&mut self, rid: RequestId) {
        let Some(id) = self.ids.remove(&rid) else { return };
        let Some(rids) = self.by_id.get_mut(&id) else { return };
        rids.retain(|waiting| *waiting != rid);
        if rids.is_empty() {
            self.by_id.remove(&id);
        }
    }

    /// The instance has ended, or does not exist: those who waited.
    pub fn take(&mut self, id: &str) -> Vec<RequestId> {
        let rids = self.by_id.remove(id).unwrap_or_default();
        for rid in &rids {
            self.ids.remove(rid);
        }
        rids
    }

    /// Whether anybody waits for it.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Every id that somebody waits for.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
