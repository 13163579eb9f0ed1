//! That no statement reads a whole table, whatever is in it.
//!
//! The plans are those for any values, with reading a whole table forbidden wherever there is another way
//! (`place::SETTINGS`): what still reads one has no index to go by.

use super::limits::CommitSync;
use super::session::{Place, Session};
use super::{
    arrivals, batch, departed, entities, history, listing, locks, membership, query, rows, schema,
    tasks,
};

/// Tables of a row or of few.
const SMALL: [&str; 4] = ["hub", "workers", "parts", "departed"];

const STATEMENTS: [&str; 69] = [
    membership::FENCE,
    membership::CALL,
    locks::HEADS,
    locks::TREES,
    rows::MESSAGES,
    rows::TAKEN_EVENTS,
    rows::KEPT_EVENTS,
    rows::WAITS,
    rows::WAIT,
    rows::ROW,
    rows::CHILDREN,
    history::HISTORY,
    history::LAST_TURNS,
    rows::SETTINGS,
    batch::DELETE_WAITS,
    batch::DELETE_TIMERS,
    batch::DELETE_MESSAGES,
    batch::DELETE_TASKS,
    batch::DELETE_TAKEN_MESSAGES,
    batch::DELETE_HISTORY,
    batch::DELETE_INSTANCES,
    batch::INSERT_INSTANCES,
    batch::UPDATE_INSTANCES,
    batch::REMOVE_TURNS,
    batch::APPEND_TURNS,
    batch::APPEND_NOTICES,
    batch::DELETE_MESSAGE_KEYS,
    batch::INSERT_MESSAGES,
    batch::TAKE_EVENTS,
    batch::OPEN_WAITS,
    batch::TAKE_WAITS,
    batch::CLOSE_WAITS,
    batch::SET_TIMERS,
    batch::CLEAR_TIMERS,
    batch::RING_BELLS,
    query::FIND,
    query::SETTLED,
    query::ROW,
    query::HISTORY,
    history::HISTORY_AFTER,
    query::MESSAGES,
    query::READY_FROM,
    query::TIMERS_DUE,
    listing::BY_STATUS.keys,
    listing::BY_STATUS.count,
    listing::BY_STATUS.ended,
    listing::BY_NAME.keys,
    listing::BY_NAME.count,
    listing::BY_NAME.ended,
    listing::CANDIDATES,
    listing::COUNT_IDS,
    listing::ROWS,
    entities::HEADS,
    entities::ROW,
    entities::ROW_BY_ID,
    entities::CRASHES,
    entities::UPDATE,
    entities::AWAITED,
    entities::IN_RANGE,
    tasks::OFFER,
    tasks::CLAIM,
    tasks::CLAIM_LIMITED,
    tasks::HELD,
    tasks::END,
    tasks::AWAY,
    tasks::WAITING,
    tasks::TAKEN,
    tasks::FREE,
    tasks::GIVE_BACK,
];

#[test]
fn no_statement_reads_a_whole_table() {
    let url = std::env::var("DURAFN_TEST_POSTGRES")
        .expect("DURAFN_TEST_POSTGRES: `npm test -- --rust` starts a server");
    let schema = format!("durafn_plans-{}", std::process::id());
    let place = Place::parse(&url, &schema, CommitSync::Full).unwrap();
    let mut session = Session::connect(&place).unwrap();
    schema::prepare(&mut session, &place, None).unwrap();
    session.batch("fill", FILL).unwrap();
    let mut plans = Vec::new();
    for text in STATEMENTS.into_iter().chain(arrivals::STATEMENTS).chain(departed::STATEMENTS) {
        let plan = session.explain(&format!("EXPLAIN (GENERIC_PLAN, COSTS OFF) {text}"));
        plans.push((text, plan.unwrap()));
    }
    session.drop_schema().unwrap();
    for (text, plan) in plans {
        let scans = plan.iter().filter_map(|line| line.trim().split("Seq Scan on ").nth(1));
        let tables: Vec<&str> = scans.filter_map(|rest| rest.split(' ').next()).collect();
        for table in tables {
            assert!(SMALL.contains(&table), "{text}\n{}", plan.join("\n"));
        }
    }
}

/// Enough rows for a plan to matter: a million instances.
const FILL: &str = "INSERT INTO hub.instances (iid, id, name, name_folded, exec, status, ready, \
      scheduled_ms, updated_ms, crashes) \
      SELECT n, n, 'f', 'f', 0, 1, false, n, n, 0 FROM generate_series(1, 1000000) AS n; \
    INSERT INTO hub.entities (eid, id, scheduled, updated_ms, crashes) \
      SELECT n, '@f@' || n, 0, n, 0 FROM generate_series(1, 20000) AS n; \
    INSERT INTO hub.history (iid, exec, number, body) SELECT n, 0, 1, '' FROM generate_series(1, 20000) AS n; \
    INSERT INTO hub.messages SELECT n, n, 0, NULL, true, '' FROM generate_series(1, 20000) AS n; \
    INSERT INTO hub.waits SELECT n, 'go', 1 FROM generate_series(1, 20000) AS n; \
    INSERT INTO hub.tasks (iid, exec, task, attempt, instance_id, name, name_folded, claims, worker) \
      SELECT n, 0, 1, 1, n, 'a', 'a', 0, nullif(n % 100, 0) FROM generate_series(1, 20000) AS n; \
    INSERT INTO hub.timers SELECT n, 1, n FROM generate_series(1, 20000) AS n; \
    ANALYZE hub.instances, hub.entities, hub.history, hub.messages, hub.waits, hub.timers, hub.tasks";
