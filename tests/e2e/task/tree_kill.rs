//! After the terminal event no process that the task started exists, wherever it went.

use cc_tests::{
    Supervisor, Transcript, binaries::misbehave_argv, cgroup::Containment, processes, unique_tag,
    with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(
    a_double_forked_daemon_that_closed_its_pipes_is_killed_and_counted,
    a_double_forked_daemon_that_holds_the_pipes_is_killed_and_counted,
    two_hundred_sleepers_in_sessions_of_their_own_are_killed_and_counted,
    a_task_that_is_deaf_to_sigterm_is_killed_after_the_grace,
    a_child_that_has_stopped_itself_is_killed,
    a_main_process_that_has_stopped_itself_is_canceled,
    a_process_manager_that_forks_while_it_is_killed_is_killed,
    a_comet_that_is_a_new_process_every_millisecond_is_killed,
    a_comet_is_killed_when_its_task_is_canceled,
    a_cancel_reaches_children_in_sessions_of_their_own_with_sigterm_first,
    an_endless_loop_is_ended_by_a_cancel,
    a_daemon_that_threw_its_marker_away_is_killed,
    a_fork_storm_of_a_shell_is_killed,
    fifty_tasks_in_a_row_leave_nothing,
    a_task_without_leftovers_reports_none,
);

fn supervisor(containment: &Containment) -> Supervisor {
    Supervisor::start(&containment.options().flag("--grace", 1))
}

/// Runs the fixture to its own end.
fn run(containment: &Containment, arguments: &[&str], tag: &str) -> Transcript {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let argv = misbehave_argv(&[arguments, &[tag]].concat());
    let transcript = client.run_to_end(&json!({ "argv": argv }));
    assert_all_gone(containment, &transcript, tag);
    transcript
}

/// Runs the fixture until it has said that all is in place, and cancels it.
fn cancel(containment: &Containment, arguments: &[&str], tag: &str) -> Transcript {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let argv = misbehave_argv(&[arguments, &[tag]].concat());
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    let earlier = client.recv_until_method("process.output");
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    let transcript = client.collect_after(answer, earlier);
    assert_all_gone(containment, &transcript, tag);
    assert_eq!(transcript.completed()["reason"], "canceled");
    transcript
}

/// To be called right after the terminal event came: there is no time to be had between the two.
fn assert_all_gone(containment: &Containment, transcript: &Transcript, tag: &str) {
    processes::assert_gone(tag);
    assert_eq!(transcript.answer["containment"], containment.name());
}

fn leftovers(transcript: &Transcript) -> &Value {
    &transcript.completed()["killed_leftovers"]
}

fn a_double_forked_daemon_that_closed_its_pipes_is_killed_and_counted(containment: &Containment) {
    let transcript = run(containment, &["daemon", "closing"], &unique_tag("daemon"));
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(*leftovers(&transcript), 1);
}

fn a_double_forked_daemon_that_holds_the_pipes_is_killed_and_counted(containment: &Containment) {
    let transcript = run(containment, &["daemon", "holding"], &unique_tag("daemon"));
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(*leftovers(&transcript), 1);
}

fn two_hundred_sleepers_in_sessions_of_their_own_are_killed_and_counted(containment: &Containment) {
    let transcript = run(containment, &["setsid-sleepers", "200", "exit"], &unique_tag("sleepers"));
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(*leftovers(&transcript), 200);
}

fn a_task_that_is_deaf_to_sigterm_is_killed_after_the_grace(containment: &Containment) {
    let transcript = cancel(containment, &["ignore-term"], &unique_tag("deaf"));
    assert_eq!(transcript.end(), ("canceled", -9));
    assert_eq!(transcript.completed()["signal"], 9);
}

fn a_child_that_has_stopped_itself_is_killed(containment: &Containment) {
    let transcript = run(containment, &["stopped-child", "exit"], &unique_tag("stopped"));
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(*leftovers(&transcript), 1);
}

fn a_main_process_that_has_stopped_itself_is_canceled(containment: &Containment) {
    let transcript = cancel(containment, &["stop-self"], &unique_tag("stopped"));
    assert_ne!(transcript.completed()["exit_code"], 0);
}

fn a_process_manager_that_forks_while_it_is_killed_is_killed(containment: &Containment) {
    let transcript = cancel(containment, &["respawn", "20"], &unique_tag("respawn"));
    assert_eq!(transcript.end(), ("canceled", -9));
}

fn a_comet_that_is_a_new_process_every_millisecond_is_killed(containment: &Containment) {
    let transcript = run(containment, &["comet", "exit"], &unique_tag("comet"));
    assert_eq!(transcript.end(), ("exit", 0));
    assert_ne!(*leftovers(&transcript), 0);
}

fn a_comet_is_killed_when_its_task_is_canceled(containment: &Containment) {
    cancel(containment, &["comet", "stay"], &unique_tag("comet"));
}

fn a_cancel_reaches_children_in_sessions_of_their_own_with_sigterm_first(
    containment: &Containment,
) {
    // The grace is far longer than a test waits: only SIGTERM can have ended the child.
    let supervisor = Supervisor::start(&containment.options().flag("--grace", 600));
    let mut client = supervisor.connect();
    let tag = unique_tag("polite");
    let child =
        "trap \"echo the child heard it; exit\" TERM; echo ready; while :; do sleep 1; done";
    let command = format!("trap 'wait; exit 7' TERM; setsid sh -c '{child}' {tag} & wait");
    let answer = client.execute(&json!({ "command": command })).unwrap();
    let earlier = client.recv_until_output("ready");
    client.control("CANCEL").unwrap();
    let transcript = client.collect_after(answer, earlier);
    assert_all_gone(containment, &transcript, &tag);
    assert_eq!(transcript.end(), ("canceled", 7));
    assert!(transcript.stdout().contains("the child heard it"), "{}", transcript.stdout());
}

fn an_endless_loop_is_ended_by_a_cancel(containment: &Containment) {
    let transcript = cancel(containment, &["burn"], &unique_tag("burn"));
    assert_eq!(transcript.end(), ("canceled", -15));
}

fn a_daemon_that_threw_its_marker_away_is_killed(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("unmarked");
    let mut argv: Vec<String> = ["env", "-i", "PATH=/usr/bin:/bin"].map(str::to_owned).to_vec();
    argv.extend(misbehave_argv(&["daemon", "holding", &tag]));
    let transcript = client.run_to_end(&json!({ "argv": argv }));
    assert_all_gone(containment, &transcript, &tag);
    assert_eq!(*leftovers(&transcript), 1);
}

fn a_fork_storm_of_a_shell_is_killed(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("storm");
    // Generation after generation of background shells, each with a sleeper in a session of its own.
    let sleeper = misbehave_argv(&["child", "sleeper", &tag]).join(" ");
    let storm = format!("storm() {{ {sleeper} & [ $1 -gt 0 ] && storm $(($1 - 1)) & }}");
    let transcript = client.run_shell(&format!("{storm}; storm 60; exit 3"));
    assert_all_gone(containment, &transcript, &tag);
    assert_eq!(transcript.end(), ("exit", 3));
}

fn fifty_tasks_in_a_row_leave_nothing(containment: &Containment) {
    let mut supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("row");
    for _ in 0..50 {
        let argv = misbehave_argv(&["daemon", "holding", &tag]);
        let transcript = client.run_to_end(&json!({ "argv": argv }));
        assert_all_gone(containment, &transcript, &tag);
    }
    // Fails too if anything is left; a worker may take a moment to exit after its terminal event.
    assert!(supervisor.stop().success(), "{}", supervisor.log());
}

fn a_task_without_leftovers_reports_none(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    // The children that the shell itself has waited for are no leftovers.
    let transcript = client.run_shell("(true); ls / > /dev/null; echo done");
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(*leftovers(&transcript), 0);
}
