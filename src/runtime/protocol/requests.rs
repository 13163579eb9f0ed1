//! What callers ask for.
//!
//! Owns: the shape of requests. Must never: hold a rule.

use serde::Deserialize;

use crate::core::Payload;
use crate::core::entity::Signal;
use crate::core::request::{Command, Control, EntityFilter, Filter, StartSpec};

use super::Registered;

/// A client call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub enum Request {
    Start {
        starts: Vec<StartSpec>,
    },
    RaiseEvent {
        instance_id: String,
        name: String,
        #[serde(default, deserialize_with = "crate::core::present")]
        input: Option<Payload>,
    },
    Terminate(ControlRequest),
    Suspend(ControlRequest),
    Resume(ControlRequest),
    Rewind {
        instance_id: String,
        #[serde(default, deserialize_with = "crate::core::present")]
        reason: Option<Payload>,
    },
    Restart {
        instance_id: String,
        with_new_instance_id: bool,
    },
    Purge {
        instance_id: String,
    },
    PurgeBy {
        filter: Filter,
    },
    Get(GetRequest),
    List {
        filter: Filter,
        top: usize,
        cursor: Option<String>,
    },
    Count {
        filter: Filter,
    },
    Stats {},
    Wait {
        instance_id: String,
    },
    SignalEntity(Signal),
    GetEntity {
        entity_id: String,
    },
    ListEntities {
        filter: EntityFilter,
        top: usize,
        cursor: Option<String>,
    },
    Backup {
        file: String,
    },
    Register(Registered),
    Drain {},
    Close {},
    Panic {},
}

impl Request {
    /// As a command to the store.
    ///
    /// # Errors
    /// The request, if it is for the hub.
    #[expect(clippy::result_large_err, reason = "the request goes on by value, it is no error")]
    pub fn command(self) -> Result<Command, Self> {
        Ok(match self {
            Self::Start { starts } => Command::Start(starts),
            Self::RaiseEvent { instance_id, name, input } => {
                Command::RaiseEvent { instance_id, name, input }
            }
            Self::Terminate(request) => request.command(Control::Terminate),
            Self::Suspend(request) => request.command(Control::Suspend),
            Self::Resume(request) => request.command(Control::Resume),
            Self::Rewind { instance_id, reason } => Command::Rewind { instance_id, reason },
            Self::Restart { instance_id, with_new_instance_id } => {
                Command::Restart { instance_id, with_new_instance_id }
            }
            Self::Purge { instance_id } => Command::Purge { instance_id },
            Self::SignalEntity(signal) => Command::SignalEntity(signal),
            other => return Err(other),
        })
    }
}

/// Terminate, suspend, resume.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct ControlRequest {
    pub instance_id: String,
    #[serde(default, deserialize_with = "crate::core::present")]
    pub reason: Option<Payload>,
    #[serde(default)]
    pub recursive: bool,
}

impl ControlRequest {
    fn command(self, control: Control) -> Command {
        let Self { instance_id, reason, recursive } = self;
        Command::Control { instance_id, control, reason, recursive }
    }
}

/// One instance's status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct GetRequest {
    pub instance_id: String,
    #[serde(default)]
    pub history: bool,
    #[serde(default = "yes")]
    pub inputs: bool,
    #[serde(default = "yes")]
    pub outputs: bool,
}

fn yes() -> bool {
    true
}
