//! The running hub: threads, clock, caches and the loop between JavaScript and the store.
//!
//! Owns: everything that happens in time. Must never: decide what history means (core) or how rows
//! are kept (provider). `dispatcher` is a machine of its own without threads, clock or I/O, so that
//! `tests/simulation.rs` can drive it; `hub` connects it to the `store` and `reader` threads.

pub mod activities;
pub mod clock;
pub mod dispatcher;
mod due;
pub mod entropy;
pub mod fault;
pub mod hub;
mod opening;
pub mod outbox;
pub mod outgoing;
pub mod protocol;
pub mod pulse;
pub mod purges;
pub mod reader;
pub mod status_reading;
pub mod store;
mod threads;
pub mod timers;
mod vigil;
pub mod waiters;
pub mod writer;
