//! What a task finds when it starts, and a start that hands on what it should not.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs,
    io::{IsTerminal, Read},
};

use nix::{
    sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
    unistd::{execvp, getpgrp, getpid, getsid},
};
use serde_json::json;

/// Prints one JSON object about the process itself. Signal dispositions are better read by
/// `cat /proc/self/status`: a Rust program changes two of its own before `main`.
pub fn report() {
    let mut stdin = Vec::new();
    let stdin_is_terminal = std::io::stdin().is_terminal();
    std::io::stdin().read_to_end(&mut stdin).unwrap();
    let fields = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = fields.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    let pid = getpid();
    let report = json!({
        "pid": pid.as_raw(),
        "process_group": getpgrp().as_raw(),
        "session": getsid(None).unwrap().as_raw(),
        "nice": fields[16],
        "scheduling_policy": fields[38],
        "oom_score_adj": fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim(),
        "cwd": std::env::current_dir().unwrap(),
        "environment": std::env::vars().collect::<BTreeMap<_, _>>(),
        "descriptors": descriptors(),
        "stdin_bytes": stdin.len(),
        "stdin_is_terminal": stdin_is_terminal,
    });
    println!("{report}");
}

/// Open descriptors and what they are, but for the one that reads the list.
fn descriptors() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let own = format!("/proc/{}/fd", getpid());
    entries
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            (target != own).then(|| (entry.file_name().to_string_lossy().into_owned(), target))
        })
        .collect()
}

/// A careless service manager or a shell in a corner of its own: executes a program with signals
/// blocked that it needs.
pub fn exec_with_signals_blocked(program: &str, arguments: &[&str]) {
    let blocked =
        [Signal::SIGCHLD, Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    let set: SigSet = blocked.into_iter().collect();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), None).unwrap();
    let argv: Vec<CString> = std::iter::once(&program)
        .chain(arguments)
        .map(|argument| CString::new(*argument).unwrap())
        .collect();
    match execvp(&argv[0], &argv) {
        Ok(never) => match never {},
        Err(error) => panic!("cannot execute {program}: {error}"),
    }
}
