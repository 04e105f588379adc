//! A full state directory and a want of processes: what runs goes on, what is new is refused with what to do, the health
//! pages say so, and all of it ends by itself.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use cc_tests::{
    Follower, Options, Supervisor, Transcript, fifo::Fifo, http, processes, requests::gated,
    wait_until,
};
use nix::libc;
use rustix::process::Signal;
use serde_json::{Value, json};

/// A small file system of its own. Unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, loudly, where none can be mounted.
    fn mount(path: &Path, bytes: u64) -> Option<Self> {
        let options = format!("size={bytes},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "cc-tests"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("SKIPPED: no file system can be mounted here");
            return None;
        }
        Some(Self(path.to_owned()))
    }

    /// Uses up all its room.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let file = fs::File::create(&filler).unwrap();
        let mut file = std::io::BufWriter::new(file);
        assert!(std::io::copy(&mut std::io::repeat(1), &mut file).is_err(), "it is full");
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

fn page(supervisor: &Supervisor, path: &str) -> (u16, String) {
    let answer = http::get(supervisor.address(), path, &[]);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status, body["problems"].to_string())
}

/// A supervisor whose state directory is a small disk of its own.
fn on_a_small_disk(bytes: u64) -> Option<(SmallDisk, Supervisor)> {
    let mut supervisor = Supervisor::start_default();
    assert!(supervisor.stop().success());
    let state = supervisor.state_directory();
    fs::remove_dir_all(&state).unwrap();
    fs::create_dir(&state).unwrap();
    let disk = SmallDisk::mount(&state, bytes)?;
    supervisor.start_again(&Options::new());
    Some((disk, supervisor))
}

fn verbose(supervisor: &Supervisor) -> String {
    http::get(supervisor.address(), "/readyz?verbose", &[]).body
}

#[test]
fn a_disk_that_has_room_again_makes_the_supervisor_ready_although_no_task_is_sent() {
    let Some((disk, supervisor)) = on_a_small_disk(8 << 20) else { return };
    let mut gate = Fifo::create();
    let text = "head -c 4000000 /dev/zero | tr '\\0' x | fold -w 999; echo; sleep 600";
    let mut follower = Follower::start_until(&supervisor, &gated(&gate, text), "ready");
    let mut client = supervisor.connect();
    drop(client.run_shell("echo before"));
    let filler = disk.fill();
    client.execute(&json!({"command": "true"})).unwrap_err();
    // Its log finds no room, which ends it.
    gate.release();
    assert!(follower.client.follow(&mut follower.events));
    let transcript = Transcript::checked(follower.answer, follower.events);
    assert_eq!(transcript.end().0, "resource_limit");
    wait_until("the log of a task has failed", || verbose(&supervisor).contains("[!]task_log"));
    fs::remove_file(filler).unwrap();
    wait_until("it is over by itself", || {
        let page = verbose(&supervisor);
        !page.contains("[-]") && !page.contains("[!]")
    });
    assert_eq!(page(&supervisor, "/readyz"), (200, "[]".to_owned()));
    assert_eq!(client.run_shell("echo after").stdout(), "after\n");
}

/// The lock of SQLite's write-ahead log that a writer holds (wal.c, WAL_WRITE_LOCK), until the file is closed.
fn lock_database(state: &Path) -> fs::File {
    let memory = fs::File::options().read(true).write(true).open(state.join("state.db-shm"));
    let memory = memory.unwrap();
    let lock = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 120,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&memory, nix::fcntl::FcntlArg::F_SETLKW(&lock)).unwrap();
    memory
}

#[test]
fn a_database_that_can_be_written_again_is_found_although_no_task_is_sent() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    drop(client.run_shell("echo before"));
    let lock = lock_database(&supervisor.state_directory());
    let error = client.execute(&json!({"command": "true"})).unwrap_err();
    let text = error["message"].as_str().unwrap();
    assert!(text.contains("could not be started: state database"), "said once: {text}");
    assert!(verbose(&supervisor).contains("[-]database"), "{}", verbose(&supervisor));
    let error = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(error["data"]["condition"], "database", "{error}");
    drop(lock);
    wait_until("it is over by itself", || page(&supervisor, "/readyz") == (200, "[]".to_owned()));
    assert_eq!(client.run_shell("echo after").stdout(), "after\n");
}

#[test]
fn a_nearly_full_disk_refuses_a_task_before_it_has_an_id() {
    let Some((disk, supervisor)) = on_a_small_disk(8 << 20) else { return };
    let mut client = supervisor.connect();
    let known = client.call("task.list", &json!({})).unwrap()["tasks"].clone();
    let filler = disk.fill();
    wait_until("it is noticed", || verbose(&supervisor).contains("[-]state_nearly_full"));
    let error = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(error["code"], -32017, "{error}");
    assert_eq!(error["data"]["retryable"], true, "{error}");
    assert_eq!(error["data"]["condition"], "state_nearly_full", "{error}");
    assert_eq!(error["data"]["task_id"], Value::Null, "{error}");
    assert!(error["message"].as_str().unwrap().contains("make room"), "{error}");
    assert_eq!(client.call("task.list", &json!({})).unwrap()["tasks"], known);
    assert!(!supervisor.log().contains("cannot be recovered"), "{}", supervisor.log());
    fs::remove_file(filler).unwrap();
    wait_until("it is over by itself", || page(&supervisor, "/readyz").0 == 200);
    assert_eq!(client.run_shell("echo after").stdout(), "after\n");
}

#[test]
fn a_full_disk_stops_nothing_that_runs_refuses_what_is_new_and_is_over_when_there_is_room() {
    let Some((disk, mut supervisor)) = on_a_small_disk(8 << 20) else { return };
    let mut gate = Fifo::create();
    let mut follower = Follower::start_until(&supervisor, &gated(&gate, "echo done"), "ready");
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo before").stdout(), "before\n");
    assert_eq!(page(&supervisor, "/readyz").0, 200);
    let filler = disk.fill();
    let error = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["retryable"]),
        (&json!(-32017), &json!(true)),
        "{error}"
    );
    let text = error["message"].as_str().unwrap();
    let words = ["No space left", "disk is full", "make room"];
    assert!(words.iter().any(|words| text.contains(words)), "{text}");
    wait_until("the page says so", || page(&supervisor, "/readyz").0 == 503);
    wait_until("the page says what is lacking", || {
        let problems = page(&supervisor, "/healthz").1;
        problems.contains("nearly full") && problems.contains("make room")
    });
    assert!(client.call("task.list", &json!({})).is_ok(), "what needs no room is answered");
    gate.release();
    assert!(follower.client.follow(&mut follower.events));
    let transcript = Transcript::checked(follower.answer, follower.events);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
    fs::remove_file(filler).unwrap();
    wait_until("it is over by itself", || page(&supervisor, "/readyz") == (200, "[]".to_owned()));
    assert_eq!(client.run_shell("echo after").stdout(), "after\n");
    assert!(supervisor.stop().success());
    drop(disk);
}

/// Nobody else's processes count.
const USER: u32 = 60_200;

/// Processes and threads of this user.
fn count_of(user: u32) -> usize {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let own = pids.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user));
    own.filter_map(|entry| Some(fs::read_dir(entry.path().join("task")).ok()?.count())).sum()
}

fn limit_keeper(supervisor: &Supervisor, processes: &str) {
    for keeper in supervisor.keepers() {
        let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
        let (keeper, limit) = (format!("--pid={keeper}"), format!("--nproc={processes}:"));
        let status = Command::new("setpriv")
            .args([&user, &group, "--clear-groups", "prlimit", &keeper, &limit])
            .status();
        assert!(status.unwrap().success());
    }
}

#[test]
fn a_want_of_processes_is_said_stops_nothing_that_runs_and_is_over_when_there_are_some() {
    if Options::of_an_ordinary_user().is_none() {
        return;
    }
    let supervisor = Supervisor::start(&Options::new().as_user(USER));
    let mut gate = Fifo::create();
    fs::set_permissions(gate.path(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let mut follower = Follower::start_until(&supervisor, &gated(&gate, "echo done"), "ready");
    let mut client = supervisor.connect();
    let text = |error: &Value| error["message"].as_str().unwrap().to_owned();
    // First none is left for the worker, then one for the worker and none for the task.
    for limit in [1, count_of(USER) + 1] {
        limit_keeper(&supervisor, &limit.to_string());
        let error = client.execute(&json!({"command": "true"})).unwrap_err();
        assert_eq!(error["code"], -32017, "{limit}: {error}");
        assert_eq!(error["data"]["retryable"], true, "{limit}: {error}");
        assert!(text(&error).contains("Resource temporarily unavailable"), "{limit}: {error}");
        let (status, problems) = page(&supervisor, "/readyz");
        assert_eq!(status, 503, "{limit}: {problems}");
        assert!(problems.contains("limit of processes"), "{limit}: what to do: {problems}");
        limit_keeper(&supervisor, "4096");
        wait_until("it is over by itself", || page(&supervisor, "/readyz").0 == 200);
        assert_eq!(client.run_shell("echo works").stdout(), "works\n");
    }
    assert!(supervisor.log().contains("TasksMax="), "the log has more: {}", supervisor.log());
    gate.release();
    assert!(follower.client.follow(&mut follower.events));
    let transcript = Transcript::checked(follower.answer, follower.events);
    assert_eq!(transcript.stdout(), "ready\ndone\n");
}

/// Far beyond two heartbeats, and a worker's first ping.
const ASLEEP: std::time::Duration = std::time::Duration::from_secs(6);

#[test]
fn a_supervisor_that_was_stopped_for_long_and_continued_ends_neither_tasks_nor_connections() {
    let supervisor = Supervisor::start(&Options::new().flag("--heartbeat", 1));
    let mut gate = Fifo::create();
    let mut follower = Follower::start_until(&supervisor, &gated(&gate, "echo done"), "ready");
    let mut idle = supervisor.connect();
    supervisor.signal(Signal::STOP);
    wait_until("it is stopped", || {
        processes::state(supervisor.pid()).is_some_and(|state| state == "T")
    });
    std::thread::sleep(ASLEEP);
    supervisor.signal(Signal::CONT);
    gate.release();
    assert!(follower.client.follow(&mut follower.events));
    let transcript = Transcript::checked(follower.answer, follower.events);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
    assert_eq!(idle.run_shell("echo again").stdout(), "again\n");
}
