//! What the dispatcher goes by.
//!
//! Owns: the defaults of what the hub's options leave open. Must never: be changed while it runs.

use crate::core::limits;
use crate::core::partition::Shares;
use crate::core::version::Versioning;

use super::super::protocol::{EngineInfo, EngineOptions, OnNondeterminism};

/// See the module's text.
#[derive(Debug, Clone)]
pub struct DispatcherOptions {
    /// Live instances kept before idle ones are dropped.
    pub cached_instances: usize,
    /// Live instances beside idle ones; those beyond wait in the store.
    pub active_instances: usize,
    /// Keys of ready instances that wait so.
    pub backlog_keys: usize,
    /// Bytes of payload that they may hold before idle ones are dropped.
    pub cached_bytes: usize,
    /// Activities at the same time.
    pub concurrent_activities: usize,
    /// Sub-orchestrations and timers that one turn starts.
    pub turn_starts: usize,
    /// Messages that one turn takes.
    pub turn_messages: usize,
    /// Operations that one turn of an entity takes.
    pub entity_operations: usize,
    /// Bytes of payloads that one exchange hands to JavaScript, and that one turn takes, about.
    pub exchange_bytes: usize,
    /// Largest payload.
    pub payload_bytes: usize,
    /// Queues whose activities it runs; all, if none are named.
    pub queues: Option<Vec<String>>,
    /// Functions run in threads of their own.
    pub threads: bool,
    /// What of the hub this process has, to begin with.
    pub shares: Shares,
    /// See [`OnNondeterminism`].
    pub on_nondeterminism: OnNondeterminism,
    /// Which instances this worker runs, by their version.
    pub versioning: Versioning,
}

impl DispatcherOptions {
    /// Of a hub that is open.
    #[must_use]
    pub fn of(options: &EngineOptions, info: &EngineInfo, shares: Shares) -> Self {
        let concurrent_activities =
            options.max_concurrent_activities.unwrap_or(limits::CONCURRENT_ACTIVITIES);
        // Each activity that runs may be of an instance of its own.
        let active_instances = options
            .active_instances
            .unwrap_or(limits::ACTIVE_INSTANCES)
            .max(concurrent_activities.saturating_mul(2));
        Self {
            cached_instances: options.cached_instances.unwrap_or(limits::CACHED_INSTANCES),
            active_instances,
            backlog_keys: limits::BACKLOG_KEYS,
            cached_bytes: limits::CACHED_BYTES,
            concurrent_activities,
            turn_starts: limits::TURN_STARTS,
            turn_messages: limits::TURN_MESSAGES,
            entity_operations: limits::ENTITY_OPERATIONS,
            exchange_bytes: options.exchange_bytes.unwrap_or(limits::EXCHANGE_BYTES),
            payload_bytes: info.payload_bytes,
            queues: options.queues.clone(),
            threads: options.threads,
            shares,
            on_nondeterminism: options.on_nondeterminism,
            versioning: Versioning {
                default_version: options.default_version.clone(),
                matching: options.version_match_strategy,
                failure: options.version_failure_strategy,
            },
        }
    }
}
