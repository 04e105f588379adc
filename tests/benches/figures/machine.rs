//! On what machine the figures were taken, and how busy it was: without that they mean nothing.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{arguments::Effort, peers::Peers};

/// Facts with their names, in the order in which they are shown.
pub struct Machine(Vec<(&'static str, String)>);

impl Machine {
    /// Looks at this one.
    pub fn describe(peers: &Peers, effort: Effort) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut facts = vec![
            ("processor", field("/proc/cpuinfo", "model name")),
            ("cores", cores.to_string()),
            ("memory", field("/proc/meminfo", "MemTotal")),
            ("kernel", line("/proc/sys/kernel/osrelease")),
            ("load at the start", line("/proc/loadavg")),
            ("rustc", version("rustc", "--version")),
            ("cc-executor", env!("CARGO_PKG_VERSION").to_owned()),
            ("figures", effort.name().to_owned()),
        ];
        facts.extend(peers.versions());
        Self(facts)
    }

    /// A fact a line.
    pub fn text(&self) -> String {
        let lines: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{name:<18} {value}")).collect();
        lines.join("\n")
    }

    /// The same as a list.
    pub fn markdown(&self) -> String {
        self.0.iter().map(|(name, value)| format!("- {name}: {value}\n")).collect()
    }

    /// For `figures.json`.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }
}

/// What stands behind a name and a colon.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    value.unwrap_or("unknown").to_owned()
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}

/// The first line of what a program says of itself; `unknown` where it does not.
pub fn version(program: &str, flag: &str) -> String {
    let output = Command::new(program).arg(flag).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or("unknown".to_owned())
}
