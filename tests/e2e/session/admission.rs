//! Who may talk to the supervisor at all.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use cc_tests::{
    Client, Options, Supervisor,
    binaries::{self, misbehave},
    client::Refused,
    http,
};
use serde_json::json;

/// A user that owns nothing here: `nobody` on most systems.
const STRANGER: &str = "65534";

#[test]
fn a_foreign_web_page_is_refused_with_403() {
    let supervisor = Supervisor::start_default();
    let address = supervisor.address();
    for origin in [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost:1",
        "null",
        "file://",
    ] {
        let header = format!("Origin: {origin}");
        assert_eq!(http::upgrade(address, "/ws/mcp", &[&header]).status, 403, "{origin}");
    }
}

#[test]
fn two_origins_are_refused_whatever_they_are() {
    let supervisor = Supervisor::start(&Options::new().flag("--allow-origin", "https://a.example"));
    let allowed = "Origin: https://a.example";
    for second in [allowed, "Origin: https://evil.example"] {
        let answer = http::upgrade(supervisor.address(), "/ws/mcp", &[allowed, second]);
        assert_eq!(answer.status, 403, "{second}");
    }
}

#[test]
fn a_name_that_a_proxy_passes_on_is_let_in_when_the_operator_names_it() {
    let supervisor = Supervisor::start(&Options::new().flag("--allow-host", "ci.example"));
    for (host, status) in [("ci.example", 101), ("CI.example:443", 101), ("evil.example", 403)] {
        let header = format!("Host: {host}");
        assert_eq!(http::upgrade(supervisor.address(), "/ws", &[&header]).status, status, "{host}");
    }
}

#[test]
fn a_page_of_the_same_origin_or_an_allowed_one_is_let_in() {
    let supervisor =
        Supervisor::start(&Options::new().flag("--allow-origin", "https://ui.example"));
    let address = supervisor.address();
    for origin in [format!("http://{address}"), "https://ui.example".to_owned()] {
        let header = format!("Origin: {origin}");
        assert_eq!(http::upgrade(address, "/ws/mcp", &[&header]).status, 101, "{origin}");
    }
    let header = "Origin: https://ui.example.evil.example";
    assert_eq!(http::upgrade(address, "/ws/mcp", &[header]).status, 403);
}

/// DNS rebinding: the browser believes that it talks to the attacker's host.
#[test]
fn a_host_that_is_not_this_machine_is_refused_with_403() {
    let supervisor = Supervisor::start_default();
    let address = supervisor.address();
    for host in ["evil.example", "evil.example:8003", "127.0.0.1.evil.example", "169.254.169.254"] {
        let header = format!("Host: {host}");
        assert_eq!(http::upgrade(address, "/ws/mcp", &[&header]).status, 403, "{host}");
        assert_eq!(http::get(address, "/health", &[&header]).status, 403, "{host}");
    }
    let port = address.port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let header = format!("Host: {host}:{port}");
        assert_eq!(http::upgrade(address, "/ws/mcp", &[&header]).status, 101, "{host}");
    }
}

fn with_token() -> (tempfile::TempDir, Supervisor) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "a-token-of-the-test\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let options = Options::new().flag("--token-file", path.to_str().unwrap());
    (directory, Supervisor::start(&options))
}

#[test]
fn with_a_token_everybody_needs_it_and_probes_do_not() {
    let (_directory, supervisor) = with_token();
    let address = supervisor.address();
    assert_eq!(http::upgrade(address, "/ws/mcp", &[]).status, 401);
    for wrong in ["a-token", "a-token-of-the-test-", "A-token-of-the-test", ""] {
        let header = format!("Authorization: Bearer {wrong}");
        assert_eq!(http::upgrade(address, "/ws/mcp", &[&header]).status, 401, "{wrong}");
    }
    assert_eq!(http::upgrade(address, "/ws", &["Authorization: Basic YTpi"]).status, 401);
    assert_eq!(http::get(address, "/livez", &[]).status, 200);

    let header = ("authorization", "Bearer a-token-of-the-test");
    let mut client = Client::open(address, "/ws/mcp", &[header]).unwrap();
    assert_eq!(client.recv_json()["method"], "connected");
    assert!(client.call("ping", &json!({})).is_ok());
}

#[test]
fn a_browser_gives_the_token_as_a_subprotocol_and_gets_it_back() {
    let (_directory, supervisor) = with_token();
    let header = ("sec-websocket-protocol", "bearer.a-token-of-the-test");
    let mut client = Client::open(supervisor.address(), "/ws/mcp", &[header]).unwrap();
    assert_eq!(client.recv_json()["method"], "connected");
    let header = ("sec-websocket-protocol", "bearer.wrong");
    assert!(matches!(
        Client::open(supervisor.address(), "/ws/mcp", &[header]),
        Err(Refused::Http(401))
    ));
}

#[test]
fn a_token_never_appears_in_the_log() {
    let (_directory, mut supervisor) = with_token();
    let header = "Authorization: Bearer a-token-of-the-test";
    assert_eq!(http::upgrade(supervisor.address(), "/ws/mcp", &[header]).status, 101);
    assert!(supervisor.stop().success());
    assert!(!supervisor.log().contains("a-token-of-the-test"));
}

#[test]
fn another_user_of_this_machine_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let supervisor = Supervisor::start_default();
    let knock = |user: &str| {
        let address = supervisor.address().to_string();
        let output =
            Command::new(misbehave()).args(["knock-as", user, &address, "none"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(knock(STRANGER).contains("403"), "{}", knock(STRANGER));
    assert!(knock("0").contains("101"), "{}", knock("0"));
}

#[test]
fn the_state_directory_is_nobody_elses_to_read() {
    let supervisor = Supervisor::start_default();
    let transcript = supervisor.connect().run_shell("echo secret");
    let task = supervisor.task_directory(transcript.task_id());
    for directory in [supervisor.state_directory(), task] {
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", directory.display());
    }
}

#[test]
fn a_command_that_is_not_on_the_list_is_refused_and_no_shell_is_involved() {
    let supervisor = Supervisor::start(&Options::new().env("ALLOWED_COMMANDS", "echo,printf"));
    let mut client = supervisor.connect();
    for params in [
        json!({"command": "ls"}),
        json!({"command": "/bin/echo no"}),
        json!({"command": "X=1 echo no"}),
        json!({"argv": ["sh", "-c", "echo no"]}),
        json!({"prompt": "no"}),
    ] {
        let error = client.execute(&params).unwrap_err();
        assert_eq!(error["code"], -32001, "{params}: {error}");
        assert_eq!(error["data"]["kind"], "command_not_allowed");
    }
    let transcript = client.run_shell("echo one; ls $(id) > /no/such/file | cat && 'a b'");
    assert_eq!(transcript.stdout(), "one; ls $(id) > /no/such/file | cat && a b\n");
    assert_eq!(client.run_to_end(&json!({"argv": ["printf", "%s", "x"]})).stdout(), "x");

    // Nor does the client choose which program has that name.
    let own = supervisor.scratch().join("echo");
    binaries::install_script(&own, "#!/bin/sh\n/bin/echo the wrong one\n");
    for variable in ["PATH", "LD_PRELOAD"] {
        let env = json!({variable: supervisor.scratch().display().to_string()});
        let error = client.execute(&json!({"argv": ["echo", "x"], "env": env})).unwrap_err();
        assert_eq!(error["data"]["field"], "env", "{error}");
        assert!(error["message"].as_str().unwrap().contains(variable), "{error}");
    }
    let params = json!({"argv": ["echo", "x"], "env": {"LANG": "C"}, "cwd": supervisor.scratch()});
    assert_eq!(client.run_to_end(&params).stdout(), "x\n");
}

/// Starts a supervisor that must refuse to start, and returns what it said.
fn refusal(arguments: &[&str], variable: Option<(&str, &str)>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(binaries::supervisor())
        .args(["--no-config", "--stop-on-stdin-eof", "--state-dir"])
        .arg(directory.path())
        .args(arguments)
        .env("CC_EXECUTOR_CGROUP", "off")
        .envs(variable)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success(), "it started: {arguments:?} {variable:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn listening_beyond_loopback_needs_a_token_and_a_loudly_named_flag() {
    let text = refusal(&["--listen", "0.0.0.0:0"], None);
    assert!(text.contains("--insecure-remote"), "{text}");
    assert!(text.contains("token"), "{text}");
    refusal(&["--listen", "0.0.0.0:0", "--insecure-remote"], None);
    refusal(&["--listen", "[::]:0"], None);
}

#[test]
fn a_setting_that_cannot_be_is_refused_by_its_name() {
    for (name, value) in [
        ("MAX_SESSIONS", "many"),
        ("MAX_SESSIONS", "0"),
        ("DEFAULT_PORT", "70000"),
        ("STREAM_TIMEOUT", "-1"),
        ("MAX_BUFFER_SIZE", "8MB"),
        ("LOG_LEVEL", "loud"),
    ] {
        let text = refusal(&[], Some((name, value)));
        assert!(text.contains(name) && text.contains(value), "{name}={value}: {text}");
    }
    for (flag, value) in [("--max-sessions", "none"), ("--grace", "soon"), ("--umask", "999")] {
        let text = refusal(&["--listen", "127.0.0.1:0", flag, value], None);
        assert!(text.contains(flag), "{flag} {value}: {text}");
    }
    let text = refusal(&["--listen", "127.0.0.1:0", "--cgroup", "/no/such/cgroup"], None);
    assert!(text.contains("/no/such/cgroup"), "{text}");
}
