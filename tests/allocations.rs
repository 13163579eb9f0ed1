//! What a step asks of the allocator, counted. Fewer is fine: then lower the bound.
//!
//! Not under the feature `node`, whose allocator is another one.

#![cfg(not(feature = "node"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

use allocation_counter::measure;
use durafn::core::execution::Execution;
use durafn::core::history::HistoryRecord;
use durafn::core::replay::Replay;

use common::actions::{asks, call};
use common::sequence::Sequence;

/// Fails if there are more than `most`.
fn at_most(most: u64, what: &str, work: impl FnOnce()) {
    let found = measure(work).count_total;
    assert!(found <= most, "{what}: {found} allocations, at most {most} were expected");
}

#[test]
fn a_step_allocates_little() {
    let mut sequence = Sequence::new();
    sequence.begin();
    sequence.step();
    let (result, outcome) = (sequence.result(), asks([call("one")]));
    let mut commit = None;
    at_most(3, "a turn", || commit = Some(sequence.turn(&[result], outcome)));
    let record = commit.unwrap().record;
    at_most(1, "its stored form", || drop(record.encode()));
}

#[test]
fn a_recorded_turn_allocates_little() {
    const TURNS: usize = 100;
    let mut sequence = Sequence::new();
    let first = sequence.begin();
    let rest = (1..TURNS).map(|_| sequence.step());
    let rows: Vec<Vec<u8>> =
        std::iter::once(first).chain(rest).map(|commit| commit.record.encode()).collect();
    let outcomes: Vec<_> = rows.iter().map(|_| asks([call("one")])).collect();
    at_most(1_250, "reading and replaying 100 turns", || {
        let records = rows.iter().map(|row| HistoryRecord::decode(row).unwrap()).collect();
        let (mut replay, mut execution) = (Replay::new(records), Execution::default());
        assert_eq!(replay.next_turns(&mut execution, TURNS, usize::MAX).len(), TURNS);
        replay.check(&outcomes).unwrap();
    });
}
