//! What a worker finds when it takes a hub, who may write, and what a reader sees.

use durafn::core::entity::Signal;
use durafn::core::error::{Error, ErrorCode};
use durafn::core::replay::Problem;
use durafn::core::request::{
    Answer, Command, DiscardReason, EntityFilter, Filter, HubSettings, UnmatchedEvents,
};
use durafn::core::status::RuntimeStatus;
use durafn::core::task::Served;
use durafn::provider::transaction::{Outcome, Park, Work};
use durafn::provider::{Page, ProviderError, ProviderErrorKind};

use crate::common::actions::{asks, call, completed, continues, nothing, returns, timer, wait};
use crate::common::hub::{
    DELIVERED, Hub, discarded, purge, raise, restart, rewind, spec, start, suspend, terminate,
};

pub(crate) fn a_fresh_worker_finds_what_is_ready_held_or_waits(hub: &mut Hub) {
    hub.buffering();
    for id in ["pending", "busy", "idle", "suspended", "held", "ended"] {
        hub.command(start(id)).unwrap();
    }
    hub.turn("busy", &[], asks([call("x")]));
    hub.turn("idle", &[], asks([wait("e"), timer(9_000)]));
    hub.turn("held", &[], asks([wait("e")]));
    hub.command(suspend("suspended")).unwrap();
    hub.command(terminate("ended")).unwrap();
    let key = hub.key("held");
    let problem = Box::new(Problem::new(ErrorCode::Poison, "it died"));
    hub.work(Work::Park { key, problem, how: Park::Hold });
    hub.command(raise("idle", "e", &1)).unwrap();
    hub.command(raise("idle", "kept", &1)).unwrap();
    let arrivals = hub.store.arrivals().unwrap();
    assert_eq!(arrivals.held, [key]);
    let ready: Vec<_> = ["pending", "busy", "suspended"].map(|id| hub.key(id)).to_vec();
    assert_eq!(arrivals.ready, ready, "what is suspended is ready too, and its load finds it so");
    let messages: Vec<_> = arrivals.messages.iter().map(|(key, _)| *key).collect();
    assert_eq!(messages, [hub.key("idle")], "the event that no wait has taken is nobody's work");
}

pub(crate) fn arrivals_are_given_once(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    assert_eq!(hub.store.arrivals().unwrap().ready.len(), 1);
    hub.command(start("b")).unwrap();
    hub.turn("b", &[], asks([wait("e")]));
    hub.command(raise("b", "e", &1)).unwrap();
    let arrivals = hub.store.arrivals().unwrap();
    assert!(arrivals.ready.is_empty() && arrivals.messages.is_empty() && arrivals.held.is_empty());
}

pub(crate) fn a_stale_epoch_commits_nothing(hub: &mut Hub) {
    let before = hub.snapshot();
    let stale = hub.epoch;
    hub.store.release().unwrap();
    let lost = |hub: &mut Hub| {
        let error = hub.transact(&[Work::Command(start("a"))]).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::LostOwnership);
    };
    lost(hub);
    assert!(!hub.store.worker_lives().unwrap());
    hub.epoch = hub.store.acquire(&hub.settings).unwrap().epoch;
    assert!(hub.epoch > stale && hub.store.worker_lives().unwrap());
    let fresh = std::mem::replace(&mut hub.epoch, stale);
    lost(hub);
    assert_eq!(hub.snapshot(), before);
    hub.epoch = fresh;
    hub.command(start("a")).unwrap();
}

pub(crate) fn a_failing_item_rolls_everything_back(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x"), wait("e"), timer(9_000)]));
    let before = hub.snapshot();
    let (epoch, key) = (hub.epoch, hub.key("a"));
    let failed = hub.store.transaction(Some(epoch), &mut |rows| {
        rows.append_turn(key, 0, 2, b"{}")?;
        assert!(rows.take_wait(key, "e")?);
        rows.clear_timer(key, 2)?;
        rows.put_settings(&HubSettings { payload_bytes: 1, ..HubSettings::default() })?;
        rows.clear(key, durafn::provider::rows::Clear::All)?;
        assert!(rows.head(key)?.is_none(), "what was written is seen within");
        Err(ProviderError::new(ProviderErrorKind::Transient, "test", "the disk"))
    });
    assert_eq!(failed.unwrap_err().kind, ProviderErrorKind::Transient);
    assert_eq!(hub.snapshot(), before);
    hub.turn("a", &[completed(0, &1)], nothing());
    assert_eq!(hub.history("a").len(), 2);
}

pub(crate) fn loading_gives_the_messages_of_the_current_execution(hub: &mut Hub) {
    hub.buffering();
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], continues(&"second"));
    hub.turn("a", &[], asks([call("x"), wait("e")]));
    hub.command(raise("a", "e", &1)).unwrap();
    hub.command(raise("a", "kept", &1)).unwrap();
    let key = hub.key("a");
    hub.work(Work::Keep { key, exec: 1, messages: vec![completed(0, &1)] });
    let loaded = hub.store.load(key).unwrap().unwrap();
    assert_eq!(loaded.row.head.exec, 1);
    assert_eq!(loaded.row.input.unwrap().get(), "\"second\"");
    assert_eq!(loaded.history.len(), 1);
    let messages: Vec<_> = loaded.messages.iter().map(|message| message.exec).collect();
    assert_eq!(messages, [None, Some(1)], "oldest first, without the kept one");
    assert!(hub.store.load(999).unwrap().is_none() && hub.store.history(999).unwrap().is_empty());
}

pub(crate) fn settings_are_kept(hub: &mut Hub) {
    let settings = HubSettings {
        unmatched_events: UnmatchedEvents::Buffer,
        payload_bytes: 7,
        orchestrators: vec!["f".to_owned(), "ü".to_owned()],
        default_version: Some("1.0".to_owned()),
        activities: vec![Served { name: "a".to_owned(), limit: Some(2) }],
    };
    hub.work(Work::PutSettings(settings.clone()));
    let mut read = None;
    hub.store
        .transaction(None, &mut |rows| {
            read = Some(rows.settings()?);
            Ok(())
        })
        .unwrap();
    assert_eq!(read, Some(settings));
}

pub(crate) fn due_timers_come_in_the_order_of_their_times(hub: &mut Hub) {
    for (id, times) in [("a", [300, 100]), ("b", [200, 400])] {
        hub.command(start(id)).unwrap();
        hub.turn(id, &[], asks(times.map(timer)));
    }
    let mut due = |until, limit| {
        let rows = hub.store.timers_due(until, limit).unwrap();
        rows.iter().map(|row| (row.fire_at, row.task)).collect::<Vec<_>>()
    };
    assert_eq!(due(300, 10), [(100, 1), (200, 0), (300, 0)]);
    assert_eq!(due(300, 2), [(100, 1), (200, 0)]);
    assert!(due(99, 10).is_empty());
}

pub(crate) fn listings_counts_and_purges_see_what_the_filter_names(hub: &mut Hub) {
    for (number, name) in ["f", "G", "f", "child", "g"].iter().enumerate() {
        hub.now_ms = 1_000 + i64::try_from(number).unwrap();
        hub.command(Command::Start(vec![spec(name, &format!("{name}-{number}"))])).unwrap();
    }
    for (id, now_ms) in [("f-0", 2_000), ("g-4", 3_000)] {
        hub.now_ms = now_ms;
        hub.turn(id, &[], returns(&1));
    }
    let by_name = Filter { name: Some("g".to_owned()), ..Filter::default() };
    let by_prefix = Filter { id_prefix: Some("f-".to_owned()), ..Filter::default() };
    let ended = Filter { runtime_status: vec![RuntimeStatus::Completed], ..Filter::default() };
    let by_time =
        Filter { created_from: Some(1_001), created_to: Some(1_002), ..Filter::default() };
    for (filter, expected) in [
        (Filter::default(), vec!["f-0", "G-1", "f-2", "child-3", "g-4"]),
        (by_name, vec!["G-1", "g-4"]),
        (by_prefix, vec!["f-0", "f-2"]),
        (ended.clone(), vec!["f-0", "g-4"]),
        (by_time, vec!["G-1", "f-2"]),
    ] {
        assert_eq!(hub.store.count(&filter).unwrap(), expected.len() as u64);
        let mut seen = Vec::new();
        let mut page = Page { top: 2, cursor: None };
        loop {
            let listing = hub.store.list(&filter, &page).unwrap();
            assert!(listing.rows.len() <= 2);
            seen.extend(listing.rows.into_iter().map(|row| row.head.id));
            page.cursor = listing.cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
    let page = Page { top: 10, cursor: None };
    let early = hub.store.purgeable(&Filter::default(), Some(3_000), &page).unwrap();
    assert_eq!((early.keys.len(), early.cursor), (1, None));
    let keys = hub.store.purgeable(&ended, None, &page).unwrap().keys;
    assert_eq!(hub.command(Command::PurgeKeys(keys)), Ok(Answer::Deleted { deleted: 2 }));
    assert_eq!(hub.store.count(&Filter::default()).unwrap(), 3);
}

/// A NUL stands in no id and no name, and PostgreSQL holds no text with one.
pub(crate) fn text_that_no_row_can_have_is_not_found(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("go")]));
    hub.command(signal("@e@a")).unwrap();
    let none = || "a\0b".to_owned();
    assert!(hub.store.find("a\0").unwrap().is_none());
    assert!(hub.store.find_entity("@e@a\0").unwrap().is_none());
    let settled = hub.store.settled(&["a".to_owned(), none(), "c".to_owned()]).unwrap();
    let mut ids: Vec<String> = settled.into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [none(), "c".to_owned()]);
    let by_prefix = Filter { id_prefix: Some(none()), ..Filter::default() };
    let by_name = Filter { name: Some(none()), ..Filter::default() };
    let both = Filter { name: Some("f".to_owned()), ..by_prefix.clone() };
    for filter in [by_prefix, by_name, both] {
        assert_eq!(hub.store.count(&filter).unwrap(), 0);
        let listing = hub.store.list(&filter, &Page { top: 5, cursor: None }).unwrap();
        assert!(listing.rows.is_empty());
        let page = Page { top: 5, cursor: None };
        assert!(hub.store.purgeable(&filter, None, &page).unwrap().keys.is_empty());
    }
    let prefix = Filter { id_prefix: Some("a".to_owned()), ..Filter::default() };
    let page = Page { top: 5, cursor: Some(format!("i{}", none())) };
    assert!(hub.store.list(&prefix, &page).unwrap().rows.is_empty());
    let entities = EntityFilter {
        name: Some("e".to_owned()),
        key_prefix: Some(none()),
        include_transient: true,
        ..EntityFilter::default()
    };
    assert!(
        hub.store.list_entities(&entities, &Page { top: 5, cursor: None }).unwrap().rows.is_empty()
    );
    // Beside one that is there, in one transaction.
    let works =
        [terminate(&none()), raise(&none(), "go", &1), raise("a", "go", &1), purge("@e@a\0")]
            .map(Work::Command);
    let verdicts: Vec<_> = hub.transact(&works).unwrap().into_iter().map(verdict).collect();
    assert_eq!(verdicts[0].as_ref().unwrap_err().code, ErrorCode::InstanceNotFound);
    assert_eq!(verdicts[1], discarded(DiscardReason::NotFound));
    assert_eq!(verdicts[2], DELIVERED);
    assert_eq!(verdicts[3], Ok(Answer::Deleted { deleted: 0 }));
    for command in [suspend(&none()), rewind(&none()), restart(&none(), true)] {
        assert_eq!(hub.refusal(command), ErrorCode::InstanceNotFound);
    }
    assert_eq!(hub.command(purge(&none())), Ok(Answer::Deleted { deleted: 0 }));
    assert_eq!(hub.refusal(start(&none())), ErrorCode::InvalidInstanceId);
    assert_eq!(hub.refusal(raise("a", &none(), &1)), ErrorCode::InvalidName);
    assert_eq!(hub.refusal(signal("@e@a\0")), ErrorCode::InvalidEntityId);
}

fn signal(id: &str) -> Command {
    let (entity_id, operation) = (id.to_owned(), "x".to_owned());
    Command::SignalEntity(Signal { entity_id, operation, input: None, fire_at: None })
}

fn verdict(outcome: Outcome) -> Result<Answer, Error> {
    match outcome {
        Outcome::Command(verdict) => verdict,
        other => panic!("not the outcome of a command: {other:?}"),
    }
}

/// Of 40 instances of which every fourth has ended, in two orders.
pub(crate) fn a_purge_looks_at_each_row_once(hub: &mut Hub) {
    for number in 0..40 {
        let id = format!("a-{number:02}");
        hub.command(start(&id)).unwrap();
        if number % 4 == 0 {
            hub.turn(&id, &[], returns(&1));
        }
    }
    let by_id = Filter { id_prefix: Some("a-".to_owned()), ..Filter::default() };
    // By id it passes all rows, by schedule those of a status that is an end.
    for (filter, looks) in [(by_id, 11), (Filter::default(), 3)] {
        let (mut page, mut seen, mut looked) = (Page { top: 4, cursor: None }, Vec::new(), 0);
        loop {
            let found = hub.store.purgeable(&filter, None, &page).unwrap();
            looked += 1;
            assert!(found.keys.len() <= page.top, "it is bounded");
            seen.extend(found.keys);
            page.cursor = found.cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        assert!(looked <= looks, "{looked} readings of 4 rows");
        let ids: Vec<String> =
            seen.iter().map(|key| hub.store.load(*key).unwrap().unwrap().row.head.id).collect();
        let ended: Vec<String> =
            (0..40).step_by(4).map(|number| format!("a-{number:02}")).collect();
        assert_eq!(ids, ended);
    }
}
