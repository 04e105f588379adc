//! A reload changes what may change while the supervisor runs, says what takes a restart, and changes nothing at all
//! when anything is wrong.

use std::{fs, path::PathBuf, time::Duration};

use cc_tests::{Client, Options, Supervisor, binaries, http, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A supervisor with a configuration file.
struct Service {
    supervisor: Supervisor,
    folder: TempDir,
}

impl Service {
    fn start(text: &str) -> Self {
        Self::start_with(text, Options::new())
    }

    fn start_with(text: &str, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("service.toml");
        fs::write(&file, text).unwrap();
        let supervisor = Supervisor::start(&options.flag("--config", file.display()));
        Self { supervisor, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("service.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    fn connect(&self) -> Client {
        self.supervisor.connect()
    }

    fn reload(&self) -> Result<Value, Value> {
        self.connect().call("supervisor.reload", &json!({}))
    }

    /// Reloads with this file, which must succeed; the names of what has changed.
    fn reload_with(&self, text: &str) -> Vec<String> {
        self.write(text);
        let result = self.reload().unwrap();
        let changed = result["changed"].as_array().unwrap().iter();
        changed.map(|change| change["setting"].as_str().unwrap().to_owned()).collect()
    }

    fn ccx(&self, arguments: &[&str]) -> std::process::Output {
        binaries::ccx_command(&self.supervisor.url()).args(arguments).output().unwrap()
    }
}

#[test]
fn limits_timeouts_and_lists_change_for_the_tasks_that_come_after() {
    let service = Service::start("");
    let mut client = service.connect();
    assert_eq!(client.run_shell("umask").stdout(), "0022\n");
    let text = "umask = \"077\"\ntimeout = 1\ngrace = 1\nmax-output-bytes = 10\n\
                env-deny = [\"LANG\"]\n";
    assert_eq!(
        service.reload_with(text),
        ["umask", "env-deny", "timeout", "grace", "max-output-bytes"]
    );
    // The connection that was there before has the new values, too.
    assert_eq!(client.run_shell("umask").stdout(), "0077\n");
    assert_eq!(client.run_shell("echo ${LANG-none}").stdout(), "none\n");
    assert_eq!(client.run_shell("sleep 60").end().0, "timeout");
    service.reload_with("allow-command = [\"echo\"]\n");
    let refusal = client.execute(&json!({"command": "ls"})).unwrap_err();
    assert_eq!(refusal["data"]["kind"], "command_not_allowed", "{refusal}");
    assert_eq!(client.run_shell("echo free again").stdout(), "free again\n");
    // What a file no longer says is the default again.
    assert!(service.reload_with("").contains(&"allow-command".to_owned()));
    assert_eq!(client.run_shell("umask").stdout(), "0022\n");
}

#[test]
fn how_many_tasks_and_sessions_there_may_be_changes_without_touching_those_that_are_there() {
    let service = Service::start("max-tasks = 1\nmax-sessions = 2\n");
    let mut client = service.connect();
    let running = client.execute(&json!({"command": "sleep 60", "detach": true})).unwrap();
    let full = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(full["data"]["kind"], "queue_full", "{full}");
    service.reload_with("max-tasks = 2\nmax-sessions = 3\n");
    assert_eq!(client.run_shell("echo more").stdout(), "more\n");
    assert_eq!(http::health(service.supervisor.address())["max_sessions"], 3);
    service.reload_with("max-tasks = 1\nmax-sessions = 1\n");
    // Two sessions are more than one: they stay, and a third is refused.
    let refused = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(refused["data"]["kind"], "queue_full", "{refused}");
    let state = client.task(running["task_id"].as_str().unwrap()).unwrap();
    assert_eq!(state["state"], "running", "{state}");
    let mut third = Client::open(service.supervisor.address(), "/ws/mcp", &[]).unwrap();
    let refusal = third.recv_json();
    assert_eq!(refusal["error"]["code"], -32003, "{refusal}");
    client.assert_alive();
}

#[test]
fn a_file_with_a_mistake_changes_nothing_and_the_line_is_named() {
    let service = Service::start("umask = \"027\"\n");
    let mut client = service.connect();
    for (text, place) in [
        ("umask = \"077\"\ngrace = \"soon\"\n", "line 2: grace must be a number"),
        (
            "umask = \"077\"\nmax_task = 7\n",
            "line 2: there is no setting \"max_task\"; did you mean max-tasks?",
        ),
        ("umask = \"077\"\nmax-tasks = 0\n", "line 2: max-tasks is \"0\""),
        ("umask = \"077\n", "line 1: "),
    ] {
        service.write(text);
        let error = service.reload().unwrap_err();
        assert_eq!(error["data"]["kind"], "configuration_invalid", "{error}");
        let mistake = error["data"]["mistakes"][0].as_str().unwrap();
        let expected = format!("{}, {place}", service.file().display());
        assert!(mistake.starts_with(&expected), "{expected}\n{mistake}");
        assert_eq!(client.run_shell("umask").stdout(), "0027\n");
    }
    // That stands where operators look until it is mended.
    let stands = || http::get(service.supervisor.address(), "/healthz", &[]).body;
    assert!(stands().contains("configuration"), "{}", stands());
    service.reload_with("umask = \"077\"\n");
    assert!(!stands().contains("configuration"), "{}", stands());
    assert_eq!(client.run_shell("umask").stdout(), "0077\n");
    fs::remove_file(service.file()).unwrap();
    let error = service.reload().unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    assert_eq!(client.run_shell("umask").stdout(), "0077\n");
}

#[test]
fn what_takes_a_restart_keeps_its_value_and_is_said() {
    let service = Service::start("log-format = \"json\"\n");
    let directory = service.supervisor.state_directory();
    service.write("log-format = \"pretty\"\nfsync = \"always\"\numask = \"077\"\n");
    let result = service.reload().unwrap();
    assert_eq!(result["changed"][0]["setting"], "umask", "{result}");
    let late = result["needs_restart"].as_array().unwrap();
    let names: Vec<&str> = late.iter().map(|it| it["setting"].as_str().unwrap()).collect();
    assert_eq!(names, ["fsync", "log-format"], "{result}");
    assert_eq!(late[1]["from"], "\"json\"", "{result}");
    assert_eq!(late[1]["to"], "\"pretty\"", "{result}");
    let settings = service.connect().call("supervisor.settings", &json!({})).unwrap();
    let of = |name: &str| {
        let settings = settings["settings"].as_array().unwrap().iter();
        settings.clone().find(|it| it["setting"] == name).unwrap().clone()
    };
    assert_eq!(of("log-format")["value"], "\"json\"");
    assert_eq!(of("fsync")["value"], "\"never\"");
    assert_eq!(of("umask")["value"], "\"077\"");
    assert_eq!(of("umask")["origin"]["line"], 3);
    assert_eq!(of("state-dir")["value"], json!(directory.display().to_string()).to_string());
    // It is said again, as long as it is so.
    assert_eq!(service.reload().unwrap()["needs_restart"].as_array().unwrap().len(), 2);
}

#[test]
fn a_hangup_reloads_and_the_log_level_changes() {
    let service = Service::start("log-level = \"info\"\n");
    let mut client = service.connect();
    assert_eq!(client.run_shell("true").end().0, "exit");
    assert!(!service.supervisor.log().contains("DEBUG"), "{}", service.supervisor.log());
    service.write("log-level = \"debug\"\n");
    service.supervisor.signal(Signal::HUP);
    wait_until("the configuration is read again", || {
        service.supervisor.log().contains("the configuration was read again")
    });
    // The session that was there goes on.
    assert_eq!(client.run_shell("true").end().0, "exit");
    // Each connection is a line of this level.
    drop(service.connect());
    wait_until("a line of the new level", || service.supervisor.log().contains("DEBUG"));
    service.write("log-level = \"loud\"\n");
    service.supervisor.signal(Signal::HUP);
    wait_until("the mistake is in the log", || {
        service.supervisor.log().contains("the old one is in force")
    });
    client.assert_alive();
}

#[test]
fn tokens_are_read_again_and_one_that_is_gone_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("token");
    let write = |token: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&tokens, token).unwrap();
        fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("0123456789abcdef-old");
    let options = Options::new().flag("--token-file", tokens.display());
    let service = Service::start_with("", options);
    let address = service.supervisor.address();
    let admitted = |token: &str| {
        let header = format!("Authorization: Bearer {token}");
        http::upgrade(address, "/ws/mcp", &[&header]).status
    };
    assert_eq!(admitted("0123456789abcdef-old"), 101);
    write("0123456789abcdef-new");
    service.supervisor.signal(Signal::HUP);
    wait_until("the new token is known", || admitted("0123456789abcdef-new") == 101);
    assert_eq!(admitted("0123456789abcdef-old"), 401);
    write("short");
    service.supervisor.signal(Signal::HUP);
    wait_until("the mistake is in the log", || {
        service.supervisor.log().contains("the old one is in force")
    });
    assert_eq!(admitted("0123456789abcdef-new"), 101);
}

#[test]
fn a_reload_does_not_open_a_supervisor_that_listens_beyond_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("token");
    fs::write(&tokens, "0123456789abcdef").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&tokens, mode).unwrap();
    let text = format!("token-file = \"{}\"\ninsecure-remote = true\n", tokens.display());
    let options = Options::new().flag("--listen", "0.0.0.0:0");
    let service = Service::start_with(&text, options);
    // Also where the new file says that it is to listen elsewhere: it does not, until it is restarted.
    service.write("");
    service.supervisor.signal(Signal::HUP);
    wait_until("the mistake is in the log", || {
        service.supervisor.log().contains("would be open to everyone")
    });
    let port = service.supervisor.address().port();
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(http::upgrade(local, "/ws/mcp", &[]).status, 401);
}

#[test]
fn origins_change_for_the_next_page() {
    let service = Service::start("");
    let address = service.supervisor.address();
    let admitted =
        || http::upgrade(address, "/ws/mcp", &["Origin: https://example.org"]).status == 101;
    assert!(!admitted());
    service.reload_with("allow-origin = [\"https://example.org\"]\n");
    assert!(admitted());
    service.reload_with("");
    assert!(!admitted());
}

#[test]
fn ccx_reload_says_what_has_changed_and_fails_with_the_mistakes() {
    let service = Service::start("max-tasks = 5\n");
    service.write("max-tasks = 6\ncgroup = \"auto\"\n");
    let output = service.ccx(&["reload"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(&format!("read: {}\n", service.file().display())), "{text}");
    assert!(text.contains("max-tasks: 5 -> 6\n"), "{text}");
    service.write("max-tasks = \"many\"\n");
    let output = service.ccx(&["reload"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("line 1: max-tasks must be a number"), "{text}");
    assert!(text.contains("nothing has changed"), "{text}");
}

#[test]
fn tasks_that_run_go_on_by_the_limits_they_were_started_with() {
    let service = Service::start("");
    let mut client = service.connect();
    let answer = client.execute(&json!({"command": "sleep 2; echo done"})).unwrap();
    service.reload_with("timeout = 1\n");
    client.set_patience(Duration::from_secs(30));
    let transcript = client.collect(answer);
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(transcript.stdout(), "done\n");
}
