//! The edge to Node: one class with one method.
//!
//! Owns: conversion, and catching what must not cross. Must never: decide. Everything that crosses
//! is the text of `runtime::protocol`.

#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::{Function, Result};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::runtime::hub::Hub;
use crate::runtime::pulse::Pulse;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Does not hold the process open: `lib/engine.ts` does, while a worker's hub is open.
type Wake = ThreadsafeFunction<(), (), (), napi::Status, false, true>;

/// A hub, open or opening.
#[napi]
pub struct NativeEngine {
    hub: Arc<Mutex<Hub>>,
    pulse: Arc<Pulse>,
}

#[napi]
impl NativeEngine {
    /// `options` is the JSON of `EngineOptions`; `wake` is called when there is something to
    /// exchange. Returns at once; the reply to request 0 says how the open went.
    #[napi(constructor, catch_unwind)]
    pub fn new(options: String, wake: Function<'_, (), ()>) -> Result<Self> {
        let options = serde_json::from_str(&options)
            .map_err(|error| napi::Error::from_reason(format!("unreadable options: {error}")))?;
        let wake: Arc<Wake> = Arc::new(
            wake.build_threadsafe_function().weak::<true>().callee_handled::<false>().build()?,
        );
        let call = move || {
            // A closing environment refuses the call; then nobody is there to be woken.
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        };
        let hub = Hub::open(options, Box::new(call))
            .map_err(|error| napi::Error::from_reason(format!("no thread: {error}")))?;
        let (hub, pulse) = hub.shared();
        Ok(Self { hub, pulse })
    }

    /// What of the user's JavaScript is in from now on: the token of an activation, the number of a run of an
    /// activity below zero, or 0. An exchange ends it.
    #[napi]
    pub fn enters(&self, inside: i64) {
        self.pulse.enters(inside);
    }

    /// Hands over a batch and gets one.
    #[napi(catch_unwind)]
    pub fn exchange(&self, inbound: String) -> Result<String> {
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        hub.exchange(&inbound).map_err(napi::Error::from_reason)
    }
}
