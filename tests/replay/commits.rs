//! What a commit says of the instance's row.

use durafn::core::status::RuntimeStatus;

use durafn::core::instance::InstanceHead;

use super::run::Run;
use crate::common::actions::{asks, call, completed, continues, nothing, returns, throws, wait};

fn head(begun: bool) -> InstanceHead {
    InstanceHead {
        key: 7,
        id: "a".to_owned(),
        name: "f".to_owned(),
        exec: 0,
        status: RuntimeStatus::Pending,
        parent: None,
        crashes: 0,
        has_problem: false,
        begun,
        locks: None,
    }
}

#[test]
fn the_first_turn_of_the_first_generation_sets_when_it_began() {
    let mut run = Run::new();
    let change = run.turn(5, &[], asks([wait("e")])).row_change(&head(false)).unwrap();
    assert_eq!(change.status, Some(RuntimeStatus::Running));
    assert_eq!((change.created_ms, change.updated_ms), (Some(5), Some(5)));
    let again = Run::new().turn(9, &[], asks([])).row_change(&head(true)).unwrap();
    assert_eq!(again.created_ms, None, "it has begun before");
}

#[test]
fn a_turn_in_the_middle_leaves_the_row_alone() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("e"), call("a"), call("b")]));
    assert!(run.turn(2, &[completed(1, &1)], nothing()).row_change(&head(false)).is_none());
}

#[test]
fn each_end_has_its_status_and_an_end_leaves_nothing_ready() {
    for (outcome, status) in
        [(returns(&1), RuntimeStatus::Completed), (throws(&1), RuntimeStatus::Failed)]
    {
        let mut run = Run::new();
        run.turn(1, &[], asks([call("a"), call("b")]));
        let change = run.turn(2, &[completed(0, &1)], outcome).row_change(&head(false)).unwrap();
        assert_eq!((change.status, change.ready), (Some(status), Some(false)));
        assert_eq!(change.completed_ms, Some(Some(2)));
    }
}

#[test]
fn the_next_generation_is_ready_with_the_new_input() {
    let mut run = Run::new();
    let change = run.turn(1, &[], continues(&"more")).row_change(&head(false)).unwrap();
    assert_eq!(change.status, Some(RuntimeStatus::ContinuedAsNew));
    assert_eq!((change.exec, change.ready), (Some(1), Some(true)));
    assert_eq!(change.input.unwrap().unwrap().get(), "\"more\"");
    assert_eq!(change.completed_ms, None);
}
