//! What crosses between JavaScript and the hub, as data.
//!
//! Owns: the Rust half of `lib/protocol.ts`, field by field. Must never: hold a rule.
//! Proved by every test under `__test__/`.

mod entities;
mod requests;
mod weight;

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::pulse::Inside;
use crate::core::error::{Error, ErrorCode};
use crate::core::request::UnmatchedEvents;
use crate::core::turn::{Resolution, TurnOutcome};
use crate::core::version::{VersionFailure, VersionMatch};
use crate::core::{ExecutionId, InstanceKey, Name, Payload, TaskId, TimeMs};

pub use entities::{EntityActivation, EntityOutcome, OperationResult, OperationStart};
pub use requests::{ControlRequest, GetRequest, Request};
pub use weight::Weigh;

/// Number of a client call, chosen by JavaScript.
pub type RequestId = u32;
/// Number of an activation.
pub type Token = u32;
/// Number of a run of an activity.
pub type RunId = u32;

/// The queue of activities that name none.
const DEFAULT_QUEUE: &str = "default";

/// From JavaScript: all that was produced in one tick.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Inbound {
    /// Client calls.
    pub requests: Vec<(RequestId, Request)>,
    /// Waits that were given up.
    pub forget: Vec<RequestId>,
    /// Activities that ended: run, 1 for a result or 0 for a failure, payload.
    pub results: Vec<RunResult>,
    /// Instances whose code did something outside a turn.
    pub violations: Vec<String>,
    /// Outcomes of activations.
    pub turns: Vec<ActivationOutcome>,
    /// Outcomes of turns of entities.
    pub entities: Vec<EntityOutcome>,
    /// Activations that ended their thread too often; with how many milliseconds the last one had held it, if
    /// it was ended for that.
    pub poisons: Vec<(Token, TimeMs)>,
    /// What has held its thread for so many milliseconds, which is too long.
    pub overdue: Vec<(Inside, TimeMs)>,
    /// Activations that wait behind what holds their thread.
    pub waiting: Vec<Token>,
}

/// An activity that ended.
#[derive(Debug)]
pub struct RunResult {
    /// Which run.
    pub run: RunId,
    /// It returned; else it threw.
    pub ok: bool,
    /// What it returned or threw.
    pub payload: Option<Payload>,
}

/// `[run, ok]` or `[run, ok, payload]`: a payload `null` is a value, and not the same as none.
impl<'de> Deserialize<'de> for RunResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = RunResult;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[run, ok, payload?]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RunResult, A::Error> {
                let run = items.next_element()?.ok_or_else(|| A::Error::custom("no run"))?;
                let ok: u8 = items.next_element()?.ok_or_else(|| A::Error::custom("no ok"))?;
                let payload = items.next_element()?;
                Ok(RunResult { run, ok: ok == 1, payload })
            }
        }
        deserializer.deserialize_seq(Items)
    }
}

/// Functions that the process can run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct Registered {
    pub orchestrators: Vec<String>,
    pub activities: Vec<RegisteredActivity>,
    pub entities: Vec<String>,
}

/// See [`Registered`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct RegisteredActivity {
    pub name: String,
    pub max_concurrency: Option<usize>,
    pub queue: Option<String>,
}

impl RegisteredActivity {
    /// Whether a worker of these queues runs it: one that names none has all.
    #[must_use]
    pub fn is_served(&self, queues: Option<&[String]>) -> bool {
        let queue = self.queue.as_deref().unwrap_or(DEFAULT_QUEUE);
        queues.is_none_or(|queues| queues.iter().any(|of| of == queue))
    }
}

/// What JavaScript made of an activation.
#[derive(Debug, Deserialize)]
pub struct ActivationOutcome {
    /// Of the activation.
    pub token: Token,
    /// One for each of its turns.
    pub turns: Vec<TurnOutcome>,
    /// What came of it is too large to cross: why, and what to do.
    pub held: Option<String>,
}

/// To JavaScript.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct Outbound {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<InstanceKey>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aborts: Vec<RunId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<Reply>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<ActivityStart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub activations: Vec<Activation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<EntityActivation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fatal: Option<CallerError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_in_ms: Option<TimeMs>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
}

impl Outbound {
    /// What JavaScript will be in with it, if it is one thing: then it need not say so.
    #[must_use]
    pub fn one(&self) -> Option<Inside> {
        match (&self.activations[..], &self.activities[..], &self.entities[..]) {
            ([turn], [], []) => Some(Inside::from(turn.token)),
            ([], [activity], []) => Some(-Inside::from(activity.run)),
            ([], [], [turn]) => Some(Inside::from(turn.token)),
            _ => None,
        }
    }
}

/// Something for the hub's logger.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct LogEntry {
    pub level: LogLevel,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
}

/// See [`LogEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// The answer to a client call.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct Reply {
    pub rid: RequestId,
    pub body: ReplyBody,
}

/// See [`Reply`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub enum ReplyBody {
    Ok(Payload),
    Error(CallerError),
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.body {
            ReplyBody::Ok(ok) => (self.rid, ok).serialize(serializer),
            ReplyBody::Error(error) => (self.rid, (), error).serialize(serializer),
        }
    }
}

/// An error as it crosses.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct CallerError {
    pub code: ErrorCode,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

impl Reply {
    /// A success with a value of the engine's own types.
    pub fn ok<T: Serialize>(rid: RequestId, value: &T) -> Self {
        Self { rid, body: ReplyBody::Ok(crate::core::error::raw(value)) }
    }

    /// A refusal or failure.
    #[must_use]
    pub fn error(rid: RequestId, error: Error) -> Self {
        Self { rid, body: ReplyBody::Error(error.into()) }
    }
}

impl From<Error> for CallerError {
    fn from(Error { code, message, index }: Error) -> Self {
        Self { code, message, index }
    }
}

/// An activity to be run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct ActivityStart {
    pub run: RunId,
    pub iid: InstanceKey,
    pub exec: ExecutionId,
    pub task: TaskId,
    pub attempt: u32,
    pub instance_id: String,
    pub name: crate::core::Name,
    pub input: Option<Payload>,
}

impl Serialize for ActivityStart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { run, iid, exec, task, attempt, instance_id, name, input } = self;
        match input {
            None => (run, iid, exec, task, attempt, instance_id, name).serialize(serializer),
            Some(input) => {
                (run, iid, exec, task, attempt, instance_id, name, input).serialize(serializer)
            }
        }
    }
}

/// Turns to be run.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct Activation {
    pub token: Token,
    pub iid: InstanceKey,
    pub start: Option<ExecutionStart>,
    pub turns: Vec<ActivationTurn>,
    pub replayed: usize,
}

impl Serialize for Activation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { token, iid, start, turns, replayed } = self;
        match start {
            None => (token, iid, replayed, turns).serialize(serializer),
            Some(start) => (token, iid, replayed, turns, start).serialize(serializer),
        }
    }
}

/// Of a new execution.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct ExecutionStart {
    pub instance_id: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub exec: ExecutionId,
    pub rules: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<Name>,
}

/// One turn of an activation.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct ActivationTurn {
    pub time: TimeMs,
    pub resolutions: Vec<Resolution>,
}

impl Serialize for ActivationTurn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(Some(1 + self.resolutions.len()))?;
        items.serialize_element(&self.time)?;
        for resolution in &self.resolutions {
            items.serialize_element(&Short(resolution))?;
        }
        items.end()
    }
}

/// A success, which nearly all are, as `[task, value]` or `[task]`.
struct Short<'a>(&'a Resolution);

impl Serialize for Short<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Resolution::Ok { task, value: None } => (task,).serialize(serializer),
            Resolution::Ok { task, value: Some(value) } => (task, value).serialize(serializer),
            other => other.serialize(serializer),
        }
    }
}

/// How a hub is opened.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct EngineOptions {
    pub role: Role,
    pub path: Option<String>,
    pub url: Option<String>,
    pub listen_url: Option<String>,
    #[serde(default)]
    pub distributed: bool,
    pub hub_name: Option<String>,
    #[serde(default)]
    pub durability: Durability,
    #[serde(default = "discard")]
    pub unmatched_events: UnmatchedEvents,
    #[serde(default)]
    pub on_nondeterminism: OnNondeterminism,
    pub default_version: Option<String>,
    pub version_match_strategy: Option<VersionMatch>,
    #[serde(default)]
    pub version_failure_strategy: VersionFailure,
    pub payload_bytes: Option<usize>,
    pub cached_instances: Option<usize>,
    pub active_instances: Option<usize>,
    pub max_concurrent_activities: Option<usize>,
    pub exchange_bytes: Option<usize>,
    pub lease_ms: Option<i64>,
    pub queues: Option<Vec<String>>,
    pub turn_ms: Option<i64>,
    #[serde(default)]
    pub threads: bool,
    #[serde(default)]
    pub quiet: bool,
    #[serde(default)]
    pub retention: Retention,
    #[serde(default)]
    pub registered: Registered,
}

fn discard() -> UnmatchedEvents {
    UnmatchedEvents::Discard
}

/// What a process is to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// It runs orchestrations and activities.
    Worker,
    /// It sends and asks.
    Client,
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Durability {
    /// Power loss.
    #[default]
    Full,
    /// The death of the process; the last commits may be lost with the power.
    Relaxed,
}

/// What becomes of an instance whose code does not match its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnNondeterminism {
    /// It is suspended until it is resumed.
    #[default]
    Hold,
    /// It fails.
    Fail,
}

/// How long ended instances are kept, in milliseconds; without a value, for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct Retention {
    pub completed_ms: Option<TimeMs>,
    pub failed_ms: Option<TimeMs>,
    pub terminated_ms: Option<TimeMs>,
}

/// The answer to the open.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct EngineInfo {
    pub hub_id: String,
    pub hub_name: Option<String>,
    pub epoch: i64,
    pub synchronous: String,
    pub warnings: Vec<String>,
    pub payload_bytes: usize,
}

impl EngineInfo {
    /// Its warnings, as lines of the log.
    pub(super) fn warnings(&self) -> impl Iterator<Item = LogEntry> {
        let line = |message| LogEntry { level: LogLevel::Warn, message, instance_id: None };
        self.warnings.iter().cloned().map(line)
    }
}

/// The task of a resolution, for tests.
#[must_use]
pub fn resolved_task(resolution: &Resolution) -> TaskId {
    match resolution {
        Resolution::Ok { task, .. }
        | Resolution::Fail { task, .. }
        | Resolution::Ask { task, .. }
        | Resolution::Child { task, .. } => *task,
    }
}
