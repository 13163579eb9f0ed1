//! What several test tiers share: random numbers from a seed, entropy that repeats, payloads, and in
//! the files beside this one a hub over any store and scripted code.
//!
//! Must never: sleep, read a clock, or draw a number that no seed gave.

pub(crate) mod actions;
pub(crate) mod faulty;
pub(crate) mod hub;
pub(crate) mod postgres;
pub(crate) mod rows;
pub(crate) mod sequence;
pub(crate) mod store;

use durafn::core::entropy::Entropy;
use durafn::core::{Payload, error};
use serde::Serialize;

/// Numbers from a seed (splitmix64): the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Ids in a row and numbers from a seed.
#[derive(Debug, Clone)]
pub(crate) struct SeededEntropy {
    rng: Rng,
    prefix: String,
    ids: u32,
}

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_prefix(seed, "fresh")
    }

    /// Two sources in one test need two prefixes: an id is never given twice.
    pub(crate) fn with_prefix(seed: u64, prefix: &str) -> Self {
        Self { rng: Rng::new(seed), prefix: prefix.to_owned(), ids: 0 }
    }
}

impl Entropy for SeededEntropy {
    fn fresh_id(&mut self) -> String {
        self.ids += 1;
        format!("{}-{}", self.prefix, self.ids)
    }

    fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.rng.next() >> 32).unwrap()) / f64::from(u32::MAX)
    }
}

/// A payload of any value that has JSON.
pub(crate) fn payload<T: Serialize>(value: &T) -> Payload {
    error::raw(value)
}

/// The JSON text of a value of the engine's own.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

/// The seed of a run: `DURAFN_SEED`, or this one.
pub(crate) fn seed_from_env() -> Option<u64> {
    std::env::var("DURAFN_SEED").ok().map(|text| text.parse().expect("DURAFN_SEED is a number"))
}

/// With `DURAFN_TRACE`, what happens is printed, move by move.
pub(crate) fn trace(what: &str, value: &dyn std::fmt::Debug) {
    static WANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("DURAFN_TRACE").is_some()) {
        let text: String = format!("{value:?}").chars().take(300).collect();
        eprintln!("{what} {text}");
    }
}
