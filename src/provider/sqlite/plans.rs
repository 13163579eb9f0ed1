//! Every statement finds its rows by a key or an index: none scans a table, and none sorts what can
//! be many. The plans are SQLite's own.

use rusqlite::Connection;

use super::{arrivals, connection, history, listing, query, rows, tidying};

/// The plan of a statement, a line a step.
fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut steps = statement.raw_query();
    let mut plan = Vec::new();
    while let Some(step) = steps.next().unwrap() {
        let step: String = step.get(3).unwrap();
        plan.push(step.replace("COVERING ", ""));
    }
    plan
}

const BY_KEY: &str = "INTEGER PRIMARY KEY (rowid=?)";
/// By its number alone. In a key of two columns SQLite compares whole rows, each of which is read for it.
const OF_INSTANCE: &str = "INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
const BY_ID: &str = "INDEX sqlite_autoindex_instances_1 (id=?)";
const BY_IDS: &str = "INDEX sqlite_autoindex_instances_1 (id>? AND id<?)";

/// Statements that are one search, each with what it goes by.
const SEARCHES: [(&str, &str); 31] = [
    (rows::HEAD, BY_KEY),
    (rows::HEAD_BY_ID, BY_ID),
    (rows::ROW, BY_KEY),
    (rows::CHILDREN, "INDEX instances_by_parent (parent_iid=?)"),
    (rows::DELETE_INSTANCE, BY_KEY),
    (history::NEIGHBOURS, OF_INSTANCE),
    (history::TURNS, OF_INSTANCE),
    (history::NOTICES, OF_INSTANCE),
    (history::REMOVE_TURN, BY_KEY),
    (tidying::DELETE_TURNS, OF_INSTANCE),
    (tidying::DELETE_NOTICES, OF_INSTANCE),
    (tidying::EXECUTION, BY_KEY),
    (tidying::NOT_LEFT_OVER, BY_KEY),
    (rows::DELETE_MESSAGE, BY_KEY),
    (rows::DELETE_MESSAGES, "INDEX messages_by_instance (iid=?)"),
    (rows::DELETE_TAKEN_MESSAGES, "INDEX messages_by_instance (iid=? AND taken=?)"),
    (rows::KEPT_EVENT, "INDEX messages_by_instance (iid=? AND taken=? AND event=?)"),
    (rows::TAKE_EVENT, BY_KEY),
    (rows::TAKE_LAST_WAIT, "PRIMARY KEY (iid=? AND event=?)"),
    (rows::TAKE_WAIT, "PRIMARY KEY (iid=? AND event=?)"),
    (rows::DELETE_WAITS, "PRIMARY KEY (iid=?)"),
    (rows::CLEAR_TIMER, "PRIMARY KEY (iid=? AND task=?)"),
    (rows::DELETE_TIMERS, "PRIMARY KEY (iid=?)"),
    (query::FIND, BY_ID),
    (query::TIMERS_DUE, "INDEX timers_by_time ((fire_at,iid,task)>(?,?,?) AND fire_at<?)"),
    (query::READY_FROM, "INDEX instances_ready (iid>?)"),
    (arrivals::NEW_READY, "INDEX instances_ready (iid>?)"),
    (arrivals::NEW_MESSAGES, "INTEGER PRIMARY KEY (rowid>?)"),
    (listing::IDS_IN_RANGE, BY_IDS),
    (listing::ROWS_IN_RANGE, BY_IDS),
    (listing::COUNT_IDS_IN_RANGE, BY_IDS),
];

/// Statements that sort, or do more than one search, each with why that is no harm.
const SORTS: [(&str, &str); 7] = [
    (tidying::DELETE_OLD_TURNS, "a bounded number of rows, from the end of an instance's history"),
    (tidying::DELETE_OLD_NOTICES, "the same"),
    (rows::MESSAGES, "what came for one instance that fails, or waits for one entity"),
    (rows::TAKEN_EVENTS, "the few events that no turn has consumed yet"),
    (query::MESSAGES, "what waits for one instance, which is about to be held in memory"),
    (arrivals::ALL_READY, "once, when the hub is taken: the index holds nothing else"),
    (arrivals::HELD, "once, when the hub is taken: suspended instances"),
];

#[test]
fn every_statement_uses_a_key_or_an_index() {
    let conn = connection::connect_in_memory().unwrap();
    for (sql, by) in SEARCHES {
        let plan = plan(&conn, sql);
        assert_eq!(plan.len(), 1, "{sql}: {plan:?}");
        let (search, using) = plan[0].split_once(" USING ").unwrap();
        assert!(search.starts_with("SEARCH "), "{sql}: {plan:?}");
        assert_eq!(using, by, "{sql}");
    }
    let update = rows::widest_update();
    assert_eq!(plan(&conn, &update), [format!("SEARCH instances USING {BY_KEY}")], "{update}");
    for insert in [rows::INSERT_INSTANCE, rows::INSERT_MESSAGE] {
        assert_eq!(plan(&conn, insert), [""; 0], "{insert}");
    }
    // Two ends of an instance's rows of history, each by its number.
    for sql in [history::APPEND_NOTICE, tidying::SPAN] {
        let steps = plan(&conn, sql);
        let searches = steps.iter().filter(|step| step.starts_with("SEARCH history USING "));
        assert!(searches.clone().all(|step| step.ends_with(OF_INSTANCE)), "{sql}: {steps:?}");
        assert_eq!(searches.count(), 2, "{sql}: {steps:?}");
    }
    for insert in [rows::OPEN_WAIT, rows::SET_TIMER, history::APPEND_TURN] {
        assert_eq!(plan(&conn, insert), [""; 0], "{insert}");
    }
}

#[test]
fn every_filter_is_ranges_of_an_index_in_the_order_of_the_page() {
    let conn = connection::connect_in_memory().unwrap();
    let indexes = [
        (listing::BY_STATUS, "instances_by_status (status=?"),
        (listing::BY_NAME, "instances_by_name (name_folded=? AND status=?"),
    ];
    for (index, range) in indexes {
        for (sql, times) in [
            (index.keys_at, "scheduled_ms=? AND rowid>?"),
            (index.keys_after, "scheduled_ms>? AND scheduled_ms<?"),
            (index.count, "scheduled_ms>? AND scheduled_ms<?"),
            (index.ended_at, "scheduled_ms=? AND rowid>?"),
            (index.ended_after, "scheduled_ms>? AND scheduled_ms<?"),
        ] {
            let search = format!("SEARCH instances USING INDEX {range} AND {times})");
            assert_eq!(plan(&conn, sql), [search], "{sql}");
        }
    }
}

#[test]
fn what_is_sorted_is_few_and_found_by_an_index() {
    let conn = connection::connect_in_memory().unwrap();
    for (sql, why) in SORTS {
        for step in plan(&conn, sql) {
            let found = step.starts_with("SEARCH ")
                || step == "SCAN instances USING INDEX instances_ready"
                || step == "USE TEMP B-TREE FOR ORDER BY"
                || step.starts_with("SCALAR SUBQUERY")
                || step.starts_with("LIST SUBQUERY");
            assert!(found, "{step} in {sql} ({why})");
        }
    }
}
