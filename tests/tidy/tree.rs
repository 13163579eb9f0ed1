//! The files of the repository, as text.

use std::path::{Path, PathBuf};

/// What is built, installed or kept elsewhere.
const PASSED_OVER: [&str; 7] =
    ["node_modules", "target", "dist", "native", "package-lock.json", "proptest-regressions", "."];

/// A file. Its path is relative to the repository, with `/`.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below the folders whose names end so, in the order of their paths.
pub(crate) fn sources(folders: &[&str], endings: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    for folder in folders {
        walk(&root().join(folder), endings, &mut files);
    }
    files.sort();
    assert!(!files.is_empty(), "no files in {folders:?}");
    files.iter().map(|file| Source::read_file(file)).collect()
}

fn walk(folder: &Path, endings: &[&str], files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if PASSED_OVER.contains(&name.as_str()) || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, endings, files);
        } else if path.extension().is_some_and(|end| endings.iter().any(|ending| *ending == end)) {
            files.push(path);
        }
    }
}

impl Source {
    pub(crate) fn read(path: &str) -> Self {
        Self::read_file(&root().join(path))
    }

    fn read_file(file: &Path) -> Self {
        let relative = file.strip_prefix(root()).unwrap();
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let parts: Vec<_> = parts.iter().filter(|part| *part != ".").cloned().collect();
        Self { path: parts.join("/"), text: std::fs::read_to_string(file).unwrap() }
    }

    /// Whether its name ends so.
    pub(crate) fn is_of(&self, ending: &str) -> bool {
        self.path.rsplit('.').next() == Some(ending)
    }

    /// The room of `src/` that it stands in, or its own name.
    pub(crate) fn room(&self) -> &str {
        let within = self.path.strip_prefix("src/").unwrap_or(&self.path);
        within.split(['/', '.']).next().unwrap()
    }

    /// Without the tests at its end, which may use more than what they test.
    pub(crate) fn without_tests(mut self) -> Self {
        if let Some(tests) = self.text.find("#[cfg(test)]\nmod tests {") {
            self.text.truncate(tests);
        }
        self
    }

    /// Lines of code with one of the words in them.
    pub(crate) fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            let code = if self.is_of("md") { line } else { without_comment(line) };
            for word in words.iter().filter(|word| has_word(code, word)) {
                found.push(format!("{}:{}: {word}", self.path, number + 1));
            }
        }
        found
    }

    /// Relative links of a document that lead to no file.
    pub(crate) fn dead_links(&self) -> Vec<String> {
        let folder = root().join(&self.path).parent().unwrap().to_path_buf();
        let mut dead = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split(['#', ' ']).next().unwrap();
                let elsewhere = target.contains(':') || target.is_empty();
                if !elsewhere && !folder.join(target).exists() {
                    dead.push(format!("{}:{}: {link}", self.path, number + 1));
                }
            }
        }
        dead
    }

    /// Files of tests that are named in it, in backticks, and are not there.
    pub(crate) fn missing_tests(&self) -> Vec<String> {
        let is_test = |name: &&str| name.starts_with("__test__/") || name.starts_with("tests/");
        let quoted = self.text.split('`').skip(1).step_by(2);
        let missing = quoted.filter(is_test).filter(|name| !root().join(name).exists());
        missing.map(|name| format!("{}: {name}", self.path)).collect()
    }
}

/// A line without a comment that takes the whole of it.
pub(crate) fn without_comment(line: &str) -> &str {
    let start = line.trim_start();
    let comment = start.starts_with("//") || start.starts_with("* ") || start.starts_with("/*");
    if comment { "" } else { line }
}

/// Whether it stands there, and not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part);
        let after = line[at + word.len()..].chars().next().is_some_and(part);
        let (starts, ends) = (word.starts_with(part), word.ends_with(part));
        !(starts && before || ends && after)
    })
}
