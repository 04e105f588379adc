//! Which of the supervisor's environment variables a task gets.
//!
//! The table below is the policy; every line has its reason. `--env-allow` turns it into a list of what
//! may pass, `--env-deny` adds to what may not, and a request's own `env` comes on top of all: an explicit
//! wish wins. The marker by which leftovers are found comes last, and nothing can replace it.

use std::{collections::BTreeMap, ffi::OsString};

use cc_link::spec::MARKER_VARIABLE;

/// A variable's name, or the beginning of one before a `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// Reads one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    fn matches(&self, name: &str) -> bool {
        glob(&self.text, name)
    }

    fn is_exactly(&self, name: &str) -> bool {
        self.text == name
    }
}

fn glob(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// When a line of the table applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Empty,
}

use When::{Always, Empty};

/// What stays out: name (or beginning), when, and why.
#[rustfmt::skip]
const KEPT_OUT: &[(&str, When, &str)] = &[
    ("ANTHROPIC_API_KEY", Always, "wins over a login, and a stale one makes the CLI retry for minutes without a word"),
    ("ANTHROPIC_*", Empty, "an empty base URL or token is taken at its word and breaks every request"),
    ("CLAUDECODE", Always, "marks an enclosing Claude session: the CLI refuses or changes its behaviour"),
    ("CLAUDE_CODE_ENTRYPOINT", Always, "names the enclosing session's entry point"),
    ("CLAUDE_CODE_SSE_PORT", Always, "connects the CLI to the enclosing session's editor"),
    ("CLAUDE_CODE_SESSION_*", Always, "id and access token of the enclosing session"),
    ("CLAUDE_CODE_CHILD_SESSION", Always, "marks a child of an enclosing session"),
    ("CLAUDE_CODE_PARENT_*", Always, "names the enclosing session"),
    ("CLAUDE_CODE_EXECPATH", Always, "the enclosing session's program"),
    ("CLAUDE_EFFORT", Always, "the enclosing session's setting, not the operator's"),
    ("CLAUDE_PROJECT_DIR", Always, "given to the hooks of an enclosing session"),
    ("CLAUDE_ENV_FILE", Always, "given to the hooks of an enclosing session"),
    ("AI_AGENT", Always, "names the enclosing session's agent"),
    ("TRACEPARENT", Always, "hangs the task's trace below whatever span started the supervisor"),
    ("TRACESTATE", Always, "goes with TRACEPARENT"),
    ("PWD", Always, "names the supervisor's directory, not the task's"),
    ("OLDPWD", Always, "names the directory before that"),
    ("_", Always, "names the supervisor's program"),
    ("DEFAULT_PORT", Always, "the supervisor's own configuration"),
    ("MAX_SESSIONS", Always, "the supervisor's own configuration"),
    ("MAX_BUFFER_SIZE", Always, "the supervisor's own configuration"),
    ("STREAM_TIMEOUT", Always, "the supervisor's own configuration"),
    ("ALLOWED_COMMANDS", Always, "the supervisor's own configuration"),
    ("LOG_LEVEL", Always, "the supervisor's own configuration"),
    ("CC_EXECUTOR_*", Always, "the supervisor's own configuration and its token; the marker is set anew"),
    ("NOTIFY_SOCKET", Always, "a task could tell the service manager that the supervisor is ready or stopping"),
    ("LISTEN_FDS", Always, "describes descriptors that a task does not have"),
    ("LISTEN_FDNAMES", Always, "as LISTEN_FDS"),
    ("LISTEN_PID", Always, "as LISTEN_FDS"),
    ("LISTEN_PIDFDID", Always, "as LISTEN_FDS"),
    ("WATCHDOG_*", Always, "a task would believe that it must feed the supervisor's watchdog"),
    ("MAINPID", Always, "the service's process, not the task"),
    ("MANAGERPID", Always, "the service manager's process"),
    ("SYSTEMD_EXEC_PID", Always, "the service's process, not the task"),
    ("MEMORY_PRESSURE_*", Always, "where the service manager wants the supervisor to watch its memory"),
    ("INVOCATION_ID", Always, "the service's run; log tools would file the task under it"),
    ("JOURNAL_STREAM", Always, "describes the supervisor's standard error"),
    ("STATE_DIRECTORY", Always, "the supervisor's own directory"),
    ("RUNTIME_DIRECTORY", Always, "the supervisor's own directory"),
    ("CACHE_DIRECTORY", Always, "the supervisor's own directory"),
    ("LOGS_DIRECTORY", Always, "the supervisor's own directory"),
    ("CONFIGURATION_DIRECTORY", Always, "the supervisor's own directory"),
    ("CREDENTIALS_DIRECTORY", Always, "the supervisor's own secrets"),
];

/// What every task gets before its request's wishes.
#[derive(Clone, Debug)]
pub struct Base {
    variables: BTreeMap<String, String>,
}

impl Base {
    /// Applies the policy to `variables`. The names of those that are no UTF-8, and so cannot be passed on,
    /// come back too.
    pub fn new(
        variables: impl Iterator<Item = (OsString, OsString)>,
        allow: &[Pattern],
        deny: &[Pattern],
    ) -> (Self, Vec<String>) {
        let mut passed = BTreeMap::new();
        let mut unusable = Vec::new();
        for (name, value) in variables {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                unusable.push(name.to_string_lossy().into_owned());
                continue;
            };
            if passes(name, value, allow, deny) {
                passed.insert(name.to_owned(), value.to_owned());
            }
        }
        (Self { variables: passed }, unusable)
    }

    /// A variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The whole environment of a task: `wishes` on top (`None` removes), the marker last.
    #[must_use]
    pub fn of_task(
        &self,
        wishes: &BTreeMap<String, Option<String>>,
        task_id: &str,
    ) -> Vec<(String, String)> {
        let mut variables = self.variables.clone();
        for (name, wish) in wishes {
            match wish {
                Some(value) => variables.insert(name.clone(), value.clone()),
                None => variables.remove(name),
            };
        }
        variables.insert(MARKER_VARIABLE.to_owned(), task_id.to_owned());
        variables.into_iter().collect()
    }
}

/// An operator who allows a name letter by letter means it, whatever the table says.
fn passes(name: &str, value: &str, allow: &[Pattern], deny: &[Pattern]) -> bool {
    if deny.iter().any(|pattern| pattern.matches(name)) {
        return false;
    }
    if allow.iter().any(|pattern| pattern.is_exactly(name)) {
        return true;
    }
    let is_allowed = allow.is_empty() || allow.iter().any(|pattern| pattern.matches(name));
    let is_kept_out = KEPT_OUT.iter().any(|(pattern, when, _reason)| {
        let applies = match when {
            Always => true,
            Empty => value.is_empty(),
        };
        applies && glob(pattern, name)
    });
    is_allowed && !is_kept_out
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn base(variables: &[(&str, &str)], allow: &[&str], deny: &[&str]) -> BTreeMap<String, String> {
        let patterns = |texts: &[&str]| -> Vec<Pattern> {
            texts.iter().map(|text| Pattern::new(text)).collect()
        };
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Base::new(variables, &patterns(allow), &patterns(deny)).0.variables
    }

    #[test]
    fn what_is_known_to_do_harm_stays_out() {
        for name in [
            "ANTHROPIC_API_KEY",
            "CLAUDECODE",
            "CLAUDE_CODE_ENTRYPOINT",
            "CLAUDE_CODE_SSE_PORT",
            "CLAUDE_CODE_SESSION_ID",
            "TRACEPARENT",
            "MAX_SESSIONS",
            "CC_EXECUTOR_TOKEN",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "PWD",
        ] {
            assert!(base(&[(name, "x")], &[], &[]).is_empty(), "{name} passed");
        }
        assert!(base(&[("ANTHROPIC_BASE_URL", "")], &[], &[]).is_empty());
    }

    #[test]
    fn what_a_headless_login_or_a_proxy_needs_stays_in() {
        for name in [
            "HOME",
            "PATH",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CONFIG_DIR",
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_AUTH_TOKEN",
            "HTTPS_PROXY",
            "no_proxy",
            "NODE_EXTRA_CA_CERTS",
            "LANG",
        ] {
            assert!(base(&[(name, "x")], &[], &[]).contains_key(name), "{name} did not pass");
        }
    }

    #[test]
    fn an_allow_list_lets_nothing_else_pass_and_a_literal_name_beats_the_table() {
        let variables =
            [("HOME", "/h"), ("LC_ALL", "C"), ("OTHER", "x"), ("ANTHROPIC_API_KEY", "k")];
        let passed = base(&variables, &["HOME", "LC_*", "ANTHROPIC_*"], &[]);
        assert_eq!(passed.keys().collect::<Vec<_>>(), ["HOME", "LC_ALL"]);
        assert_eq!(base(&variables, &["ANTHROPIC_API_KEY"], &[]).len(), 1);
        assert!(base(&variables, &["ANTHROPIC_API_KEY"], &["ANTHROPIC_*"]).is_empty());
    }

    #[test]
    fn a_request_adds_and_removes_but_never_forges_the_marker() {
        let variables = [("HOME", "/h"), ("LANG", "C")].map(|(a, b)| (a.into(), b.into()));
        let (base, _) = Base::new(variables.into_iter(), &[], &[]);
        let wishes = BTreeMap::from([
            ("LANG".to_owned(), None),
            ("ANTHROPIC_API_KEY".to_owned(), Some("k".to_owned())),
            (MARKER_VARIABLE.to_owned(), Some("forged".to_owned())),
        ]);
        let environment: BTreeMap<_, _> = base.of_task(&wishes, "id").into_iter().collect();
        assert_eq!(
            environment.keys().collect::<Vec<_>>(),
            ["ANTHROPIC_API_KEY", MARKER_VARIABLE, "HOME"]
        );
        assert_eq!(environment[MARKER_VARIABLE], "id");
    }

    #[test]
    fn a_variable_that_is_no_utf8_is_left_out_and_named() {
        let bad = (OsString::from("BAD"), OsString::from_vec(vec![0xff]));
        let (base, unusable) = Base::new([bad].into_iter(), &[], &[]);
        assert!(base.variables.is_empty());
        assert_eq!(unusable, ["BAD"]);
    }

    #[test]
    fn every_line_of_the_table_has_a_reason() {
        assert!(KEPT_OUT.iter().all(|(name, _, reason)| !name.is_empty() && reason.len() > 10));
    }
}
