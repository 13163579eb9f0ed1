//! Versions of orchestrations: which one an instance gets, and which of them a worker runs.
//!
//! Owns: the default, the order of versions, and the two strategies of `docs/semantics.md` §1.1.
//! Must never: change the version of an instance, which it keeps for life. Proved by the tests below.

use std::cmp::Ordering;

use serde::Deserialize;

use super::error::Error;
use super::ids;

/// Parts of a version that are numbers, at most.
const PARTS_MAX: usize = 4;

/// Which instances a worker runs, by their version and its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum VersionMatch {
    /// All.
    None,
    /// Those of its own version.
    Strict,
    /// Those of its own version and of older ones.
    CurrentOrOlder,
}

/// What becomes of an instance that is not this worker's to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum VersionFailure {
    /// It waits for a worker that runs it.
    #[default]
    Reject,
    /// It fails.
    Fail,
}

/// The versions of one worker.
#[derive(Debug, Clone, Default)]
pub struct Versioning {
    /// Its own version, which is also that of an instance for which none was asked.
    pub default_version: Option<String>,
    /// By default `CurrentOrOlder` if it has a version, and all if it has none.
    pub matching: Option<VersionMatch>,
    /// See [`VersionFailure`].
    pub failure: VersionFailure,
}

impl Versioning {
    /// Whether an instance of that version is this worker's to run.
    #[must_use]
    pub fn runs(&self, version: Option<&str>) -> bool {
        let own = self.default_version.as_deref();
        let matching = match (self.matching, own) {
            (Some(matching), _) => matching,
            (None, Some(_)) => VersionMatch::CurrentOrOlder,
            (None, None) => VersionMatch::None,
        };
        match matching {
            VersionMatch::None => true,
            VersionMatch::Strict => compare(version, own) == Ordering::Equal,
            VersionMatch::CurrentOrOlder => compare(version, own) != Ordering::Greater,
        }
    }
}

/// The version of a new instance, from the one that was asked for: an empty one is none, whatever the
/// default is.
#[must_use]
pub fn version_of(asked: Option<&str>, default: Option<&str>) -> Option<String> {
    asked.or(default).filter(|version| !version.is_empty()).map(str::to_owned)
}

/// Checks a version that was asked for.
///
/// # Errors
/// `InvalidName`.
pub fn check_version(version: Option<&str>) -> Result<(), Error> {
    match version {
        None | Some("") => Ok(()),
        Some(version) => ids::check_name("version", version),
    }
}

/// Which of two versions is the older one. None is older than any; numbers with points between go by
/// their numbers, a missing part before any number; all else by its letters, without regard to case.
#[must_use]
pub fn compare(one: Option<&str>, other: Option<&str>) -> Ordering {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_some().cmp(&other.is_some());
    };
    match (parts(one), parts(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.to_uppercase().cmp(&other.to_uppercase()),
    }
}

fn parts(version: &str) -> Option<Vec<u64>> {
    let part = |part: &str| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse().ok() } else { None }
    };
    let parts: Vec<u64> = version.split('.').map(part).collect::<Option<_>>()?;
    (parts.len() <= PARTS_MAX).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_by_their_value_and_all_else_by_its_letters() {
        let order: [&[Option<&str>]; 4] = [
            &[None, Some("0"), Some("1"), Some("1.0"), Some("1.0.0"), Some("1.2"), Some("1.10")],
            &[Some("9"), Some("10"), Some("10.0.0.1")],
            &[Some("2025-01-01"), Some("2025-10-01"), Some("v1"), Some("V2-beta")],
            // Not numbers: too many parts, a part that is none, one that is too large.
            &[Some("1.10.0.0.0"), Some("1.2.0.0.0"), Some("1.9."), Some("99999999999999999999")],
        ];
        for versions in order {
            for pair in versions.windows(2) {
                assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
                assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
            }
        }
        for (one, other) in [(None, None), (Some("1.0"), Some("01.0")), (Some("v1"), Some("V1"))] {
            assert_eq!(compare(one, other), Ordering::Equal);
        }
    }

    #[test]
    fn a_worker_runs_what_its_strategy_says_and_all_if_it_has_neither_version_nor_strategy() {
        use VersionMatch::{CurrentOrOlder, Strict};
        let runs = |own: Option<&str>, matching, version| {
            let default_version = own.map(str::to_owned);
            Versioning { default_version, matching, ..Versioning::default() }.runs(version)
        };
        let own = Some("2");
        for (matching, none, older, same, newer) in [
            (None, true, true, true, false),
            (Some(CurrentOrOlder), true, true, true, false),
            (Some(Strict), false, false, true, false),
            (Some(VersionMatch::None), true, true, true, true),
        ] {
            let versions = [None, Some("1"), Some("2"), Some("3")];
            let ran = versions.map(|version| runs(own, matching, version));
            assert_eq!(ran, [none, older, same, newer], "{matching:?}");
        }
        assert!(runs(None, None, Some("3")));
        assert!(!runs(None, Some(CurrentOrOlder), Some("3")));
        assert!(runs(None, Some(Strict), None));
    }

    #[test]
    fn what_is_asked_for_goes_before_the_default_and_an_empty_one_is_none() {
        assert_eq!(version_of(Some("1"), Some("2")).as_deref(), Some("1"));
        assert_eq!(version_of(None, Some("2")).as_deref(), Some("2"));
        assert_eq!(version_of(Some(""), Some("2")), None);
        assert!(check_version(Some("")).is_ok() && check_version(Some("1.0-b")).is_ok());
        assert!(check_version(Some("a\u{0}")).is_err());
    }
}
