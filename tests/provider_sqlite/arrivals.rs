//! What a worker is told of what others wrote: everything, once.

use std::collections::BTreeSet;

use durafn::core::instance::InstanceChange;
use durafn::core::message::Message;
use durafn::core::status::RuntimeStatus;
use durafn::core::{InstanceKey, MessageKey};
use durafn::provider::Reader;
use durafn::provider::rows::NewMessage;

use crate::*;

fn event(key: InstanceKey, taken: bool) -> NewMessage {
    let body = Message::EventRaised { name: "Go".to_owned(), input: None }.encode();
    NewMessage { key, exec: None, event: Some("go".to_owned()), taken, body }
}

fn send(
    provider: &mut dyn Provider,
    fence: Option<Epoch>,
    key: InstanceKey,
    taken: bool,
) -> MessageKey {
    transact(provider, fence, |rows| rows.insert_message(&event(key, taken))).unwrap()
}

/// The keys of what arrived.
fn arrived(provider: &mut dyn Provider) -> (Vec<InstanceKey>, Vec<MessageKey>) {
    let arrivals = provider.arrivals().unwrap();
    let keys = arrivals.messages.iter().map(|(_, delivery)| delivery.key.unwrap()).collect();
    (arrivals.ready, keys)
}

#[test]
fn at_first_all_that_waits_arrives() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let change = |status, ready, problem: Option<&str>| InstanceChange {
        status: Some(status),
        ready: Some(ready),
        problem: Some(problem.map(payload)),
        ..InstanceChange::default()
    };
    let ready = start(&mut provider, Some(epoch), "ready").unwrap();
    let idle = start(&mut provider, Some(epoch), "idle").unwrap();
    let held = start(&mut provider, Some(epoch), "held").unwrap();
    let suspended = start(&mut provider, Some(epoch), "suspended").unwrap();
    transact(&mut provider, Some(epoch), |rows| {
        rows.update_instance(idle, &change(RuntimeStatus::Running, false, None))?;
        rows.update_instance(held, &change(RuntimeStatus::Suspended, false, Some("{}")))?;
        rows.update_instance(suspended, &change(RuntimeStatus::Suspended, false, None))
    })
    .unwrap();
    let taken = send(&mut provider, Some(epoch), idle, true);
    send(&mut provider, Some(epoch), idle, false);

    for mut provider in [provider, client(&folder.hub())] {
        let arrivals = provider.arrivals().unwrap();
        assert_eq!(arrivals.ready, [ready]);
        assert_eq!(arrivals.held, [held]);
        let [(key, delivery)] = &arrivals.messages[..] else { panic!("{arrivals:?}") };
        assert_eq!((*key, delivery.key), (idle, Some(taken)));
        assert!(matches!(&delivery.message, Message::EventRaised { name, .. } if name == "Go"));
        assert_eq!(arrived(&mut provider), (vec![], vec![]));
    }
}

#[test]
fn own_rows_never_arrive_and_others_do_once() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    provider.arrivals().unwrap();
    let own = start(&mut provider, Some(epoch), "own").unwrap();
    send(&mut provider, Some(epoch), own, true);
    assert_eq!(arrived(&mut provider), (vec![], vec![]));

    let mut other = client(&folder.hub());
    let foreign = start(&mut other, None, "foreign").unwrap();
    let message = send(&mut other, None, own, true);
    send(&mut other, None, own, false);
    // A transaction of ours between theirs and the look.
    start(&mut provider, Some(epoch), "own-2").unwrap();
    assert_eq!(arrived(&mut provider), (vec![foreign], vec![message]));
    assert_eq!(arrived(&mut provider), (vec![], vec![]));
}

#[test]
fn what_came_before_a_transaction_that_failed_arrives_all_the_same() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    provider.arrivals().unwrap();
    let mut other = client(&folder.hub());
    let before = start(&mut other, None, "before").unwrap();
    let failed: Result<()> = transact(&mut provider, Some(epoch), |rows| {
        rows.insert_instance(&instance("own", "Order", 1))?;
        Err(durafn::provider::ProviderError::new(ProviderErrorKind::Permanent, "test", "no"))
    });
    assert_eq!(kind(failed), ProviderErrorKind::Permanent);
    // It gets the key that the failed transaction gave.
    let after = start(&mut other, None, "after").unwrap();
    assert_eq!(arrived(&mut provider).0, [before, after]);
}

#[test]
fn a_message_that_cannot_be_read_keeps_no_other_back() {
    let folder = Folder::new();
    let (mut provider, _) = worker(&folder.hub());
    provider.arrivals().unwrap();
    let mut other = client(&folder.hub());
    let key = start(&mut other, None, "a").unwrap();
    let bad = NewMessage { body: b"{\"Task".to_vec(), ..event(key, true) };
    let bad = transact(&mut other, None, |rows| rows.insert_message(&bad)).unwrap();
    let good = send(&mut other, None, key, true);
    let messages = provider.arrivals().unwrap().messages;
    assert!(matches!(messages[0].1.message, Message::Changed) && messages[0].1.key.is_none());
    assert_eq!(messages[1].1.key, Some(good));
    // The row itself is found with its instance.
    assert_eq!(provider.load(key).unwrap().unwrap().messages[0].key, bad);
}

#[test]
fn nothing_is_missed_and_nothing_comes_twice() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let folder = Folder::new();
        let (mut provider, epoch) = worker(&folder.hub());
        let mut others = [client(&folder.hub()), client(&folder.hub())];
        provider.arrivals().unwrap();
        let target = start(&mut provider, Some(epoch), "target").unwrap();
        let (mut sent, mut seen) = (BTreeSet::new(), Vec::new());
        for step in 0..300 {
            let id = format!("id-{step}");
            match random.below(6) {
                0 => drop(start(&mut provider, Some(epoch), &id).unwrap()),
                1 => drop(send(&mut provider, Some(epoch), target, true)),
                2 => {
                    let (ready, messages) = arrived(&mut provider);
                    seen.extend(ready.into_iter().map(|key| ("instance", key)));
                    seen.extend(messages.into_iter().map(|key| ("message", key)));
                }
                3 | 4 => {
                    let key = start(&mut others[random.below(2)], None, &id).unwrap();
                    sent.insert(("instance", key));
                }
                _ => {
                    let key = send(&mut others[random.below(2)], None, target, true);
                    sent.insert(("message", key));
                }
            }
        }
        let (ready, messages) = arrived(&mut provider);
        seen.extend(ready.into_iter().map(|key| ("instance", key)));
        seen.extend(messages.into_iter().map(|key| ("message", key)));
        let once: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(once.len(), seen.len(), "seed {seed}");
        assert_eq!(once, sent, "seed {seed}");
    }
}

#[test]
fn nothing_is_missed_while_others_write_at_the_same_time() {
    const EACH: usize = 150;
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    provider.arrivals().unwrap();
    let mut seen = Vec::new();
    let sent: BTreeSet<InstanceKey> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let mut other = client(&folder.hub());
                scope.spawn(move || {
                    let ids = (0..EACH).map(|n| format!("{thread}-{n}"));
                    ids.map(|id| start(&mut other, None, &id).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        for n in 0.. {
            start(&mut provider, Some(epoch), &format!("own-{n}")).unwrap();
            seen.extend(arrived(&mut provider).0);
            if threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seen.extend(arrived(&mut provider).0);
    assert_eq!(seen.len(), sent.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), sent);
}
