//! A Unix socket serves its user and no other, and leaves no file behind.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::Command,
};

use cc_tests::{Options, Supervisor, binaries};
use tempfile::TempDir;

fn start(folder: &TempDir) -> (Supervisor, PathBuf, Options) {
    let path = folder.path().join("cc.sock");
    let options = Options::new().flag("--listen", format!("127.0.0.1:0,unix:{}", path.display()));
    (Supervisor::start(&options), path, options)
}

fn run(path: &Path, word: &str) -> String {
    let url = format!("unix:{}", path.display());
    let output = binaries::ccx_command(&url).args(["run", "--", "echo", word]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn clients_run_tasks_over_it_beside_tcp_and_it_goes_with_its_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let (mut supervisor, path, _) = start(&folder);
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(run(&path, "unix"), "unix\n");
    assert_eq!(supervisor.connect().run_shell("echo tcp").stdout(), "tcp\n");
    assert!(supervisor.stop().success());
    assert!(!path.exists());
}

#[test]
fn the_file_of_a_dead_supervisor_is_replaced_and_that_of_a_living_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (mut supervisor, path, options) = start(&folder);
    supervisor.kill();
    assert!(path.exists(), "a crash leaves the file");
    supervisor.start_again(&options);
    assert_eq!(run(&path, "again"), "again\n");

    let other = tempfile::tempdir().unwrap();
    let output = Command::new(binaries::supervisor())
        .args(["--no-config", "--cgroup", "off", "--listen", &format!("unix:{}", path.display())])
        .arg("--state-dir")
        .arg(other.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another program listens there"), "{said}");
    assert_eq!(run(&path, "still"), "still\n");
}

#[test]
fn another_user_is_refused_even_where_the_file_lets_it_in() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let (_supervisor, path, _) = start(&folder);
    let knock = |user: &str| {
        let address = format!("unix:{}", path.display());
        let arguments = ["knock-as", user, &address, "none"];
        let output = Command::new(binaries::misbehave()).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(knock("65534").contains("Permission denied"), "{}", knock("65534"));
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    assert!(knock("65534").contains("403"), "{}", knock("65534"));
    assert!(knock("0").contains("101"), "{}", knock("0"));
}

#[test]
fn probes_get_their_pages_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_supervisor, path, _) = start(&folder);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
