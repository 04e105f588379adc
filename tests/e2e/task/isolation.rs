//! What stands between a task and the rest of the machine by Landlock. As an ordinary user's where the tests run as root:
//! there nothing else would keep a task from another process of its user.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use cc_tests::{Client, Options, PATIENCE, Supervisor, processes, processes::Process, wait_until};
use serde_json::{Value, json};

/// `None`, loudly, where the kernel has no scopes: the supervisor says so of every task.
fn start(options: &Options) -> Option<(Supervisor, Client)> {
    let supervisor = Supervisor::start(options);
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["true"]})).unwrap();
    let is_scoped = answer["isolation"]["scoped"] == true;
    drop(client.collect(answer));
    if !is_scoped {
        eprintln!("SKIPPED: this kernel has no Landlock scopes (Linux 6.12)");
        return None;
    }
    Some((supervisor, client))
}

fn options() -> Options {
    Options::of_an_ordinary_user().unwrap_or_default()
}

/// Standard output of a shell command that is a task.
fn say(client: &mut Client, command: &str) -> String {
    client.run_to_end(&json!({"argv": ["bash", "-c", command]})).stdout()
}

/// A task of another client, which must come to no harm.
struct Other {
    client: Client,
    answer: Value,
    /// The supervisor, the keeper, the task's worker, and its main process.
    house: [i32; 4],
}

impl Other {
    fn start(supervisor: &Supervisor) -> Self {
        let mut client = supervisor.connect();
        let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
        let main = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
        let worker = processes::parent(main).unwrap();
        let keeper = processes::parent(worker).unwrap();
        let house = [supervisor.pid(), keeper, worker, main];
        Self { client, answer, house }
    }

    fn end(mut self) {
        self.client.control("CANCEL").unwrap();
        assert_eq!(self.client.collect(self.answer).completed()["reason"], "canceled");
    }
}

#[test]
fn a_task_signals_its_own_processes_and_no_others() {
    let Some((supervisor, mut client)) = start(&options()) else { return };
    let other = Other::start(&supervisor);
    for pid in other.house {
        let said = say(&mut client, &format!("kill -KILL {pid} 2>&1; echo $?"));
        assert!(said.contains("not permitted") && said.ends_with("1\n"), "{pid}: {said}");
    }
    let own = say(&mut client, "sleep 600 & kill $!; wait $!; echo $?");
    assert_eq!(own, "143\n");
    other.end();
}

/// What a Python program prints.
fn python(client: &mut Client, program: &str) -> String {
    client.run_to_end(&json!({"argv": ["python3", "-c", program]})).stdout()
}

#[test]
fn a_task_changes_limits_of_its_own_processes_and_of_no_others() {
    let Some((supervisor, mut client)) = start(&options()) else { return };
    let other = Other::start(&supervisor);
    for pid in other.house {
        let said = python(
            &mut client,
            &format!(
                "import resource\n\
                 for limit in resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC:\n\
                 \x20try: resource.prlimit({pid}, limit, (0, 0)); print('changed')\n\
                 \x20except PermissionError: print('no')"
            ),
        );
        assert_eq!(said, "no\nno\nno\n", "{pid}");
    }
    let whole_user =
        "import os\ntry: os.setpriority(os.PRIO_USER, 0, 19)\nexcept PermissionError: print('no')";
    assert_eq!(python(&mut client, whole_user), "no\n");
    let own = "ulimit -n 50; ulimit -n; nice -n 5 echo nice; echo $(prlimit --pid $$ --nofile --noheadings --output SOFT)";
    assert_eq!(say(&mut client, own), "50\nnice\n50\n");
    other.end();
}

#[test]
fn a_task_can_change_the_mode_of_the_state_directory_and_it_does_not_stay_so() {
    let supervisor = Supervisor::start(&options());
    let mut client = supervisor.connect();
    let state = supervisor.state_directory();
    let tasks = state.join("tasks");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for (changed, directory) in [("755", &state), ("000", &tasks), ("777", &tasks)] {
        let command = format!("chmod {changed} {}", directory.display());
        assert_eq!(client.run_shell(&command).end(), ("exit", 0));
        wait_until("the mode is that of a private directory", || mode(directory) == 0o700);
        assert_eq!(client.run_shell("echo served").stdout(), "served\n");
    }
}

#[test]
fn an_operator_can_let_tasks_signal_other_processes() {
    let supervisor = Supervisor::start(&options().switch("--allow-outside-signals"));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    assert!(answer.get("isolation").is_none(), "{answer}");
    let pid = answer["pid"].as_i64().unwrap();
    let mut other = supervisor.connect();
    assert_eq!(say(&mut other, &format!("kill -KILL {pid}; echo $?")), "0\n");
    assert_eq!(client.collect(answer).end(), ("signal", -9));
}

#[test]
fn an_abstract_socket_of_another_process_cannot_be_reached() {
    let Some((_supervisor, mut client)) = start(&options()) else { return };
    let name = cc_tests::unique_tag("abstract");
    let serve = format!(
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind('\\0{name}'); s.listen(); print('up', flush=True); \
         sys.stdin.read()"
    );
    let mut server = Command::new("python3")
        .args(["-c", &serve])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    server.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
    let knock = format!("import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')");
    let transcript = client.run_to_end(&json!({"argv": ["python3", "-c", knock]}));
    assert!(transcript.stderr().contains("PermissionError"), "{}", transcript.stderr());
    drop(server.stdin.take());
    server.wait().unwrap();
}

#[test]
fn what_is_in_force_is_in_the_answer_and_with_the_task() {
    let Some((_supervisor, mut client)) = start(&options()) else { return };
    let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    let task_id = answer["task_id"].as_str().unwrap().to_owned();
    let task = client.task(&task_id).unwrap();
    assert_eq!(task["isolation"], json!({"scoped": true, "filtered": true}));
    assert_eq!(
        (&task["isolation"], &task["containment"]),
        (&answer["isolation"], &answer["containment"])
    );
    client.control("CANCEL").unwrap();
    drop(client.collect(answer));
    assert_eq!(client.task(&task_id).unwrap()["containment"], "subreaper");
}

/// A directory that every user can write to, beside the temporary ones.
fn place(name: &str) -> tempfile::TempDir {
    let place =
        tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    place
}

fn confined(place: &Path, directory: &Path) -> Options {
    options()
        .in_directory(place)
        .flag("--confine", directory.display())
        .env("HOME", place.display())
}

#[test]
fn a_confined_task_writes_below_the_named_directories_and_reads_everywhere() {
    let (state, work) = (place("state"), place("work"));
    let Some((supervisor, mut client)) = start(&confined(state.path(), work.path())) else {
        return;
    };
    let own = supervisor.state_directory();
    let (work, state, own) = (work.path().display(), state.path().display(), own.display());
    let said = say(
        &mut client,
        &format!(
            "touch {work}/a && mkdir {work}/d && mv {work}/a {work}/d/b && ln {work}/d/b {work}/c && echo work
             t=$(mktemp) && echo x > $t && rm $t && echo temporary
             echo x > /dev/null && cat /etc/passwd > /dev/null && echo read
             for f in {state}/x {own}/x {own}/state.db {own}/key; do echo x 2>/dev/null >> $f || echo no; done"
        ),
    );
    assert_eq!(said, "work\ntemporary\nread\nno\nno\nno\nno\n");
    let answer = client.execute(&json!({"argv": ["true"]})).unwrap();
    let writable = answer["isolation"]["writable"].as_array().unwrap().clone();
    assert!(writable.contains(&Value::from(work.to_string())), "{writable:?}");
    drop(client.collect(answer));
}

#[test]
fn a_confinement_that_would_not_protect_the_state_directory_is_refused() {
    let (state, work) = (place("state"), place("work"));
    let mut supervisor = Supervisor::start(&confined(state.path(), work.path()));
    supervisor.stop();
    for (options, reason) in [
        (confined(state.path(), state.path()), "holds the state directory"),
        (confined(state.path(), Path::new("/nonesuch")), "No such file"),
        (
            confined(state.path(), work.path()).switch("--allow-new-privileges"),
            "--allow-new-privileges",
        ),
        (confined(state.path(), work.path()).flag("--wrap", "env"), "--wrap"),
    ] {
        let said = supervisor.start_in_vain(&options);
        assert!(said.contains(reason), "{said}");
    }
    let temporary = Supervisor::start(&options());
    let mut temporary = temporary;
    temporary.stop();
    let said = temporary.start_in_vain(&options().flag("--confine", work.path().display()));
    assert!(said.contains("below /tmp"), "{said}");
}

#[test]
fn a_request_for_other_directories_does_not_widen_a_confinement() {
    let (state, work) = (place("state"), place("work"));
    let Some((_supervisor, mut client)) = start(&confined(state.path(), work.path())) else {
        return;
    };
    let elsewhere = place("elsewhere");
    let params = json!({
        "argv": ["bash", "-c", "touch here 2>&1"],
        "cwd": elsewhere.path(),
        "env": {"HOME": elsewhere.path(), "CLAUDE_CONFIG_DIR": elsewhere.path(), "TMPDIR": elsewhere.path()},
    });
    let transcript = client.run_to_end(&params);
    assert!(transcript.stdout().contains("Permission denied"), "{}", transcript.stdout());
}

#[test]
fn a_task_cannot_outlive_its_end_by_what_it_is_kept_from() {
    let Some((_supervisor, mut client)) = start(&options()) else { return };
    let answer = client
        .execute(&json!({"argv": ["bash", "-c", "setsid sleep 600 & echo $!; wait"]}))
        .unwrap();
    let seen = client.recv_until_method("process.output");
    let pid = seen.last().unwrap()["params"]["data"].as_str().unwrap().trim().parse().unwrap();
    let sleeper = Process::open(pid).unwrap();
    client.control("CANCEL").unwrap();
    drop(client.collect_after(answer, seen));
    assert!(sleeper.wait_gone(PATIENCE));
}
