//! What callers may ask of a hub, and what the answer is, given what the store says.
//!
//! Owns: the rules of `docs/semantics.md` §1 as pure decisions. Must never: read or write a row: a decision is made
//! from a head and carried out by `provider::transaction`. Proved by `tests/conformance.rs`.

use serde::{Deserialize, Serialize};

use super::entity::{EntityHead, Signal};
use super::error::{Error, ErrorCode};
use super::ids;
use super::instance::InstanceHead;
use super::status::RuntimeStatus;
use super::task::Served;
use super::version;
use super::{InstanceKey, Payload, TimeMs};

/// What the worker that opened the hub last wrote into it for every process to go by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HubSettings {
    /// What becomes of an event that nothing waits for.
    pub unmatched_events: UnmatchedEvents,
    /// Largest payload, in bytes of JSON.
    pub payload_bytes: usize,
    /// Folded names of the orchestrators that the worker registers.
    pub orchestrators: Vec<String>,
    /// The version of instances for which none is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_version: Option<String>,
    /// Activities that the worker runs. Only workers that share a hub tell each other.
    #[serde(default)]
    pub activities: Vec<Served>,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            unmatched_events: UnmatchedEvents::Discard,
            payload_bytes: super::limits::PAYLOAD_BYTES,
            orchestrators: Vec::new(),
            default_version: None,
            activities: Vec::new(),
        }
    }
}

/// See [`HubSettings::unmatched_events`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnmatchedEvents {
    /// It is dropped, and the caller is told.
    Discard,
    /// It is kept until something waits for it.
    Buffer,
}

/// What a decision may go by beside the rows.
#[derive(Debug, Clone)]
pub struct HubFacts<'a> {
    /// The hub's settings.
    pub settings: &'a HubSettings,
    /// A worker holds the hub now, so its names are known.
    pub worker_lives: bool,
    /// Now.
    pub now_ms: TimeMs,
}

/// What a start does when the id is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnConflict {
    /// An open instance refuses the start.
    #[default]
    Error,
    /// An open instance is the answer.
    Return,
    /// An open instance is terminated in the same transaction.
    Terminate,
    /// Any instance refuses the start, one that has ended too: an id is used once. Internal; what has a key of
    /// its caller's is started so.
    Once,
}

/// One instance to be started.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartSpec {
    /// Name of the orchestrator.
    pub name: String,
    /// Its id; a fresh one is made if there is none.
    pub instance_id: Option<String>,
    /// Its version: none is asked for that of the hub, an empty one for none.
    pub version: Option<String>,
    /// Its input.
    #[serde(default, deserialize_with = "super::present")]
    pub input: Option<Payload>,
    /// See [`OnConflict`].
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// Which instances a listing, a count or a purge is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// Name of the orchestrator, without regard to case.
    pub name: Option<String>,
    /// How the id begins.
    pub id_prefix: Option<String>,
    /// One of these; empty: any.
    pub runtime_status: Vec<RuntimeStatus>,
    /// Scheduled at this time or later.
    pub created_from: Option<TimeMs>,
    /// Scheduled at this time or earlier.
    pub created_to: Option<TimeMs>,
}

/// Which entities a listing is about: those that have a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntityFilter {
    /// Their name, without regard to case.
    pub name: Option<String>,
    /// How the key begins; only with a name.
    pub key_prefix: Option<String>,
    /// The last operation was then or later.
    pub last_operation_from: Option<TimeMs>,
    /// The last operation was then or earlier.
    pub last_operation_to: Option<TimeMs>,
    /// With those that have none.
    pub include_transient: bool,
}

/// A call that changes the hub.
#[derive(Debug, Clone)]
pub enum Command {
    /// Start instances, all or none.
    Start(Vec<StartSpec>),
    /// Send an event.
    RaiseEvent {
        /// To.
        instance_id: String,
        /// Name of the event.
        name: String,
        /// Its data.
        input: Option<Payload>,
    },
    /// End, suspend, resume.
    Control {
        /// The instance.
        instance_id: String,
        /// What to do.
        control: Control,
        /// Why, as JSON.
        reason: Option<Payload>,
        /// Its open sub-orchestrations too.
        recursive: bool,
    },
    /// Have an entity carry out an operation.
    SignalEntity(Signal),
    /// Undo the last turn of a failed instance.
    Rewind {
        /// The instance.
        instance_id: String,
        /// Why, as JSON.
        reason: Option<Payload>,
    },
    /// Start again with the stored name, version and input.
    Restart {
        /// The instance.
        instance_id: String,
        /// Under a new id.
        with_new_instance_id: bool,
    },
    /// Remove an ended instance.
    Purge {
        /// The instance.
        instance_id: String,
    },
    /// Remove ended instances, as many as one transaction takes.
    PurgeKeys(Vec<InstanceKey>),
}

impl Command {
    /// The instance that the command is about, if it is one and has an id.
    #[must_use]
    pub fn instance_id(&self) -> Option<&str> {
        match self {
            Self::Start(specs) => specs.first()?.instance_id.as_deref(),
            Self::RaiseEvent { instance_id, .. }
            | Self::Control { instance_id, .. }
            | Self::Rewind { instance_id, .. }
            | Self::Restart { instance_id, .. }
            | Self::Purge { instance_id } => Some(instance_id),
            Self::SignalEntity(_) | Self::PurgeKeys(_) => None,
        }
    }
}

/// See [`Command::Control`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End it.
    Terminate,
    /// Hold it.
    Suspend,
    /// Let it go on.
    Resume,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Answer {
    /// Ids of the instances started, or found with `onConflict: 'return'`, in the order given.
    Started {
        /// The ids.
        instance_ids: Vec<String>,
    },
    /// What became of an event.
    Raised(RaiseOutcome),
    /// How many instances were removed.
    Deleted {
        /// The number.
        deleted: usize,
    },
    /// Nothing to say but that it is done.
    Done,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum RaiseOutcome {
    /// An open wait took it.
    Delivered,
    /// It is kept until something waits for it.
    Buffered,
    /// It is gone.
    Discarded {
        /// Why.
        reason: DiscardReason,
    },
}

/// See [`RaiseOutcome::Discarded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum DiscardReason {
    /// No instance has the id.
    NotFound,
    /// The instance has ended.
    Ended,
    /// The instance does not wait for an event of that name.
    NotWaiting,
}

/// What a start does with the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartDecision {
    /// Nothing has the id.
    Insert,
    /// An ended instance has it and goes.
    Replace,
    /// An open instance has it, is terminated and goes.
    TerminateAndReplace,
    /// An open instance has it and is the answer.
    Return,
}

/// Checks of a start that need no row: name, id, version, size of the input.
///
/// # Errors
/// `InvalidName`, `InvalidInstanceId`, `PayloadTooLarge`, `NotRegistered`.
pub fn check_start(spec: &StartSpec, hub: &HubFacts<'_>) -> Result<(), Error> {
    ids::check_name("orchestrator name", &spec.name)?;
    if let Some(id) = &spec.instance_id {
        ids::check_instance_id(id)?;
    }
    version::check_version(spec.version.as_deref())?;
    check_size("input", spec.input.as_ref(), hub.settings.payload_bytes)?;
    if hub.worker_lives && !hub.settings.orchestrators.contains(&ids::fold_name(&spec.name)) {
        return Err(Error::new(
            ErrorCode::NotRegistered,
            format!(
                "No orchestrator named '{}' is registered. Register it with app.orchestration(), \
                 or check the spelling.",
                spec.name
            ),
        ));
    }
    Ok(())
}

/// Whether a start may have its id, given who has it now.
///
/// # Errors
/// `InstanceAlreadyExists`.
pub fn decide_start(
    id: &str,
    on_conflict: OnConflict,
    holder: Option<&InstanceHead>,
) -> Result<StartDecision, Error> {
    match holder {
        None => Ok(StartDecision::Insert),
        Some(head) if head.status.has_ended() && on_conflict != OnConflict::Once => {
            Ok(StartDecision::Replace)
        }
        Some(head) => match on_conflict {
            OnConflict::Return => Ok(StartDecision::Return),
            OnConflict::Terminate => Ok(StartDecision::TerminateAndReplace),
            OnConflict::Error | OnConflict::Once => Err(Error::new(
                ErrorCode::InstanceAlreadyExists,
                format!(
                    "The instanceId '{id}' is in use by an instance that is {:?}. Choose another \
                     id, or pass onConflict: 'return' or 'terminate'.",
                    head.status
                ),
            )),
        },
    }
}

/// Checks of an event that need no row.
///
/// # Errors
/// `InvalidName`, `PayloadTooLarge`.
pub fn check_event(name: &str, input: Option<&Payload>, hub: &HubFacts<'_>) -> Result<(), Error> {
    ids::check_name("event name", name)?;
    check_size("event data", input, hub.settings.payload_bytes)
}

/// What becomes of an event, given who it is for and whether an open wait has its name.
#[must_use]
pub fn decide_raise(
    head: Option<&InstanceHead>,
    wait_open: bool,
    unmatched: UnmatchedEvents,
) -> RaiseOutcome {
    let discarded = |reason| RaiseOutcome::Discarded { reason };
    match head {
        None => discarded(DiscardReason::NotFound),
        Some(head) if head.status.has_ended() => discarded(DiscardReason::Ended),
        Some(_) if wait_open => RaiseOutcome::Delivered,
        Some(_) => match unmatched {
            UnmatchedEvents::Buffer => RaiseOutcome::Buffered,
            UnmatchedEvents::Discard => discarded(DiscardReason::NotWaiting),
        },
    }
}

/// The status that a control leads to, or `None` if the instance is there already.
///
/// # Errors
/// `InstanceNotFound`, `InstanceEnded`.
pub fn decide_control(
    id: &str,
    control: Control,
    head: Option<&InstanceHead>,
) -> Result<Option<RuntimeStatus>, Error> {
    let head = head.ok_or_else(|| not_found(id))?;
    if head.status.has_ended() {
        return Err(Error::new(
            ErrorCode::InstanceEnded,
            format!(
                "The instance '{id}' has ended ({:?}) and cannot change any more.",
                head.status
            ),
        ));
    }
    let suspended = head.status == RuntimeStatus::Suspended;
    Ok(match control {
        Control::Terminate => Some(RuntimeStatus::Terminated),
        Control::Suspend => (!suspended).then_some(RuntimeStatus::Suspended),
        Control::Resume => suspended.then_some(open_status(head)),
    })
}

/// The status of an open instance that nothing holds.
#[must_use]
pub fn open_status(head: &InstanceHead) -> RuntimeStatus {
    if head.begun { RuntimeStatus::Running } else { RuntimeStatus::Pending }
}

/// Checks of a signal that need no row.
///
/// # Errors
/// `InvalidEntityId`, `InvalidName`, `PayloadTooLarge`.
pub fn check_signal(signal: &Signal, hub: &HubFacts<'_>) -> Result<(), Error> {
    ids::check_entity_id(&signal.entity_id)?;
    // An operation may have an empty name.
    if !signal.operation.is_empty() {
        ids::check_name("operation name", &signal.operation)?;
    }
    check_size("operation input", signal.input.as_ref(), hub.settings.payload_bytes)
}

/// Whether an entity may be removed: `false` if there is none.
///
/// # Errors
/// `EntityInUse`.
pub fn decide_entity_purge(
    id: &str,
    head: Option<&EntityHead>,
    awaited: bool,
) -> Result<bool, Error> {
    let why = match head {
        None => return Ok(false),
        Some(head) if head.lock.is_some() => "an orchestration has it for itself",
        Some(_) if awaited => "operations wait for it",
        Some(_) => return Ok(true),
    };
    Err(Error::new(
        ErrorCode::EntityInUse,
        format!("The entity '{id}' cannot be purged: {why}. Try again when that is over."),
    ))
}

/// Whether an instance may be rewound.
///
/// # Errors
/// `InstanceNotFound`, `NotRewindable`.
pub fn check_rewind(id: &str, head: Option<&InstanceHead>) -> Result<(), Error> {
    let head = head.ok_or_else(|| not_found(id))?;
    if head.status == RuntimeStatus::Failed {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::NotRewindable,
        format!("Only failed instances can be rewound; '{id}' is {:?}.", head.status),
    ))
}

/// The refusal of a rewind after which the instance could not go on.
#[must_use]
pub fn not_rewindable(id: &str, why: &str) -> Error {
    Error::new(
        ErrorCode::NotRewindable,
        format!("The instance '{id}' cannot be rewound: {why}. Start it anew."),
    )
}

/// Whether an instance may be removed: `false` if there is none.
///
/// # Errors
/// `InstanceNotEnded`.
pub fn decide_purge(id: &str, head: Option<&InstanceHead>) -> Result<bool, Error> {
    match head {
        None => Ok(false),
        Some(head) if head.status.has_ended() => Ok(true),
        Some(head) => Err(Error::new(
            ErrorCode::InstanceNotEnded,
            format!("The instance '{id}' is {:?}; terminate it before it is purged.", head.status),
        )),
    }
}

/// The error for an id that no instance has.
#[must_use]
pub fn not_found(id: &str) -> Error {
    Error::new(ErrorCode::InstanceNotFound, format!("No instance with ID '{id}' was found."))
}

/// Whether a payload is within the hub's limit, in bytes.
///
/// # Errors
/// `PayloadTooLarge`, naming the field.
pub fn check_size(field: &str, payload: Option<&Payload>, limit: usize) -> Result<(), Error> {
    let bytes = payload.map_or(0, |payload| payload.get().len());
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::PayloadTooLarge,
        format!(
            "The {field} has {bytes} bytes of JSON; the limit is {limit}. Pass a reference to the \
             data instead, or raise limits.payloadBytes."
        ),
    ))
}
