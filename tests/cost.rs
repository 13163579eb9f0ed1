//! What a step costs, in things that can be counted: operations on rows, rows that change, pages that
//! a commit writes to the log, wakes of the JavaScript thread. All numbers are exact, so that a change
//! which makes a step dearer, or cheaper, has to say so here.
//!
//! Must never: measure time, which `benches/hot.rs` and `bench/` do. The crossings of a step are counted
//! in `__test__/cost.spec.mjs`, what it allocates in `tests/allocations.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durafn::core::commit::{TurnCommit, TurnVerdict};
use durafn::core::entity::{EntityCommit, Signal};
use durafn::core::request::HubSettings;
use durafn::provider::transaction::{Begin, Outcome, Work};
use durafn::runtime::outbox::Outbox;
use durafn::runtime::writer::{SharedWriter, Ticket, Writer};
use rusqlite::Connection;

use common::actions::returns;
use common::hub::{Hub, Store};
use common::sequence::Sequence;
use common::{SeededEntropy, payload};

/// What one piece of work took.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// Operations of `Rows`, in order. Each is a statement of SQL; `clear` is three.
    calls: Vec<&'static str>,
    /// Rows that are new or other than before.
    rows: usize,
    /// Pages of 4 KiB that the commit wrote to the log of a small hub.
    pages: i64,
}

/// A hub in a file, watched by a connection of its own.
struct Counted {
    // Before the hub: the file must have no user when its folder goes.
    log: Connection,
    hub: Hub,
}

impl Counted {
    fn new() -> Self {
        let store = Store::sqlite_file();
        let log = Connection::open(store.file()).unwrap();
        Self { log, hub: Hub::over(store) }
    }

    /// Pages in the log. Nothing copies it during a test, so it only grows.
    fn logged(&self) -> i64 {
        self.log.query_row("PRAGMA wal_checkpoint = NOOP", [], |row| row.get(1)).unwrap()
    }

    fn commit(&mut self, work: Work) -> (Cost, Outcome) {
        let before: HashSet<String> = self.hub.snapshot().into_iter().collect();
        let logged = self.logged();
        let outcome = self.hub.transact(&[work]).unwrap().remove(0);
        let pages = self.logged() - logged;
        let rows = self.hub.snapshot().iter().filter(|row| !before.contains(*row)).count();
        (Cost { calls: self.hub.calls.clone(), rows, pages }, outcome)
    }

    fn begin(&mut self, sequence: &mut Sequence, id: &str) -> Cost {
        let (spec, commit) = (Sequence::spec(id), Some(sequence.begin()));
        let work = Work::Begin(Box::new(Begin { caller: 0, spec, commit }));
        let (cost, outcome) = self.commit(work);
        let Outcome::Begun { key: Some(key), .. } = outcome else { panic!("{outcome:?}") };
        sequence.key = key;
        cost
    }

    fn turn(&mut self, commit: TurnCommit) -> Cost {
        let (cost, outcome) = self.commit(Work::Turn(Box::new(commit)));
        assert!(matches!(outcome, Outcome::Turn(TurnVerdict::Committed)), "{outcome:?}");
        cost
    }
}

#[test]
fn an_instance_of_five_activities_costs_this() {
    let mut counted = Counted::new();
    let mut sequence = Sequence::new();

    // No instance has the id; the instance; no messages to be removed, which asks nothing of SQLite; the
    // turn. Pages: the instance, the greatest key, four indexes (id, status, name, ready), its history.
    let calls = vec!["head_by_id", "insert_instance", "remove_messages", "append_turn"];
    let begun = counted.begin(&mut sequence, "a");
    assert_eq!(begun, Cost { calls, rows: 2, pages: 7 });

    for _ in 1..5 {
        // The instance may go on; the turn. The instance's row stays as it is.
        let calls = vec!["head", "is_next_turn", "remove_messages", "append_turn"];
        let between = counted.turn(sequence.step());
        assert_eq!(between, Cost { calls, rows: 1, pages: 1 });
    }

    // The instance may end, and no event that it waits for has come meanwhile; the turn; its waits,
    // timers and messages go; its row says how it ended. Pages: its history, its row, three indexes
    // (status, name, ready).
    let calls = vec![
        "head",
        "is_next_turn",
        "taken_events",
        "remove_messages",
        "append_turn",
        "clear",
        "update_instance",
    ];
    let result = sequence.result();
    let last = counted.turn(sequence.turn(&[result], returns(&5)));
    assert_eq!(last, Cost { calls, rows: 2, pages: 5 });
}

#[test]
fn a_hundred_turns_in_one_commit_cost_this() {
    let mut counted = Counted::new();
    let mut steps = Vec::new();
    for number in 0..100 {
        let mut sequence = Sequence::new();
        counted.begin(&mut sequence, &number.to_string());
        steps.push(Work::Turn(Box::new(sequence.step())));
    }
    let logged = counted.logged();
    counted.hub.transact(&steps).unwrap();
    assert_eq!(counted.hub.calls.len(), 400, "four for each turn");
    // The pages on which their histories stand; a row between others may split one.
    assert_eq!(counted.logged() - logged, 9);
}

#[test]
fn a_hundred_signals_and_the_turn_of_their_entity_cost_this() {
    let mut counted = Counted::new();
    let signal = |number: u32| {
        let (entity_id, operation) = ("@c@1".to_owned(), "add".to_owned());
        (number, Signal { entity_id, operation, input: None, fire_at: None })
    };
    let (cost, _) = counted.commit(Work::Signals((0..100).map(signal).collect()));
    // The entity is looked for once and made; then a message for each.
    assert_eq!(cost.calls[..2], ["entity_by_id", "insert_entity"]);
    assert_eq!((cost.calls.len(), cost.rows), (102, 101));

    let commit =
        EntityCommit { state: Some(Some(payload(&1))), ..counted.hub.prepare_entity("@c@1") };
    let (cost, _) = counted.commit(Work::Entity(Box::new(commit)));
    assert_eq!(cost.calls, ["entity", "remove_messages", "update_entity"]);
    assert_eq!(cost.rows, 1);
}

#[test]
fn a_commit_wakes_javascript_once_and_a_lone_one_on_its_own_thread_not_at_all() {
    let mut store = Store::sqlite_in_memory();
    let epoch = store.provider.acquire(&HubSettings::default()).unwrap().epoch;
    let settings = HubSettings { orchestrators: vec!["f".to_owned()], ..HubSettings::default() };
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let wake = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let outbox = Arc::new(Outbox::new(Box::new(wake), usize::MAX));
    let entropy = Box::new(SeededEntropy::new(1));
    let writer =
        Writer::new(store.provider, Some(epoch), settings, entropy, outbox, Arc::default());
    let shared = SharedWriter::new(writer, Arc::default());
    let begin = |id: &str| {
        let (spec, commit) = (Sequence::spec(id), Some(Sequence::new().begin()));
        (Ticket::Dispatcher, Work::Begin(Box::new(Begin { caller: 0, spec, commit })))
    };

    // The first: no commit has shown yet that the disk is slow.
    shared.write_here(0, vec![begin("alone")]).unwrap();
    assert_eq!(woken.load(Ordering::SeqCst), 0);

    let mut writer = shared.lock();
    writer.push(0, (0..100).map(|number| begin(&number.to_string())).collect());
    assert!(writer.write_some());
    assert_eq!(writer.queued(), 0, "it was one transaction");
    assert_eq!(woken.load(Ordering::SeqCst), 1);
}
