//! Clients of the predecessor, unchanged, in their own language.

use std::process::{Command, Stdio};

use cc_tests::Supervisor;

/// Runs one play of `python/old_client.py` against a supervisor of its own.
fn play(name: &str) {
    // Whoever asks for ignored tests wants them run: without an interpreter this fails.
    let python = std::env::var_os("CC_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let supervisor = Supervisor::start_default();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/old_client.py"))
        .args([name, &supervisor.url()])
        .stdin(Stdio::null())
        .output()
        .expect("CC_TEST_PYTHON is an interpreter");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "needs a Python with websockets in CC_TEST_PYTHON: see .ci/run"]
fn a_python_client_that_reads_connected_first_runs_a_command() {
    play("reads_connected_first");
}

#[test]
#[ignore = "needs a Python with websockets in CC_TEST_PYTHON: see .ci/run"]
fn a_python_client_that_sends_execute_at_once_runs_a_command() {
    play("sends_execute_at_once");
}

#[test]
#[ignore = "needs a Python with websockets in CC_TEST_PYTHON: see .ci/run"]
fn a_python_client_that_waits_for_process_completed_gets_all_lines() {
    play("collects_all_lines");
}

#[test]
#[ignore = "needs a Python with websockets in CC_TEST_PYTHON: see .ci/run"]
fn a_python_client_gets_a_line_of_megabytes_within_its_libraries_default_limit() {
    play("gets_a_long_line");
}

#[test]
#[ignore = "needs a Python with websockets in CC_TEST_PYTHON: see .ci/run"]
fn a_python_client_pauses_resumes_and_cancels() {
    play("controls");
}

#[test]
#[ignore = "needs a Python with websockets in CC_TEST_PYTHON: see .ci/run"]
fn a_python_client_runs_three_commands_one_after_another() {
    play("three_in_a_row");
}

#[test]
#[ignore = "needs a Python with websockets in CC_TEST_PYTHON: see .ci/run"]
fn a_python_client_is_told_the_errors_that_it_knows() {
    play("errors");
}
