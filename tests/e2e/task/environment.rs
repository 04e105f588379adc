//! What a task finds when it starts: nothing of its supervisor, everything that it was given.

use cc_tests::{
    Client, Options, Supervisor, binaries::misbehave_argv, cgroup::Containment,
    with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(
    a_task_has_its_own_session_and_three_descriptors,
    a_task_has_default_signal_mask_and_dispositions,
    a_task_may_not_gain_privileges_unless_the_operator_allows_it,
    a_prompt_of_five_megabytes_arrives_whole,
    what_cannot_be_started_is_answered_with_an_error_that_names_the_reason,
);

/// Runs `misbehave report` with these further parameters.
fn report(client: &mut Client, more: Value) -> Value {
    let mut params = more;
    params["argv"] = json!(misbehave_argv(&["report"]));
    let transcript = client.run_to_end(&params);
    assert_eq!(transcript.end(), ("exit", 0), "{}", transcript.stderr());
    serde_json::from_str(&transcript.stdout()).unwrap()
}

/// A line of `/proc/self/status`, read by a program that changes nothing of it.
fn status_line(client: &mut Client, name: &str) -> String {
    let transcript = client.run_to_end(&json!({"argv": ["cat", "/proc/self/status"]}));
    let text = transcript.stdout();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:\t")));
    line.unwrap().to_owned()
}

fn a_task_has_its_own_session_and_three_descriptors(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let report = report(&mut supervisor.connect(), json!({}));
    assert_eq!(report["session"], report["pid"]);
    assert_eq!(report["process_group"], report["pid"]);
    let descriptors = report["descriptors"].as_object().unwrap();
    assert_eq!(descriptors.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{descriptors:?}");
    assert_eq!(descriptors["0"], "/dev/null");
    assert_eq!(report["stdin_bytes"], 0);
    assert_eq!(report["stdin_is_terminal"], false);
}

fn a_task_has_default_signal_mask_and_dispositions(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    for name in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
        assert_eq!(status_line(&mut client, name), "0000000000000000", "{name}");
    }
}

fn a_task_may_not_gain_privileges_unless_the_operator_allows_it(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    assert_eq!(status_line(&mut supervisor.connect(), "NoNewPrivs"), "1");
    drop(supervisor);
    let supervisor = Supervisor::start(&containment.options().switch("--allow-new-privileges"));
    assert_eq!(status_line(&mut supervisor.connect(), "NoNewPrivs"), "0");
}

fn a_prompt_of_five_megabytes_arrives_whole(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options().fixture_agent());
    let mut client = supervisor.connect();
    let prompt = format!("count bytes: {}", "\u{e9}".repeat(2_500_000));
    let transcript = client.run_to_end(&json!({ "prompt": prompt }));
    let result = transcript.params_of("task.result").next().unwrap();
    assert_eq!(result["result"], "5000000");
    assert_eq!(transcript.completed()["verdict"], "succeeded");
}

fn what_cannot_be_started_is_answered_with_an_error_that_names_the_reason(
    containment: &Containment,
) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    let too_long = "x".repeat(3_000_000);
    for (params, reason) in [
        (json!({"argv": ["/no/such/program"]}), "/no/such/program"),
        (json!({"argv": ["no-such-program-anywhere"]}), "no-such-program-anywhere"),
        (json!({"argv": ["true"], "cwd": "/no/such/directory"}), "/no/such/directory"),
        (json!({"command": "true", "cwd": "/no/such/directory"}), "/no/such/directory"),
        (json!({"argv": ["/etc/passwd"]}), "/etc/passwd"),
        (json!({"argv": ["/"]}), "/"),
        (json!({"argv": ["true", too_long]}), "too long"),
        (json!({"argv": ["true"], "env": {"BIG": too_long}}), "too long"),
    ] {
        let error = client.execute(&params).unwrap_err();
        assert_eq!(error["code"], -32017, "{error}");
        assert_eq!(error["data"]["kind"], "spawn_failed", "{error}");
        let text = error.to_string().to_lowercase();
        assert!(text.contains(reason), "{reason} is not named: {text}");
        let task_id = error["data"]["task_id"].as_str().unwrap();
        assert!(supervisor.task_directory(task_id).join("log").exists(), "{error}");
        // No notification follows, and the session takes the next task.
        assert_eq!(client.run_shell("echo next").stdout(), "next\n");
    }
}

#[test]
fn umask_nice_and_oom_score_are_the_ordinary_ones() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(status_line(&mut client, "Umask"), "0022");
    let report = report(&mut client, json!({}));
    assert_eq!(report["nice"], "0");
    assert_eq!(report["scheduling_policy"], "0");
}

/// A supervisor that is started with this limit of open files, and may have ten thousand sessions.
fn with_open_files(ulimit: &str) -> Supervisor {
    let script = format!("ulimit {ulimit}; exec \"$@\"");
    Supervisor::start(
        &Options::new().wrapped_in(["sh", "-c", &script, "sh"]).flag("--max-sessions", 10_000),
    )
}

#[test]
fn a_supervisor_raises_its_limit_of_open_files_and_its_tasks_have_the_one_from_before() {
    let supervisor = with_open_files("-Sn 300");
    assert_eq!(supervisor.connect().run_shell("ulimit -Sn").stdout(), "300\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", supervisor.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(soft > 300, "{line}");
}

#[test]
fn a_limit_of_open_files_that_cannot_be_raised_far_enough_is_told_with_what_to_do() {
    let supervisor = with_open_files("-n 300");
    assert_eq!(supervisor.connect().run_shell("ulimit -Hn").stdout(), "300\n");
    assert!(supervisor.log().contains("raise the hard limit"), "{}", supervisor.log());
}

#[test]
fn the_umask_is_the_configured_one() {
    let supervisor = Supervisor::start(&Options::new().flag("--umask", "027"));
    assert_eq!(status_line(&mut supervisor.connect(), "Umask"), "0027");
}

#[test]
fn the_working_directory_is_the_given_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let supervisor = Supervisor::start(&Options::new().flag("--cwd", path.to_str().unwrap()));
    let mut client = supervisor.connect();
    assert_eq!(report(&mut client, json!({}))["cwd"], json!(path));
    assert_eq!(report(&mut client, json!({"cwd": "/usr"}))["cwd"], "/usr");
    let transcript = client.run_to_end(&json!({"command": "pwd", "cwd": "/usr"}));
    assert_eq!(transcript.stdout(), "/usr\n");
}

/// Each of these has made a nested or a headless Claude fail, hang or bill the wrong account.
const HARMFUL: [&str; 20] = [
    "ANTHROPIC_API_KEY",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_HOST_AUTH_ENV_VAR",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST",
    "CLAUDE_CODE_REMOTE",
    "CLAUDE_CODE_RESUME_INTERRUPTED_TURN",
    "CLAUDE_CODE_SDK_HAS_OAUTH_REFRESH",
    "CLAUDE_CODE_SIMPLE",
    "CLAUDE_CODE_SSE_PORT",
    "TRACEPARENT",
    "MAX_SESSIONS",
    "STREAM_TIMEOUT",
    "MAX_BUFFER_SIZE",
    "CC_EXECUTOR_SHELL",
    "NOTIFY_SOCKET",
    "INVOCATION_ID",
    "WATCHDOG_USEC",
];

const NEEDED: [&str; 9] = [
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "CLAUDE_CODE_MAX_RETRIES",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "HTTPS_PROXY",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SOMETHING_OF_THE_USERS_OWN",
];

/// Every variable has a value that its owner accepts: the supervisor reads some of them itself.
fn with_variables(mut options: Options, names: &[&str]) -> Options {
    for name in names {
        let value = match *name {
            "CC_EXECUTOR_SHELL" => "sh",
            "MAX_BUFFER_SIZE" => "1000000",
            _ => "100",
        };
        options = options.env(name, value);
    }
    options
}

#[test]
fn what_does_harm_stays_out_of_the_environment_and_what_is_needed_stays_in() {
    // A socket name or a watchdog without a service manager must not disturb the supervisor either.
    let options = with_variables(with_variables(Options::new(), &HARMFUL), &NEEDED)
        .env("ANTHROPIC_BASE_URL", "")
        .env("ANTHROPIC_MODEL", "a-model");
    let supervisor = Supervisor::start(&options);
    let report = report(&mut supervisor.connect(), json!({}));
    let environment = report["environment"].as_object().unwrap();
    for name in HARMFUL {
        assert!(!environment.contains_key(name), "{name} was passed on");
    }
    for name in NEEDED {
        assert_eq!(environment.get(name), Some(&json!("100")), "{name}");
    }
    assert!(!environment.contains_key("ANTHROPIC_BASE_URL"), "empty ANTHROPIC_* stay out");
    assert_eq!(environment["ANTHROPIC_MODEL"], "a-model");
    for name in ["PATH", "HOME"] {
        assert_eq!(environment[name], json!(std::env::var(name).unwrap()));
    }
}

#[test]
fn a_request_may_set_and_remove_variables_even_those_that_the_policy_scrubs() {
    let supervisor = Supervisor::start(&Options::new().env("FROM_THE_SUPERVISOR", "yes"));
    let more = json!({"env": {
        "MINE": "a b\nc=d", "ANTHROPIC_API_KEY": "wanted", "FROM_THE_SUPERVISOR": null,
    }});
    let report = report(&mut supervisor.connect(), more);
    assert_eq!(report["environment"]["MINE"], "a b\nc=d");
    assert_eq!(report["environment"]["ANTHROPIC_API_KEY"], "wanted");
    assert!(report["environment"].get("FROM_THE_SUPERVISOR").is_none());
}

#[test]
fn an_allow_list_lets_nothing_else_through() {
    let options = Options::new()
        .flag("--env-allow", "PATH")
        .flag("--env-allow", "KEEP_*")
        .env("KEEP_ME", "kept")
        .env("DROP_ME", "dropped");
    let supervisor = Supervisor::start(&options);
    let report = report(&mut supervisor.connect(), json!({}));
    let environment = report["environment"].as_object().unwrap();
    let mut names: Vec<&str> = environment.keys().map(String::as_str).collect();
    names.retain(|name| *name != "CC_EXECUTOR_TASK_ID");
    assert_eq!(names, ["KEEP_ME", "PATH"]);
}

#[test]
fn a_deny_list_adds_to_what_stays_out() {
    let options = Options::new()
        .flag("--env-deny", "SECRET_*")
        .env("SECRET_OF_MINE", "x")
        .env("ANTHROPIC_API_KEY", "x");
    let supervisor = Supervisor::start(&options);
    let report = report(&mut supervisor.connect(), json!({}));
    assert!(report["environment"].get("SECRET_OF_MINE").is_none());
    assert!(report["environment"].get("ANTHROPIC_API_KEY").is_none());
}

#[test]
fn the_marker_of_a_task_is_its_id_and_cannot_be_forged() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let params = json!({
        "argv": ["sh", "-c", "echo $CC_EXECUTOR_TASK_ID"],
        "env": {"CC_EXECUTOR_TASK_ID": "forged"},
    });
    let transcript = client.run_to_end(&params);
    assert_eq!(transcript.stdout().trim(), transcript.task_id());
}

#[test]
fn a_command_is_run_by_the_configured_shell() {
    let supervisor = Supervisor::start(&Options::new().env("CC_EXECUTOR_SHELL", "bash"));
    let transcript = supervisor.connect().run_shell("echo ${BASH_VERSION:+bash}");
    assert_eq!(transcript.stdout(), "bash\n");
}

#[test]
fn an_argument_list_is_not_touched_by_any_shell() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let argv = json!(["printf", "%s|", "$HOME", "a b", "", "*", "'", "\n"]);
    let transcript = client.run_to_end(&json!({ "argv": argv }));
    assert_eq!(transcript.stdout(), "$HOME|a b||*|'|\n|");
}
