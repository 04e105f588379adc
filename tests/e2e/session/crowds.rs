//! However many connections others open, and whatever they send or do not send, the rightful client gets in.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::Instant,
};

use cc_tests::{
    Client, Options, Supervisor, binaries::misbehave, client::Refused, http, processes,
};
use serde_json::json;

const TOKEN: &str = "a-token-of-the-test";
const BEARER: (&str, &str) = ("authorization", "Bearer a-token-of-the-test");

/// Another user who opens connections without end and says nothing.
struct Crowd(Child);

impl Crowd {
    /// Returns when it has opened many times as many as there are places.
    fn gather(user: &str, address: SocketAddr) -> Self {
        let mut child = Command::new(misbehave())
            .args(["crowd-as", user, &address.to_string(), "600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "crowded\n");
        Self(child)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: only root can become another user");
    }
    is_root
}

fn with_token(options: Options) -> (tempfile::TempDir, Supervisor) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, TOKEN).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let supervisor = Supervisor::start(&options.flag("--token-file", path.to_str().unwrap()));
    (directory, supervisor)
}

/// The value of a counter of handshakes that failed.
fn failures(supervisor: &Supervisor, cause: &str) -> u64 {
    let name = format!("cc_executor_handshake_failures_total{{cause=\"{cause}\"}}");
    let page =
        http::get(supervisor.address(), "/metrics", &["Authorization: Bearer a-token-of-the-test"])
            .body;
    let line = page.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name}: {page}")).trim().parse().unwrap()
}

fn lines_with(supervisor: &Supervisor, text: &str) -> usize {
    supervisor.log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_stranger_who_opens_connections_without_end_shuts_nobody_out_and_fills_no_log() {
    if !is_root() {
        return;
    }
    let supervisor = Supervisor::start_default();
    let at_rest = processes::open_files(supervisor.pid()).len();
    let _crowd = Crowd::gather("65534", supervisor.address());
    for _ in 0..20 {
        let transcript = supervisor.connect().run_shell("echo in");
        assert_eq!(transcript.stdout(), "in\n");
    }
    let open = processes::open_files(supervisor.pid()).len();
    assert!(open < at_rest + 40, "a stranger holds descriptors: {at_rest} before, {open} now");
    assert!(lines_with(&supervisor, "refused") <= 4, "{}", supervisor.log());
    assert!(failures(&supervisor, "forbidden") >= 6_000);
}

#[test]
fn with_a_token_a_crowd_of_one_user_shuts_out_neither_the_owner_nor_another_user() {
    if !is_root() {
        return;
    }
    let (_directory, supervisor) = with_token(Options::new());
    let address = supervisor.address();
    let _crowd = Crowd::gather("65534", address);
    for _ in 0..20 {
        let mut owner = Client::open(address, "/ws/mcp", &[BEARER]).unwrap();
        assert_eq!(owner.recv_json()["method"], "connected");
        assert!(owner.call("ping", &json!({})).is_ok());
        let knock = ["knock-as", "65533", &address.to_string(), TOKEN];
        let output = Command::new(misbehave()).args(knock).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.contains("101"), "another user with the token: {answer}");
    }
    assert!(processes::open_files(supervisor.pid()).len() < 200);
    assert!(lines_with(&supervisor, "WARN") <= 8, "{}", supervisor.log());
    assert!(failures(&supervisor, "places") >= 100);
}

#[test]
fn handshakes_that_never_end_by_the_hundred_keep_no_client_of_the_same_user_out() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", 20));
    let halves: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = http::connect(supervisor.address());
            stream.write_all(b"GET /ws/mcp HTTP/1.1\r\nHost: loc").unwrap();
            stream
        })
        .collect();
    let mut client = supervisor.connect();
    assert!(client.call("ping", &json!({})).is_ok());
    let open = processes::open_files(supervisor.pid()).len();
    assert!(open < 200, "{open} descriptors for {} halves", halves.len());
    assert!(failures(&supervisor, "places") >= 200);
}

#[test]
fn heads_that_are_too_long_or_never_end_are_refused() {
    let supervisor = Supervisor::start_default();
    let long = format!("X-Long: {}", "x".repeat(64 * 1024));
    let status = http::head(supervisor.address(), "/livez", &[&long]).status;
    assert_eq!(status, 431);
    let mut endless = http::connect(supervisor.address());
    endless.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
    let sent = (0..100_000).take_while(|_| endless.write_all(b"X: y\r\n").is_ok()).count();
    assert!(sent < 100_000, "all of it was taken");
    let causes = failures(&supervisor, "bad_request");
    assert!(causes >= 2, "{causes}");
}

#[test]
fn one_connection_has_a_bounded_number_of_requests() {
    let supervisor = Supervisor::start_default();
    let mut stream = http::connect(supervisor.address());
    let request = format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", supervisor.address());
    // The end may come as a reset, as more was sent than is read.
    for _ in 0..200 {
        if stream.write_all(request.as_bytes()).is_err() {
            break;
        }
    }
    let mut answers = Vec::new();
    drop(stream.read_to_end(&mut answers));
    let answers = String::from_utf8(answers).unwrap().matches("HTTP/1.1 200").count();
    assert!(answers <= 100, "{answers}");
}

#[test]
fn wrong_tokens_are_answered_more_and_more_slowly_and_the_right_one_at_once() {
    let (_directory, supervisor) = with_token(Options::new());
    let address = supervisor.address();
    let began = Instant::now();
    for number in 0..24 {
        let wrong = format!("Bearer {TOKEN}-{number}");
        let refused = Client::open(address, "/ws/mcp", &[("authorization", &wrong)]);
        assert!(matches!(refused, Err(Refused::Http(401))));
    }
    let guessing = began.elapsed();
    let began = Instant::now();
    let mut client = Client::open(address, "/ws/mcp", &[BEARER]).unwrap();
    assert_eq!(client.recv_json()["method"], "connected");
    let entering = began.elapsed();
    assert!(guessing.as_secs_f64() >= 1.5, "24 guesses in {guessing:?}");
    assert!(entering < guessing, "the right token waited {entering:?}");
    assert!(lines_with(&supervisor, "valid token") <= 2, "{}", supervisor.log());
    assert_eq!(failures(&supervisor, "token"), 24);
}
