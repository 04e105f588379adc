//! The command line and tasks that outlive connections: `run` and `batch` through a network that fails,
//! and `run --detach`, `attach`, `logs`, `ps`, `cancel`, `pause` and `resume`.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Output, Stdio},
};

use cc_tests::{
    Cut, Follower, Options, Proxy, Supervisor,
    binaries::{self, misbehave},
    fifo::Fifo,
    processes::{Process, is_held},
    random::Random,
    requests::{gated, pid, pour},
    spoken_output::{Stream, poured_end, poured_line, said, speech},
    wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::output::{stderr, stdout};

fn ccx(url: &str, arguments: &[&str]) -> Command {
    let mut command = binaries::ccx_command(url);
    command.args(arguments);
    command
}

fn run(supervisor: &Supervisor, arguments: &[&str]) -> Output {
    ccx(&supervisor.url(), arguments).output().unwrap()
}

/// Plans cuts at random bytes for the connections that are to come.
fn plan_cuts(proxy: &Proxy, seed: u64, count: usize) {
    let mut random = Random::new(seed);
    for _ in 0..count {
        let most = *random.pick(&[600, 6_000, 60_000, 400_000]);
        let bytes = 1 + random.below(most);
        // The very first connection is no loss of one.
        proxy.plan(bytes.max(20_000), *random.pick(&[Cut::Reset, Cut::Finish]));
    }
}

#[test]
fn run_loses_nothing_when_its_connection_is_cut_and_says_so() {
    let supervisor = Supervisor::start_default();
    for seed in 1..=3 {
        let proxy = Proxy::start(supervisor.address());
        plan_cuts(&proxy, seed, 10);
        let (seed_text, bytes) = (seed.to_string(), 1_000_000);
        let speak = ["run", "--", &misbehave(), "speak", &seed_text, &bytes.to_string()];
        let output = ccx(&proxy.url(), &speak).output().unwrap();
        assert!(output.status.success(), "seed {seed}: {}", stderr(&output));
        let expected = speech(seed, bytes);
        assert!(stdout(&output) == said(&expected, Stream::Stdout), "seed {seed}");
        let notes = stderr(&output);
        let own = notes.matches("ccx: reconnected, nothing was lost").count();
        assert!(own > 0 && proxy.accepted() > 1, "seed {seed}: {} connections", proxy.accepted());
        assert_eq!(notes.matches("reconnecting…").count(), own, "once an outage: seed {seed}");
        // Between its own words, all of stderr.
        let tasks_own: String =
            notes.split_inclusive('\n').map(|line| line.split("ccx: ").next().unwrap()).collect();
        let squeezed = |text: &str| text.replace('\n', "");
        assert!(squeezed(&tasks_own) == squeezed(&said(&expected, Stream::Stderr)), "seed {seed}");
    }
}

#[test]
fn run_survives_the_kill_of_its_supervisor() {
    let mut supervisor = Supervisor::start_default();
    let mut stop = Fifo::create();
    let mut child = ccx(&supervisor.url(), &["run", "--", &misbehave(), "pour", stop.path()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..100 {
        output.read_line(&mut text).unwrap();
    }
    supervisor.kill();
    supervisor.start_again(&Options::new());
    for _ in 0..20_000 {
        output.read_line(&mut text).unwrap();
    }
    stop.release();
    output.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    cc_tests::spoken_output::check_poured(&text);
    assert!(stderr(&output).contains("ccx: reconnected, nothing was lost"), "{}", stderr(&output));
}

#[test]
fn batch_runs_every_task_once_although_its_connections_are_cut() {
    let supervisor = Supervisor::start_default();
    let proxy = Proxy::start(supervisor.address());
    let directory = tempfile::tempdir().unwrap();
    let (file, ran) = (directory.path().join("tasks.jsonl"), directory.path().join("ran"));
    let lines: String = (0..20)
        .map(|number| {
            let command = format!("echo {number} >> {}; seq 3000", ran.display());
            json!({ "command": command }).to_string() + "\n"
        })
        .collect();
    fs::write(&file, lines).unwrap();
    for _ in 0..30 {
        proxy.plan(70_000, Cut::Reset);
    }
    let output = ccx(&proxy.url(), &["batch", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(proxy.accepted() > 5, "{} connections", proxy.accepted());
    let ran = fs::read_to_string(ran).unwrap();
    assert_eq!(ran, (0..20).map(|number| format!("{number}\n")).collect::<String>());
}

#[test]
fn a_server_that_does_not_come_back_is_given_up_after_the_grace_with_how_to_look() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--resume-grace", 1));
    let gate = Fifo::create();
    let line = format!("echo ready; read go < {}", gate.path());
    let mut child = ccx(&supervisor.url(), &["run", "--", "sh", "-c", &line])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(child.stdout.as_mut().unwrap(), "ready");
    supervisor.kill();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let id = supervisor_task(&supervisor);
    assert!(stderr(&output).contains(&format!("ccx logs {id}")), "{}", stderr(&output));
    supervisor.start_again(&Options::new().flag("--resume-grace", 1).flag("--grace", 1));
    supervisor.connect().wait_for_end(&id);
}

/// The one task in the state directory.
fn supervisor_task(supervisor: &Supervisor) -> String {
    let mut tasks = fs::read_dir(supervisor.state_directory().join("tasks")).unwrap();
    tasks.next().unwrap().unwrap().file_name().into_string().unwrap()
}

/// Reads bytes up to the end of a line, which is this one; what follows stays unread.
fn wait_for_line(from: &mut impl Read, expected: &str) {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        from.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    assert_eq!(String::from_utf8_lossy(&line).trim_end(), expected);
}

/// Leaves a task to the supervisor; returns its id.
fn detach(supervisor: &Supervisor, argv: &[&str]) -> String {
    let mut arguments = vec!["run", "--detach", "--label", "left alone", "--"];
    arguments.extend(argv);
    let output = run(supervisor, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let id = text.strip_suffix('\n').unwrap();
    assert!(uuid::Uuid::parse_str(id).is_ok(), "only the id: {text:?}");
    id.to_owned()
}

#[test]
fn a_detached_task_can_be_attached_to_by_several_and_gives_its_exit_status() {
    let supervisor = Supervisor::start(&Options::new().flag("--resume-grace", 0));
    let mut gate = Fifo::create();
    let line = format!("echo out; echo err >&2; read go < {}; echo last; exit 7", gate.path());
    let id = detach(&supervisor, &["sh", "-c", &line]);
    let attached: Vec<_> = (0..3)
        .map(|_| {
            let mut child = ccx(&supervisor.url(), &["attach", &id])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            wait_for_line(child.stdout.as_mut().unwrap(), "out");
            child
        })
        .collect();
    gate.release();
    for child in attached {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
        assert_eq!(stdout(&output), "last\n");
        assert!(stderr(&output).starts_with("err\n"), "{}", stderr(&output));
    }
    // Also when it is over.
    let output = run(&supervisor, &["attach", &id]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("out\nlast\n", Some(7)));
    let events = supervisor.connect().watch(&id, 0);
    let since = events.len() - 2;
    let output = run(&supervisor, &["attach", &id, "--since-seq", &since.to_string()]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("last\n", Some(7)));
}

#[test]
fn ctrl_c_leaves_an_attached_task_running_and_says_so() {
    let supervisor = Supervisor::start_default();
    let mut gate = Fifo::create();
    let line = format!("echo ready; read go < {}", gate.path());
    let id = detach(&supervisor, &["sh", "-c", &line]);
    let mut child = ccx(&supervisor.url(), &["attach", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(child.stdout.as_mut().unwrap(), "ready");
    Process::open(child.id().cast_signed()).unwrap().signal(Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    for word in ["runs on", &format!("ccx cancel {id}")] {
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
    assert_eq!(supervisor.connect().task(&id).unwrap()["state"], "running");
    gate.release();
    assert_eq!(supervisor.connect().wait_for_end(&id)["exit_code"], 0);
}

#[test]
fn logs_prints_what_run_would_have_printed_byte_for_byte() {
    let supervisor = Supervisor::start_default();
    let bytes = 700_000;
    let id = detach(&supervisor, &[&misbehave(), "speak", "9", &bytes.to_string()]);
    supervisor.connect().wait_for_end(&id);
    let expected = speech(9, bytes);
    for follow in [&["logs", id.as_str()][..], &["logs", "-f", &id]] {
        let output = run(&supervisor, follow);
        assert!(output.status.success());
        assert!(stdout(&output) == said(&expected, Stream::Stdout), "{follow:?}");
        assert!(stderr(&output) == said(&expected, Stream::Stderr), "{follow:?}");
    }
    let output = run(&supervisor, &["logs", "--json", &id]);
    let events: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events, supervisor.connect().watch(&id, 0));
}

#[test]
fn logs_says_nothing_when_its_reader_has_had_enough() {
    let supervisor = Supervisor::start_default();
    let id = detach(&supervisor, &["seq", "200000"]);
    supervisor.connect().wait_for_end(&id);
    let line =
        format!("'{}' --url {} logs {id} | head -n 1", binaries::ccx().display(), supervisor.url());
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("1\n", ""));
}

#[test]
fn logs_of_a_running_task_ends_with_what_there_is_and_follows_when_told() {
    let supervisor = Supervisor::start_default();
    let mut stop = Fifo::create();
    let follower = Follower::start_until(&supervisor, &pour(&stop), "poured");
    let output = run(&supervisor, &["logs", follower.task_id()]);
    assert!(output.status.success());
    assert!(stdout(&output).starts_with(&poured_line(0)));
    let mut following = ccx(&supervisor.url(), &["logs", "-f", follower.task_id()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(following.stdout.as_mut().unwrap(), poured_line(0).trim_end());
    stop.release();
    let output = following.wait_with_output().unwrap();
    assert!(output.status.success());
    let transcript = follower.finish(&supervisor);
    assert!(poured_line(0) + &stdout(&output) == transcript.stdout());
    assert!(stdout(&output).ends_with(&poured_end(transcript.stdout().lines().count() as u64 - 1)));
}

#[test]
fn ps_lists_what_runs_and_with_all_what_has_ended_and_how() {
    let supervisor = Supervisor::start_default();
    let gate = Fifo::create();
    let running = Follower::start_until(&supervisor, &gated(&gate, "true"), "ready");
    let failed = detach(&supervisor, &["sh", "-c", "exit 3"]);
    supervisor.connect().wait_for_end(&failed);
    let table = stdout(&run(&supervisor, &["ps"]));
    let row = table.lines().find(|line| line.contains(running.task_id())).unwrap();
    assert!(row.contains("running") && row.contains("echo ready"), "{table}");
    assert!(row.contains(&running.session.id[..8]), "{table}");
    assert!(!table.contains(&failed), "{table}");
    let table = stdout(&run(&supervisor, &["ps", "--all"]));
    let row = table.lines().find(|line| line.contains(&failed)).unwrap();
    assert!(row.contains("failed") && row.contains("left alone"), "{table}");
    let json = stdout(&run(&supervisor, &["ps", "--all", "--json"]));
    let tasks: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(tasks.len(), 2);
    assert_eq!(tasks[0]["exit_code"], 3);
    let id = running.task_id().to_owned();
    assert!(run(&supervisor, &["cancel", &id]).status.success());
    assert_eq!(running.finish(&supervisor).end().0, "canceled");
}

#[test]
fn pause_resume_and_cancel_take_any_beginning_or_end_of_an_id() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let gate = Fifo::create();
    let follower = Follower::start_until(&supervisor, &gated(&gate, "true"), "ready");
    let id = follower.task_id().to_owned();
    let (beginning, end) = (&id[..24], &id[24..]);
    assert!(run(&supervisor, &["pause", beginning]).status.success());
    assert!(is_held(pid(&follower.answer)));
    let table = stdout(&run(&supervisor, &["ps"]));
    assert!(table.contains("paused"), "{table}");
    assert!(run(&supervisor, &["resume", end]).status.success());
    assert!(!is_held(pid(&follower.answer)));
    let output = run(&supervisor, &["cancel", end]);
    assert!(output.status.success() && stdout(&output).contains(&id), "{}", stderr(&output));
    assert_eq!(follower.finish(&supervisor).end().0, "canceled");
    // It is over, and so it did not do as it was told.
    let output = run(&supervisor, &["cancel", &id]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("ended"), "{}", stderr(&output));
}

#[test]
fn an_ambiguous_id_lists_its_candidates_and_an_unknown_one_says_how_to_look() {
    let supervisor = Supervisor::start_default();
    let ids: Vec<String> = (0..3).map(|_| detach(&supervisor, &["true"])).collect();
    for id in &ids {
        supervisor.connect().wait_for_end(id);
    }
    // They were made within an hour, so they begin alike.
    let output = run(&supervisor, &["logs", &ids[0][..4]]);
    assert_eq!(output.status.code(), Some(125));
    for id in &ids {
        assert!(stderr(&output).contains(id), "{}", stderr(&output));
    }
    for command in ["attach", "logs"] {
        let output = run(&supervisor, &[command, "ffffffff"]);
        assert_eq!(output.status.code(), Some(125));
        assert!(stderr(&output).contains("ccx ps --all"), "{}", stderr(&output));
    }
    assert_eq!(run(&supervisor, &["cancel", "ffffffff"]).status.code(), Some(1));
}

#[test]
fn commands_for_a_supervisor_that_is_not_there_say_how_to_start_one() {
    let nobody = "ws://127.0.0.1:1/ws/mcp";
    for arguments in [
        &["ps"][..],
        &["attach", "x"],
        &["logs", "x"],
        &["cancel", "x"],
        &["run", "--detach", "--", "true"],
    ] {
        let output = ccx(nobody, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        for word in ["127.0.0.1:1", "cc-supervisor"] {
            assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn the_private_supervisor_of_a_killed_ccx_leaves_nothing() {
    let tag = cc_tests::unique_tag("private");
    let mut command = binaries::private_ccx_command();
    command.args(["run", "--", &misbehave(), "setsid-sleepers", "3", "stay", &tag]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_for_line(child.stdout.as_mut().unwrap(), "the sleepers sleep");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("nothing is left", || cc_tests::processes::survivors(&tag).is_empty());
    drop(std::io::stdout().flush());
}
