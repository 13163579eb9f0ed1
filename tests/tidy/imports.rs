//! Which rooms and crates a Rust file names.

use super::tree::{Source, without_comment};

/// Rooms of the crate that a file names, with the numbers of the lines.
pub(crate) fn rooms_used(source: &Source) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let line = without_comment(line);
        for (at, _) in line.match_indices("crate::") {
            if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            for name in names_after(&line[at + "crate::".len()..]) {
                used.push((number + 1, name));
            }
        }
        used.extend(room_above(source, line).map(|name| (number + 1, name)));
    }
    used
}

/// The names that a path goes on with: one, or those in braces.
fn names_after(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    match rest.strip_prefix('{') {
        Some(inner) => inner.split(['}', ',']).map(name).filter(|name| !name.is_empty()).collect(),
        None => vec![name(rest)],
    }
}

/// The room that a path of `super`s leads to, if it leaves its own.
fn room_above(source: &Source, line: &str) -> Option<String> {
    let at = line.find("super::")?;
    let rest = line[at..].trim_start_matches("super::");
    let supers = (line.len() - at - rest.len()) / "super::".len();
    let within = source.path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let depth = within.strip_suffix("/mod").unwrap_or(within).split('/').count();
    let inside_tests = line.starts_with(' ') && source.text.contains("mod tests {");
    (supers >= depth + usize::from(inside_tests)).then(|| names_after(rest).remove(0))
}

/// Crates that a file imports, with the numbers of the lines.
pub(crate) fn crates_used(source: &Source) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let line = without_comment(line).trim_start();
        let path = line.strip_prefix("pub use ").or_else(|| line.strip_prefix("use "));
        let Some(path) = path else { continue };
        let first = names_after(path).remove(0);
        let own = ["crate", "super", "self"].contains(&first.as_str());
        // `use HistoryEvent as E` names a type in reach, not a crate.
        if !own && first.starts_with(|c: char| c.is_lowercase()) {
            used.push((number + 1, first));
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn rooms(path: &str, text: &str) -> Vec<String> {
        rooms_used(&source(path, text)).into_iter().map(|(_, room)| room).collect()
    }

    #[test]
    fn rooms_are_seen_however_they_are_named() {
        let path = "src/core/a.rs";
        assert_eq!(rooms(path, "use crate::{provider::Rows, runtime};"), ["provider", "runtime"]);
        assert_eq!(rooms(path, "    let x = crate::runtime::clock::now();"), ["runtime"]);
        assert_eq!(rooms(path, "use super::super::provider::Rows;"), ["provider"]);
        assert_eq!(rooms(path, "use super::turn::Turn; // crate-wide"), [""; 0]);
        assert_eq!(rooms(path, "// crate::runtime is not used"), [""; 0]);
        assert_eq!(rooms("src/runtime/dispatcher/a.rs", "use super::super::x::Y;"), [""; 0]);
    }

    #[test]
    fn crates_are_seen_where_they_are_imported() {
        let used = crates_used(&source("src/core/a.rs", "use rusqlite::Row;\nuse super::x;\n"));
        assert_eq!(used, [(1, "rusqlite".to_owned())]);
    }
}
