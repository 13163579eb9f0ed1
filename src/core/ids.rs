//! Instance ids and names: what is allowed, and how names are compared.
//!
//! Owns: the rules of `docs/semantics.md` §1.1 for ids, and the one folding of names. Must never: make an id.
//! Proved by the tests below.

use super::error::{Error, ErrorCode};

/// Longest instance id, in characters.
pub const INSTANCE_ID_CHARS_MAX: usize = 256;
/// Longest orchestrator, activity or event name, in characters.
pub const NAME_CHARS_MAX: usize = 256;

/// Function and event names match without regard to case; this is the form they are compared in.
#[must_use]
pub fn fold_name(name: &str) -> String {
    name.to_lowercase()
}

/// The partition of an instance, of so many: stored with it, so it never changes. FNV-1a of the id.
#[must_use]
pub fn partition_of(id: &str, partitions: u16) -> u16 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let partition = (hash ^ (hash >> 32)) % u64::from(partitions.max(1));
    u16::try_from(partition).unwrap_or_default()
}

/// Checks an instance id that a user chose.
///
/// # Errors
/// `InvalidInstanceId`, saying what is wrong with it.
pub fn check_instance_id(id: &str) -> Result<(), Error> {
    let problem = if id.is_empty() {
        "it is empty".to_owned()
    } else if id.chars().count() > INSTANCE_ID_CHARS_MAX {
        format!("it is longer than {INSTANCE_ID_CHARS_MAX} characters")
    } else if id.starts_with('@') {
        "it starts with '@', which is kept for entities".to_owned()
    } else if let Some(c) = id.chars().find(|c| matches!(c, '/' | '\\' | '#' | '?')) {
        format!("it contains '{c}'")
    } else if id.chars().any(char::is_control) {
        "it contains a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorCode::InvalidInstanceId,
        format!(
            "The instanceId {id:?} is not valid: {problem}. Use 1 to {INSTANCE_ID_CHARS_MAX} \
             characters, no leading '@', none of / \\ # ? and no control characters."
        ),
    ))
}

/// Checks the name of a function or an event.
///
/// # Errors
/// `InvalidName`, naming the field.
pub fn check_name(field: &str, name: &str) -> Result<(), Error> {
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if name.chars().count() > NAME_CHARS_MAX {
        format!("is longer than {NAME_CHARS_MAX} characters")
    } else if name.chars().any(char::is_control) {
        "contains a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorCode::InvalidName, format!("The {field} {name:?} {problem}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_rule_pass_and_others_name_their_fault() {
        for good in ["a", "A-1_b.c:d", "ünï", &"x".repeat(256)] {
            assert!(check_instance_id(good).is_ok(), "{good}");
        }
        for bad in ["", "@x", "a/b", "a\\b", "a#b", "a?b", "a\u{7}", &"x".repeat(257)] {
            let error = check_instance_id(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidInstanceId);
        }
    }

    #[test]
    fn partitions_are_the_same_for_ever_and_all_in_use() {
        assert_eq!([partition_of("", 256), partition_of("order-1", 256)], [193, 242]);
        let ids: Vec<String> = (0..4_096).map(|n| format!("order-{n}")).collect();
        let used: std::collections::HashSet<u16> =
            ids.iter().map(|id| partition_of(id, 256)).collect();
        assert_eq!(used.len(), 256);
    }

    #[test]
    fn names_fold_case_beyond_ascii() {
        assert_eq!(fold_name("SayHÉLLO"), fold_name("sayhéllo"));
    }
}
