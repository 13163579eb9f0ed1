//! What only PostgreSQL has: leases, other processes, lost answers, rights, versions.
//!
//! On a real server (`tests/common/postgres.rs`). Time is the server's, so leases are short here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

mod provider_postgres {
    mod departed;
    mod faults;
    mod leases;
    mod locks;
    mod opening;
    mod sharing;
    mod tasks;
}
