//! Starts: `docs/semantics.md` §1.1.

use durafn::core::error::ErrorCode;
use durafn::core::request::{Answer, Command, OnConflict, StartSpec};
use durafn::core::status::RuntimeStatus;

use crate::common::actions::{asks, call, child, continues, returns, throws, timer, wait};
use crate::common::hub::{Hub, purge, raise, spec, start, suspend, terminate};
use crate::common::payload;

fn started(ids: &[&str]) -> Answer {
    Answer::Started { instance_ids: ids.iter().map(|id| (*id).to_owned()).collect() }
}

fn start_or(on_conflict: OnConflict) -> Command {
    Command::Start(vec![StartSpec { on_conflict, input: Some(payload(&2)), ..spec("g", "a") }])
}

pub(crate) fn a_start_inserts_a_ready_pending_instance(hub: &mut Hub) {
    let with_input = StartSpec { input: Some(payload(&[1])), ..spec("F", "a") };
    assert_eq!(hub.command(Command::Start(vec![with_input])), Ok(started(&["a"])));
    assert_eq!(hub.effects, ["started F a"]);
    let row = hub.row("a");
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Pending, true));
    assert_eq!((row.head.name.as_str(), row.head.exec), ("F", 0));
    assert_eq!((row.scheduled_ms, row.created_ms, row.completed_ms), (1_000, None, None));
    assert_eq!(row.input.unwrap().get(), "[1]");
    assert!(hub.history("a").is_empty());
}

pub(crate) fn a_start_without_an_id_gets_a_fresh_one(hub: &mut Hub) {
    let without = || StartSpec { instance_id: None, ..spec("f", "") };
    let answer = hub.command(Command::Start(vec![without(), without()]));
    assert_eq!(answer, Ok(started(&["made-1", "made-2"])));
}

pub(crate) fn an_open_id_is_refused(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    assert_eq!(hub.refusal(start("a")), ErrorCode::InstanceAlreadyExists, "pending");
    hub.turn("a", &[], continues(&1));
    assert_eq!(hub.refusal(start("a")), ErrorCode::InstanceAlreadyExists, "continued as new");
    hub.turn("a", &[], asks([wait("e")]));
    assert_eq!(hub.refusal(start("a")), ErrorCode::InstanceAlreadyExists, "running");
    hub.command(suspend("a")).unwrap();
    assert_eq!(hub.refusal(start("a")), ErrorCode::InstanceAlreadyExists, "suspended");
}

pub(crate) fn an_ended_id_is_replaced_with_all_that_was_its(hub: &mut Hub) {
    for outcome in [Some(returns(&1)), Some(throws(&1)), None] {
        hub.command(start("a")).unwrap();
        match outcome {
            Some(outcome) => {
                hub.turn("a", &[], outcome);
            }
            None => {
                hub.command(terminate("a")).unwrap();
            }
        }
        let (old, now_ms) = (hub.key("a"), hub.now_ms);
        hub.now_ms += 10;
        hub.command(start("a")).unwrap();
        let row = hub.row("a");
        assert!(row.head.key > old);
        assert_eq!((row.head.status, row.scheduled_ms), (RuntimeStatus::Pending, now_ms + 10));
        assert!(row.output.is_none() && row.failure.is_none() && hub.history("a").is_empty());
        hub.command(terminate("a")).unwrap();
    }
}

pub(crate) fn return_answers_with_the_open_one_and_replaces_an_ended_one(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let before = hub.snapshot();
    assert_eq!(hub.command(start_or(OnConflict::Return)), Ok(started(&["a"])));
    assert!(hub.effects.is_empty());
    assert_eq!(hub.snapshot(), before);
    hub.turn("a", &[], returns(&1));
    assert_eq!(hub.command(start_or(OnConflict::Return)), Ok(started(&["a"])));
    assert_eq!(hub.row("a").head.name, "g");
}

pub(crate) fn an_id_that_is_used_once_is_refused_while_any_instance_has_it(hub: &mut Hub) {
    let once = start_or(OnConflict::Once);
    assert_eq!(hub.command(once.clone()), Ok(started(&["a"])));
    assert_eq!(hub.refusal(once.clone()), ErrorCode::InstanceAlreadyExists, "pending");
    hub.turn("a", &[], returns(&1));
    let before = hub.snapshot();
    assert_eq!(hub.refusal(once.clone()), ErrorCode::InstanceAlreadyExists, "completed");
    let ahead = StartSpec { on_conflict: OnConflict::Once, ..spec("g", "a") };
    let (answer, begun) = hub.begin(ahead, Some(returns(&2)));
    assert_eq!(answer.unwrap_err().code, ErrorCode::InstanceAlreadyExists, "with its first turn");
    assert!(!begun);
    assert_eq!(hub.snapshot(), before);
    hub.command(purge("a")).unwrap();
    assert_eq!(hub.command(once), Ok(started(&["a"])), "purged");
}

pub(crate) fn terminate_ends_the_old_one_and_starts_the_new_one(hub: &mut Hub) {
    hub.buffering();
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x"), wait("e"), timer(9_000)]));
    hub.command(raise("a", "kept", &1)).unwrap();
    let old = hub.key("a");
    assert_eq!(hub.command(start_or(OnConflict::Terminate)), Ok(started(&["a"])));
    assert_eq!(hub.effects, ["changed a", "ended a", "changed a", "started g a"]);
    let row = hub.row("a");
    assert!(row.head.key > old);
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Pending, true));
    for kind in ["history", "message", "wait", "timer"] {
        assert!(hub.rows(kind, "a").is_empty(), "{kind}");
    }
}

pub(crate) fn a_batch_starts_all_or_none_and_names_the_one_refused(hub: &mut Hub) {
    hub.settings.payload_bytes = 10;
    hub.command(start("used")).unwrap();
    let long = "x".repeat(257);
    let too_large = StartSpec { input: Some(payload(&"0123456789")), ..spec("f", "ok") };
    for (bad, code) in [
        (spec("f", "used"), ErrorCode::InstanceAlreadyExists),
        (spec("f", "@a"), ErrorCode::InvalidInstanceId),
        (spec("f", ""), ErrorCode::InvalidInstanceId),
        (spec("f", &long), ErrorCode::InvalidInstanceId),
        (spec("", "b"), ErrorCode::InvalidName),
        (spec("nobody", "b"), ErrorCode::NotRegistered),
        (too_large, ErrorCode::PayloadTooLarge),
    ] {
        let specs = vec![spec("f", "first"), spec("g", "second"), bad, spec("f", "last")];
        let error = hub.command(Command::Start(specs)).unwrap_err();
        assert_eq!((error.code, error.index), (code, Some(2)));
        assert!(hub.find("first").is_none());
    }
    let good = vec![spec("f", "first"), spec("g", "second")];
    assert_eq!(hub.command(Command::Start(good)), Ok(started(&["first", "second"])));
    assert_eq!(hub.effects, ["started f first", "started g second"]);
    assert_eq!(hub.command(Command::Start(Vec::new())), Ok(started(&[])));
}

pub(crate) fn an_id_twice_in_a_batch_is_refused_or_returned(hub: &mut Hub) {
    for on_conflict in [OnConflict::Error, OnConflict::Terminate, OnConflict::Once] {
        let twin = StartSpec { on_conflict, ..spec("g", "a") };
        let error = hub.command(Command::Start(vec![spec("f", "a"), twin])).unwrap_err();
        assert_eq!((error.code, error.index), (ErrorCode::InstanceAlreadyExists, Some(1)));
    }
    let twin = StartSpec { on_conflict: OnConflict::Return, ..spec("g", "a") };
    assert_eq!(hub.command(Command::Start(vec![spec("f", "a"), twin])), Ok(started(&["a", "a"])));
    assert_eq!(hub.effects, ["started f a"]);
}

pub(crate) fn names_are_checked_while_a_worker_lives_without_regard_to_case(hub: &mut Hub) {
    let unknown = || Command::Start(vec![spec("unknown", "a")]);
    assert_eq!(hub.refusal(unknown()), ErrorCode::NotRegistered);
    hub.command(Command::Start(vec![spec("CHILD", "b")])).unwrap();
    hub.worker_lives = false;
    hub.command(unknown()).unwrap();
    assert_eq!(hub.status("a"), RuntimeStatus::Pending);
}

pub(crate) fn an_input_at_the_limit_passes_and_one_above_is_refused(hub: &mut Hub) {
    hub.settings.payload_bytes = 5;
    let input = |text: &str| {
        Command::Start(vec![StartSpec { input: Some(payload(&text)), ..spec("f", text) }])
    };
    assert_eq!(hub.refusal(input("1234")), ErrorCode::PayloadTooLarge);
    hub.command(input("123")).unwrap();
}

pub(crate) fn a_start_and_its_first_turn_are_written_at_once(hub: &mut Hub) {
    let outcome = asks([call("x"), wait("e"), timer(9_000), child("child", Some("b"))]);
    let begun = hub.begin(spec("f", "a"), Some(outcome));
    assert_eq!(begun, (Ok(started(&["a"])), true));
    assert_eq!(hub.effects, ["started child b of a"], "the worker knows of the other");
    let row = hub.row("a");
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Running, true));
    assert_eq!((row.scheduled_ms, row.created_ms), (1_000, Some(1_000)));
    assert_eq!(row.head.exec, 0);
    assert_eq!(hub.history("a").len(), 1);
    assert_eq!(hub.rows("timer", "a"), ["task=2 fire_at=9000"]);
    assert_eq!(hub.rows("wait", "a"), [r#"event="e" open=1"#]);
    assert_eq!(hub.row("b").head.parent.unwrap().key, row.head.key);
    assert_eq!(hub.begin(spec("f", "c"), Some(returns(&1))), (Ok(started(&["c"])), true));
    assert_eq!(hub.effects, ["ended c"]);
    assert_eq!(hub.status("c"), RuntimeStatus::Completed);
}

pub(crate) fn a_start_that_is_refused_or_returned_writes_no_first_turn(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let (answer, begun) = hub.begin(spec("f", "a"), Some(returns(&1)));
    let error = answer.unwrap_err();
    assert_eq!((error.code, error.index), (ErrorCode::InstanceAlreadyExists, None));
    assert!(!begun);
    let before = hub.snapshot();
    let or_return = StartSpec { on_conflict: OnConflict::Return, ..spec("f", "a") };
    assert_eq!(hub.begin(or_return, Some(returns(&1))), (Ok(started(&["a"])), false));
    assert_eq!(hub.snapshot(), before);
}

pub(crate) fn a_start_whose_first_turn_came_to_nothing_is_a_start(hub: &mut Hub) {
    assert_eq!(hub.begin(spec("f", "a"), None), (Ok(started(&["a"])), false));
    assert_eq!(hub.effects, ["started f a"]);
    assert_eq!(hub.status("a"), RuntimeStatus::Pending);
}

pub(crate) fn a_first_turn_replaces_what_its_start_replaces(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("e")]));
    let (old, or_terminate) = (hub.key("a"), OnConflict::Terminate);
    let spec = StartSpec { on_conflict: or_terminate, ..spec("g", "a") };
    assert!(hub.begin(spec, Some(asks([wait("other")]))).1);
    assert_eq!(hub.effects, ["changed a", "ended a", "changed a"]);
    assert!(hub.key("a") > old);
    assert_eq!(hub.rows("wait", "a"), [r#"event="other" open=1"#]);
    assert_eq!(hub.history("a").len(), 1);
}
