//! What every store does with every command and every turn: each case runs against each store.
//!
//! A case drives `provider::transaction::apply` over `Provider::transaction`, with times and ids that
//! repeat. `Hub::work` checks in each of them that a refusal leaves no trace. A store is added with
//! one line; a case is added to `cases!` and appears for every store.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

#[allow(dead_code, reason = "shared by several tests, of which each uses a part")]
mod common;

mod conformance {
    pub(crate) mod children;
    pub(crate) mod control;
    pub(crate) mod entities;
    pub(crate) mod open;
    pub(crate) mod park;
    pub(crate) mod raise;
    pub(crate) mod removal;
    pub(crate) mod rewind;
    pub(crate) mod start;
    pub(crate) mod turn;
    pub(crate) mod versions;
}

/// One `#[test]` for each case.
macro_rules! cases {
    ($store:expr; $($topic:ident { $($case:ident)* })*) => {
        $(mod $topic {
            $(#[test]
            fn $case() {
                crate::conformance::$topic::$case(&mut crate::common::hub::Hub::over($store));
            })*
        })*
    };
}

macro_rules! conformance_suite {
    ($name:ident, $factory:ident) => {
        mod $name {
            cases! { crate::common::hub::Store::$factory();
                start {
                    a_start_inserts_a_ready_pending_instance
                    a_start_without_an_id_gets_a_fresh_one
                    an_open_id_is_refused
                    an_ended_id_is_replaced_with_all_that_was_its
                    return_answers_with_the_open_one_and_replaces_an_ended_one
                    an_id_that_is_used_once_is_refused_while_any_instance_has_it
                    terminate_ends_the_old_one_and_starts_the_new_one
                    a_batch_starts_all_or_none_and_names_the_one_refused
                    an_id_twice_in_a_batch_is_refused_or_returned
                    names_are_checked_while_a_worker_lives_without_regard_to_case
                    an_input_at_the_limit_passes_and_one_above_is_refused
                    a_start_and_its_first_turn_are_written_at_once
                    a_start_that_is_refused_or_returned_writes_no_first_turn
                    a_start_whose_first_turn_came_to_nothing_is_a_start
                    a_first_turn_replaces_what_its_start_replaces
                }
                versions {
                    an_instance_gets_the_version_asked_for_else_that_of_the_hub
                    a_child_gets_the_version_asked_for_else_that_of_the_hub
                    a_child_that_is_tried_again_has_the_version_asked_for
                    it_keeps_its_version_whatever_becomes_of_it
                }
                raise {
                    an_event_for_nobody_is_discarded_with_the_reason
                    an_event_that_is_not_waited_for_is_discarded_and_told_in_history
                    a_delivered_event_takes_exactly_one_wait
                    two_quick_events_need_two_waits
                    event_names_match_without_regard_to_case
                    a_suspended_instance_takes_events_for_its_waits
                    a_buffered_event_is_given_to_the_wait_that_opens_later
                    buffered_events_are_given_first_in_first_out_and_by_name
                    a_consumed_event_never_returns
                    events_with_bad_names_or_too_much_data_are_refused
                }
                control {
                    unknown_and_ended_instances_are_refused
                    a_terminated_instance_keeps_the_reason_and_loses_the_rest
                    one_terminated_before_it_began_has_a_status
                    a_suspended_instance_takes_no_turns_until_it_is_resumed
                    controls_that_are_done_already_change_nothing
                    a_resumed_instance_returns_to_the_status_it_had
                    a_user_who_suspends_an_instance_with_a_mark_holds_it
                    a_call_reaches_sub_orchestrations_only_if_it_is_recursive
                    a_parent_is_told_of_a_terminated_child
                    a_foreign_control_leaves_word_for_a_worker_that_lives
                }
                rewind {
                    only_failed_instances_are_rewound
                    the_last_turn_is_undone_and_what_had_succeeded_comes_again
                    timers_and_waits_of_the_undone_turn_are_open_again
                    a_first_turn_that_failed_runs_again_and_the_created_time_stays
                    an_instance_that_the_engine_failed_keeps_its_turns
                    failed_children_are_rewound_with_their_parent
                    a_terminated_child_is_told_once_more
                    a_rewind_that_can_try_nothing_anew_is_refused
                    children_that_ended_while_the_parent_had_failed_are_told
                    a_child_that_is_gone_fails_the_wait_for_it
                    a_child_that_an_undone_turn_started_is_not_started_again
                }
                removal {
                    a_restart_takes_the_stored_name_and_input
                    a_restart_of_an_open_or_unknown_instance_is_refused
                    a_purge_removes_every_row_of_an_ended_instance
                    an_open_instance_is_not_purged_and_an_unknown_one_counts_nothing
                    a_purge_by_keys_passes_over_what_is_open_or_gone
                    children_outlive_the_purge_of_their_parent
                }
                turn {
                    a_first_turn_makes_the_instance_run
                    a_turn_removes_the_messages_it_consumed_and_no_others
                    timers_are_kept_replaced_and_cleared
                    a_custom_status_stands_until_the_next_one
                    readiness_is_what_only_history_tells
                    a_turn_of_an_ended_gone_or_older_execution_is_refused
                    a_turn_of_a_suspended_instance_is_refused
                    a_turn_is_written_once_and_after_the_one_that_it_follows
                    a_turn_out_of_turn_is_refused_alone
                    a_turn_need_not_know_of_notices
                    a_rewound_turn_gives_its_number_back
                    an_end_that_has_not_seen_a_delivered_event_is_refused
                    a_turn_that_goes_on_need_not_have_seen_every_event
                    a_cancelled_wait_is_closed_unless_an_event_has_taken_it
                    events_that_no_code_looked_at_are_kept_for_the_next_execution
                    an_end_keeps_history_and_removes_the_rest
                    continue_as_new_keeps_kept_events_and_drops_the_rest
                    the_created_time_is_that_of_the_first_generation
                    a_turn_that_recovers_clears_the_count_and_the_problem
                }
                children {
                    a_child_starts_in_the_turn_that_asks_for_it
                    a_child_that_cannot_start_is_told_as_failed
                    a_child_may_replace_an_ended_instance
                    a_parent_is_told_of_each_end_in_the_execution_that_asked
                    a_parent_that_has_ended_or_continued_is_not_told
                    children_of_an_ending_turn_start_and_refused_ones_are_dropped
                }
                park {
                    a_mark_tells_the_problem_and_the_instance_goes_on
                    a_held_instance_is_suspended_until_it_is_unparked_or_resumed
                    a_failed_one_ends_and_its_parent_is_told
                    an_ended_instance_is_not_parked
                    an_unpark_of_what_a_user_suspended_changes_nothing
                    crashes_are_counted_and_cleared
                    kept_results_wait_for_the_execution_they_are_for
                    forgotten_messages_are_gone
                }
                entities {
                    a_signal_makes_its_entity_and_waits_for_it
                    a_turn_writes_the_state_and_answers_who_called
                    an_entity_with_nothing_left_is_gone
                    a_turn_of_an_entity_follows_the_one_before_and_no_other
                    one_that_has_ended_or_continued_is_not_answered
                    a_lock_is_passed_on_and_the_last_one_tells_its_owner
                    every_end_gives_back_what_was_locked
                    a_lock_is_not_granted_to_one_that_is_gone
                    a_lock_asked_for_in_the_last_turn_is_no_lock
                    a_scheduled_signal_waits_for_its_time
                    an_entity_in_use_is_not_purged
                    a_rewind_calls_again_what_failed_and_what_was_under_way_goes_on
                    an_answer_to_a_failed_execution_is_kept_for_its_rewind
                    answers_that_the_failing_turn_did_not_see_are_kept
                    a_call_that_nobody_will_answer_fails
                    nothing_is_left_of_kept_answers
                    a_section_that_failed_is_not_rewound
                    entities_are_listed_by_name_key_and_time
                    deaths_are_counted_and_a_problem_is_told_until_a_turn_disproves_it
                    signals_of_one_piece_of_work_are_taken_or_refused_each
                }
                open {
                    a_fresh_worker_finds_what_is_ready_held_or_waits
                    arrivals_are_given_once
                    a_stale_epoch_commits_nothing
                    a_failing_item_rolls_everything_back
                    loading_gives_the_messages_of_the_current_execution
                    settings_are_kept
                    due_timers_come_in_the_order_of_their_times
                    listings_counts_and_purges_see_what_the_filter_names
                    a_purge_looks_at_each_row_once
                    text_that_no_row_can_have_is_not_found
                }
            }
        }
    };
}

conformance_suite!(memory, memory);
conformance_suite!(sqlite_in_memory, sqlite_in_memory);
conformance_suite!(sqlite_file, sqlite_file);
conformance_suite!(postgres, postgres);
conformance_suite!(postgres_distributed, postgres_distributed);
