//! Which of the supervisor's environment variables a task gets.
//!
//! The policy is a table of families of names, each with its reason. `--env-allow` restricts it to the names that may
//! pass, `--env-deny` adds names that may not, and a request's own `env` is applied last: an explicit wish wins. The
//! marker by which leftover processes are found comes after that, and nothing can replace it.

mod table;

use std::{collections::BTreeMap, ffi::OsString, io};

use cc_link::spec::MARKER_VARIABLE;

use self::table::glob;

/// A variable's name, in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
}

impl Pattern {
    #[must_use]
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    fn matches(&self, name: &str) -> bool {
        glob(&self.text, name)
    }

    fn is_exactly(&self, name: &str) -> bool {
        self.text == name
    }
}

/// Overwrites the values of settings that are secrets, which `/proc/PID/environ` would show to every process of this
/// user. To be called when they have been read, before there are threads.
///
/// # Errors
/// As [`cc_proctree::environment::wipe`].
pub(crate) fn wipe_secrets() -> io::Result<()> {
    table::secrets().try_for_each(cc_proctree::environment::wipe)
}

/// What every task gets before its request's wishes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    variables: BTreeMap<String, String>,
}

impl Base {
    /// Applies the policy to `variables`. Returns also the names of those that are not UTF-8: they cannot be passed on.
    pub(crate) fn new(
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

    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The whole environment of a task: `wishes` on top (`None` removes), the marker last.
    #[must_use]
    pub(crate) fn of_task(
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

/// A name that an operator allows literally, without a `*`, passes whatever the table says, unless it is the token's.
fn passes(name: &str, value: &str, allow: &[Pattern], deny: &[Pattern]) -> bool {
    if table::secrets().any(|secret| secret == name)
        || deny.iter().any(|pattern| pattern.matches(name))
    {
        return false;
    }
    if allow.iter().any(|pattern| pattern.is_exactly(name)) {
        return true;
    }
    let is_allowed = allow.is_empty() || allow.iter().any(|pattern| pattern.matches(name));
    is_allowed && !table::is_kept_out(name, value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;
    use crate::config::settings;

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
            "AI_AGENT",
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
    fn the_variables_of_the_supervisors_own_settings_stay_out() {
        let variables = settings::table::all().filter_map(|setting| setting.about().variable);
        let names: Vec<_> = variables.map(|variable| variable.name).collect();
        assert!(names.contains(&"DEFAULT_PORT") && names.contains(&"STATE_DIRECTORY"));
        for name in names {
            assert!(base(&[(name, "x")], &[], &[]).is_empty(), "{name} passed");
        }
    }

    #[test]
    fn what_an_enclosing_session_or_host_leaves_behind_stays_out_as_families() {
        // Real names of 2.1.197 and 2.1.332, and names of the same families that no version has had.
        for name in [
            "CLAUDECODE",
            "CLAUDE_PID",
            "CLAUDE_CODE_ENTRYPOINT",
            "CLAUDE_CODE_ENTRYPOINT_ON_REQUESTS",
            "CLAUDE_CODE_SSE_PORT",
            "CLAUDE_CODE_EXECPATH",
            "CLAUDE_CODE_SIMPLE",
            "CLAUDE_CODE_CHILD_SESSION",
            "CLAUDE_CODE_SESSION_ID",
            "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
            "CLAUDE_CODE_SESSIONS_OAUTH_TOKEN",
            "CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS",
            "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST",
            "CLAUDE_CODE_HOST_AUTH_ENV_VAR",
            "CLAUDE_CODE_HOST_CREDS_FILE",
            "CLAUDE_CODE_HOST_OF_TOMORROW",
            "CLAUDE_CODE_SDK_HAS_OAUTH_REFRESH",
            "CLAUDE_CODE_SDK_OF_TOMORROW",
            "CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING",
            "CLAUDE_CODE_TEE_SDK_STDOUT",
            "CLAUDE_CODE_MAX_SDK_THING_OF_TOMORROW",
            "CLAUDE_CODE_ACCOUNT_UUID",
            "CLAUDE_CODE_ACCOUNT_TAGGED_ID",
            "CLAUDE_CODE_USER_EMAIL",
            "CLAUDE_CODE_ORGANIZATION_UUID",
            "CLAUDE_CODE_TAGS",
            "CLAUDE_CODE_BASE_REF",
            "CLAUDE_CODE_BASE_REFS",
            "CLAUDE_CODE_DIAGNOSTICS_FILE",
            "CLAUDE_CODE_WORKSPACE_HOST_PATHS",
            "CLAUDE_CODE_PLAN_MODE_REQUIRED",
            "CLAUDE_CODE_FORCE_BRIDGE",
            "CLAUDE_AGENT_SDK_VERSION",
            "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
            "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
            "CLAUDE_CODE_WEBSOCKET_AUTH_FILE_DESCRIPTOR",
            "CLAUDE_OF_TOMORROW_FILE_DESCRIPTOR",
            "CLAUDE_CODE_MESSAGING_SOCKET",
            "CLAUDE_CODE_MESSAGING_TOKEN",
            "CLAUDE_BG_RENDEZVOUS_SOCK",
            "CLAUDE_CODE_CCR_WORKER_SOCKET",
            "CLAUDE_CODE_REMOTE",
            "CLAUDE_CODE_REMOTE_SESSION_ID",
            "CLAUDE_CODE_USE_CCR_V2",
            "CLAUDE_CODE_RESUME_INTERRUPTED_TURN",
            "CLAUDE_CODE_RESUME_PROMPT",
            "CLAUDE_CODE_RELAUNCH_RESUME_HINT_FLAGS",
            "CLAUDE_CODE_BRIDGE_SESSION_ID",
            "CLAUDE_BRIDGE_REATTACH_SESSION",
            "CLAUDE_RUNNER_ORDER_ID",
            "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS",
            "CLAUDE_CODE_TOOL_USE_ID",
            "CLAUDE_PLUGIN_ROOT",
            "CLAUDE_PROJECT_DIR",
        ] {
            assert!(base(&[(name, "1")], &[], &[]).is_empty(), "{name} passed");
            assert!(base(&[(name, "")], &[], &[]).is_empty(), "an empty {name} passed");
        }
    }

    #[test]
    fn what_a_headless_login_a_proxy_or_an_operator_needs_stays_in() {
        for name in [
            "HOME",
            "PATH",
            "HTTPS_PROXY",
            "no_proxy",
            "NODE_EXTRA_CA_CERTS",
            "LANG",
            "AWS_PROFILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "IS_SANDBOX",
            "ANTHROPIC_AUTH_TOKEN",
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_CUSTOM_HEADERS",
            "ANTHROPIC_MODEL",
            "CLAUDE_CONFIG_DIR",
            "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
            "CLAUDE_CODE_CLIENT_CERT",
            "CLAUDE_CODE_DISABLE_DEFERRED_TOOL_RESUME",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "CLAUDE_CODE_EFFORT_LEVEL",
            "CLAUDE_CODE_ENABLE_TELEMETRY",
            "CLAUDE_CODE_EXTRA_BODY",
            "CLAUDE_CODE_FORCE_SESSION_PERSISTENCE",
            "CLAUDE_CODE_FORCE_SYNC_OUTPUT",
            "CLAUDE_CODE_USER_DIALOG_TIMEOUT_MS",
            "CLAUDE_CODE_GATEWAY_TOKEN",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
            "CLAUDE_CODE_MAX_RETRIES",
            "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
            "CLAUDE_CODE_OAUTH_SCOPES",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_PROXY_HOST",
            "CLAUDE_CODE_SESSIONEND_HOOKS_TIMEOUT_MS",
            "CLAUDE_CODE_SHELL",
            "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
            "CLAUDE_CODE_SKIP_VERTEX_AUTH",
            "CLAUDE_CODE_STARTUP_FAILURE_RESULTS",
            "CLAUDE_CODE_SUBAGENT_MODEL",
            "CLAUDE_CODE_TMPDIR",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_FOUNDRY",
            "CLAUDE_CODE_USE_VERTEX",
            "CLAUDE_STREAM_IDLE_TIMEOUT_MS",
        ] {
            assert!(base(&[(name, "x")], &[], &[]).contains_key(name), "{name} did not pass");
        }
    }

    #[test]
    fn a_pattern_of_an_operator_may_have_its_star_anywhere() {
        let variables = [("MY_TOKEN", "a"), ("MY_NAME", "b"), ("CLAUDE_CODE_HOST_PLATFORM", "c")];
        assert_eq!(base(&variables, &[], &["*_TOKEN"]).keys().collect::<Vec<_>>(), ["MY_NAME"]);
        let allowed = base(&variables, &["*_TOKEN", "CLAUDE_CODE_HOST_PLATFORM"], &[]);
        assert_eq!(allowed.keys().collect::<Vec<_>>(), ["CLAUDE_CODE_HOST_PLATFORM", "MY_TOKEN"]);
    }

    #[test]
    fn an_allow_list_lets_nothing_else_pass_and_a_literal_name_beats_the_table() {
        let variables =
            [("HOME", "/h"), ("LC_ALL", "C"), ("OTHER", "x"), ("ANTHROPIC_API_KEY", "k")];
        let passed = base(&variables, &["HOME", "LC_*", "ANTHROPIC_*"], &[]);
        assert_eq!(passed.keys().collect::<Vec<_>>(), ["HOME", "LC_ALL"]);
        assert_eq!(base(&variables, &["ANTHROPIC_API_KEY"], &[]).len(), 1);
        let token = [("CC_EXECUTOR_TOKEN", "t")];
        assert!(base(&token, &["CC_EXECUTOR_TOKEN"], &[]).is_empty(), "but for the token");
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
}
