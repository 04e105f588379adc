//! Without a descriptor for a new connection those that are there go on, and new ones are told to come again.

use std::{net::TcpStream, process::Command};

use cc_tests::{Supervisor, http, processes, wait_until};
use serde_json::json;

/// Sets the limit of open files of the running supervisor.
fn limit(supervisor: &Supervisor, soft: u32) {
    let pid = supervisor.pid().to_string();
    let limit = format!("--nofile={soft}:");
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(status.success());
}

/// Leaves the supervisor a few descriptors, and takes those by connections that say nothing.
#[must_use]
fn exhaust(supervisor: &Supervisor) -> Vec<TcpStream> {
    let open = processes::open_files(supervisor.pid());
    let first_free = (0..).find(|number| !open.contains(number)).unwrap();
    limit(supervisor, first_free + 8);
    (0..50).map(|_| http::connect(supervisor.address())).collect()
}

#[test]
fn without_a_descriptor_new_clients_are_told_to_come_again_and_are_served_when_there_is_one() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo before").stdout(), "before\n");
    let _silent = exhaust(&supervisor);

    for path in ["/livez", "/readyz", "/livez"] {
        let answer = http::get(supervisor.address(), path, &[]);
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.head.to_ascii_lowercase().contains("retry-after: 1"), "{}", answer.head);
        assert!(answer.body.contains("descriptor"), "{}", answer.body);
    }
    assert_eq!(http::upgrade(supervisor.address(), "/ws/mcp", &[]).status, 503);
    assert!(client.call("ping", &json!({})).is_ok(), "a session that is there goes on");
    assert!(supervisor.log().contains("no file descriptor is left"), "{}", supervisor.log());

    limit(&supervisor, 1_024);
    wait_until("the want of descriptors is over", || {
        supervisor.log().contains("file descriptors are left again")
    });
    assert_eq!(http::get(supervisor.address(), "/readyz", &[]).status, 200);
    assert_eq!(supervisor.connect().run_shell("echo after").stdout(), "after\n");
    assert_eq!(client.run_shell("echo still").stdout(), "still\n");
}

#[test]
fn many_who_are_refused_for_want_of_a_descriptor_are_a_line_or_two_in_the_log() {
    let supervisor = Supervisor::start_default();
    let client = supervisor.connect();
    let _silent = exhaust(&supervisor);
    for _ in 0..300 {
        assert_eq!(http::get(supervisor.address(), "/livez", &[]).status, 503);
    }
    let lines = supervisor.log().lines().filter(|line| line.contains("WARN")).count();
    assert!(lines <= 3, "{lines} lines\n{}", supervisor.log());
    limit(&supervisor, 1_024);
    drop(client);
}
