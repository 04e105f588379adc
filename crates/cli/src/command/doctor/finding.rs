//! What a check found, as a line for people or an object for programs. Prints nothing.

use serde::Serialize;

/// Width of the column of levels.
const LEVEL_COLUMNS: usize = 4;
/// Width of the column that says what was looked at: the longest name.
const WHAT_COLUMNS: usize = 11;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Tasks will run, but something should be changed.
    Warn,
    /// Tasks will fail.
    Fail,
    /// The check could not be made.
    Skip,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    level: Level,
    what: &'static str,
    found: String,
    advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(crate) fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, what, found: found.into(), advice: None }
    }

    /// A warning, with what to do.
    pub(crate) fn warn(
        what: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warn, what, found: found.into(), advice: Some(advice.into()) }
    }

    /// A failure, with what to do.
    pub(crate) fn fail(
        what: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, what, found: found.into(), advice: Some(advice.into()) }
    }

    /// A failure whose text says already what to do.
    pub(crate) fn failure(what: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Fail, what, found: found.into(), advice: None }
    }

    /// A check that could not be made, with the reason.
    pub(crate) fn skip(what: &'static str, why: impl Into<String>) -> Self {
        Self { level: Level::Skip, what, found: why.into(), advice: None }
    }

    /// Whether tasks will fail because of it.
    pub(crate) fn is_failure(&self) -> bool {
        self.level == Level::Fail
    }

    /// A line for people, with its newline.
    pub(crate) fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
            Level::Skip => "skip",
        };
        let advice = self.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        let (what, found) = (self.what, &self.found);
        format!("{level:LEVEL_COLUMNS$}  {what:WHAT_COLUMNS$}  {found}{advice}\n")
    }

    /// An object for programs, with a newline.
    pub(crate) fn json(&self) -> String {
        // Texts can always be written.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_level_what_was_looked_at_what_was_found_and_what_to_do() {
        let lines = [
            Finding::ok("open files", "1048576 at most").line(),
            Finding::warn("agent", "old", "install another").line(),
            Finding::skip("login", "no agent").line(),
        ];
        insta::assert_snapshot!(lines.concat(), @"
        ok    open files   1048576 at most
        warn  agent        old; install another
        skip  login        no agent
        ");
    }

    #[test]
    fn an_object_has_the_same_members_whatever_was_found() {
        let finding = Finding::fail("login", "none", "log in").json();
        assert_eq!(
            finding,
            "{\"level\":\"fail\",\"what\":\"login\",\"found\":\"none\",\"advice\":\"log in\"}\n"
        );
        assert!(Finding::ok("login", "a token").json().contains("\"advice\":null"));
    }
}
