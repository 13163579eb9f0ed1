//! The dispatcher, the reference store and a scripted JavaScript in virtual time, under seeded faults:
//! crashes, failed commits and reads, late and reordered answers, evictions, a clock that is set,
//! other processes that write.
//!
//! A failure names its seed: `DURAFN_SEED=7 cargo test --no-default-features --test simulation`.
//! `DURAFN_TRACE=1` shows its moves (with `--nocapture`); `DURAFN_SEEDS=100000` runs more of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

mod simulation {
    mod crowds;
    mod given_up;
    pub(crate) mod host;
    pub(crate) mod observer;
    pub(crate) mod process;
    pub(crate) mod programs;
    pub(crate) mod scenario;
    mod scripted;
    pub(crate) mod world;
    mod zombies;
}

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use simulation::scenario::Scenario;

const SEEDS: u64 = 600;

/// Runs a seed and gives what it came to.
fn run(seed: u64) -> (u64, Vec<String>) {
    use durafn::provider::Reader;
    let run = || {
        let mut scenario = Scenario::new(seed);
        scenario.run();
        let world = &mut scenario.world;
        (world.rng.next(), world.store.snapshot().unwrap().0)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        eprintln!("failed with DURAFN_SEED={seed}");
        resume_unwind(panic)
    })
}

#[test]
fn every_instance_reaches_its_one_expected_end_whatever_goes_wrong() {
    let count = std::env::var("DURAFN_SEEDS").ok().map_or(SEEDS, |text| text.parse().unwrap());
    let seeds = common::seed_from_env().map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        run(seed);
    }
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..12 {
        assert!(run(seed) == run(seed), "DURAFN_SEED={seed}");
    }
}
