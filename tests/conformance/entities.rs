//! Entities: their rows, messages and locks, and what of them outlives an orchestration.

use durafn::core::MessageKey;
use durafn::core::entity::{EntityVerdict, Signal};
use durafn::core::error::ErrorCode;
use durafn::core::request::{Answer, Command, EntityFilter};
use durafn::core::status::RuntimeStatus;
use durafn::provider::Page;
use durafn::provider::transaction::{Outcome, Work};

use crate::common::actions::{
    asks, call, call_entity, completed, continues, failed, lock, nothing, operation_completed,
    operation_failed, release, returns, signal_entity, throws,
};
use crate::common::hub::{Hub, purge, rewind, start, terminate};
use crate::common::payload;

fn signal(id: &str, operation: &str, fire_at: Option<i64>) -> Command {
    let (entity_id, operation) = (id.to_owned(), operation.to_owned());
    Command::SignalEntity(Signal { entity_id, operation, input: Some(payload(&1)), fire_at })
}

const GONE: EntityVerdict = EntityVerdict::Committed { lock: None, removed: true };
const FREE: EntityVerdict = EntityVerdict::Committed { lock: None, removed: false };

pub(crate) fn a_signal_makes_its_entity_and_waits_for_it(hub: &mut Hub) {
    assert_eq!(hub.command(signal("@Counter@A", "add", None)), Ok(Answer::Done));
    let delivered = r#"delivered to @counter@A: {"E":{"O":{"n":"add","i":1}}}"#;
    assert_eq!(hub.effects, ["made @counter@A", delivered]);
    hub.command(signal("@counter@A", "more", None)).unwrap();
    assert_eq!(hub.rows("message", "@counter@A").len(), 2);
    assert!(!hub.entity("@counter@A").unwrap().head.exists);
    for (bad, code) in [
        (signal("counter", "add", None), ErrorCode::InvalidEntityId),
        (signal("@counter@a/b", "add", None), ErrorCode::InvalidEntityId),
        (signal("@counter@a", "a\u{7}", None), ErrorCode::InvalidName),
    ] {
        assert_eq!(hub.refusal(bad), code);
    }
    assert_eq!(hub.find("@counter@A").map(|row| row.head.id), None, "it is no instance");
}

pub(crate) fn a_turn_writes_the_state_and_answers_who_called(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call_entity("@C@1", "add", &1), signal_entity("@c@2", "x", &2)]));
    hub.now_ms = 2_000;
    let verdict = hub.entity_turn("@c@1", |commit| commit.state = Some(Some(payload(&7))));
    assert_eq!(verdict, FREE);
    assert_eq!(hub.effects, [r#"delivered to a: {"EntityCompleted":{"task":0,"result":"add"}}"#]);
    let row = hub.entity("@c@1").unwrap();
    assert_eq!((row.state.unwrap().get(), row.updated_ms), ("7", 2_000));
    assert!(hub.rows("message", "@c@1").is_empty());
    hub.turn("a", &[], nothing());
    assert_eq!(hub.execution("a").open().count(), 0);
}

pub(crate) fn an_entity_with_nothing_left_is_gone(hub: &mut Hub) {
    hub.command(signal("@c@1", "a", None)).unwrap();
    let commit = hub.prepare_entity("@c@1");
    hub.command(signal("@c@1", "b", None)).unwrap();
    assert_eq!(hub.commit_entity(commit), FREE, "something came meanwhile");
    assert_eq!(hub.entity_turn("@c@1", |_| {}), GONE);
    assert!(hub.entity("@c@1").is_none() && hub.rows("entity", "@c@1").is_empty());
    hub.command(signal("@c@1", "c", None)).unwrap();
    assert_eq!(hub.entity_turn("@c@1", |commit| commit.state = Some(Some(payload(&1)))), FREE);
    hub.command(signal("@c@1", "d", None)).unwrap();
    assert_eq!(hub.entity_turn("@c@1", |commit| commit.state = Some(None)), GONE);
}

pub(crate) fn a_turn_of_an_entity_follows_the_one_before_and_no_other(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call_entity("@c@1", "add", &1)]));
    let mut stale = hub.prepare_entity("@c@1");
    stale.state = Some(Some(payload(&"stale")));
    hub.entity_turn("@c@1", |commit| commit.state = Some(Some(payload(&7))));
    let before = hub.snapshot();
    assert_eq!(hub.commit_entity(stale), EntityVerdict::Stale);
    assert_eq!(hub.snapshot(), before);
    hub.command(signal("@c@1", "more", None)).unwrap();
    assert_eq!(hub.entity_turn("@c@1", |commit| commit.state = Some(Some(payload(&8)))), FREE);
}

pub(crate) fn one_that_has_ended_or_continued_is_not_answered(hub: &mut Hub) {
    for outcome in [returns(&1), throws(&"no"), continues(&2)] {
        hub.command(start("a")).unwrap();
        hub.turn("a", &[], asks([call_entity("@c@1", "add", &1)]));
        hub.turn("a", &[], outcome);
        assert_eq!(hub.entity_turn("@c@1", |_| {}), GONE);
        assert!(hub.effects.is_empty(), "{:?}", hub.effects);
        if hub.status("a") == RuntimeStatus::ContinuedAsNew {
            hub.turn("a", &[], returns(&1));
        }
    }
}

pub(crate) fn a_lock_is_passed_on_and_the_last_one_tells_its_owner(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([lock(["@c@2", "@c@1", "@C@1"])]));
    let wish = r#"delivered to @c@1: {"E":{"L":{"o":{"i":0,"x":0,"k":0},"t":["@c@2"]}}}"#;
    assert_eq!(hub.effects, ["made @c@1", wish]);
    let locked = |hub: &mut Hub, id| hub.entity(id).unwrap().head.lock.map(|lock| lock.task);
    hub.entity_turn("@c@1", |_| {});
    assert_eq!((locked(hub, "@c@1"), locked(hub, "@c@2")), (Some(0), None));
    hub.entity_turn("@c@2", |_| {});
    assert_eq!(hub.effects, [r#"delivered to a: {"LockGranted":{"task":0}}"#]);
    assert_eq!(locked(hub, "@c@2"), Some(0));
    hub.turn("a", &[], asks([release()]));
    assert_eq!(hub.row("a").head.locks, None);
    for id in ["@c@1", "@c@2"] {
        assert_eq!(hub.entity_turn(id, |_| {}), GONE);
    }
}

pub(crate) fn every_end_gives_back_what_was_locked(hub: &mut Hub) {
    for (number, end) in
        [Some(returns(&1)), Some(throws(&"no")), Some(continues(&2)), None].into_iter().enumerate()
    {
        let id = format!("a{number}");
        hub.command(start(&id)).unwrap();
        hub.turn(&id, &[], asks([lock(["@c@1", "@c@2"])]));
        assert!(hub.row(&id).head.locks.is_some());
        hub.entity_turn("@c@1", |_| {});
        // The second is asked for and not granted.
        match end {
            Some(end) => drop(hub.turn(&id, &[], end)),
            None => drop(hub.command(terminate(&id)).unwrap()),
        }
        assert_eq!(hub.row(&id).head.locks, None);
        for entity in ["@c@1", "@c@2"] {
            assert_eq!(hub.entity_turn(entity, |_| {}), GONE, "{id} {entity}");
        }
    }
}

pub(crate) fn a_lock_is_not_granted_to_one_that_is_gone(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([lock(["@c@1", "@c@2"])]));
    let granted = hub.prepare_entity("@c@1");
    hub.command(terminate("a")).unwrap();
    hub.commit_entity(granted);
    assert!(hub.effects.is_empty(), "it is not passed on: {:?}", hub.effects);
    assert_eq!(hub.entity_turn("@c@1", |_| {}), GONE, "the word of its end");
}

pub(crate) fn a_lock_asked_for_in_the_last_turn_is_no_lock(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let outcome = asks([call_entity("@c@1", "add", &1), lock(["@c@1"])]);
    hub.turn("a", &[], durafn::core::turn::TurnOutcome { end: returns(&1).end, ..outcome });
    assert_eq!(hub.rows("message", "@c@1").len(), 1, "the call, and nothing else");
    assert_eq!(hub.entity_turn("@c@1", |_| {}), GONE);
}

pub(crate) fn a_scheduled_signal_waits_for_its_time(hub: &mut Hub) {
    hub.command(signal("@c@1", "late", Some(5_000))).unwrap();
    hub.command(signal("@c@1", "later", Some(6_000))).unwrap();
    assert_eq!(hub.effects, ["timer 1 of @c@1 at 6000"]);
    let key = hub.entity("@c@1").unwrap().head.key;
    assert!(hub.store.load_entity(key).unwrap().unwrap().messages.is_empty());
    assert_eq!(hub.refusal(purge("@c@1")), ErrorCode::EntityInUse);
    let due = hub.store.timers_due(5_000, 10).unwrap();
    assert_eq!(due.iter().map(|row| (row.key, row.task)).collect::<Vec<_>>(), [(key, 0)]);
    hub.now_ms = 5_000;
    hub.work(Work::Due(vec![(key, 0)]));
    assert_eq!(hub.effects, [r#"delivered to @c@1: {"E":{"O":{"n":"late","i":1}}}"#]);
    hub.work(Work::Due(vec![(key, 0)]));
    assert!(hub.effects.is_empty(), "once");
    assert_eq!(hub.entity_turn("@c@1", |_| {}), FREE, "another one is to come");
    hub.command(signal("@c@1", "past", Some(4_000))).unwrap();
    assert_eq!(hub.rows("message", "@c@1").len(), 2, "one in the past comes at once");
    hub.foreign = true;
    hub.command(signal("@c@1", "foreign", Some(7_000))).unwrap();
    let told = hub.rows("message", "@c@1").pop().unwrap();
    assert!(told.contains(r#"{"TimerSet":{"task":2,"fire_at":7000}}"#), "{told}");
}

pub(crate) fn an_entity_in_use_is_not_purged(hub: &mut Hub) {
    assert_eq!(hub.command(purge("@c@1")), Ok(Answer::Deleted { deleted: 0 }));
    hub.command(signal("@c@1", "a", None)).unwrap();
    assert_eq!(hub.refusal(purge("@C@1")), ErrorCode::EntityInUse);
    hub.entity_turn("@c@1", |commit| commit.state = Some(Some(payload(&1))));
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([lock(["@c@1"])]));
    hub.entity_turn("@c@1", |_| {});
    assert_eq!(hub.refusal(purge("@c@1")), ErrorCode::EntityInUse);
    hub.command(terminate("a")).unwrap();
    hub.entity_turn("@c@1", |_| {});
    assert_eq!(hub.command(purge("@C@1")), Ok(Answer::Deleted { deleted: 1 }));
    assert_eq!(hub.effects, ["changed @c@1"]);
    let commit = durafn::core::entity::EntityCommit { key: -1, ..Default::default() };
    assert_eq!(hub.commit_entity(commit), EntityVerdict::Gone);
}

/// `a` fails of an activity while calls of two entities are under way.
fn failed_beside_calls(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let calls = [call_entity("@c@1", "a", &1), call_entity("@c@2", "b", &2), call("x")];
    hub.turn("a", &[], asks(calls));
    hub.turn("a", &[failed(2, &"no")], throws(&"no"));
}

pub(crate) fn a_rewind_calls_again_what_failed_and_what_was_under_way_goes_on(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let calls = [call_entity("@c@1", "a", &1), call_entity("@c@2", "b", &2)];
    hub.turn("a", &[], asks(calls));
    hub.turn("a", &[operation_failed(0, &"no")], throws(&"no"));
    hub.entity_turn("@c@1", |_| {});
    hub.command(rewind("a")).unwrap();
    assert_eq!(hub.rows("message", "@c@1").len(), 1, "it is called once more");
    assert_eq!(hub.rows("message", "@c@2").len(), 1, "it is not");
    assert!(hub.rows("message", "a").is_empty(), "the answer of before is not the new one's");
    for id in ["@c@1", "@c@2"] {
        hub.entity_turn(id, |_| {});
    }
    hub.turn("a", &[], nothing());
    assert_eq!(hub.execution("a").open().count(), 0);
}

pub(crate) fn an_answer_to_a_failed_execution_is_kept_for_its_rewind(hub: &mut Hub) {
    failed_beside_calls(hub);
    hub.entity_turn("@c@1", |_| {});
    assert!(hub.effects.is_empty(), "nobody is told: {:?}", hub.effects);
    let key = hub.key("a");
    assert!(hub.store.load(key).unwrap().unwrap().messages.is_empty(), "nobody loads it");
    hub.entity_turn("@c@2", |commit| {
        for reply in &mut commit.replies {
            reply.outcome = Err(payload(&"threw"));
        }
    });
    hub.command(rewind("a")).unwrap();
    let told = hub.rows("message", "a");
    assert!(told.len() == 1 && told[0].contains(r#""EntityCompleted":{"task":0"#), "{told:?}");
    assert!(hub.rows("message", "@c@1").is_empty(), "it is not called again");
    assert_eq!(hub.rows("message", "@c@2").len(), 1, "what failed is");
}

/// The answer and the result stood before the instance when it failed in a turn that had not seen them.
pub(crate) fn answers_that_the_failing_turn_did_not_see_are_kept(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call_entity("@c@1", "a", &1), call("x"), call("y")]));
    let key = hub.key("a");
    let commit = hub.prepare("a", &[failed(2, &"no")], throws(&"no"));
    hub.entity_turn("@c@1", |_| {});
    hub.work(Work::Keep { key, exec: 0, messages: vec![completed(1, &"once")] });
    hub.commit(commit);
    hub.command(rewind("a")).unwrap();
    hub.turn("a", &[completed(2, &"mended")], nothing());
    assert_eq!(hub.execution("a").open().count(), 0, "neither is done twice");
}

/// It is gone, as if an engine had answered that keeps nothing.
pub(crate) fn a_call_that_nobody_will_answer_fails(hub: &mut Hub) {
    failed_beside_calls(hub);
    let keys = hub.prepare_entity("@c@1").consumed;
    hub.work(Work::Forget(keys));
    hub.command(rewind("a")).unwrap();
    let told = hub.rows("message", "a");
    assert!(told.len() == 1 && told[0].contains("EntityReplyLost"), "{told:?}");
}

pub(crate) fn nothing_is_left_of_kept_answers(hub: &mut Hub) {
    let answers = |hub: &mut Hub| {
        failed_beside_calls(hub);
        hub.entity_turn("@c@1", |_| {});
        hub.entity_turn("@c@2", |_| {});
        assert_eq!(hub.rows("message", "a").len(), 2);
    };
    let left =
        |hub: &mut Hub| hub.snapshot().iter().filter(|row| row.starts_with("message")).count();
    answers(hub);
    hub.command(purge("a")).unwrap();
    assert_eq!(left(hub), 0, "purged");
    answers(hub);
    hub.command(start("a")).unwrap();
    assert_eq!(left(hub), 0, "replaced");
    hub.command(terminate("a")).unwrap();
    answers(hub);
    hub.command(rewind("a")).unwrap();
    hub.command(terminate("a")).unwrap();
    assert_eq!(left(hub), 0, "rewound and terminated");
    // What the undone turn called is called again by the turn that takes its place.
    hub.command(start("a")).unwrap();
    let outcome = asks([call_entity("@c@1", "a", &1)]);
    hub.turn("a", &[], durafn::core::turn::TurnOutcome { end: throws(&"no").end, ..outcome });
    hub.entity_turn("@c@1", |_| {});
    hub.command(rewind("a")).unwrap();
    assert_eq!(left(hub), 0, "of a call that is undone");
}

pub(crate) fn a_section_that_failed_is_not_rewound(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([lock(["@c@1"])]));
    hub.entity_turn("@c@1", |_| {});
    hub.turn("a", &[], asks([call_entity("@c@1", "a", &1)]));
    hub.turn("a", &[operation_completed(1, &1)], throws(&"no"));
    assert_eq!(hub.refusal(rewind("a")), ErrorCode::NotRewindable);
}

pub(crate) fn entities_are_listed_by_name_key_and_time(hub: &mut Hub) {
    for (time, id) in [(1_000, "@a@1"), (2_000, "@a@2"), (3_000, "@b@1"), (4_000, "@a@3")] {
        hub.now_ms = time;
        hub.command(signal(id, "x", None)).unwrap();
        if id != "@a@3" {
            hub.entity_turn(id, |commit| commit.state = Some(Some(payload(&id))));
        }
    }
    let mut list = |filter: &EntityFilter, top, cursor: Option<String>| {
        let listing = hub.store.list_entities(filter, &Page { top, cursor }).unwrap();
        (listing.rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), listing.cursor)
    };
    let all = EntityFilter::default();
    assert_eq!(list(&all, 10, None).0, ["@a@1", "@a@2", "@b@1"]);
    let (first, cursor) = list(&all, 2, None);
    assert_eq!(first, ["@a@1", "@a@2"]);
    assert_eq!(list(&all, 2, cursor), (vec!["@b@1".to_owned()], None));
    let named = EntityFilter { name: Some("A".to_owned()), ..all.clone() };
    assert_eq!(list(&named, 10, None).0, ["@a@1", "@a@2"]);
    let keyed = EntityFilter { key_prefix: Some("2".to_owned()), ..named.clone() };
    assert_eq!(list(&keyed, 10, None).0, ["@a@2"]);
    let late = EntityFilter { last_operation_from: Some(2_000), ..all.clone() };
    assert_eq!(list(&late, 10, None).0, ["@a@2", "@b@1"]);
    let early = EntityFilter { last_operation_to: Some(1_500), ..all.clone() };
    assert_eq!(list(&early, 10, None).0, ["@a@1"]);
    let every = EntityFilter { include_transient: true, ..named };
    assert_eq!(list(&every, 10, None).0, ["@a@1", "@a@2", "@a@3"]);
}

pub(crate) fn deaths_are_counted_and_a_problem_is_told_until_a_turn_disproves_it(hub: &mut Hub) {
    hub.command(signal("@c@1", "a", None)).unwrap();
    let key = hub.entity("@c@1").unwrap().head.key;
    let counted = |hub: &mut Hub, counts| {
        hub.work(Work::EntityCrashes { keys: vec![key, -999], counts });
        hub.entity("@c@1").unwrap().crashes
    };
    assert_eq!([counted(hub, true), counted(hub, true), counted(hub, false)], [1, 2, 0]);
    counted(hub, true);
    let problem = durafn::core::replay::Problem::new(ErrorCode::NotRegistered, "why");
    let done = hub.work(Work::MarkEntity(key, Some(Box::new(problem))));
    assert!(matches!(done, Outcome::Done));
    assert!(hub.entity("@c@1").unwrap().problem.is_some());
    hub.entity_turn("@c@1", |commit| {
        commit.state = Some(Some(payload(&1)));
        commit.recovers = true;
    });
    let row = hub.entity("@c@1").unwrap();
    assert!(row.problem.is_none() && row.crashes == 0);
}

pub(crate) fn signals_of_one_piece_of_work_are_taken_or_refused_each(hub: &mut Hub) {
    let of = |id: &str| Signal {
        entity_id: id.to_owned(),
        operation: "x".to_owned(),
        input: None,
        fire_at: None,
    };
    let work = Work::Signals(vec![(1, of("@c@1")), (2, of("bad")), (3, of("@c@1"))]);
    let Outcome::Signals(verdicts) = hub.work(work) else { panic!("no verdicts") };
    let codes: Vec<_> =
        verdicts.into_iter().map(|(of, verdict)| (of, verdict.err().map(|e| e.code))).collect();
    assert_eq!(codes, [(1, None), (2, Some(ErrorCode::InvalidEntityId)), (3, None)]);
    let keys: Vec<MessageKey> = hub.prepare_entity("@c@1").consumed;
    assert_eq!(keys.len(), 2);
}
