//! Rules of the house that no compiler checks: which room imports which, how long a file and a
//! function may be, what every module opens with, that links lead somewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

mod tidy {
    pub(crate) mod functions;
    pub(crate) mod imports;
    pub(crate) mod tree;
}

use tidy::tree::{Source, sources};
use tidy::{functions, imports};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Files that may be longer, and why.
const LONG_FILES: [&str; 0] = [];

/// Functions that may be longer, by file and name, and why.
const LONG_FUNCTIONS: [(&str, &str); 0] = [];

/// What each room of `src/` may import of the crate, as `src/lib.rs` says.
const ROOMS: [(&str, &[&str]); 5] = [
    ("core", &[]),
    ("os", &[]),
    ("provider", &["core", "os"]),
    ("runtime", &["core", "provider"]),
    ("node", &["runtime", "core", "provider"]),
];

/// Crates that core may use.
const CRATES_OF_CORE: [&str; 3] = ["std", "serde", "serde_json"];

/// What would make core depend on more than its arguments.
const BANNED_IN_CORE: [&str; 12] = [
    "SystemTime",
    "Instant",
    "tokio",
    "rand",
    "std::env",
    "std::fs",
    "std::thread",
    "std::process",
    "std::net",
    "println",
    "eprintln",
    "thread_rng",
];

/// What stands nowhere: a path of somebody's machine.
const MACHINE_PATHS: [&str; 5] = ["/work/", "/home/", "/root/", "/Users/", "C:\\Users"];

fn check(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

fn code() -> Vec<Source> {
    sources(&["src", "lib", "tests", "benches"], &["rs", "ts"])
}

#[test]
fn a_room_imports_only_the_rooms_below_it() {
    let faults: Vec<String> = sources(&["src"], &["rs"])
        .iter()
        .flat_map(|source| {
            let room = source.room();
            let allowed = ROOMS.iter().find(|(name, _)| *name == room).map(|(_, below)| *below);
            let used = imports::rooms_used(source);
            used.into_iter().filter_map(move |(line, used)| {
                // lib.rs is no room: it lists them.
                let fine =
                    used == room || allowed.is_none_or(|below| below.contains(&used.as_str()));
                (!fine).then(|| format!("{}:{line}: {room} uses {used}", source.path))
            })
        })
        .collect();
    check("an arrow of src/lib.rs is missing", &faults);
}

#[test]
fn core_uses_the_standard_library_and_serde_and_nothing_else() {
    let core: Vec<Source> =
        sources(&["src/core"], &["rs"]).into_iter().map(Source::without_tests).collect();
    let foreign: Vec<String> = core
        .iter()
        .flat_map(|source| {
            let used = imports::crates_used(source).into_iter();
            used.filter(|(_, name)| !CRATES_OF_CORE.contains(&name.as_str()))
                .map(|(line, name)| format!("{}:{line}: {name}", source.path))
        })
        .collect();
    check("core uses a crate", &foreign);
    let banned: Vec<String> =
        core.iter().flat_map(|source| source.lines_with(&BANNED_IN_CORE)).collect();
    check("core is a function of its arguments", &banned);
}

#[test]
fn only_the_engine_and_the_executor_know_the_native_module() {
    let may = ["lib/engine.ts", "lib/executor.ts", "lib/native.ts"];
    let faults: Vec<String> = sources(&["lib"], &["ts"])
        .iter()
        .filter(|source| !may.contains(&source.path.as_str()))
        .flat_map(|source| source.lines_with(&["/native.js'", "/native/"]))
        .collect();
    check("the native module is imported", &faults);
}

/// What the linter cannot name: methods of objects of which others may be used.
#[test]
fn only_the_clock_asks_the_process_for_the_time() {
    let faults: Vec<String> = sources(&["lib"], &["ts"])
        .iter()
        .filter(|source| source.path != "lib/clock.ts")
        .flat_map(|source| source.lines_with(&["process.nextTick(", "Date.now(", "new Date()"]))
        .collect();
    check("a clock that tests may fake; use lib/clock.ts", &faults);
}

#[test]
fn files_and_functions_fit_on_their_screens() {
    let mut faults = Vec::new();
    for source in code() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES && !LONG_FILES.contains(&source.path.as_str()) {
            faults.push(format!("{}: {lines} lines", source.path));
        }
        for (line, name, length) in functions::lengths(&source) {
            let excepted = LONG_FUNCTIONS.contains(&(source.path.as_str(), name.as_str()));
            if length > FUNCTION_LINES && !excepted {
                faults.push(format!("{}:{line}: {name} has {length} lines", source.path));
            }
        }
    }
    check("too long (500 lines a file, 70 a function)", &faults);
}

/// A list of exceptions only gets shorter if what is on it has to be there.
#[test]
fn exceptions_are_needed() {
    for path in LONG_FILES {
        let source = Source::read(path);
        assert!(source.text.lines().count() > FILE_LINES, "{path} is no exception");
    }
    for (path, name) in LONG_FUNCTIONS {
        let lengths = functions::lengths(&Source::read(path));
        let long =
            |(_, of, length): &(usize, String, usize)| of == name && *length > FUNCTION_LINES;
        assert!(lengths.iter().any(long), "{path}: {name} is no exception");
    }
}

#[test]
fn every_module_opens_with_what_it_is() {
    let opens = |source: &&Source| {
        let start = if source.is_of("rs") { "//! " } else { "/**" };
        let text = source.text.strip_prefix("#!/usr/bin/env node\n").unwrap_or(&source.text);
        !text.starts_with(start)
    };
    let faults: Vec<String> =
        code().iter().filter(opens).map(|source| source.path.clone()).collect();
    check("a module opens with a comment", &faults);
}

#[test]
fn relative_links_lead_somewhere() {
    let faults: Vec<String> =
        sources(&["."], &["md"]).iter().flat_map(Source::dead_links).collect();
    check("a link leads nowhere", &faults);
}

#[test]
fn tests_that_are_named_are_there() {
    let faults: Vec<String> = code().iter().flat_map(Source::missing_tests).collect();
    check("a test that is not there", &faults);
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    let kinds = ["rs", "ts", "mts", "mjs", "cjs", "js", "json", "md", "toml", "yml", "sql"];
    let faults: Vec<String> = sources(&["."], &kinds)
        .iter()
        .filter(|source| source.path != "tests/tidy.rs")
        .flat_map(|source| source.lines_with(&MACHINE_PATHS))
        .collect();
    check("a path of one machine", &faults);
}
