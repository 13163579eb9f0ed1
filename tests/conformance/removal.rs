//! Restart and purge.

use durafn::core::error::ErrorCode;
use durafn::core::request::{Answer, Command, StartSpec};
use durafn::core::status::RuntimeStatus;

use crate::common::actions::{asks, child, continues, returns, wait};
use crate::common::hub::{Hub, purge, raise, restart, spec, start, suspend, terminate};
use crate::common::payload;

pub(crate) fn a_restart_takes_the_stored_name_and_input(hub: &mut Hub) {
    let with_input = StartSpec { input: Some(payload(&[7])), ..spec("G", "a") };
    hub.command(Command::Start(vec![with_input])).unwrap();
    hub.turn("a", &[], returns(&1));
    hub.command(restart("a", true)).unwrap();
    assert_eq!(hub.effects, ["started G made-1"]);
    assert_eq!(hub.row("made-1").input.unwrap().get(), "[7]");
    assert_eq!(hub.status("a"), RuntimeStatus::Completed, "the old one stays");
    let old = hub.key("a");
    hub.command(restart("a", false)).unwrap();
    assert!(hub.key("a") > old);
    assert_eq!(hub.row("a").input.unwrap().get(), "[7]");
}

pub(crate) fn a_restart_of_an_open_or_unknown_instance_is_refused(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    assert_eq!(hub.refusal(restart("a", false)), ErrorCode::InstanceAlreadyExists);
    assert_eq!(hub.refusal(restart("x", false)), ErrorCode::InstanceNotFound);
    assert_eq!(hub.refusal(restart("x", true)), ErrorCode::InstanceNotFound);
    hub.command(restart("a", true)).unwrap();
    assert_eq!(
        hub.status("made-1"),
        RuntimeStatus::Pending,
        "a new id needs no end of the old one"
    );
}

pub(crate) fn a_purge_removes_every_row_of_an_ended_instance(hub: &mut Hub) {
    let empty = hub.snapshot();
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("e")]));
    hub.command(raise("a", "e", &1)).unwrap();
    hub.turn("a", &[], continues(&1));
    hub.turn("a", &[], returns(&1));
    assert_eq!(hub.command(purge("a")), Ok(Answer::Deleted { deleted: 1 }));
    assert_eq!(hub.snapshot(), empty);
}

pub(crate) fn an_open_instance_is_not_purged_and_an_unknown_one_counts_nothing(hub: &mut Hub) {
    assert_eq!(hub.command(purge("x")), Ok(Answer::Deleted { deleted: 0 }));
    hub.command(start("a")).unwrap();
    assert_eq!(hub.refusal(purge("a")), ErrorCode::InstanceNotEnded);
    hub.command(suspend("a")).unwrap();
    assert_eq!(hub.refusal(purge("a")), ErrorCode::InstanceNotEnded);
}

pub(crate) fn a_purge_by_keys_passes_over_what_is_open_or_gone(hub: &mut Hub) {
    for id in ["a", "b", "c"] {
        hub.command(start(id)).unwrap();
    }
    hub.command(terminate("a")).unwrap();
    hub.command(terminate("c")).unwrap();
    let keys = vec![hub.key("a"), hub.key("b"), hub.key("c"), 999];
    assert_eq!(hub.command(Command::PurgeKeys(keys)), Ok(Answer::Deleted { deleted: 2 }));
    assert!(hub.find("a").is_none() && hub.find("b").is_some() && hub.find("c").is_none());
}

pub(crate) fn children_outlive_the_purge_of_their_parent(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([child("child", Some("b"))]));
    hub.command(terminate("a")).unwrap();
    hub.command(purge("a")).unwrap();
    hub.turn("b", &[], returns(&1));
    assert_eq!(hub.effects, ["ended b"]);
    assert_eq!(hub.row("b").parent_id.as_deref(), Some("a"));
}
