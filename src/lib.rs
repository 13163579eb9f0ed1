//! Durable functions: orchestrations that survive crashes, inside one process.
//!
//! ```text
//! node/      the napi edge: conversion only                  -> runtime, core, provider constructors
//! runtime/   hub, dispatcher, threads, clock                 -> core, provider traits
//! provider/  storage: traits, memory (the oracle), sqlite    -> core
//! core/      pure rules: history, turn, replay, commit       -> std, serde
//! ```
//!
//! An arrow says what a room may import, and nothing else; `tests/tidy.rs` enforces it.
//! `ARCHITECTURE.md` says why.

pub mod core;
#[cfg(feature = "node")]
pub mod node;
pub mod provider;
pub mod runtime;
