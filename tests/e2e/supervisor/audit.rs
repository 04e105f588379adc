//! Who asked for what, and whether it was done, is on record.

use std::{fs, os::unix::fs::PermissionsExt as _};

use cc_tests::{
    Client, Options, Supervisor, batches, http,
    tokens::{TokenFile, entry, secret},
    wait_until,
};
use serde_json::{Value, json};

/// The entries so far, when there are at least so many.
fn entries(supervisor: &Supervisor, count: usize) -> Vec<Value> {
    let path = supervisor.state_directory().join("audit.log");
    let read = || fs::read_to_string(&path).unwrap_or_default();
    wait_until("the entries are written", || read().lines().count() >= count);
    read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_each_client_did_is_written_with_its_outcome_and_no_secret() {
    let file = TokenFile::new(&[entry("ci", &["run", "read"], ""), entry("look", &["read"], "")]);
    let supervisor = Supervisor::start(&file.options());
    let mut ci = Client::with_token(&supervisor, "ci");
    let session = ci.session();
    let argv = json!({"argv": ["sleep", "a-secret-argument"], "detach": true});
    let ended = ci.execute(&argv).unwrap()["task_id"].clone();
    let task_id =
        ci.execute(&json!({"command": "KEY=s3cret sleep 1000"})).unwrap()["task_id"].clone();
    ci.call("task.attach", &json!({"task_id": ended})).unwrap();
    ci.control("CANCEL").unwrap();
    let batch_id = batches::submit(&mut ci, &json!({"tasks": [{"argv": ["true"]}]}));
    ci.call("task.list", &json!({})).unwrap();
    Client::with_token(&supervisor, "look").execute(&argv).unwrap_err();
    let entries = entries(&supervisor, 6);

    let own_uid = nix::unistd::geteuid().as_raw();
    for entry in &entries {
        assert_eq!(entry["uid"], own_uid, "{entry}");
        assert!(entry["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{entry}");
        assert!(entry["time"].as_str().unwrap().ends_with('Z'), "{entry}");
    }
    let short: Vec<_> =
        entries.iter().map(|it| (&it["token"], &it["action"], &it["outcome"])).collect();
    let (done, refused) = (json!("done"), json!("refused"));
    let action = |text: &str| json!(text);
    assert_eq!(
        short,
        [
            (&json!("ci"), &action("execute"), &done),
            (&json!("ci"), &action("execute"), &done),
            (&json!("ci"), &action("task.attach"), &done),
            (&json!("ci"), &action("control"), &done),
            (&json!("ci"), &action("batch.submit"), &done),
            (&json!("look"), &action("execute"), &refused),
        ]
    );
    assert_eq!((&entries[0]["command"], &entries[0]["task_id"]), (&json!("sleep"), &ended));
    assert_eq!((&entries[1]["command"], &entries[1]["task_id"]), (&json!("KEY"), &task_id));
    assert_eq!(entries[1]["session_id"], json!(session.id));
    assert_eq!(entries[4]["batch_id"], json!(batch_id));
    assert!(entries[5]["reason"].as_str().unwrap().contains("scope run"), "{}", entries[5]);

    let path = supervisor.state_directory().join("audit.log");
    let text = fs::read_to_string(&path).unwrap();
    for hidden in ["a-secret-argument", "s3cret", &secret("ci"), &session.token] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn wrong_tokens_are_written_too_and_many_of_them_do_not_fill_the_disk() {
    let file = TokenFile::new(&[entry("ci", &["run"], "")]);
    let mut supervisor = Supervisor::start(&file.options());
    for number in 0..15 {
        let header = format!("Authorization: Bearer wrong-wrong-wrong-{number}");
        assert_eq!(http::upgrade(supervisor.address(), "/ws/mcp", &[&header]).status, 401);
    }
    let first = &entries(&supervisor, 1)[0];
    assert_eq!((&first["action"], &first["outcome"]), (&json!("connect"), &json!("refused")));
    supervisor.stop();
    let entries = entries(&supervisor, 1);
    assert!(entries.len() <= 12, "{}", entries.len());
    assert!(!entries.iter().any(|entry| entry.to_string().contains("wrong-wrong")), "{entries:?}");
}

#[test]
fn it_is_rotated_and_can_be_left_out_and_goes_on_after_a_restart() {
    let options = Options::new().flag("--audit-bytes", 2_000).flag("--audit-files", 2);
    let mut supervisor = Supervisor::start(&options);
    for _ in 0..2 {
        let mut client = supervisor.connect();
        for _ in 0..20 {
            assert_eq!(client.run_to_end(&json!({"argv": ["true"]})).end(), ("exit", 0));
        }
        supervisor.stop();
        supervisor.start_again(&options);
    }
    let names = fs::read_dir(supervisor.state_directory()).unwrap();
    let mut files: Vec<_> = names
        .map(Result::unwrap)
        .filter(|file| file.file_name().to_string_lossy().starts_with("audit.log"))
        .map(|file| (file.file_name().into_string().unwrap(), file.metadata().unwrap().len()))
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().all(|(name, bytes)| *bytes <= 2_000 && name.len() <= 11), "{files:?}");

    let supervisor = Supervisor::start(&Options::new().flag("--audit-bytes", 0));
    assert_eq!(supervisor.connect().run_to_end(&json!({"argv": ["true"]})).end(), ("exit", 0));
    assert!(!supervisor.state_directory().join("audit.log").exists());
}
