//! Micro-benchmarks of what every step goes through: the turn (core), the commit (SQLite), the crossing
//! (the text between JavaScript and the core). `npm run bench:micro` runs them; `bench/` measures the
//! whole. Figures are of the system's allocator; the addon has a faster one.
//!
//! Nothing here fails for being slow. What is guarded are counts: `tests/cost.rs`,
//! `tests/allocations.rs`, `__test__/cost.spec.mjs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may fail loudly")]

#[allow(dead_code, reason = "shared with the tests, of which each uses a part")]
#[path = "../tests/common/mod.rs"]
mod common;

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use durafn::core::execution::Execution;
use durafn::core::history::HistoryRecord;
use durafn::core::limits::COMMIT_ITEMS;
use durafn::core::replay::Replay;
use durafn::core::request::{HubFacts, HubSettings};
use durafn::core::turn::Resolution;
use durafn::core::{InstanceKey, Name};
use durafn::provider::sqlite::{Role, SqliteOptions, SqliteProvider};
use durafn::provider::transaction::{Begin, Context, Outcome, Work, apply};
use durafn::provider::{Epoch, Provider};
use durafn::runtime::protocol::{Activation, ActivationTurn, ActivityStart, Inbound, Outbound};

use common::actions::{asks, call};
use common::sequence::Sequence;
use common::{SeededEntropy, payload};

/// Instances in a full batch.
const BATCH: u32 = 100;
/// Turns of the history that is replayed.
const REPLAYED: usize = 1_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    turn(&mut criterion);
    commit(&mut criterion);
    crossing(&mut criterion);
    criterion.final_summary();
}

fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");

    let mut sequence = Sequence::new();
    sequence.begin();
    group.bench_function("step", |bencher| bencher.iter(|| sequence.step()));
    let record = sequence.step().record;
    group.bench_function("step, its stored form", |bencher| bencher.iter(|| record.encode()));

    let mut sequence = Sequence::new();
    let first = sequence.begin();
    let rest = (1..REPLAYED).map(|_| sequence.step());
    let rows: Vec<Vec<u8>> =
        std::iter::once(first).chain(rest).map(|commit| commit.record.encode()).collect();
    let outcomes: Vec<_> = rows.iter().map(|_| asks([call("one")])).collect();
    group.throughput(Throughput::Elements(REPLAYED as u64));
    group.bench_function("replay of 1,000 turns, from their rows", |bencher| {
        bencher.iter(|| {
            let records = rows.iter().map(|row| HistoryRecord::decode(row).unwrap()).collect();
            let (mut replay, mut execution) = (Replay::new(records), Execution::default());
            let turns = replay.next_turns(&mut execution, REPLAYED, usize::MAX);
            replay.check(&outcomes).unwrap();
            turns
        });
    });
    group.finish();
}

// ---------------------------------------------------------------------------------- commit

fn commit(criterion: &mut Criterion) {
    assert_eq!(BATCH as usize, COMMIT_ITEMS, "the most turns that one transaction takes");
    for (relaxed, name) in [(false, "commit, durable"), (true, "commit, relaxed")] {
        let mut group = criterion.benchmark_group(name);
        let mut worker = Worker::new(relaxed);
        for turns in [1, BATCH as usize] {
            group.throughput(Throughput::Elements(turns as u64));
            let plural = if turns == 1 { "" } else { "s" };
            group.bench_function(format!("{turns} turn{plural}"), |bencher| {
                let Worker { store, instances } = &mut worker;
                let steps =
                    || -> Vec<Work> { instances[..turns].iter_mut().map(turn_of).collect() };
                bencher.iter_batched(steps, |works| store.write(&works), BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

fn turn_of(sequence: &mut Sequence) -> Work {
    Work::Turn(Box::new(sequence.step()))
}

/// A hub in a file, and instances that have begun.
struct Worker {
    store: Store,
    instances: Vec<Sequence>,
}

struct Store {
    // Before the folder: the file must have no user when that goes.
    provider: SqliteProvider,
    epoch: Epoch,
    settings: HubSettings,
    entropy: SeededEntropy,
    _folder: tempfile::TempDir,
}

impl Worker {
    fn new(relaxed: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Some(folder.path().join("hub.db"));
        let options = SqliteOptions { path, hub_name: None, relaxed, role: Role::Worker };
        let mut provider = SqliteProvider::open(&options).unwrap();
        let epoch = provider.acquire(&HubSettings::default()).unwrap().epoch;
        let settings =
            HubSettings { orchestrators: vec!["f".to_owned()], ..HubSettings::default() };
        let entropy = SeededEntropy::new(1);
        let mut store = Store { provider, epoch, settings, entropy, _folder: folder };

        let mut instances: Vec<Sequence> = (0..BATCH).map(|_| Sequence::new()).collect();
        let begin = |(sequence, number): (&mut Sequence, u32)| {
            let (spec, commit) = (Sequence::spec(&number.to_string()), Some(sequence.begin()));
            Work::Begin(Box::new(Begin { caller: 0, spec, commit }))
        };
        let begins: Vec<Work> = instances.iter_mut().zip(0..).map(begin).collect();
        for (sequence, outcome) in instances.iter_mut().zip(store.write(&begins)) {
            let Outcome::Begun { key: Some(key), .. } = outcome else { panic!("{outcome:?}") };
            sequence.key = key;
        }
        Self { store, instances }
    }
}

impl Store {
    /// A transaction, and the housekeeping that follows it in the engine.
    fn write(&mut self, works: &[Work]) -> Vec<Outcome> {
        let hub = HubFacts { settings: &self.settings, worker_lives: true, now_ms: 0 };
        let entropy = &mut self.entropy;
        let mut outcomes = Vec::with_capacity(works.len());
        let steps = &mut |rows: &mut dyn durafn::provider::Rows| {
            let (hub, entropy) = (hub.clone(), &mut *entropy);
            let mut context = Context::new(hub, false, entropy);
            for work in works {
                outcomes.push(apply(rows, work, &mut context)?);
            }
            Ok(())
        };
        self.provider.transaction(Some(self.epoch), steps).unwrap();
        self.provider.maintain(false).unwrap();
        outcomes
    }
}

// -------------------------------------------------------------------------------- crossing

fn crossing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crossing");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    let text = inbound();
    let decode = || serde_json::from_str::<Inbound>(black_box(&text)).unwrap();
    let batch = decode();
    let asked = |turns: &[durafn::core::turn::TurnOutcome]| turns[0].actions.len();
    assert!(batch.turns.len() == 100 && batch.turns.iter().all(|turn| asked(&turn.turns) == 1));
    assert_eq!(batch.results.len(), 100);
    group.bench_function("decode 100 turn outcomes and results", |bencher| bencher.iter(decode));

    let batch = outbound();
    group.bench_function("encode 100 activations and activity starts", |bencher| {
        bencher.iter(|| serde_json::to_string(black_box(&batch)).unwrap());
    });
    group.finish();
}

/// What JavaScript hands over after a step of each instance: see `lib/protocol.ts`.
fn inbound() -> String {
    let (mut results, mut turns) = (String::new(), String::new());
    for n in 0..BATCH {
        let comma = if n == 0 { "" } else { "," };
        write!(results, "{comma}[{n},1,{n}]").unwrap();
        let actions = r#"[{"callActivity":{"name":"one","input":1}}]"#;
        write!(turns, r#"{comma}{{"token":{n},"turns":[{{"actions":{actions}}}]}}"#).unwrap();
    }
    format!(r#"{{"results":[{results}],"turns":[{turns}]}}"#)
}

fn outbound() -> Outbound {
    let name: Name = Arc::from("one");
    let activity = |n: u32| ActivityStart {
        run: n,
        iid: InstanceKey::from(n),
        instance_id: format!("0198c0de-0000-7000-8000-{n:012}"),
        name: Arc::clone(&name),
        input: Some(payload(&n)),
        attempt: 1,
        exec: 0,
        task: 0,
    };
    let activation = |n: u32| {
        let resolutions = vec![Resolution::Ok { task: 3, value: Some(payload(&n)) }];
        let turns = vec![ActivationTurn { time: 1_800_000_000_000, resolutions }];
        Activation { token: n, iid: InstanceKey::from(n), start: None, turns, replayed: 0 }
    };
    Outbound {
        activities: (0..BATCH).map(activity).collect(),
        activations: (0..BATCH).map(activation).collect(),
        ..Outbound::default()
    }
}
