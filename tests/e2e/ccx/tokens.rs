//! A token that `ccx token new` makes is one that a supervisor takes.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use cc_tests::{Client, Options, Supervisor, binaries};
use serde_json::json;

fn new(arguments: &[&str], file: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new(binaries::ccx());
    command.args(["token", "new"]).args(arguments);
    if let Some(file) = file {
        command.arg("--file").arg(file);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn a_new_token_is_added_to_its_file_and_printed_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.toml");
    let own = directory.path().canonicalize().unwrap();
    let limits = ["--max-tasks", "1", "--dir", own.to_str().unwrap(), "--budget-usd", "2.5"];
    let arguments = [&["--name", "ci", "--scope", "run,read"][..], &limits].concat();
    let ci = new(&arguments, Some(&path)).unwrap();
    let look = new(&["--name", "look", "--scope", "read"], Some(&path)).unwrap();
    let (ci, look) = (ci.trim_end(), look.trim_end());
    assert_eq!((ci.lines().count(), ci.len()), (1, 47), "{ci}");
    assert_ne!(ci, look);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(ci) && !text.contains(look), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = new(&["--name", "ci", "--scope", "read"], Some(&path)).unwrap_err();
    assert!(again.contains("has a token named ci already"), "{again}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let supervisor = Supervisor::start(&Options::new().flag("--token-file", path.display()));
    let mut ci = Client::with_secret(&supervisor, ci).unwrap();
    let task = json!({"argv": ["true"], "cwd": own});
    assert_eq!(ci.run_to_end(&task).end(), ("exit", 0));
    assert!(ci.execute(&json!({"argv": ["true"], "cwd": "/"})).is_err());
    let error = Client::with_secret(&supervisor, look).unwrap().execute(&task).unwrap_err();
    assert_eq!(error["data"]["scope"], "run");
}

#[test]
fn without_a_file_the_entry_follows_the_secret() {
    let printed = new(&["--name", "desk", "--scope", "operate"], None).unwrap();
    let (secret, entry) = printed.split_once('\n').unwrap();
    assert!(entry.contains("name = \"desk\"\n") && entry.contains("scopes = [\"operate\"]\n"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.toml");
    fs::write(&path, entry).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let supervisor = Supervisor::start(&Options::new().flag("--token-file", path.display()));
    Client::with_secret(&supervisor, secret).unwrap().assert_alive();
}

#[test]
fn a_file_that_is_none_of_tokens_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old");
    for (text, problem) in
        [("0123456789abcdef\n", "single token"), ("[[token]\n[[token]]", "no TOML")]
    {
        fs::write(&path, text).unwrap();
        let error = new(&["--name", "ci", "--scope", "run"], Some(&path)).unwrap_err();
        assert!(error.contains(problem), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    for wrong in [["--name", "c i", "--scope", "run"], ["--name", "ci", "--scope", "rum"]] {
        assert!(new(&wrong, None).is_err(), "{wrong:?}");
    }
}
