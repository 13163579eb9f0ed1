//! Making a hub, and what is refused.

use durafn::core::error::ErrorCode;
use durafn::core::history::HistoryRecord;
use durafn::core::request::HubSettings;
use durafn::provider::postgres::{PostgresOptions, PostgresProvider};
use durafn::provider::{Provider, ProviderErrorKind, Reader};
use durafn::runtime::fault::caller_error;

use crate::common::hub::{Hub, Store, start};
use crate::common::postgres::Schema;

fn refusal(options: &PostgresOptions) -> (ProviderErrorKind, String) {
    let error = PostgresProvider::open(options).err().expect("it is refused");
    (error.kind, error.message)
}

#[test]
fn twenty_processes_may_make_a_hub_at_once() {
    let schema = Schema::fresh();
    let openings: Vec<_> = (0..20)
        .map(|_| {
            let options = schema.options();
            std::thread::spawn(move || PostgresProvider::open(&options).unwrap())
        })
        .collect();
    let mut hubs: Vec<_> = openings.into_iter().map(|opening| opening.join().unwrap()).collect();
    let first = hubs[0].acquire(&HubSettings::default()).unwrap();
    assert_eq!(first.epoch, 1, "one hub was made, once");
}

#[test]
fn urls_that_lead_nowhere_are_refused_with_the_cause() {
    let schema = Schema::fresh();
    let with = |url: &str| PostgresOptions { url: url.to_owned(), ..schema.options() };
    let (kind, message) = refusal(&with("postgres://host:notaport/db"));
    assert_eq!(kind, ProviderErrorKind::Invalid, "{message}");
    let (kind, message) = refusal(&with("postgres://postgres@127.0.0.1:1/db"));
    assert_eq!(kind, ProviderErrorKind::Transient, "{message}");
    let url = schema.options().url;
    let place = url.rsplit_once('@').unwrap().1.to_owned();
    let (kind, message) = refusal(&with(&format!("postgres://postgres:wrong-word@{place}")));
    assert_eq!(kind, ProviderErrorKind::Invalid, "{message}");
    assert!(message.contains("password"), "{message}");
    assert!(!message.contains("wrong-word"), "{message}");
    let (base, _) = url.rsplit_once('/').unwrap();
    let (kind, message) = refusal(&with(&format!("{base}/no_such_database")));
    assert_eq!(kind, ProviderErrorKind::Invalid, "{message}");
    assert!(message.contains("no_such_database"), "{message}");
}

#[test]
fn a_hub_of_a_newer_version_or_with_other_partitions_is_refused() {
    let schema = Schema::fresh();
    drop(PostgresProvider::open(&schema.options()).unwrap());
    schema.run("UPDATE hub.hub SET part_count = 64");
    let (kind, message) = refusal(&schema.options());
    assert_eq!(kind, ProviderErrorKind::TooNew, "{message}");
    assert!(message.contains("64 partitions"), "{message}");
    schema.run("UPDATE hub.hub SET part_count = 256, version = 99");
    let (kind, message) = refusal(&schema.options());
    assert_eq!(kind, ProviderErrorKind::TooNew, "{message}");
    assert!(message.contains("version 99"), "{message}");
}

/// The tables of version 3.
const VERSION_3: [&str; 3] = [
    include_str!("../../migrations/postgres/0001_hub.sql"),
    include_str!("../../migrations/postgres/0002_entities.sql"),
    include_str!("../../migrations/postgres/0003_versions.sql"),
];

#[test]
fn turns_of_an_older_version_get_their_numbers_and_notices_follow_them() {
    let schema = Schema::fresh();
    let hub_name = schema.options().hub_name.unwrap();
    schema.run(&format!("CREATE SCHEMA \"durafn_{hub_name}\""));
    for migration in VERSION_3 {
        schema.run(migration);
    }
    // A notice first, and a turn that was rewound: its row is gone.
    schema.run(
        r#"INSERT INTO hub.instances (iid, id, name, name_folded, exec, status, ready, scheduled_ms,
            updated_ms, crashes) VALUES (8, 'b', 'O', 'o', 0, 0, true, 10, 10, 0);
        INSERT INTO hub.history (iid, hid, exec, body) VALUES
            (8, 1, 0, '{"t":1,"e":[],"x":true}'), (8, 2, 0, '{"t":2,"e":[]}'),
            (8, 4, 0, '{"t":3,"e":[],"x":true}'), (8, 5, 0, '{"t":4,"e":[],"x":true}'),
            (8, 6, 0, '{"t":5,"e":[]}')"#,
    );
    let mut provider = PostgresProvider::open(&schema.options()).unwrap();
    provider
        .transaction(None, &mut |rows| {
            assert!(rows.is_next_turn(8, 0, 3)? && !rows.is_next_turn(8, 0, 2)?);
            rows.append_notice(8, 0, br#"{"t":6,"e":[],"x":true}"#)?;
            rows.append_turn(8, 0, 3, br#"{"t":7,"e":[]}"#)
        })
        .unwrap();
    let loaded = provider.load(8).unwrap().unwrap();
    let times = loaded.history.iter().map(|body| HistoryRecord::decode(body).unwrap().time_ms);
    assert_eq!(times.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(loaded.last_turn, 3);
}

#[test]
fn a_schema_of_another_program_is_left_alone() {
    let schema = Schema::fresh();
    let hub_name = schema.options().hub_name.unwrap();
    schema.run(&format!(
        "CREATE SCHEMA \"durafn_{hub_name}\"; CREATE TABLE hub.hub (theirs integer)"
    ));
    let (kind, message) = refusal(&schema.options());
    assert_eq!(kind, ProviderErrorKind::NotAHub, "{message}");
}

#[test]
fn a_role_without_the_right_to_make_tables_uses_a_hub_that_is_there() {
    let schema = Schema::fresh();
    let role = schema.role();
    let url = role.url(&schema.options().url);
    let poor = PostgresOptions { url, ..schema.options() };
    let error = PostgresProvider::open(&poor).err().expect("it is refused");
    assert_eq!(error.kind, ProviderErrorKind::ReadOnly, "{}", error.message);
    assert_eq!(caller_error(&error).code, ErrorCode::StoreReadOnly);
    drop(PostgresProvider::open(&schema.options()).unwrap());
    schema.run(&role.grants());
    let mut hub = PostgresProvider::open(&poor).unwrap();
    hub.acquire(&HubSettings::default()).unwrap();
    hub.transaction(Some(1), &mut |rows| {
        let settings = rows.settings()?;
        rows.put_settings(&settings)
    })
    .unwrap();
    hub.release().unwrap();
}

#[test]
fn a_hub_may_be_named_as_the_schema_is_in_statements() {
    for distributed in [false, true] {
        let schema = Schema::named("hub.a.hub.hub-SKIP");
        let options = PostgresOptions { distributed, ..schema.options() };
        let mut hub = Hub::over(Store::of(Box::new(PostgresProvider::open(&options).unwrap())));
        hub.command(start("a")).unwrap();
        assert!(hub.find("a").is_some());
        assert!(!hub.store.stats().unwrap().tables.is_empty());
    }
}

#[test]
fn a_database_that_cannot_hold_every_text_is_refused_with_the_remedy() {
    let schema = Schema::fresh();
    let database = schema.database("ENCODING 'LATIN1' LOCALE 'C'");
    let url = database.url(&schema.options().url);
    let options = PostgresOptions { url, ..schema.options() };
    let (kind, message) = refusal(&options);
    assert_eq!(kind, ProviderErrorKind::Invalid, "{message}");
    assert!(message.contains("LATIN1") && message.contains("UTF8"), "{message}");
}
