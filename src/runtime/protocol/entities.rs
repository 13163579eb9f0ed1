//! Turns of entities, as they cross.
//!
//! Owns: the tuples. Must never: hold a rule. Proved by `__test__/entities.spec.mjs`.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::entity::Signal;
use crate::core::{InstanceKey, Payload};

use super::Token;

/// Operations to be carried out, one after the other.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct EntityActivation {
    pub token: Token,
    pub key: InstanceKey,
    pub id: String,
    pub operations: Vec<OperationStart>,
    pub state: Option<Payload>,
}

impl Serialize for EntityActivation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { token, key, id, operations, state } = self;
        match state {
            None => (token, key, id, operations).serialize(serializer),
            Some(state) => (token, key, id, operations, state).serialize(serializer),
        }
    }
}

/// One of them. What nobody waits for is a signal.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct OperationStart {
    pub name: String,
    pub is_signal: bool,
    pub input: Option<Payload>,
}

impl Serialize for OperationStart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, is_signal) = (&self.name, u8::from(self.is_signal));
        match &self.input {
            None => (name, is_signal).serialize(serializer),
            Some(input) => (name, is_signal, input).serialize(serializer),
        }
    }
}

/// What JavaScript made of them. No result at all: nothing was run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct EntityOutcome {
    pub token: Token,
    #[serde(default)]
    pub results: Vec<OperationResult>,
    #[serde(default, deserialize_with = "crate::core::present")]
    pub state: Option<Payload>,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub signals: Vec<Signal>,
}

/// What became of one: 1 and what it returned, or 0 and what it threw.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented in lib/protocol.ts")]
pub struct OperationResult {
    pub ok: bool,
    pub payload: Option<Payload>,
}

/// `[ok]` or `[ok, payload]`: a payload `null` is a value, and not the same as none.
impl<'de> Deserialize<'de> for OperationResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = OperationResult;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[ok, payload?]")
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<OperationResult, A::Error> {
                let ok: u8 = items.next_element()?.ok_or_else(|| A::Error::custom("no ok"))?;
                Ok(OperationResult { ok: ok == 1, payload: items.next_element()? })
            }
        }
        deserializer.deserialize_seq(Items)
    }
}
