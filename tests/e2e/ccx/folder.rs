//! A folder in which `ccx` is started: what several suites of the command line share.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use cc_tests::binaries;
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which `ccx` is started.
pub(super) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(super) fn with(name: &str, text: &str) -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(folder.path(name), text).unwrap();
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn command(&self, arguments: &str) -> Command {
        let mut command = binaries::private_ccx_command();
        command.arg("batch").args(arguments.split_whitespace()).current_dir(self.folder.path());
        command
    }

    /// Runs `ccx batch` to an exit code.
    pub(super) fn run(&self, arguments: &str, code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        output
    }

    /// `Seq`, `Exitval` and `Command` of each line of a joblog.
    pub(super) fn jobs(&self, name: &str) -> Vec<String> {
        let text = self.read(name);
        let lines = text.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), 9, "{line}");
            format!("{} {} {}", cells[0], cells[6], cells[8])
        });
        lines.collect()
    }

    pub(super) fn results(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// An agent that prints the file that the first word of its prompt names, and runs the rest of the prompt as a
    /// line of shell.
    pub(super) fn with_player(tasks: &str, streams: &[(&str, String)]) -> Self {
        let folder = Self::with("tasks.jsonl", tasks);
        let player = "#!/bin/sh\nread -r stream line\n[ ! -e \"$stream\" ] || cat \"$stream\"\neval \"$line\"\n";
        binaries::install_script(&folder.path("player"), player);
        for (name, stream) in streams {
            fs::write(folder.path(name), stream).unwrap();
        }
        folder
    }

    /// Runs the tasks with that agent, and all reports.
    pub(super) fn play(&self, arguments: &str, code: i32) -> Output {
        let all = "--results results --report report.md --junit junit.xml --joblog log";
        self.run(&format!("tasks.jsonl --agent {} {all} {arguments}", self.player()), code)
    }

    pub(super) fn player(&self) -> String {
        self.path("player").display().to_string()
    }
}
