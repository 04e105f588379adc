//! The configuration file: a supervisor uses it, and `--check-config` says what is in force or what is wrong.

use std::{fs, path::Path, process::Command};

use cc_tests::{Options, Supervisor, binaries, http};
use serde_json::json;

/// Exit code, standard output and standard error of a check of this file.
fn check(file: &Path, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(binaries::supervisor())
        .arg("--check-config")
        .args(["--state-dir", "/dev/shm/nowhere/at/all", "--config"])
        .arg(file)
        .env(binaries::NO_CONFIG, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_supervisor_has_the_settings_of_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("supervisor.toml");
    fs::write(&file, "max-sessions = 7\nallow-command = [\"echo\"]\n").unwrap();
    let supervisor = Supervisor::start(&Options::new().flag("--config", file.display()));
    assert_eq!(http::health(supervisor.address())["max_sessions"], 7);
    let mut client = supervisor.connect();
    let refusal = client.execute(&json!({"command": "ls"})).unwrap_err();
    assert!(refusal.to_string().contains("ls"), "{refusal}");
    assert_eq!(client.run_to_end(&json!({"command": "echo hi"})).stdout(), "hi\n");
}

#[test]
fn a_check_prints_what_is_in_force_starts_nothing_and_keeps_the_token_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("supervisor.toml");
    fs::write(&file, "max-sessions = 7\ngrace = 2\n").unwrap();
    let secret = "never-to-be-printed";
    let (code, settings, errors) =
        check(&file, &[("MAX_SESSIONS", "3"), ("CC_EXECUTOR_TOKEN", secret)]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for line in [
        "max-sessions = 3  # environment variable MAX_SESSIONS",
        &format!("grace = 2  # {}, line 2", file.display()),
        "state-dir = \"/dev/shm/nowhere/at/all\"  # command line",
        "linger = 10  # default",
    ] {
        assert!(settings.lines().any(|found| found == line), "{line}\n{settings}");
    }
    assert!(!settings.contains(secret), "{settings}");
}

#[test]
fn a_check_lists_all_mistakes_and_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("supervisor.toml");
    fs::write(&file, "max-session = 7\ngrace = \"2\"\nlinger = 0\n").unwrap();
    let (code, settings, errors) = check(&file, &[("MAX_SESSIONS", "none")]);
    assert_eq!((code, settings.as_str()), (Some(1), ""));
    for words in [
        "line 1: there is no setting \"max-session\"; did you mean max-sessions?",
        "line 2: grace must be a number",
        "line 3: linger is \"0\": must be more than 0 seconds",
        "the environment variable MAX_SESSIONS is \"none\": must be a whole number from 1 to 100000",
    ] {
        assert!(errors.contains(words), "{words}\n{errors}");
    }
    assert_eq!(errors.lines().count(), 4, "{errors}");
}

#[test]
fn a_check_looks_at_the_machine_for_every_setting() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("supervisor.toml");
    let text =
        "cwd = \"/nope\"\nworker = \"/nope\"\nlisten = \"0.0.0.0:1\"\ntoken-file = \"/nope\"\n";
    fs::write(&file, text).unwrap();
    let (code, settings, errors) = check(&file, &[]);
    assert_eq!((code, settings.as_str()), (Some(1), ""));
    let beginnings = ["1: cwd: ", "2: worker: ", "3: listen: ", "4: token-file: "];
    assert_eq!(errors.lines().count(), beginnings.len(), "{errors}");
    for (line, beginning) in errors.lines().zip(beginnings) {
        let beginning = format!("cc-supervisor: {}, line {beginning}", file.display());
        assert!(line.starts_with(&beginning), "{beginning}\n{line}");
    }
}

#[test]
fn a_line_that_is_no_toml_is_listed_once_with_what_it_must_be() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("supervisor.toml");
    fs::write(&file, "max-tasks =\numask = 022\ngrace = 1\ngrace = 2\n").unwrap();
    let (code, _, errors) = check(&file, &[]);
    assert_eq!(code, Some(1), "{errors}");
    let ends = [
        "line 1: there is no value; max-tasks must be a number",
        "line 2: unexpected leading zero; umask must be a text in quotes",
        "line 4: duplicate key grace",
    ];
    assert_eq!(errors.lines().count(), ends.len(), "{errors}");
    for (line, end) in errors.lines().zip(ends) {
        assert!(line.ends_with(end), "{end}\n{line}");
    }
}

#[test]
fn a_file_that_would_block_or_never_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [fifo.as_path(), Path::new("/dev/zero")] {
        let (code, _, errors) = check(path, &[]);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("is not a regular file"), "{errors}");
    }
    let long = directory.path().join("long.toml");
    fs::write(&long, "#".repeat(256 * 1024 + 1)).unwrap();
    let (code, _, errors) = check(&long, &[]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("is longer than 262144 bytes"), "{errors}");
}

#[test]
fn a_start_with_a_mistake_points_to_the_check() {
    let output = Command::new(binaries::supervisor())
        .args(["--state-dir", "/dev/shm/nowhere/at/all", "--max-tasks", "0", "--no-config"])
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("--max-tasks is \"0\""), "{errors}");
    assert!(errors.contains("--check-config prints all mistakes"), "{errors}");
}
