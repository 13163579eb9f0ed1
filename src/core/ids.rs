//! Ids of instances and entities, and names: what is allowed, and how names are compared.
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
    } else if matches!(id, "." | "..") {
        "no URL reaches it".to_owned()
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
             characters, no leading '@', none of / \\ # ?, no control characters, and not '.' or '..'."
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

/// The parts of an entity's id `@name@key`: its name and its key, in which there may be another `@`.
#[must_use]
pub fn entity_parts(id: &str) -> Option<(&str, &str)> {
    id.strip_prefix('@')?.split_once('@')
}

/// The id with its name as names are compared.
#[must_use]
pub fn fold_entity_id(id: &str) -> String {
    match entity_parts(id) {
        Some((name, key)) => format!("@{}@{key}", fold_name(name)),
        None => id.to_owned(),
    }
}

/// Checks an entity's id.
///
/// # Errors
/// `InvalidEntityId`, saying what is wrong with it.
pub fn check_entity_id(id: &str) -> Result<(), Error> {
    let problem = match entity_parts(id) {
        None => "it is not of the form '@name@key'".to_owned(),
        Some(("", _)) => "its name is empty".to_owned(),
        Some((name, _)) if name.chars().count() > NAME_CHARS_MAX => {
            format!("its name is longer than {NAME_CHARS_MAX} characters")
        }
        Some((_, key)) if key.chars().count() > INSTANCE_ID_CHARS_MAX => {
            format!("its key is longer than {INSTANCE_ID_CHARS_MAX} characters")
        }
        Some(_) => match id.chars().find(|c| matches!(c, '/' | '\\' | '#' | '?')) {
            Some(c) => format!("it contains '{c}'"),
            None if id.chars().any(char::is_control) => "it contains a control character".into(),
            None => return Ok(()),
        },
    };
    let message = format!("The entity id {id:?} is not valid: {problem}.");
    Err(Error::new(ErrorCode::InvalidEntityId, message))
}

/// The order in which entities are locked, the same for everyone: two that want the same ones never
/// wait for each other.
#[must_use]
pub fn lock_order(mut entities: Vec<String>) -> Vec<String> {
    for id in &mut entities {
        *id = fold_entity_id(id);
    }
    entities.sort_unstable();
    entities.dedup();
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_rule_pass_and_others_name_their_fault() {
        for good in ["a", "A-1_b.c:d", "...", "ünï", &"x".repeat(256)] {
            assert!(check_instance_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "@x", "a/b", "a\\b", "a#b", "a?b", "a\u{7}", &"x".repeat(257)] {
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

    #[test]
    fn ids_of_entities_have_two_parts_of_which_the_name_folds() {
        assert_eq!(entity_parts("@Counter@a@b"), Some(("Counter", "a@b")));
        assert_eq!(fold_entity_id("@Counter@Key"), "@counter@Key");
        for good in ["@a@b", "@a@", "@a@b@c"] {
            assert!(check_entity_id(good).is_ok(), "{good}");
        }
        let long = format!("@a@{}", "x".repeat(257));
        for bad in ["", "a", "@a", "@@b", "@a@b/c", "@a@b\u{7}", &long] {
            assert_eq!(check_entity_id(bad).unwrap_err().code, ErrorCode::InvalidEntityId, "{bad}");
        }
    }

    #[test]
    fn locks_are_taken_in_one_order() {
        let ids = ["@b@1", "@A@2", "@a@1", "@B@1"].map(str::to_owned).to_vec();
        assert_eq!(lock_order(ids), ["@a@1", "@a@2", "@b@1"]);
    }
}
