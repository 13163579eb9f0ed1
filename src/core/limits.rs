//! Every bound of the engine, with its unit in its name.
//!
//! Owns: the defaults. Must never: be read by a provider, which stores what it is given.

/// Sub-orchestrations and timers that one turn starts. Those beyond are started by turns that follow at
/// once, so that a fan-out of any width is many short commits.
pub const TURN_STARTS: usize = 1_000;
/// Messages that one turn takes; the others are for the next one.
pub const TURN_MESSAGES: usize = 1_000;
/// Operations that one turn of an entity takes; the others are for the next one.
pub const ENTITY_OPERATIONS: usize = 1_000;
/// Signals of callers that one piece of work carries: their part of a transaction takes some milliseconds.
pub const SIGNALS: usize = 1_000;
/// Entities that one critical section locks.
pub const LOCKED_ENTITIES: usize = 1_000;
/// Largest payload (input, result, event, custom status, failure), in bytes of JSON.
pub const PAYLOAD_BYTES: usize = 16 * 1024 * 1024;
/// Live executions kept in memory; the least recently used idle ones are dropped first.
pub const CACHED_INSTANCES: usize = 10_000;
/// Instances in memory that are under way: they run, are written, or have activities due or running.
/// Those beyond wait in the store.
pub const ACTIVE_INSTANCES: usize = 10_000;
/// Keys of ready instances that wait for a place in memory; those beyond are read again from the store.
pub const BACKLOG_KEYS: usize = 100_000;
/// Keys of ready instances read from the store at a time.
pub const READY_READ: usize = 10_000;
/// Bytes of payloads that live executions may hold before idle ones are dropped.
pub const CACHED_BYTES: usize = 256 * 1024 * 1024;
/// Activities of one hub that run at the same time in a process.
pub const CONCURRENT_ACTIVITIES: usize = 256;
/// How often an instance may take the process down before it is parked.
pub const CRASHES: u32 = 5;
/// Deaths of the process at which an instance was under way before it runs apart from the others.
pub const SUSPECT_DEATHS: u32 = 2;
/// Most such instances that run at the same time.
pub const SUSPECT_GROUP: usize = 64;
/// How long the process must have lived before one of more deaths than that runs, in milliseconds: a
/// process that is killed from outside in quick succession blames nobody.
pub const SUSPECT_CALM_MS: i64 = 1_000;
/// How long they have to get on before the next ones run, in milliseconds.
pub const SUSPECT_MS: i64 = 5_000;
/// Turns and requests that one transaction of the store takes.
pub const COMMIT_ITEMS: usize = 100;
/// Bytes of payloads that one transaction of the store takes.
pub const COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// Instances loaded at the same time after a restart.
pub const LOADS_IN_FLIGHT: usize = 256;
/// Bytes of payloads that cross in one exchange, about: what is over follows in the next ones, and a turn takes
/// no more of what waits for it.
pub const EXCHANGE_BYTES: usize = 32 * 1024 * 1024;
/// How many times as large one thing may be that crosses undivided: with an exchange beside it that is less than
/// the longest text of V8, 512 Mi characters.
pub const EXCHANGES_UNDIVIDED: usize = 14;
/// How many times as large the history may be that one call is given.
pub const EXCHANGES_HISTORY: usize = 4;
/// Recorded turns handed to JavaScript in one piece when an execution is replayed.
pub const REPLAY_TURNS: usize = 1_000;
/// Instances on a page of a listing.
pub const PAGE_INSTANCES: usize = 1_000;
/// Rows that a filter may pass over before a page is returned short.
pub const PAGE_SCAN_ROWS: usize = 5_000;
/// Instances purged in one transaction: about a millisecond.
pub const PURGE_INSTANCES: usize = 50;
/// Timers read from the store at a time.
pub const TIMERS_READ: usize = 10_000;
/// Timers in memory beyond which no more are read from the store.
pub const TIMERS_HELD: usize = 100_000;
/// Rows that a purge looks at in one go, of each range of its filter.
pub const PURGE_LOOK: usize = 1_000;
/// Timers that are due later than this from now stay in the store, in milliseconds.
pub const TIMER_HORIZON_MS: i64 = 60_000;
/// Depth to which `terminate`, `suspend` and `resume` follow sub-orchestrations.
pub const RECURSION_DEPTH: usize = 1_000;
/// How long a turn may take, in milliseconds, before it is told of.
pub const TURN_MS: i64 = 10_000;
/// How long a worker of a hub on a server keeps it without a word, in milliseconds.
pub const LEASE_MS: i64 = 10_000;
