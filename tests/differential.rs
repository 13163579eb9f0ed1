//! The reference model, SQLite and PostgreSQL, driven by the same seeded operations: equal outcomes, equal
//! answers to every question and equal content after each step.
//!
//! The run goes on until every operation has come to every outcome that `docs/semantics.md` §1 names, so it cannot
//! pass by trying only what fails. It prints its seed; `DURAFN_SEED` chooses another one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

mod differential {
    pub(crate) mod choice;
    pub(crate) mod coverage;
    pub(crate) mod questions;
}

use common::hub::{Hub, Store};
use common::{Rng, seed_from_env};
use differential::choice::{Choice, Operation};
use differential::coverage::Coverage;
use differential::questions;

const STEPS_MIN: usize = 2_000;
const STEPS_MAX: usize = 12_000;

#[test]
fn all_stores_agree_until_everything_has_happened() {
    let seed = seed_from_env().unwrap_or(20_261_124);
    eprintln!("DURAFN_SEED={seed}");
    let mut hubs = [
        Hub::over(Store::memory()),
        Hub::over(Store::sqlite_in_memory()),
        Hub::over(Store::postgres()),
    ];
    let mut choice = Choice::new(Rng::new(seed));
    let mut coverage = Coverage::default();
    for step in 0..STEPS_MAX {
        if step >= STEPS_MIN && coverage.missing().is_empty() {
            eprintln!("everything has happened after {step} steps");
            return;
        }
        let operation = choice.next(&mut hubs[0]);
        let context = Coverage::before(&mut hubs[0], &operation);
        let came_to = hubs.each_mut().map(|hub| operation.carry_out(hub));
        let place = format!("DURAFN_SEED={seed}, step {step}: {operation:?}");
        agree(&came_to, &place);
        agree(&hubs.each_mut().map(|hub| hub.effects.clone()), &place);
        agree(&hubs.each_mut().map(Hub::snapshot), &place);
        if step % 5 == 0 {
            let question = questions::Question::chosen(&mut choice.rng, hubs[0].now_ms);
            let answers = hubs.each_mut().map(|hub| question.answer(hub));
            agree(&answers, &format!("{place}, then {question:?}"));
        }
        coverage.note(&operation, &context, &came_to[0]);
        coverage.note_effects(&hubs[0].effects);
    }
    panic!("DURAFN_SEED={seed}: never seen: {:#?}", coverage.missing());
}

/// What memory says, SQLite and PostgreSQL say.
fn agree<T: PartialEq + std::fmt::Debug>([memory, sqlite, postgres]: &[T; 3], place: &str) {
    assert_eq!(memory, sqlite, "memory and SQLite, {place}");
    assert_eq!(memory, postgres, "memory and PostgreSQL, {place}");
}

#[test]
fn the_same_seed_chooses_the_same_operations() {
    let texts = [0, 1].map(|_| {
        let mut hub = Hub::over(Store::memory());
        let mut choice = Choice::new(Rng::new(5));
        let step = |_| {
            let operation: Operation = choice.next(&mut hub);
            operation.carry_out(&mut hub);
            format!("{operation:?}")
        };
        (0..50).map(step).collect::<Vec<String>>()
    });
    assert_eq!(texts[0], texts[1]);
}
