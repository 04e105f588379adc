//! What of the supervisor's environment stays out of a task's: families of names, each with its reason.
//!
//! A supervisor or `ccx` that is started inside a Claude session or below an SDK host inherits what that host set for
//! its own session: its account, its file descriptors and sockets, its login, how it is to be resumed. All of that is
//! wrong for a task, which is a session of its own. The names change with every version of the CLI, so they are matched
//! by family. The families come from the names in 2.1.197 and 2.1.332, among them the CLI's own lists of what it removes
//! before it starts a session elsewhere.

use crate::config::settings::{self, setting::AnySetting};

/// What becomes of the variables of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They stay out.
    Out,
    /// They stay out where they are empty.
    OutIfEmpty,
    /// They are passed on, although a later family has them too.
    In,
}

use Fate::{In, Out, OutIfEmpty};

/// The families: a name in which `*` stands for any characters, what becomes of it, and why. The first that matches
/// counts; a name that is in none is passed on.
#[rustfmt::skip]
pub(super) const FAMILIES: &[(&str, Fate, &str)] = &[
    // Logins.
    ("ANTHROPIC_API_KEY", Out, "wins over a login, and a stale one makes the CLI retry for minutes without a word"),
    ("ANTHROPIC_*", OutIfEmpty, "an empty base URL or token is taken at its word and breaks every request"),

    // An enclosing Claude session or SDK host: what cannot be meant for anybody else.
    ("CLAUDE*_FILE_DESCRIPTOR", Out, "a number of a descriptor that only the enclosing process has: the task would read another one"),
    ("CLAUDE*_FD", Out, "as the file descriptors"),
    ("CLAUDE*_SOCKET", Out, "a socket on which the enclosing session is spoken to"),
    ("CLAUDE*_SOCK", Out, "as the sockets"),
    ("CLAUDE*_BY_HOST", Out, "says that the host supplies the provider and its login, and keeps the CLI from using any other"),
    ("CLAUDE*COWORK*", Out, "settings of the desktop application's own sessions"),
    ("CLAUDE_CODE_*CCR_*", Out, "connects the CLI to the cloud container of the enclosing session"),
    ("CLAUDE_CODE_*_SDK_*", Out, "an SDK's wish for the session that it started, whatever it begins with"),

    // What an operator sets for headless runs, although a family below has it too.
    ("CLAUDE_CODE_DISABLE_*", In, "switches a feature off: an operator's wish"),
    ("CLAUDE_CODE_ENABLE_*", In, "switches a feature on: an operator's wish"),
    ("CLAUDE_CODE_MAX_*", In, "a limit: an operator's wish"),
    ("CLAUDE_CODE_SKIP_*", In, "leaves out a login or a check that a gateway does: an operator's wish"),
    ("CLAUDE_CODE_USE_*", In, "chooses the provider: a headless login needs it"),

    // The rest of what an enclosing session or host leaves behind.
    ("CLAUDECODE", Out, "marks an enclosing Claude session: the CLI refuses or changes its behaviour"),
    ("CLAUDE_CODE_HOST*", Out, "what the host of the enclosing session told it about itself"),
    ("CLAUDE_CODE_MCP_APPS_*", Out, "what the host of the enclosing session can show"),
    ("CLAUDE_CODE_NOTIFICATIONS_HOST", Out, "as CLAUDE_CODE_MCP_APPS_*"),
    ("CLAUDE_CODE_QUESTION_*", Out, "as CLAUDE_CODE_MCP_APPS_*"),
    ("CLAUDE_CODE_MCP_SERVE_*", Out, "the enclosing process serves its tools to somebody"),
    ("CLAUDE_CODE_PROGRAM_USE_CASE_*", Out, "the program that the enclosing session is part of"),
    ("CLAUDE_CODE_ACCOUNT_*", Out, "whose account the enclosing session is: the task's login says whose it is"),
    ("CLAUDE_CODE_ORGANIZATION_*", Out, "as CLAUDE_CODE_ACCOUNT_*"),
    ("CLAUDE_CODE_USER_EMAIL", Out, "as CLAUDE_CODE_ACCOUNT_*"),
    ("CLAUDE_CODE_TAGS", Out, "under which the enclosing session's host files it"),
    ("CLAUDE_CODE_BASE_REF*", Out, "the commit that the enclosing session's changes are compared with"),
    ("CLAUDE_CODE_DIAGNOSTICS_FILE", Out, "where the enclosing session's host reads what goes on in it: a task would write there, too"),
    ("CLAUDE_CODE_WORKSPACE_*", Out, "where the enclosing session's folders are on its host"),
    ("CLAUDE_CODE_PLAN_MODE_REQUIRED", Out, "a rule for the enclosing session: a task would plan and do nothing"),
    ("CLAUDE_CODE_FORCE_BRIDGE", Out, "as CLAUDE_CODE_BRIDGE_*"),
    ("CLAUDE_CODE_SUPERVISED", Out, "who watches over the enclosing session"),
    ("CLAUDE_CODE_OFF_PERSONS_MACHINE", Out, "where the enclosing session runs"),
    ("CLAUDE_CODE_SDK*", Out, "what the SDK around the enclosing session can do, such as refresh its login"),
    ("CLAUDE_AGENT_SDK*", Out, "as CLAUDE_CODE_SDK*"),
    ("CLAUDE_SDK_*", Out, "as CLAUDE_CODE_SDK*"),
    ("CLAUDE_CODE_EMIT_*", Out, "lines that the enclosing session's host wants printed"),
    ("CLAUDE_CODE_ENTRYPOINT*", Out, "names the enclosing session's entry point"),
    ("CLAUDE_CODE_SSE_PORT", Out, "connects the CLI to the enclosing session's editor"),
    ("CLAUDE_CODE_SESSION", Out, "the enclosing session"),
    ("CLAUDE_CODE_SESSION_*", Out, "id, access token and origin of the enclosing session"),
    ("CLAUDE_CODE_SESSIONS_*", Out, "as CLAUDE_CODE_SESSION_*"),
    ("CLAUDE_CODE_*_SESSION", Out, "as CLAUDE_CODE_SESSION_*"),
    ("CLAUDE_CODE_*_SESSION_ID*", Out, "as CLAUDE_CODE_SESSION_*"),
    ("CLAUDE_SESSION_*", Out, "as CLAUDE_CODE_SESSION_*"),
    ("CLAUDE_CODE_MESSAGING_*", Out, "how other sessions speak to the enclosing one"),
    ("CLAUDE_CODE_CHILD_*", Out, "marks a child of an enclosing session"),
    ("CLAUDE_CODE_PARENT_*", Out, "names the enclosing session"),
    ("CLAUDE_CODE_LAUNCHE*", Out, "by whom the enclosing session was started"),
    ("CLAUDE_CODE_SPAWN*", Out, "as CLAUDE_CODE_LAUNCHED_BY_*"),
    ("CLAUDE_CODE_EXECPATH", Out, "the enclosing session's program"),
    ("CLAUDE_CODE_VERSION", Out, "the enclosing session's version"),
    ("CLAUDE_CODE_*RESUME*", Out, "how the enclosing session is to go on: the task would resume it, or take its prompt"),
    ("CLAUDE_CODE_*RELAUNCH*", Out, "as the variables of resuming"),
    ("CLAUDE_*RELAUNCH*", Out, "as the variables of resuming"),
    ("CLAUDE_CODE_SIMPLE", Out, "the enclosing session runs bare; the CLI then ignores a login"),
    ("CLAUDE_CODE_SAFE_MODE", Out, "a mode of the enclosing session"),
    ("CLAUDE_CODE_RESTRICTED", Out, "a mode of the enclosing session"),
    ("CLAUDE_CODE_USER_DELEGATED_*", Out, "for whom the enclosing session acts"),
    ("CLAUDE_CODE_REMOTE*", Out, "the enclosing session runs in the cloud: the CLI then wants that session's services"),
    ("CLAUDE_REMOTE_*", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_ENVIRONMENT_*", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_CONTAINER_ID", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_WORKER_*", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_POST_FOR_SESSION_*", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_BYOC_*", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_AGENT_PROXY_*", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_RUNNER_*", Out, "the machine that runs the enclosing session for somebody else"),
    ("CLAUDE_RUNNER_*", Out, "as CLAUDE_CODE_RUNNER_*"),
    ("CCR_*", Out, "as CLAUDE_CODE_REMOTE*"),
    ("SESSION_INGRESS_URL", Out, "as CLAUDE_CODE_REMOTE*"),
    ("CLAUDE_CODE_BRIDGE_*", Out, "connects the enclosing session to an application elsewhere"),
    ("CLAUDE_BRIDGE_*", Out, "as CLAUDE_CODE_BRIDGE_*"),
    ("CLAUDE_BG_*", Out, "the enclosing session is one in the background, with a daemon to report to"),
    ("CLAUDE_PTY_*", Out, "as CLAUDE_BG_*"),
    ("CLAUDE_CODE_DAEMON_*", Out, "as CLAUDE_BG_*"),
    ("CLAUDE_SSH_*", Out, "the enclosing session is served over ssh"),
    ("CLAUDE_CODE_DESKTOP_*", Out, "what the desktop application told the enclosing session"),
    ("CLAUDE_CHROME_*", Out, "the browser that the enclosing session is paired with"),
    ("CLAUDE_CODE_CHROME_*", Out, "as CLAUDE_CHROME_*"),
    ("CLAUDE_CODE_PROJECTS_*", Out, "the project of the enclosing session in an application"),
    ("CLAUDE_ARTIFACT_*", Out, "as CLAUDE_CODE_ARTIFACT*"),
    ("CLAUDE_CODE_ARTIFACT*", Out, "where the enclosing session's application keeps what it publishes"),
    ("CLAUDE_CODE_SHELL_HANDOVER_*", Out, "the shell that the enclosing session took over"),
    ("CLAUDE_CODE_TMUX_*", Out, "the terminal of the enclosing session"),
    ("CLAUDE_CODE_TEAM*", Out, "the team that the enclosing session belongs to"),
    ("CLAUDE_CODE_COORDINATOR_*", Out, "as CLAUDE_CODE_TEAM*"),
    ("CLAUDE_CODE_TASK_LIST_ID", Out, "the list of tasks of the enclosing session"),
    ("CLAUDE_CODE_TOOL_USE_ID", Out, "the tool call of the enclosing session that started this"),
    ("CLAUDE_CODE_TRIGGER_ID", Out, "what started the enclosing session"),
    ("CLAUDE_CODE_RESULT_NONCE", Out, "by which the enclosing session's host knows its result"),
    ("CLAUDE_CODE_EVAL_*", Out, "the enclosing session is an experiment"),
    ("CLAUDE_INTERNAL_*", Out, "as CLAUDE_CODE_TEAM*"),
    ("CLAUDE_PID", Out, "the enclosing session's process"),
    ("CLAUDE_EFFORT", Out, "the enclosing session's setting, not the operator's"),
    ("CLAUDE_PROJECT_DIR", Out, "given to the hooks of an enclosing session"),
    ("CLAUDE_PROJECT_UUID", Out, "the project of the enclosing session"),
    ("CLAUDE_ENV_FILE", Out, "given to the hooks of an enclosing session"),
    ("CLAUDE_JOB_DIR", Out, "given to the jobs of an enclosing session"),
    ("CLAUDE_SKILL_DIR", Out, "given to the skills of an enclosing session"),
    ("CLAUDE_PLUGIN_*", Out, "given to the plugins of an enclosing session"),
    ("AI_AGENT", Out, "names the enclosing session's agent"),
    ("TRACEPARENT", Out, "hangs the task's trace below whatever span started the supervisor"),
    ("TRACESTATE", Out, "goes with TRACEPARENT"),

    // The supervisor's own.
    ("PWD", Out, "names the supervisor's directory, not the task's"),
    ("OLDPWD", Out, "names the directory before that"),
    ("_", Out, "names the supervisor's program"),
    ("CC_EXECUTOR_*", Out, "the supervisor's own configuration and its token; the marker is set anew"),
    ("NOTIFY_SOCKET", Out, "a task could tell the service manager that the supervisor is ready or stopping"),
    ("LISTEN_FDS", Out, "describes descriptors that a task does not have"),
    ("LISTEN_FDNAMES", Out, "as LISTEN_FDS"),
    ("LISTEN_PID", Out, "as LISTEN_FDS"),
    ("LISTEN_PIDFDID", Out, "as LISTEN_FDS"),
    ("WATCHDOG_*", Out, "a task would believe that it must feed the supervisor's watchdog"),
    ("MAINPID", Out, "the service's process, not the task"),
    ("MANAGERPID", Out, "the service manager's process"),
    ("SYSTEMD_EXEC_PID", Out, "the service's process, not the task"),
    ("MEMORY_PRESSURE_*", Out, "where the service manager wants the supervisor to watch its memory"),
    ("INVOCATION_ID", Out, "the service's run; log tools would file the task under it"),
    ("JOURNAL_STREAM", Out, "describes the supervisor's standard error"),
    ("RUNTIME_DIRECTORY", Out, "the supervisor's own directory"),
    ("CACHE_DIRECTORY", Out, "the supervisor's own directory"),
    ("LOGS_DIRECTORY", Out, "the supervisor's own directory"),
    ("CONFIGURATION_DIRECTORY", Out, "the supervisor's own directory"),
    ("CREDENTIALS_DIRECTORY", Out, "the supervisor's own secrets"),
];

/// The variables of settings that are secrets: no task gets them, even where an operator allows their names.
pub(super) fn secrets() -> impl Iterator<Item = &'static str> {
    let variables = settings::table::all().filter_map(|setting| setting.about().variable);
    variables.filter(|variable| variable.is_secret).map(|variable| variable.name)
}

/// Whether a variable stays out: by its family, or because it is one of the supervisor's settings.
pub(super) fn is_kept_out(name: &str, value: &str) -> bool {
    let is_setting = |setting: &dyn AnySetting| {
        setting.about().variable.is_some_and(|variable| variable.name == name)
    };
    if settings::table::all().any(is_setting) {
        return true;
    }
    let family = FAMILIES.iter().find(|(pattern, fate, _reason)| {
        (*fate != OutIfEmpty || value.is_empty()) && glob(pattern, name)
    });
    family.is_some_and(|(_, fate, _)| match fate {
        Out | OutIfEmpty => true,
        In => false,
    })
}

/// Whether a name is as the pattern says; `*` stands for any characters, also for none.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|beginning| name.strip_prefix(beginning)) else {
        return false;
    };
    let Some(end) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_wherever_it_is() {
        for (pattern, name, matches) in [
            ("A", "A", true),
            ("A", "AB", false),
            ("A*", "A", true),
            ("A*", "BA", false),
            ("*", "", true),
            ("*B", "AB", true),
            ("*B", "ABC", false),
            ("A*C", "AC", true),
            ("A*C", "A", false),
            ("A*B*C", "AxByBC", true),
            ("A*B*C", "AxC", false),
            ("AB*BA", "ABA", false),
        ] {
            assert_eq!(glob(pattern, name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn every_family_has_a_reason_and_none_comes_after_one_that_has_all_of_it() {
        for (place, (pattern, fate, reason)) in FAMILIES.iter().enumerate() {
            assert!(!pattern.is_empty() && reason.len() > 10, "{pattern}");
            let hidden = FAMILIES[..place]
                .iter()
                .find(|(earlier, fate, _)| *fate != OutIfEmpty && glob(earlier, pattern));
            assert!(hidden.is_none(), "{pattern} ({fate:?}) is never reached: {hidden:?}");
        }
    }
}
