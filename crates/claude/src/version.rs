//! Versions of the CLI: those with which every change of this project is tested, and where another one
//! stands beside them.
//!
//! The only place that names them: `.ci/run` reads them here, `ccx doctor` and the supervisor's log judge by
//! them. `docs/cli-versions.md` says what the versions do differently.

use std::fmt;

/// The oldest version that the suites run with.
pub const OLDEST_TESTED: Version = Version::new(2, 1, 197);
/// The newest version that the suites run with.
pub const NEWEST_TESTED: Version = Version::new(2, 1, 332);

/// The first version that is known to wait for its last output when it exits. Those before may lose what the pipe does
/// not hold at that moment, their result line included (seen with 2.1.197).
pub const WAITS_FOR_OUTPUT_SINCE: Version = Version::new(2, 1, 332);

/// A version of the CLI. Ordered as versions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

/// Where a version stands beside those that are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Before [`OLDEST_TESTED`].
    Older,
    /// One of the two.
    Tested,
    /// Between the two: expected to behave as one of them.
    Between,
    /// After [`NEWEST_TESTED`]: it may print what is not known here.
    Newer,
}

impl Version {
    /// The version of these numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads what `claude --version` prints (`2.1.332 (Claude Code)`) or the stream's
    /// `claude_code_version` says. What follows the third number, as of a preview, is not looked at.
    /// `None` where the text does not begin with three numbers.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim_start().splitn(3, '.');
        let (major, minor, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            patch: rest[..end].parse().ok()?,
        })
    }

    #[must_use]
    pub fn standing(self) -> Standing {
        if self < OLDEST_TESTED {
            Standing::Older
        } else if self > NEWEST_TESTED {
            Standing::Newer
        } else if self == OLDEST_TESTED || self == NEWEST_TESTED {
            Standing::Tested
        } else {
            Standing::Between
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_cli_says_of_itself() {
        for (text, expected) in [
            ("2.1.332 (Claude Code)\n", Some(Version::new(2, 1, 332))),
            ("2.1.197", Some(Version::new(2, 1, 197))),
            ("2.1.400-beta.3", Some(Version::new(2, 1, 400))),
            ("10.0.0", Some(Version::new(10, 0, 0))),
            ("Claude Code 2.1.332", None),
            ("2.1", None),
            ("2.1.x", None),
            ("", None),
        ] {
            assert_eq!(Version::read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_version_stands_by_its_numbers_and_not_by_its_letters() {
        for (text, expected) in [
            ("2.1.196", Standing::Older),
            ("2.1.20", Standing::Older),
            ("1.9.999", Standing::Older),
            ("2.1.197", Standing::Tested),
            ("2.1.218", Standing::Between),
            ("2.1.332", Standing::Tested),
            ("2.1.333", Standing::Newer),
            ("2.1.1000", Standing::Newer),
            ("2.2.0", Standing::Newer),
            ("3.0.0", Standing::Newer),
        ] {
            assert_eq!(Version::read(text).unwrap().standing(), expected, "{text}");
        }
    }

    #[test]
    fn the_page_about_versions_names_those_that_are_tested() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli-versions.md");
        let text = std::fs::read_to_string(page).unwrap();
        assert!(text.contains(&format!("| {OLDEST_TESTED}, the oldest |")));
        assert!(text.contains(&format!("| {NEWEST_TESTED}, the newest |")));
    }

    #[test]
    fn there_are_recorded_streams_of_every_version_that_is_tested() {
        let streams = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/streams");
        for version in [OLDEST_TESTED, NEWEST_TESTED] {
            let stream = streams.join(version.to_string()).join("plain-answer.jsonl");
            let said = std::fs::read_to_string(&stream).unwrap();
            let expected = format!("\"claude_code_version\":\"{version}\"");
            assert!(said.contains(&expected), "{}", stream.display());
        }
    }
}
