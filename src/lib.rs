//! Durable functions: orchestrations that survive crashes, inside one process.
//!
//! ```text
//! node/      the napi edge: conversion only                  -> runtime, core, provider constructors
//! runtime/   hub, dispatcher, threads, clock                 -> core, provider traits
//! provider/  storage: traits, memory (the oracle), sqlite    -> core, os
//! os/        calls of the system that need `unsafe`          -> libc, rusqlite's ffi
//! core/      pure rules: history, turn, replay, commit       -> std, serde
//! ```
//!
//! An arrow says what a room may import, and nothing else; `tests/tidy.rs` enforces it.
//! `ARCHITECTURE.md` says why.

#[forbid(unsafe_code)]
pub mod core;
#[cfg(feature = "node")]
pub mod node;
#[allow(unsafe_code, reason = "what it is there for; each line says why it is sound")]
mod os;
#[forbid(unsafe_code)]
pub mod provider;
#[forbid(unsafe_code)]
pub mod runtime;
