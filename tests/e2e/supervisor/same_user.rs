//! A task has its supervisor's user. What that user's other processes can do to the supervisor and its workers is what a
//! task could do.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
};

use cc_tests::{
    Client, Options, PATIENCE, Supervisor, fifo::Fifo, processes, processes::Process, requests,
    requests::task_id,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What a process of an ordinary user can read of this one: `environ`, `maps`, the list of descriptors.
fn readable_by_its_user(pid: i32) -> Vec<String> {
    let command = format!(
        "cat /proc/{pid}/environ > /dev/null && echo environ; head -c1 /proc/{pid}/maps > /dev/null && echo maps
         ls /proc/{pid}/fd/ > /dev/null && echo fd"
    );
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", &command])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The worker and the keeper of the task that was started with this answer.
fn worker_and_keeper(answer: &Value) -> [i32; 2] {
    let worker = requests::worker(answer).pid;
    [worker, processes::parent(worker).unwrap()]
}

#[test]
fn processes_of_the_same_user_cannot_look_into_supervisor_keeper_and_workers() {
    let Some(options) = Options::of_an_ordinary_user() else { return };
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    let task = requests::pid(&answer);
    let [worker, keeper] = worker_and_keeper(&answer);
    for pid in [supervisor.pid(), keeper, worker] {
        assert_eq!(readable_by_its_user(pid), Vec::<String>::new(), "{:?}", processes::name(pid));
    }
    assert_eq!(readable_by_its_user(task), ["environ", "maps", "fd"], "a task can be debugged");
    client.control("CANCEL").unwrap();
    drop(client.collect(answer));
}

#[test]
fn an_operator_can_allow_core_dumps_and_debuggers() {
    let Some(options) = Options::of_an_ordinary_user() else { return };
    let supervisor = Supervisor::start(&options.switch("--allow-core-dumps"));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    let [worker, keeper] = worker_and_keeper(&answer);
    for pid in [supervisor.pid(), keeper, worker] {
        assert_eq!(readable_by_its_user(pid), ["environ", "maps", "fd"]);
    }
    client.control("CANCEL").unwrap();
    drop(client.collect(answer));
}

/// A task that says `well`, waits for the gate, and says `on`.
/// Starts a task that says "well", and "on" when the gate is released.
fn start_two_halves(client: &mut Client, gate: &Fifo) -> Value {
    let command = format!("echo well; read line < {}; echo on", gate.path());
    client.execute(&json!({ "command": command })).unwrap()
}

/// The same, when its first half has come.
fn start_first_half(client: &mut Client, gate: &Fifo) -> Value {
    let answer = start_two_halves(client, gate);
    client.recv_until_output("well");
    answer
}

fn key_of(supervisor: &Supervisor) -> String {
    let path = supervisor.state_directory().join("key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::read_to_string(path).unwrap()
}

fn adopt(key: Option<&str>) -> String {
    json!({"adopt": {"oldest": 1, "newest": 1, "key": key}}).to_string()
}

/// What comes back for a line on this socket before it is closed; empty if nothing does.
fn ask(socket: &Path, line: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset is a refusal as well.
    drop(stream.read_to_end(&mut answer));
    answer
}

fn socket_of_keeper(supervisor: &Supervisor) -> PathBuf {
    let mut entries = fs::read_dir(supervisor.state_directory().join("keepers")).unwrap();
    entries.next().unwrap().unwrap().path()
}

#[test]
fn workers_and_keepers_answer_only_who_shows_the_key_of_the_state_directory() {
    let supervisor = Supervisor::start_default();
    let mut gate = Fifo::create();
    let mut client = supervisor.connect();
    let answer = start_two_halves(&mut client, &gate);
    let worker = supervisor.task_directory(task_id(&answer)).join("worker.sock");
    let other_key = "0".repeat(64);
    for key in [None, Some(other_key.as_str())] {
        assert!(ask(&worker, &adopt(key)).is_empty(), "{key:?}");
        let settle = json!({"settle": {"worker": 1, "key": key}}).to_string();
        assert!(ask(&socket_of_keeper(&supervisor), &settle).is_empty(), "{key:?}");
    }
    let settle = json!({"settle": {"worker": 1, "key": key_of(&supervisor)}}).to_string();
    assert!(!ask(&socket_of_keeper(&supervisor), &settle).is_empty());
    gate.release();
    assert_eq!(client.collect(answer).stdout(), "well\non\n", "the task has noticed nothing");
}

#[test]
fn a_task_is_refused_even_with_the_key() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    let worker = supervisor.task_directory(task_id(&answer)).join("worker.sock");
    let knock = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(sys.argv[2].encode() + b'\\n')
    print(len(s.recv(100)))
except OSError:
    print(0)";
    let key = key_of(&supervisor);
    let settle = json!({"settle": {"worker": 1, "key": key}}).to_string();
    for (socket, line) in [(&worker, adopt(Some(&key))), (&socket_of_keeper(&supervisor), settle)] {
        let argv = json!(["python3", "-c", knock, socket, line]);
        let transcript = supervisor.connect().run_to_end(&json!({ "argv": argv }));
        assert_eq!(transcript.stdout(), "0\n", "{}", transcript.stderr());
    }
    client.control("CANCEL").unwrap();
    drop(client.collect(answer));
}

#[test]
fn connections_that_say_nothing_keep_neither_a_keeper_nor_an_adoption() {
    let mut supervisor = Supervisor::start_default();
    let mut gate = Fifo::create();
    let mut client = supervisor.connect();
    let answer = start_first_half(&mut client, &gate);
    let task_id = task_id(&answer).to_owned();
    let worker = supervisor.task_directory(&task_id).join("worker.sock");
    let keeper_pid = worker_and_keeper(&answer)[1];
    let keeper = Process::open(keeper_pid).unwrap();
    let silent: Vec<_> = [&worker, &socket_of_keeper(&supervisor)]
        .into_iter()
        .flat_map(|socket| (0..3).map(move |_| UnixStream::connect(socket).unwrap()))
        .collect();
    supervisor.kill();
    supervisor.start_again(&Options::new());
    gate.release();
    let mut client = supervisor.connect();
    assert_eq!(client.wait_for_end(&task_id)["reason"], "exit");
    // Its supervisor and its worker are gone; the connections are not.
    assert!(keeper.wait_gone(PATIENCE), "a keeper waits for ever for a question");
    drop(silent);
}

#[test]
fn a_lost_key_costs_no_task() {
    let mut supervisor = Supervisor::start_default();
    let mut gate = Fifo::create();
    let mut client = supervisor.connect();
    let task_id = task_id(&start_first_half(&mut client, &gate)).to_owned();
    let _first = key_of(&supervisor);
    supervisor.signal(Signal::KILL);
    fs::remove_file(supervisor.state_directory().join("key")).unwrap();
    supervisor.kill();
    supervisor.start_again(&Options::new());
    let mut client = supervisor.connect();
    assert_eq!(client.task(&task_id).unwrap()["state"], "running");
    gate.release();
    assert_eq!(client.wait_for_end(&task_id)["reason"], "exit");
}
