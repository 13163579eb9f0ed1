//! Connections that break at the worst moments: a proxy between the provider and the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use durafn::core::request::Command;
use durafn::provider::postgres::{PostgresOptions, PostgresProvider};
use durafn::provider::transaction::{Outcome, Work};
use durafn::provider::{Provider, ProviderErrorKind};
use durafn::runtime::clock::HubClock;
use durafn::runtime::outbox::{Event, Outbox};
use durafn::runtime::writer::{Ticket, Writer};

use crate::common::SeededEntropy;
use crate::common::hub::{Hub, Store, settings, start};
use crate::common::postgres::Schema;

const PASS: u8 = 0;
/// What is sent next reaches the server; its answer does not come back, and the connection breaks.
const LOSE_ANSWER: u8 = 1;
/// What is sent next does not reach the server, and the connection breaks.
const LOSE_QUESTION: u8 = 2;

/// Forwards a port to the server; what it does with the next bytes is set from outside.
struct Proxy {
    port: u16,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(PASS));
        let shared = Arc::clone(&mode);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                forward(client, server, Arc::clone(&shared));
            }
        });
        Self { port, mode }
    }
}

impl Proxy {
    /// The URL with this proxy in place of the server.
    fn before(&self, url: &str) -> String {
        let (user, place) = url.rsplit_once('@').unwrap();
        let (_, database) = place.split_once('/').unwrap();
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The hub's transactions set the mode when they are about to commit.
    fn spoil_next_commit(&self, hub: &mut Hub, mode: u8) {
        let shared = Arc::clone(&self.mode);
        hub.at_commit = Some(Box::new(move || shared.store(mode, Ordering::SeqCst)));
    }
}

fn forward(client: TcpStream, server: TcpStream, mode: Arc<AtomicU8>) {
    let (mut from_client, mut to_server) =
        (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) = (server, client);
    let questions = Arc::clone(&mode);
    std::thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok(length @ 1..) = from_client.read(&mut bytes) {
            if questions.compare_exchange(LOSE_QUESTION, PASS, Ordering::SeqCst, Ordering::SeqCst)
                == Ok(LOSE_QUESTION)
            {
                break;
            }
            if to_server.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
        let _ = from_client.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok(length @ 1..) = from_server.read(&mut bytes) {
            if mode.compare_exchange(LOSE_ANSWER, PASS, Ordering::SeqCst, Ordering::SeqCst)
                == Ok(LOSE_ANSWER)
            {
                break;
            }
            if to_client.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
}

fn hub_behind(schema: &Schema) -> (Hub, Proxy) {
    hub_of(schema, false)
}

fn hub_of(schema: &Schema, distributed: bool) -> (Hub, Proxy) {
    let direct = schema.options().url;
    let (_, place) = direct.rsplit_once('@').unwrap();
    let (server, _) = place.split_once('/').unwrap();
    let proxy = Proxy::to(server.to_owned());
    let url = format!("{}&sslmode=disable", proxy.before(&direct));
    let options = PostgresOptions { url, distributed, ..schema.options() };
    (Hub::over(Store::of(Box::new(PostgresProvider::open(&options).unwrap()))), proxy)
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_to_be_done() {
    for distributed in [false, true] {
        let schema = Schema::fresh();
        let (mut hub, proxy) = hub_of(&schema, distributed);
        for n in 0..5 {
            // So that all statements are prepared, and the next answer is that of the commit.
            hub.at_commit = None;
            hub.work(Work::Command(start(&format!("before-{n}"))));
            proxy.spoil_next_commit(&mut hub, LOSE_ANSWER);
            hub.transact(&[Work::Command(start(&format!("order-{n}")))]).unwrap();
            assert_eq!(proxy.mode.load(Ordering::SeqCst), PASS, "the answer was lost");
        }
        let lines = hub.snapshot();
        assert_eq!(lines.iter().filter(|line| line.starts_with("instance ")).count(), 10);
    }
}

#[test]
fn a_commit_that_never_arrived_is_made_again() {
    for distributed in [false, true] {
        let schema = Schema::fresh();
        let (mut hub, proxy) = hub_of(&schema, distributed);
        let tries = Arc::new(AtomicU8::new(0));
        let (counted, mode) = (Arc::clone(&tries), Arc::clone(&proxy.mode));
        hub.at_commit = Some(Box::new(move || {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                mode.store(LOSE_QUESTION, Ordering::SeqCst);
            }
        }));
        hub.transact(&[Work::Command(start("order"))]).unwrap();
        assert_eq!(tries.load(Ordering::SeqCst), 2);
        hub.at_commit = None;
        assert!(hub.find("order").is_some());
    }
}

#[test]
fn a_client_of_a_distributed_hub_is_told_that_a_commit_is_in_doubt() {
    let schema = Schema::fresh();
    let (_worker, proxy) = hub_of(&schema, true);
    let url = format!("{}&sslmode=disable", proxy.before(&schema.options().url));
    let options = PostgresOptions { url, distributed: true, ..schema.options() };
    let provider = PostgresProvider::open(&options).unwrap();
    let mut client = Hub::of_client(Store::of(Box::new(provider)));
    proxy.spoil_next_commit(&mut client, LOSE_ANSWER);
    let error = client.transact(&[Work::Command(start("order"))]).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::InDoubt, "{}", error.message);
}

#[test]
fn a_commit_that_never_arrives_says_what_was_said_at_last() {
    let schema = Schema::fresh();
    let (mut hub, proxy) = hub_behind(&schema);
    let mode = Arc::clone(&proxy.mode);
    hub.at_commit = Some(Box::new(move || mode.store(LOSE_QUESTION, Ordering::SeqCst)));
    let error = hub.transact(&[Work::Command(start("order"))]).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Transient, "{error}");
    assert!(error.message.contains("at last: write rows: connection closed"), "{error}");
}

/// Nothing that has such an id is there, and whoever asks for it is told so.
#[test]
fn an_id_that_the_server_cannot_hold_spoils_no_work_of_others() {
    let schema = Schema::fresh();
    let mut provider = PostgresProvider::open(&schema.options()).unwrap();
    let settings = settings();
    let epoch = provider.acquire(&settings).unwrap().epoch;
    let outbox = Arc::new(Outbox::new(Box::new(|| {}), usize::MAX));
    let (entropy, clock) = (Box::new(SeededEntropy::new(1)), Arc::new(HubClock::default()));
    let events = Arc::clone(&outbox);
    let provider = Box::new(provider);
    let mut writer = Writer::new(provider, Some(epoch), settings, entropy, events, clock);
    let strange = Command::RaiseEvent { instance_id: "\0".into(), name: "e".into(), input: None };
    let commands = [start("a"), strange, start("b")];
    let work = (1..).zip(commands).map(|(rid, of)| (Ticket::Request(rid), Work::Command(of)));
    writer.push(0, work.collect());
    while writer.write_some() {}
    assert_eq!(writer.queued(), 0, "nothing waits for what never comes");
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    for event in outbox.take() {
        match event {
            Event::Answer(rid, Outcome::Command(Ok(_))) => answered.push(rid),
            Event::Reply(reply) => refused.push(reply.rid),
            _ => {}
        }
    }
    assert_eq!((answered, refused), (vec![1, 2, 3], vec![]));
}

#[test]
fn a_connection_that_was_cut_between_two_transactions_is_made_anew() {
    let schema = Schema::fresh();
    let (mut hub, _proxy) = hub_behind(&schema);
    hub.work(Work::Command(start("before")));
    schema.cut();
    hub.work(Work::Command(start("after")));
    assert!(hub.find("after").is_some());
}

#[test]
fn what_came_while_the_connection_broke_is_told_once() {
    let schema = Schema::fresh();
    let (mut worker, proxy) = hub_behind(&schema);
    let direct = PostgresProvider::open(&schema.options()).unwrap();
    let mut client = Hub::of_client(Store::of(Box::new(direct)));
    let mut told = Vec::new();
    for n in 0..6 {
        client.work(Work::Command(start(&format!("order-{n}"))));
        // Each answer in turn is lost: of the reading, of the removal behind it, and none.
        proxy.mode.store(if n % 3 == 2 { PASS } else { LOSE_ANSWER }, Ordering::SeqCst);
        for _ in 0..4 {
            if let Ok(arrivals) = worker.store.arrivals() {
                told.extend(arrivals.ready);
                if n % 3 == 1 {
                    proxy.mode.store(LOSE_ANSWER, Ordering::SeqCst);
                }
            }
        }
        proxy.mode.store(PASS, Ordering::SeqCst);
    }
    while let Ok(arrivals) = worker.store.arrivals() {
        if arrivals.is_empty() {
            break;
        }
        told.extend(arrivals.ready);
    }
    let expected: Vec<_> = (0..6).map(|n| worker.key(&format!("order-{n}"))).collect();
    assert_eq!(told, expected);
}
