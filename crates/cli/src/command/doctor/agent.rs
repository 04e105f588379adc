//! The program that runs prompts: where it is, and how its version stands to those that are tested.

use cc_claude::version::{NEWEST_TESTED, OLDEST_TESTED, Standing, Version};

use super::{finding::Finding, trial::Trial};
use crate::{connect::programs, input::agent};

const WHAT: &str = "agent";

/// An agent that was found.
#[derive(Debug)]
pub(crate) struct Agent {
    /// The program and its first arguments.
    pub(crate) words: Vec<String>,
    /// Where the program is.
    path: String,
    /// As it reports it; `None` for a program that is no Claude CLI.
    pub(crate) version: Option<Version>,
}

impl Agent {
    /// One that is run by these words.
    pub(crate) fn of(words: Vec<String>, version: Option<Version>) -> Self {
        let program = words.first().cloned().unwrap_or_default();
        let path = programs::find(&program).map(|path| path.display().to_string());
        Self { path: path.unwrap_or(program), words, version }
    }
}

/// Finds the program and asks for its version; without a trial supervisor the version is not asked.
pub(crate) async fn check(
    wish: Option<&str>,
    trial: Option<&mut Trial>,
) -> (Option<Agent>, Finding) {
    let words = match agent::resolve(wish).map(|agent| shell_words::split(&agent)) {
        Ok(Ok(words)) => words,
        Ok(Err(error)) => return (None, Finding::failure(WHAT, error.to_string())),
        Err(failure) => return (None, Finding::failure(WHAT, failure.to_string())),
    };
    let mut agent = Agent::of(words, None);
    if wish == Some(agent::STAND_IN) {
        return (None, Finding::ok(WHAT, "the bundled stand-in, which calls no model"));
    }
    let Some(trial) = trial else {
        let why = format!("{}: its version was not asked, as no task could be run", agent.path);
        return (Some(agent), Finding::skip(WHAT, why));
    };
    let mut argv = agent.words.clone();
    argv.push("--version".to_owned());
    let finding = match trial.run(argv).await {
        Err(problem) => Finding::failure(WHAT, format!("{}: {problem}", agent.path)),
        Ok(ran) if !ran.is_ended_by_itself => {
            let found = format!("{} --version did not end by itself", agent.path);
            Finding::fail(WHAT, found, "see whether the program runs at all")
        }
        Ok(ran) => {
            agent.version = Version::read(&ran.stdout);
            match agent.version {
                Some(version) => judge(&agent.path, version),
                None => Finding::warn(
                    WHAT,
                    format!("{}: no version could be read: {}", agent.path, ran.last_words()),
                    "make sure that it takes the options of claude and prints what claude prints",
                ),
            }
        }
    };
    (Some(agent), finding)
}

fn judge(path: &str, version: Version) -> Finding {
    let install = format!("npm install -g @anthropic-ai/claude-code@{NEWEST_TESTED}");
    match version.standing() {
        Standing::Tested => {
            Finding::ok(WHAT, format!("{path}, version {version}, which is tested"))
        }
        Standing::Between => Finding::ok(
            WHAT,
            format!(
                "{path}, version {version}, between {OLDEST_TESTED} and {NEWEST_TESTED}, which are tested"
            ),
        ),
        Standing::Newer => Finding::warn(
            WHAT,
            format!(
                "{path}, version {version}, is newer than the newest that is tested, {NEWEST_TESTED}"
            ),
            format!(
                "run a few tasks and check their results before an unattended batch, or install that one: {install}"
            ),
        ),
        Standing::Older => Finding::warn(
            WHAT,
            format!(
                "{path}, version {version}, is older than the oldest that is tested, {OLDEST_TESTED}"
            ),
            format!("install a newer one: {install}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_judged_by_those_that_are_tested() {
        let judged: Vec<String> = ["2.1.332", "2.1.250", "2.1.999", "2.0.1"]
            .map(|version| judge("/usr/bin/claude", Version::read(version).unwrap()).line())
            .into();
        insta::assert_snapshot!(judged.concat(), @"
        ok    agent        /usr/bin/claude, version 2.1.332, which is tested
        ok    agent        /usr/bin/claude, version 2.1.250, between 2.1.197 and 2.1.332, which are tested
        warn  agent        /usr/bin/claude, version 2.1.999, is newer than the newest that is tested, 2.1.332; run a few tasks and check their results before an unattended batch, or install that one: npm install -g @anthropic-ai/claude-code@2.1.332
        warn  agent        /usr/bin/claude, version 2.0.1, is older than the oldest that is tested, 2.1.197; install a newer one: npm install -g @anthropic-ai/claude-code@2.1.332
        ");
    }
}
