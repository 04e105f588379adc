//! The state directory: who may own it and write to it, links in it, and its removal while a supervisor uses it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    process::{Child, Command, Stdio},
};

use cc_tests::{
    Client, Follower, Options, Supervisor, Transcript, binaries,
    fifo::Fifo,
    http,
    processes::Process,
    requests::{gated, task_id},
    wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A supervisor that has run once and is over.
fn used() -> Supervisor {
    let mut supervisor = Supervisor::start_default();
    drop(supervisor.connect().run_shell("true"));
    assert!(supervisor.stop().success());
    supervisor
}

#[test]
fn a_directory_that_others_may_write_to_is_refused_with_what_to_do() {
    let mut supervisor = used();
    let state = supervisor.state_directory();
    for (path, shared) in
        [(state.clone(), 0o770), (state.clone(), 0o777), (state.join("tasks"), 0o702)]
    {
        set_mode(&path, shared);
        let error = supervisor.start_in_vain(&Options::new());
        let advice = format!("chmod 700 {}", path.display());
        assert!(error.contains(&advice), "{error}");
        assert_eq!(mode(&path), shared, "it is for the operator to look at first");
        set_mode(&path, 0o700);
    }
    supervisor.start_again(&Options::new());
}

#[test]
fn a_directory_of_another_user_is_refused_with_what_to_do() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a directory away");
        return;
    }
    let mut supervisor = used();
    let state = supervisor.state_directory();
    chown(&state, Some(65_534), Some(65_534)).unwrap();
    let error = supervisor.start_in_vain(&Options::new());
    for word in ["uid 65534", "uid 0", "chown 0", "--state-dir"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    chown(&state, Some(0), Some(0)).unwrap();
    supervisor.start_again(&Options::new());
}

#[test]
fn what_others_could_read_is_closed_to_them_and_the_log_says_so() {
    let mut supervisor = used();
    let state = supervisor.state_directory();
    for path in [&state, &state.join("tasks"), &state.join("keepers")] {
        assert_eq!(mode(path), 0o700, "as it was made");
        set_mode(path, 0o755);
    }
    supervisor.start_again(&Options::new());
    for path in [&state, &state.join("tasks"), &state.join("keepers")] {
        assert_eq!(mode(path), 0o700);
    }
    assert!(
        supervisor.log().contains("this directory was not private to its owner"),
        "{}",
        supervisor.log()
    );
}

#[test]
fn what_is_no_regular_file_is_neither_followed_nor_waited_for() {
    let mut supervisor = used();
    let state = supervisor.state_directory();
    let precious = supervisor.scratch().join("precious");
    fs::write(&precious, "precious").unwrap();
    for name in ["lock", "state.db", "tasks", "keepers"] {
        let (path, aside) = (state.join(name), supervisor.scratch().join("aside"));
        fs::rename(&path, &aside).unwrap();
        symlink(&precious, &path).unwrap();
        let error = supervisor.start_in_vain(&Options::new());
        assert!(error.contains(path.to_str().unwrap()), "{name}: {error}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious", "{name}");
        fs::remove_file(&path).unwrap();
        // Nobody will ever write to it.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = supervisor.start_in_vain(&Options::new());
        assert!(error.contains(path.to_str().unwrap()), "{name}: {error}");
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    supervisor.start_again(&Options::new());
}

#[test]
fn a_log_that_was_replaced_is_neither_followed_nor_waited_for() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let secret = supervisor.scratch().join("secret");
    fs::write(&secret, "CCXLOG1\nsecret").unwrap();
    let replaced = |make: &dyn Fn(&Path)| {
        let mut client = supervisor.connect();
        let transcript = client.run_shell("echo replaced");
        let log = supervisor.task_directory(transcript.task_id()).join("log");
        fs::remove_file(&log).unwrap();
        make(&log);
        transcript.task_id().to_owned()
    };
    let ids = [
        replaced(&|log| symlink(&secret, log).unwrap()),
        replaced(&|log| nix::unistd::mkfifo(log, nix::sys::stat::Mode::S_IRWXU).unwrap()),
        replaced(&|log| fs::create_dir(log).unwrap()),
    ];
    for id in ids {
        let answer = client.call("task.output", &json!({ "task_id": id })).unwrap();
        let problem = answer["events"][0]["params"]["error"].as_str().unwrap();
        assert!(problem.contains("symbolic link or no regular file"), "{answer}");
        assert_eq!(answer["events"][1]["method"], "process.completed", "the database has it");
        assert!(!answer.to_string().contains("secret"), "{answer}");
        assert_eq!(client.run_shell("echo others").stdout(), "others\n");
    }
}

/// A second supervisor on the state directory of a first one.
struct Rival {
    child: Child,
    client: Client,
}

impl Rival {
    fn start(state: &Path) -> Self {
        let mut child = Command::new(binaries::supervisor())
            .args(["--listen", "127.0.0.1:0", "--cgroup", "off", "--state-dir"])
            .arg(state)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ws://").unwrap();
        let address = address.strip_suffix("/ws/mcp").unwrap().parse().unwrap();
        Self { child, client: Client::connect(address) }
    }

    fn stop(mut self) {
        Process::open(self.child.id().cast_signed()).unwrap().signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }
}

fn problems(supervisor: &Supervisor) -> String {
    let body = http::get(supervisor.address(), "/healthz", &[]).body;
    serde_json::from_str::<Value>(&body).unwrap()["problems"].to_string()
}

#[test]
fn a_supervisor_whose_directory_was_removed_ends_its_tasks_and_leaves_the_next_one_alone() {
    let mut first = Supervisor::start_default();
    let state = first.state_directory();
    let mut gate = Fifo::create();
    let mut follower = Follower::start_until(&first, &gated(&gate, "echo done"), "ready");
    fs::remove_dir_all(&state).unwrap();
    let mut rival = Rival::start(&state);
    wait_until("it is noticed", || problems(&first).contains("is gone"));
    assert_eq!(http::get(first.address(), "/readyz", &[]).status, 503);
    let error = first.connect().execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(error["code"], -32012, "{error}");
    assert!(error["message"].as_str().unwrap().contains("state directory was removed"), "{error}");
    let one = rival.client.run_shell("echo one").task_id().to_owned();
    // What runs is brought to its end, and the end is heard.
    gate.release();
    assert!(follower.client.follow(&mut follower.events));
    let transcript = Transcript::checked(follower.answer, follower.events);
    assert_eq!(transcript.stdout(), "ready\ndone\n");
    assert!(!first.wait_for_exit().success(), "a service manager is to start it again");
    assert!(first.log().contains("start it again"), "{}", first.log());
    // The next one has its keeper, its tasks and its database.
    let two = rival.client.run_shell("echo two").task_id().to_owned();
    rival.stop();
    let mut directories: Vec<_> = fs::read_dir(state.join("tasks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    directories.sort();
    assert_eq!(directories, [one.clone(), two.clone()]);
    first.start_again(&Options::new());
    let list = first.connect().call("task.list", &json!({})).unwrap();
    let ids: Vec<&str> = list["tasks"].as_array().unwrap().iter().map(task_id).collect();
    assert_eq!(ids, [two, one]);
}

#[test]
fn a_directory_that_was_moved_away_is_noticed_as_well() {
    let mut supervisor = Supervisor::start_default();
    drop(supervisor.connect().run_shell("true"));
    fs::rename(supervisor.state_directory(), supervisor.scratch().join("moved")).unwrap();
    assert!(!supervisor.wait_for_exit().success(), "nothing ran, so it stops at once");
    fs::rename(supervisor.scratch().join("moved"), supervisor.state_directory()).unwrap();
    supervisor.start_again(&Options::new());
    let list = supervisor.connect().call("task.list", &json!({})).unwrap();
    assert_eq!(list["tasks"].as_array().unwrap().len(), 1);
}
