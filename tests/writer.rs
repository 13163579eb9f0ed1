//! What becomes of work that a store does not take: what passes is tried again, and only what is at fault is
//! given up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

use std::sync::{Arc, Mutex};

use common::faulty::{At, Fault, Faulty};
use common::hub::start;
use durafn::core::error::ErrorCode;
use durafn::core::request::{Filter, HubSettings};
use durafn::provider::Provider;
use durafn::provider::ProviderErrorKind as Kind;
use durafn::provider::transaction::Work;
use durafn::runtime::clock::HubClock;
use durafn::runtime::outbox::{Event, Outbox};
use durafn::runtime::protocol::{ReplyBody, Retention};
use durafn::runtime::purges::Purges;
use durafn::runtime::writer::{Ticket, Writer};

const KINDS: [Kind; 11] = [
    Kind::Transient,
    Kind::Full,
    Kind::ReadOnly,
    Kind::LostOwnership,
    Kind::InDoubt,
    Kind::HubInUse,
    Kind::NotAHub,
    Kind::TooNew,
    Kind::Corrupt,
    Kind::Invalid,
    Kind::Permanent,
];

struct Bench {
    writer: Writer,
    outbox: Arc<Outbox>,
    fault: Fault,
    begun: Arc<Mutex<usize>>,
}

/// What was told, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    done: usize,
    given_up: usize,
    refused: Vec<(u32, ErrorCode)>,
    answered: Vec<u32>,
    ousted: usize,
    fatal: usize,
    logs: Vec<String>,
}

impl Bench {
    fn of_worker() -> Self {
        Self::new(true)
    }

    fn of_client() -> Self {
        Self::new(false)
    }

    fn new(is_worker: bool) -> Self {
        let mut store = Faulty::default();
        let (fault, begun) = (Arc::clone(&store.fault), Arc::clone(&store.begun));
        let orchestrators = vec!["f".to_owned()];
        let settings = HubSettings { orchestrators, ..HubSettings::default() };
        let epoch = store.acquire(&settings).unwrap().epoch;
        let outbox = Arc::new(Outbox::new(Box::new(|| {}), usize::MAX));
        let entropy = Box::new(common::SeededEntropy::new(1));
        let clock = Arc::new(HubClock::default());
        let epoch = is_worker.then_some(epoch);
        let shared = Arc::clone(&outbox);
        let writer = Writer::new(Box::new(store), epoch, settings, entropy, shared, clock);
        Self { writer, outbox, fault, begun }
    }

    fn fails(&self, at: At, kind: Kind) {
        *self.fault.lock().unwrap() = Some((at, kind));
    }

    fn recovers(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn begun(&self) -> usize {
        std::mem::take(&mut *self.begun.lock().unwrap())
    }

    fn told(&self) -> Told {
        let mut told = Told::default();
        for event in self.outbox.take() {
            match event {
                Event::Done(..) => told.done += 1,
                Event::Unwritable(..) => told.given_up += 1,
                Event::Ousted => told.ousted += 1,
                Event::Fatal(_) => told.fatal += 1,
                Event::Answer(rid, _) => told.answered.push(rid),
                Event::Trouble(text) => told.logs.push(text),
                Event::Reply(reply) => match reply.body {
                    ReplyBody::Error(error) => told.refused.push((reply.rid, error.code)),
                    ReplyBody::Ok(_) => told.answered.push(reply.rid),
                },
                _ => {}
            }
        }
        told
    }
}

fn counts(keys: impl Iterator<Item = i64>) -> Vec<(Ticket, Work)> {
    keys.map(|key| (Ticket::Dispatcher, Work::CountCrash(vec![key]))).collect()
}

#[test]
fn what_fails_on_the_way_to_the_work_is_the_fault_of_none_of_it() {
    for kind in KINDS.into_iter().filter(|kind| !kind.ousts()) {
        let mut bench = Bench::of_worker();
        bench.fails(At::Begin, kind);
        let mut work = counts(0..5);
        work.push((Ticket::Request(7), Work::Command(start("a"))));
        bench.writer.push(0, work);
        assert!(!bench.writer.write_some(), "{kind:?}: not now");
        assert_eq!(bench.begun(), 1, "{kind:?}: nobody is looked for who is to blame");
        let told = bench.told();
        let code = match kind {
            Kind::Full => ErrorCode::StoreFull,
            Kind::ReadOnly => ErrorCode::StoreReadOnly,
            _ => ErrorCode::StoreUnavailable,
        };
        assert_eq!(told.refused, [(7, code)], "{kind:?}: only who waits hears of it");
        assert!(matches!(&told.logs[..], [log] if log.contains("reach the store: no")), "{kind:?}");
        assert_eq!((told.given_up, bench.writer.queued()), (0, 5), "{kind:?}");
        for _ in 0..3 {
            assert!(!bench.writer.write_some());
        }
        bench.recovers();
        assert!(bench.writer.write_some());
        assert_eq!(bench.told(), Told { done: 5, ..Told::default() }, "{kind:?}: by itself");
    }
}

#[test]
fn what_passes_is_not_given_up_at_the_commit_either() {
    for kind in KINDS.into_iter().filter(|kind| !kind.ousts() && !kind.blames_work()) {
        let mut bench = Bench::of_worker();
        bench.fails(At::Commit, kind);
        bench.writer.push(0, counts(0..5));
        assert!(!bench.writer.write_some(), "{kind:?}");
        assert_eq!((bench.told().given_up, bench.writer.queued()), (0, 5), "{kind:?}");
        bench.recovers();
        assert!(bench.writer.write_some());
        assert_eq!(bench.told().done, 5, "{kind:?}");
    }
}

#[test]
fn work_that_is_at_fault_is_given_up_alone() {
    for kind in KINDS.into_iter().filter(|kind| kind.blames_work()) {
        let mut bench = Bench::of_worker();
        bench.fails(At::Commit, kind);
        bench.writer.push(0, counts(0..1));
        assert!(bench.writer.write_some(), "{kind:?}: the next one may be written");
        let told = bench.told();
        assert_eq!((told.given_up, bench.writer.queued()), (1, 0), "{kind:?}");
    }
}

#[test]
fn a_client_that_does_not_know_what_became_of_a_commit_gets_no_place_among_the_workers() {
    let mut bench = Bench::of_client();
    bench.fails(At::Commit, Kind::InDoubt);
    bench.writer.push(0, vec![(Ticket::Request(1), Work::Command(start("a")))]);
    bench.writer.write_some();
    let told = bench.told();
    assert_eq!(told.refused, [(1, ErrorCode::StoreUnavailable)]);
    assert_eq!(told.ousted, 0);
    assert!(!bench.writer.is_worker() && !bench.writer.is_outcast());
}

#[test]
fn a_worker_that_has_lost_its_place_says_what_keeps_it_from_another_and_gets_one() {
    let mut bench = Bench::of_worker();
    bench.writer.push(0, vec![(Ticket::Request(1), Work::Command(start("a")))]);
    bench.fails(At::Join, Kind::Permanent);
    bench.writer.provider.release().unwrap();
    assert!(!bench.writer.write_some());
    let told = bench.told();
    assert_eq!((told.ousted, told.fatal, told.refused.len()), (1, 0, 0));
    assert!(told.logs.iter().any(|log| log.contains("reach the store: no")), "{:?}", told.logs);
    bench.writer.balance();
    assert_eq!(bench.told().logs.len(), 0, "said once");
    bench.recovers();
    bench.writer.balance();
    assert!(bench.writer.is_worker());
    assert!(bench.writer.write_some());
    assert_eq!(bench.told().answered, [1], "what a caller asked for is carried out");
}

#[test]
fn a_purge_goes_on_that_met_the_loss_of_the_place() {
    let mut bench = Bench::of_worker();
    let mut purges = Purges::new(Retention::default(), None);
    for command in [Work::Command(start("a")), terminated("a")] {
        bench.writer.push(0, vec![(Ticket::Nobody, command)]);
        assert!(bench.writer.write_some());
    }
    purges.ask(1, Filter::default());
    assert!(purges.purge_some(&mut bench.writer, true).is_none(), "it looks");
    bench.fails(At::Begin, Kind::LostOwnership);
    assert!(purges.purge_some(&mut bench.writer, true).is_none());
    assert_eq!(bench.told().ousted, 1);
    bench.recovers();
    let Some(Event::Reply(reply)) = purges.purge_some(&mut bench.writer, true) else { panic!() };
    assert!(matches!(reply.body, ReplyBody::Ok(deleted) if deleted.get() == "{\"deleted\":1}"));
    assert!(!purges.is_asked());
}

fn terminated(id: &str) -> Work {
    use durafn::core::request::{Command, Control};
    let (instance_id, control) = (id.to_owned(), Control::Terminate);
    Work::Command(Command::Control { instance_id, control, reason: None, recursive: false })
}
