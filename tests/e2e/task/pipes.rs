//! The memory of pipes is a shared good: prompts take no more of it than others, and get along when it is used up.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

use cc_tests::{Options, Supervisor, Transcript, binaries};
use serde_json::{Value, json};

/// What a pipe holds by default (pipe(7)).
const USUAL_BYTES: u64 = 64 * 1024;

/// Somebody of this user has all the memory of pipes that the user may have, until this is dropped.
struct Hoard {
    program: Child,
    stdin: Option<ChildStdin>,
}

impl Hoard {
    fn of(user_id: u32) -> Self {
        let (user, group) = (format!("--reuid={user_id}"), format!("--regid={user_id}"));
        let mut program = Command::new("setpriv")
            .args([&user, &group, "--clear-groups"])
            .args([binaries::misbehave().as_str(), "hoard-pipes"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "hoarded\n");
        let stdin = program.stdin.take();
        Self { program, stdin }
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.program.wait().unwrap();
    }
}

/// A supervisor with a user of its own. `None`, loudly, where that cannot be tried.
fn supervisor_of(user_id: u32) -> Option<Supervisor> {
    // Checks that an ordinary user can reach the programs.
    let options = Options::of_an_ordinary_user()?.as_user(user_id).fixture_agent();
    Some(Supervisor::start(&options.flag("--grace", 1)))
}

fn result(transcript: &Transcript) -> &Value {
    transcript.params_of("task.result").next().unwrap()
}

fn size_of_stdout(transcript: &Transcript) -> String {
    result(transcript)["result"].as_str().unwrap().to_owned()
}

#[test]
fn a_prompt_takes_no_more_than_anybody_takes() {
    let supervisor = Supervisor::start(&Options::new().fixture_agent());
    let transcript = supervisor.connect().run_to_end(&json!({"prompt": "size of stdout: "}));
    assert_eq!(size_of_stdout(&transcript), USUAL_BYTES.to_string());
}

#[test]
fn when_all_is_used_up_a_prompt_waits_a_moment_and_gets_a_usual_pipe() {
    let Some(supervisor) = supervisor_of(61_001) else { return };
    let mut client = supervisor.connect();
    let hoard = Hoard::of(61_001);
    let call = client.send_request("execute", &json!({"prompt": "size of stdout: "}));
    drop(hoard);
    let mut events = client.recv_until(|message| message["id"] == call);
    let answer = events.pop().unwrap()["result"].clone();
    let transcript = client.collect_after(answer, events);
    assert_eq!(size_of_stdout(&transcript), USUAL_BYTES.to_string());
}

#[test]
fn when_all_stays_used_up_a_prompt_runs_with_what_is_no_pipe_and_its_result_is_there() {
    let Some(supervisor) = supervisor_of(61_002) else { return };
    let _hoard = Hoard::of(61_002);
    let mut client = supervisor.connect();
    let transcript = client.run_to_end(&json!({"prompt": "size of stdout: "}));
    assert_eq!(size_of_stdout(&transcript), "no pipe");
    assert_eq!(transcript.completed()["verdict"], "succeeded");
    let text = "x".repeat(150_000);
    let transcript = client.run_to_end(&json!({"prompt": format!("say: {text}")}));
    assert_eq!(transcript.completed()["verdict"], "succeeded");
    assert_eq!(result(&transcript)["result"], text);
}

#[test]
fn when_all_is_used_up_other_tasks_start_at_once_and_a_cancel_is_not_kept_waiting() {
    let Some(supervisor) = supervisor_of(61_003) else { return };
    let _hoard = Hoard::of(61_003);
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo small").stdout(), "small\n");
    let mut client = supervisor.connect();
    let call = client.send_request("execute", &json!({"prompt": "silence: "}));
    let cancel = client.send_request("control", &json!({"type": "CANCEL"}));
    client.recv_until(|message| message["id"] == cancel || message["id"] == call);
    let events = client.recv_until_method("process.completed");
    assert_eq!(events.last().unwrap()["params"]["reason"], "canceled", "{events:?}");
}
