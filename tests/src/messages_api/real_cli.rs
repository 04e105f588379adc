//! The real Claude CLI, wired to a stand-in of the test's own: no network, no account, no shared home.
//!
//! Called by the two suites that need it. Finds the CLI by [`CLI_VARIABLE`] and never downloads it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::MessagesApi;
use crate::{Options, PATIENCE, Transcript, fifo::Fifo, processes};

/// The environment variable that names the CLI's program.
pub const CLI_VARIABLE: &str = "CC_TEST_CLAUDE";

/// A stand-in API and a home directory for the CLI.
pub struct RealCli {
    api: MessagesApi,
    home: TempDir,
    program: PathBuf,
}

impl RealCli {
    #[must_use]
    pub fn start() -> Self {
        let program = std::env::var_os(CLI_VARIABLE).map(PathBuf::from).unwrap_or_else(|| {
            panic!("set {CLI_VARIABLE} to the path of the claude CLI to run this test")
        });
        assert!(program.is_file(), "{CLI_VARIABLE} names no file: {}", program.display());
        Self::with_program(&program)
    }

    /// The same with the CLI at this path.
    #[must_use]
    pub fn with_program(program: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { api: MessagesApi::start(), home, program: program.to_owned() }
    }

    #[must_use]
    pub fn api(&self) -> &MessagesApi {
        &self.api
    }

    /// Options of a supervisor whose agent is the CLI and whose environment is that of a machine with
    /// a headless login. The CLI gives up after one retry; a task may say otherwise in its `env`.
    #[must_use]
    pub fn options(&self, options: Options) -> Options {
        self.options_with_agent(options, &self.program)
    }

    /// The same with another program as the agent.
    #[must_use]
    pub fn options_with_agent(&self, options: Options, agent: &Path) -> Options {
        let options = options.flag("--agent", format!("'{}'", agent.display()));
        self.environment()
            .into_iter()
            .fold(options, |options, (name, value)| options.env(name, value))
    }

    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What the CLI needs in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let directory = self.program.parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        let home = self.home.path().to_str().unwrap();
        vec![
            ("PATH", format!("{directory}:{path}")),
            ("HOME", home.to_owned()),
            ("TMPDIR", home.to_owned()),
            ("ANTHROPIC_BASE_URL", self.api.url()),
            ("CLAUDE_CODE_OAUTH_TOKEN", "a-token-for-the-stand-in".to_owned()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ("CLAUDE_CODE_MAX_RETRIES", "1".to_owned()),
            // Without it the CLI refuses to run tools unasked as root, as in a container.
            ("IS_SANDBOX", "1".to_owned()),
        ]
    }

    /// Puts this text where the CLI keeps its settings.
    pub fn write_settings(&self, text: &str) {
        fs::write(self.home.path().join(".claude.json"), text).unwrap();
    }

    /// A script that runs the CLI with the arguments it gets, and then `afterwards`.
    #[must_use]
    pub fn wrapper(&self, afterwards: &str) -> PathBuf {
        let script = self.home.path().join("wrapped-claude");
        let text = format!("#!/bin/sh\n'{}' \"$@\"\n{afterwards}\n", self.program.display());
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        script
    }
}

/// Parameters of a task that may use its tools unasked.
#[must_use]
pub fn with_tools(prompt: &str) -> Value {
    json!({"prompt": prompt, "extra_args": ["--dangerously-skip-permissions"]})
}

/// The verdict of a task.
#[must_use]
pub fn verdict(transcript: &Transcript) -> &str {
    transcript.completed()["verdict"].as_str().unwrap()
}

/// The one `task.result` of a task.
#[must_use]
pub fn result(transcript: &Transcript) -> &Value {
    let results: Vec<&Value> = transcript.params_of("task.result").collect();
    assert_eq!(results.len(), 1, "one result: {:?}", transcript.methods());
    results[0]
}

/// The lines of the stream, each of which must be whole JSON.
#[must_use]
pub fn stream(transcript: &Transcript) -> Vec<Value> {
    transcript.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the warnings of a task are about, in their order.
#[must_use]
pub fn warnings(transcript: &Transcript) -> Vec<&str> {
    let warnings = transcript.completed()["warnings"].as_array().map_or(&[][..], Vec::as_slice);
    warnings.iter().map(|warning| warning["kind"].as_str().unwrap()).collect()
}

/// A command that ends after so long: 2.1.332 refuses one that begins with `sleep`.
#[must_use]
pub fn wait(duration: Duration) -> String {
    format!("timeout {} tail -f /dev/null", duration.as_secs())
}

/// Checks that no process of a task is left, wherever it went: all of them inherit the marker.
pub fn assert_nothing_left(transcript: &Transcript) {
    let left = processes::with_environment(transcript.task_id());
    assert!(left.is_empty(), "left behind: {}", processes::describe(&left));
    assert_eq!(transcript.completed()["unkillable"], 0);
}

/// Waits until a line is written to the pipe.
pub fn wait_for_line(fifo: &Fifo) {
    let (sender, receiver) = sync_channel(1);
    let reader = fs::File::open(fifo.path()).unwrap();
    std::thread::spawn(move || {
        let mut line = String::new();
        drop(BufReader::new(reader).read_line(&mut line));
        drop(sender.send(line));
    });
    let line = receiver.recv_timeout(PATIENCE).expect("somebody writes to the pipe");
    assert!(line.ends_with('\n'), "a whole line: {line:?}");
}
