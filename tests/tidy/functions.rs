//! How long functions are, by their braces: in formatted code a function ends with a line that is as
//! far in as its first one and begins with `}`.

use super::tree::{Source, without_comment};

/// What looks like the head of a function in TypeScript and is none.
const NO_FUNCTION: [&str; 14] = [
    "if",
    "for",
    "while",
    "switch",
    "catch",
    "else",
    "do",
    "try",
    "class",
    "interface",
    "return",
    "import",
    "export {",
    "}",
];

/// The line, the name and the length of each function.
pub(crate) fn lengths(source: &Source) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let rust = source.is_of("rs");
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let name = if rust { rust_name(line) } else { typescript_name(line) };
        let Some(name) = name else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let mut after = lines[number..].iter().skip(1);
        let Some(length) = after.position(|later| later.starts_with(&end)) else { continue };
        let opens = |line: &&&str| [";", "{", "}"].iter().any(|end| line.ends_with(end));
        // One without a body, of a trait, ends with its signature.
        if lines[number..].iter().find(opens).is_some_and(|line| line.ends_with('{')) {
            found.push((number + 1, name, length + 2));
        }
    }
    found
}

fn rust_name(line: &str) -> Option<String> {
    let code = without_comment(line).trim_start();
    let at = code.find("fn ")?;
    let head = &code[..at];
    let keywords = head.split_whitespace().all(|word| {
        ["const", "async", "unsafe", "extern", "\"C\""].contains(&word) || word.starts_with("pub")
    });
    let name: String =
        code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (keywords && !name.is_empty()).then_some(name)
}

fn typescript_name(line: &str) -> Option<String> {
    let code = without_comment(line).trim_start();
    if !code.ends_with('{') || !code.contains('(') {
        return None;
    }
    let none = NO_FUNCTION.iter().any(|word| {
        code.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    });
    let head = code.split('(').next()?;
    let name = head.split([' ', '=']).rfind(|word| !word.is_empty()).unwrap_or_default();
    (!none).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> Vec<(String, usize)> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        lengths(&source).into_iter().map(|(_, name, length)| (name, length)).collect()
    }

    #[test]
    fn functions_are_measured_from_head_to_brace() {
        let rust =
            "impl A {\n    pub(crate) fn a(\n        b: u8,\n    ) -> u8 {\n        b\n    }\n}\n";
        assert_eq!(of("a.rs", rust), [("a".to_owned(), 5)]);
        let script =
            "class A {\n  private run(a: B): void {\n    if (a) {\n      b()\n    }\n  }\n}\n";
        assert_eq!(of("a.ts", script), [("run".to_owned(), 5)]);
        assert_eq!(of("a.ts", "const f = (a: B): C => {\n  a()\n}\n"), [("f".to_owned(), 3)]);
    }
}
