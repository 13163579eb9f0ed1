//! Replay by behaviour: what an execution makes of messages, what a turn commits, and that history
//! alone gives the same execution again and catches code that differs.
//!
//! No store, no threads, no clock: a test hands over times and messages and reads the stored form of
//! what came of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

mod replay {
    mod commits;
    mod entities;
    mod events;
    mod nondeterminism;
    mod property;
    mod retries;
    mod run;
    mod timers;
    mod turns;
    mod wide;
}
