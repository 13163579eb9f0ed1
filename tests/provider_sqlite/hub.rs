//! Opening a hub, and whose it is.

use durafn::core::history::HistoryRecord;
use durafn::core::request::Filter;
use durafn::provider::{EntityReader, ProviderErrorKind as Kind, Reader};

use crate::*;

#[test]
fn one_worker_has_the_hub_and_clients_may_come() {
    let folder = Folder::new();
    let mut first = open(&folder.hub(), Role::Worker).unwrap();
    let mut other = client(&folder.hub());
    assert!(!other.worker_lives().unwrap());
    let owned = first.acquire(&HubSettings::default()).unwrap();
    assert!(first.worker_lives().unwrap() && other.worker_lives().unwrap());

    let mut second = open(&folder.hub(), Role::Worker).unwrap();
    let refused = second.acquire(&HubSettings::default()).unwrap_err();
    assert_eq!(refused.kind, Kind::HubInUse);
    assert!(refused.message.contains(&std::process::id().to_string()), "{refused}");
    start(&mut other, None, "from-a-client").unwrap();
    assert_eq!(kind(other.acquire(&HubSettings::default())), Kind::Invalid);

    first.release().unwrap();
    assert!(!other.worker_lives().unwrap());
    let next = second.acquire(&HubSettings::default()).unwrap();
    assert_eq!(next.epoch, owned.epoch + 1);
    assert_eq!(next.hub_id, owned.hub_id);
}

#[test]
fn the_hub_is_free_when_its_worker_is_gone() {
    let folder = Folder::new();
    drop(worker(&folder.hub()));
    let (_provider, epoch) = worker(&folder.hub());
    assert_eq!(epoch, 2);
}

#[test]
fn a_question_for_a_worker_does_not_keep_one_out() {
    let folder = Folder::new();
    let mut asking = client(&folder.hub());
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| (0..20_000).filter(|_| asking.worker_lives().unwrap()).count());
        for _ in 0..100 {
            worker(&folder.hub());
        }
        asked.join().unwrap();
    });
}

#[test]
fn only_the_owner_of_the_epoch_commits() {
    let folder = Folder::new();
    let (mut first, epoch) = worker(&folder.hub());
    start(&mut first, Some(epoch), "before").unwrap();
    assert_eq!(kind(start(&mut first, Some(epoch + 1), "x")), Kind::LostOwnership);
    assert_eq!(kind(start(&mut client(&folder.hub()), Some(epoch), "x")), Kind::LostOwnership);

    // Somebody removes the lock file, and another worker comes.
    std::fs::remove_file(folder.path().join("hub.db-lock")).unwrap();
    let (mut second, next) = worker(&folder.hub());
    assert_eq!(kind(start(&mut first, Some(epoch), "x")), Kind::LostOwnership);
    start(&mut second, Some(next), "after").unwrap();
    assert!(second.find("x").unwrap().is_none());

    second.release().unwrap();
    assert_eq!(kind(start(&mut second, Some(next), "x")), Kind::LostOwnership);
}

/// The tables of each version, oldest first.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../migrations/sqlite/0001_hub.sql"),
    include_str!("../../migrations/sqlite/0002_history.sql"),
    include_str!("../../migrations/sqlite/0003_leftovers.sql"),
    include_str!("../../migrations/sqlite/0004_entities.sql"),
    include_str!("../../migrations/sqlite/0005_versions.sql"),
];

const INSTANCE_OF_VERSION_1: &str = "
    INSERT INTO instances (iid, id, name, name_folded, exec, status, ready, scheduled_ms, updated_ms,
        crashes, input) VALUES (7, 'a', 'O', 'o', 0, 1, 1, 10, 10, 0, x'31');
    INSERT INTO history (hid, iid, exec, body) VALUES (3, 7, 0, x'6f6e65'), (5, 8, 0, x'6f74686572'),
        (9, 7, 0, x'74776f');
    INSERT INTO messages (iid, exec, event, taken, body) VALUES (7, NULL, 'go', 0, x'7b7d');
    UPDATE hub SET hub_id = 'the hub', epoch = 4;";

#[test]
fn a_hub_of_an_older_version_is_brought_up_to_date_and_keeps_its_instances() {
    let folder = Folder::new();
    let old = raw(&folder);
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.execute_batch(INSTANCE_OF_VERSION_1).unwrap();
    old.execute_batch("PRAGMA application_id = 0x64666e31; PRAGMA user_version = 1").unwrap();
    drop(old);

    let (mut provider, epoch) = worker(&folder.hub());
    assert_eq!(epoch, 5, "the count of owners goes on");
    let loaded = provider.load(7).unwrap().unwrap();
    assert_eq!((loaded.row.head.id.as_str(), loaded.row.head.name.as_str()), ("a", "O"));
    assert_eq!(loaded.row.input.unwrap().get(), "1");
    assert_eq!(loaded.history, [b"one".to_vec(), b"two".to_vec()]);
    provider.transaction(Some(epoch), &mut |rows| rows.append_turn(7, 0, 3, b"three")).unwrap();
    assert_eq!(provider.history(7).unwrap().last().unwrap(), b"three");
    start(&mut provider, Some(epoch), "new").unwrap();
    assert!(provider.find("new").unwrap().unwrap().head.key > 7);
    drop(provider);

    let new = Folder::new();
    drop(client(&new.hub()));
    assert_eq!(tables(&folder), tables(&new), "as if it had been made today");
}

/// Instance 7 goes on after an execution of which three rows are left over; instance 8 was rewound, and has
/// notices among its turns; an entity with the key 5 is gone.
const HISTORY_OF_VERSION_5: &str = r#"
    INSERT INTO instances (iid, id, name, name_folded, exec, status, ready, scheduled_ms, updated_ms,
        crashes) VALUES (7, 'a', 'O', 'o', 1, 0, 1, 10, 10, 0), (8, 'b', 'O', 'o', 0, 0, 1, 10, 10, 0);
    INSERT INTO history (hid, exec, body) SELECT (7 << 23) + 4 + value, 0, x'6f6c64'
        FROM generate_series(0, 2);
    INSERT INTO leftovers VALUES (7, 0);
    INSERT INTO history (hid, exec, body) VALUES
        ((7 << 23) + 7, 1, CAST('{"t":1,"e":[]}' AS BLOB)),
        ((7 << 23) + 8, 1, CAST('{"t":2,"e":[]}' AS BLOB)),
        ((8 << 23) + 1, 0, CAST('{"t":1,"e":[],"x":true}' AS BLOB)),
        ((8 << 23) + 2, 0, CAST('{"t":2,"e":[]}' AS BLOB)),
        ((8 << 23) + 4, 0, CAST('{"t":3,"e":[],"x":true}' AS BLOB)),
        ((8 << 23) + 5, 0, CAST('{"t":4,"e":[],"x":true}' AS BLOB)),
        ((8 << 23) + 6, 0, CAST('{"t":5,"e":[]}' AS BLOB));
    INSERT INTO entities (eid, id, scheduled, updated_ms, crashes, state)
        VALUES (4, '@c@1', 3, 10, 0, x'31'), (5, '@c@2', 0, 10, 0, x'32');
    DELETE FROM entities WHERE eid = 5;"#;

#[test]
fn turns_of_an_older_version_get_their_numbers_and_notices_follow_them() {
    let folder = Folder::new();
    let old = raw(&folder);
    old.execute_batch(&MIGRATIONS.concat()).unwrap();
    let series = "(SELECT 0 AS value UNION ALL SELECT 1 UNION ALL SELECT 2)";
    old.execute_batch(&HISTORY_OF_VERSION_5.replace("generate_series(0, 2)", series)).unwrap();
    old.execute_batch("PRAGMA application_id = 0x64666e31; PRAGMA user_version = 5").unwrap();
    drop(old);

    let (mut provider, epoch) = worker(&folder.hub());
    let times = |provider: &mut SqliteProvider, key| -> Vec<i64> {
        let bodies = provider.history(key).unwrap();
        bodies.iter().map(|body| HistoryRecord::decode(body).unwrap().time_ms).collect()
    };
    for (key, last_turn, expected) in [(7, 2, vec![1, 2]), (8, 2, vec![1, 2, 3, 4, 5])] {
        assert_eq!(provider.load(key).unwrap().unwrap().last_turn, last_turn);
        assert_eq!(times(&mut provider, key), expected);
        transact(&mut provider, Some(epoch), |rows| {
            let exec = rows.head(key)?.unwrap().exec;
            assert!(rows.is_next_turn(key, exec, 3)? && !rows.is_next_turn(key, exec, 2)?);
            rows.append_notice(key, exec, br#"{"t":8,"e":[],"x":true}"#)?;
            rows.append_turn(key, exec, 3, br#"{"t":9,"e":[]}"#)
        })
        .unwrap();
        assert_eq!(times(&mut provider, key), [expected, vec![8, 9]].concat());
    }
    let entity = provider.find_entity("@c@1").unwrap().unwrap();
    assert_eq!((entity.head.scheduled, entity.head.version), (3, 0));
    assert_eq!(entity.state.unwrap().get(), "1");
    transact(&mut provider, Some(epoch), |rows| {
        assert!(rows.insert_entity("@c@3", 1)? < -5, "a key is never given again");
        Ok(())
    })
    .unwrap();
}

/// Everything in the schema of a hub, in one order.
fn tables(folder: &Folder) -> Vec<String> {
    let conn = raw(folder);
    let text = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let mut statement = conn.prepare(text).unwrap();
    let found = statement.query_map([], |row| row.get(0)).unwrap();
    found.map(|row| row.unwrap()).collect()
}

#[test]
fn a_hub_of_an_older_version_is_left_alone_while_its_worker_lives() {
    let folder = Folder::new();
    let (_older, _) = worker(&folder.hub());
    raw(&folder).execute_batch("PRAGMA user_version = 1").unwrap();
    assert_eq!(kind(open(&folder.hub(), Role::Client)), Kind::HubInUse);
}

#[test]
fn a_hub_of_a_newer_version_is_left_alone() {
    let folder = Folder::new();
    drop(client(&folder.hub()));
    raw(&folder).execute_batch("PRAGMA user_version = 99").unwrap();
    let before = std::fs::read(folder.hub()).unwrap();
    for role in [Role::Worker, Role::Client] {
        let refused = open(&folder.hub(), role).err().unwrap();
        assert_eq!(refused.kind, Kind::TooNew);
        assert!(refused.message.contains("99"), "{refused}");
    }
    assert_eq!(std::fs::read(folder.hub()).unwrap(), before);
}

#[test]
fn what_is_not_a_hub_is_left_alone() {
    let folder = Folder::new();
    let text = "Dear diary, this is no database. ".repeat(200);
    std::fs::write(folder.hub(), &text).unwrap();
    assert_eq!(kind(open(&folder.hub(), Role::Worker)), Kind::NotAHub);
    assert_eq!(std::fs::read_to_string(folder.hub()).unwrap(), text);
    assert_eq!(kind(open(folder.path(), Role::Worker)), Kind::NotAHub);

    for set in ["", "PRAGMA application_id = 7;", "PRAGMA user_version = 3;"] {
        std::fs::remove_file(folder.hub()).unwrap();
        raw(&folder).execute_batch(&format!("CREATE TABLE songs (title); {set}")).unwrap();
        let before = std::fs::read(folder.hub()).unwrap();
        assert_eq!(kind(open(&folder.hub(), Role::Client)), Kind::NotAHub, "{set}");
        assert_eq!(std::fs::read(folder.hub()).unwrap(), before, "{set}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "and nothing is put beside it"
    );
}

#[test]
fn an_empty_file_becomes_a_hub() {
    let folder = Folder::new();
    std::fs::write(folder.hub(), "").unwrap();
    start(&mut client(&folder.hub()), None, "a").unwrap();
    assert!(client(&folder.hub()).find("a").unwrap().is_some());
}

#[test]
fn a_hub_that_many_make_at_once_is_made_once() {
    let folder = Folder::new();
    let path = folder.path().join("deep/er/hub.db");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let path = &path;
            scope.spawn(move || start(&mut client(path), None, &format!("id-{n}")).unwrap());
        }
    });
    let all = client(&path).count(&Filter::default()).unwrap();
    assert_eq!(all, 8);
}

#[test]
fn a_hub_keeps_its_name() {
    let folder = Folder::new();
    let named = |name: Option<&str>| {
        let options = options(&folder.hub(), Role::Client);
        SqliteProvider::open(&SqliteOptions { hub_name: name.map(str::to_owned), ..options })
    };
    named(None).unwrap(); // made by a client that does not care
    named(Some("orders")).unwrap();
    named(Some("orders")).unwrap();
    named(None).unwrap();
    let refused = named(Some("invoices")).err().unwrap();
    assert_eq!(refused.kind, Kind::Invalid);
    assert!(refused.message.contains("'orders'"), "{refused}");
}

#[test]
fn the_level_of_sync_is_what_was_asked_for() {
    let folder = Folder::new();
    assert_eq!(client(&folder.hub()).durability().unwrap().settings, "FULL");
    let options = SqliteOptions { relaxed: true, ..options(&folder.hub(), Role::Worker) };
    assert_eq!(SqliteProvider::open(&options).unwrap().durability().unwrap().settings, "NORMAL");
}

#[test]
fn a_hub_in_memory_is_whole() {
    let options = SqliteOptions { path: None, hub_name: None, relaxed: false, role: Role::Worker };
    let mut provider = SqliteProvider::open(&options).unwrap();
    let epoch = provider.acquire(&HubSettings::default()).unwrap().epoch;
    let key = start(&mut provider, Some(epoch), "a").unwrap();
    assert_eq!(provider.arrivals().unwrap().ready, [key]);
    assert!(provider.reader().unwrap().is_none());
    assert!(provider.worker_lives().unwrap());
    provider.maintain(true).unwrap();

    let folder = Folder::new();
    provider.backup(&folder.hub()).unwrap();
    assert!(client(&folder.hub()).find("a").unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_hub() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.path().join("new/hub.db");
    let (mut provider, epoch) = worker(&path);
    start(&mut provider, Some(epoch), "a").unwrap();
    start(&mut client(&path), None, "b").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let files: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[cfg(unix)]
#[test]
fn two_ways_to_one_hub_are_one_hub() {
    let folder = Folder::new();
    let (_provider, _) = worker(&folder.hub());
    let way = folder.path().join("way.db");
    std::os::unix::fs::symlink(folder.hub(), &way).unwrap();
    assert_eq!(
        kind(open(&way, Role::Worker).unwrap().acquire(&HubSettings::default())),
        Kind::HubInUse
    );
}

/// A connection of another program.
fn raw(folder: &Folder) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.hub()).unwrap()
}

#[test]
fn whoever_sees_that_a_worker_lives_sees_its_settings() {
    for _ in 0..20 {
        let folder = Folder::new();
        let mut worker = open(&folder.hub(), Role::Worker).unwrap();
        let mut client = client(&folder.hub());
        let seen = std::thread::spawn(move || {
            while !client.worker_lives().unwrap() {
                std::thread::yield_now();
            }
            let mut settings = HubSettings::default();
            client
                .transaction(None, &mut |rows| {
                    settings = rows.settings()?;
                    Ok(())
                })
                .unwrap();
            settings.orchestrators
        });
        let orchestrators = vec!["f".to_owned()];
        worker.acquire(&HubSettings { orchestrators, ..HubSettings::default() }).unwrap();
        assert_eq!(seen.join().unwrap(), ["f"]);
    }
}
