//! TLS: who is trusted, by both sides, and what a certificate that cannot be used leaves in force.

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    process::{Command, Output},
};

use cc_tests::{Options, Supervisor, binaries, http, wait_until};
use rustix::process::Signal;
use tempfile::TempDir;

/// A supervisor with the certificate of `tests/fixtures/tls`.
struct Secured {
    supervisor: Supervisor,
    folder: TempDir,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

/// Copies a fixture to where only this user reads it.
fn install(folder: &TempDir, name: &str) -> String {
    let target = folder.path().join(name);
    let status =
        Command::new("install").args(["-m", "600"]).arg(fixture(name)).arg(&target).status();
    assert!(status.unwrap().success());
    target.into_os_string().into_string().unwrap()
}

impl Secured {
    fn start(options: impl FnOnce(Options, &TempDir) -> Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let given = Options::new()
            .flag("--tls-cert", install(&folder, "server.pem"))
            .flag("--tls-key", install(&folder, "server-key.pem"));
        let supervisor = Supervisor::start(&options(given, &folder));
        Self { supervisor, folder }
    }

    /// `ccx` for this supervisor.
    fn ccx(&self, options: &[&str], arguments: &[&str]) -> Output {
        let url = format!("wss://localhost:{}", self.supervisor.address().port());
        binaries::ccx_command(&url).args(options).args(arguments).output().unwrap()
    }

    fn trusting(&self, arguments: &[&str]) -> Output {
        self.ccx(&["--tls-ca", fixture("ca.pem").to_str().unwrap()], arguments)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_client_that_trusts_the_authority_runs_tasks_and_gets_all_output() {
    let secured = Secured::start(|options, _| options);
    assert!(secured.supervisor.first_line().starts_with("listening on wss://"));
    let output = secured.trusting(&["run", "--", "seq", "200000"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(output.stdout == expected.as_bytes(), "the output is not whole");
}

#[test]
fn a_client_that_does_not_know_the_authority_sends_nothing() {
    let secured = Secured::start(|options, _| options);
    let output = secured.ccx(&[], &["run", "--", "echo", "never"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(stderr(&output).contains("TLS"), "{}", stderr(&output));
}

#[test]
fn where_client_certificates_are_wanted_nobody_comes_in_without_one() {
    let secured =
        Secured::start(|options, _| options.flag("--tls-client-ca", fixture("ca.pem").display()));
    let output = secured.trusting(&["run", "--", "echo", "never"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    let certificate = install(&secured.folder, "client.pem");
    let key = install(&secured.folder, "client-key.pem");
    let options = ["--tls-cert", &certificate, "--tls-key", &key];
    let output = secured.trusting(&[&options[..], &["run", "--", "echo", "in"]].concat());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\n", "{}", stderr(&output));
}

#[test]
fn plain_text_and_silence_are_no_tls_and_are_closed() {
    let secured = Secured::start(|options, _| options.flag("--handshake-timeout", 1));
    for bytes in ["GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", ""] {
        let mut stream = http::connect(secured.supervisor.address());
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    }
    let output = secured.trusting(&["run", "--", "echo", "still"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "still\n", "{}", stderr(&output));
}

#[test]
fn a_certificate_is_read_again_at_a_reload_and_a_broken_one_leaves_the_old_one_in_force() {
    let secured = Secured::start(|options, _| options);
    let certificate = secured.folder.path().join("server.pem");
    fs::write(&certificate, "nothing of the kind").unwrap();
    secured.supervisor.signal(Signal::HUP);
    wait_until("the mistake is said", || secured.supervisor.log().contains("server.pem"));
    let output = secured.trusting(&["run", "--", "echo", "old"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "old\n", "{}", stderr(&output));

    // The client's certificate is not one of a server.
    install(&secured.folder, "client.pem");
    install(&secured.folder, "client-key.pem");
    let replace = |from: &str, to: &str| {
        fs::rename(secured.folder.path().join(from), secured.folder.path().join(to)).unwrap();
    };
    replace("client.pem", "server.pem");
    replace("client-key.pem", "server-key.pem");
    secured.supervisor.signal(Signal::HUP);
    wait_until("the new certificate is shown", || {
        let output = secured.trusting(&["run", "--", "echo", "never"]);
        !output.status.success() && stderr(&output).contains("certificate")
    });
}

/// Starts a supervisor that must refuse to start, and returns what it said.
fn refusal(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(binaries::supervisor())
        .args(["--no-config", "--stop-on-stdin-eof", "--cgroup", "off", "--state-dir"])
        .arg(directory.path())
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "it started: {arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn beyond_loopback_a_token_and_tls_are_enough_and_one_of_them_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (install(&folder, "server.pem"), install(&folder, "server-key.pem"));
    let token = folder.path().join("token");
    fs::write(&token, "a-token-of-the-test").unwrap();
    assert!(Command::new("chmod").arg("600").arg(&token).status().unwrap().success());
    let token = token.to_str().unwrap();
    let tls = ["--listen", "0.0.0.0:0", "--tls-cert", &certificate, "--tls-key", &key];
    assert!(refusal(&tls).contains("--token-file"));
    assert!(refusal(&["--listen", "0.0.0.0:0", "--token-file", token]).contains("--tls-cert"));
    assert!(refusal(&["--tls-cert", &certificate]).contains("--tls-key"));
    let other = install(&folder, "client.pem");
    let mismatch = ["--tls-cert", &other, "--tls-key", &key];
    assert!(refusal(&mismatch).contains("server-key.pem"), "{}", refusal(&mismatch));

    let secured = Secured::start(|options, _| {
        options.flag("--listen", "0.0.0.0:0").flag("--token-file", token)
    });
    let output = secured.trusting(&["--token-file", token, "run", "--", "echo", "in"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\n", "{}", stderr(&output));
}
