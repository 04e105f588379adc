//! `--wrap` puts a program before every task's own; `--task-user` runs tasks as another user. Whatever they are, the tree
//! of a task ends with it.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use cc_tests::{Client, Options, Supervisor, binaries::misbehave_argv, processes, unique_tag};
use serde_json::json;

#[test]
fn a_wrapper_stands_before_every_task() {
    let supervisor = Supervisor::start(&Options::new().flag("--wrap", "env WRAPPED=yes"));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"command": "echo $WRAPPED"})).unwrap();
    assert!(answer["isolation"]["wrapper"].as_str().unwrap().ends_with("/env"), "{answer}");
    assert_eq!(client.collect(answer).stdout(), "yes\n");
    assert_eq!(client.run_to_end(&json!({"argv": ["sh", "-c", "exit 7"]})).end(), ("exit", 7));
}

#[test]
fn a_wrapper_that_is_missing_is_noticed_at_the_start() {
    let mut supervisor = Supervisor::start_default();
    supervisor.stop();
    let said = supervisor.start_in_vain(&Options::new().flag("--wrap", "nonesuch-wrapper --flag"));
    assert!(said.contains("--wrap is \"nonesuch-wrapper\": is no program on the PATH"), "{said}");
}

/// A supervisor whose tasks are each in a pid namespace of bubblewrap's. `None`, loudly, where it does not work.
fn in_bubblewrap() -> Option<Options> {
    let wrapper = "bwrap --bind / / --unshare-pid --proc /proc --dev /dev --die-with-parent --";
    let mut words = wrapper.split(' ').map(str::to_owned).collect::<Vec<_>>();
    words.push("true".to_owned());
    let works = Command::new(&words[0]).args(&words[1..]).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: bubblewrap is not there, or may make no namespaces");
        return None;
    }
    Some(Options::new().flag("--wrap", wrapper).flag("--grace", 1))
}

#[test]
#[ignore = "needs bubblewrap"]
fn a_task_in_bubblewrap_has_its_output_its_exit_code_and_an_end_of_its_whole_tree() {
    let options = in_bubblewrap().expect("bubblewrap");
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let own = client.run_to_end(&json!({"argv": ["sh", "-c", "echo $$; echo err >&2; exit 7"]}));
    assert_eq!(
        (own.stdout().as_str(), own.stderr().as_str()),
        ("2\n", "err\n"),
        "a pid namespace of its own"
    );
    assert_eq!(own.end(), ("exit", 7));
    let tag = unique_tag("wrapped");
    for arguments in [
        &["daemon", "holding", &tag][..],
        &["daemon", "closing", &tag],
        &["setsid-sleepers", "20", "exit", &tag],
    ] {
        let transcript = client.run_to_end(&json!({"argv": misbehave_argv(arguments)}));
        assert_eq!(transcript.end(), ("exit", 0));
        assert!(processes::survivors(&tag).is_empty(), "{arguments:?}");
    }
    assert_cancel_ends_the_whole_tree(&mut client, &tag);
}

/// Cancels a task whose processes have moved to sessions of their own.
fn assert_cancel_ends_the_whole_tree(client: &mut Client, tag: &str) {
    let argv = misbehave_argv(&["setsid-sleepers", "3", "stay", tag]);
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    let seen = client.recv_until_output("the sleepers sleep");
    client.control("CANCEL").unwrap();
    assert_eq!(client.collect_after(answer, seen).completed()["reason"], "canceled");
    assert!(processes::survivors(tag).is_empty());
}

#[test]
#[ignore = "needs bubblewrap"]
fn an_agent_in_bubblewrap_gives_its_result() {
    let options = in_bubblewrap().expect("bubblewrap").fixture_agent();
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let transcript = client.run_to_end(&json!({"prompt": "say: all is well"}));
    assert_eq!(transcript.completed()["verdict"], "succeeded", "{}", transcript.stdout());
    assert_eq!(transcript.params_of("task.result").count(), 1);
}

/// Runs the supervisor as root and its tasks as an ordinary user. `None`, loudly, where that cannot be tried.
fn as_nobody() -> Option<Options> {
    Options::of_an_ordinary_user()?;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if !passwd.lines().any(|line| line.starts_with("nobody:x:65534:")) {
        eprintln!("SKIPPED: there is no user nobody with the number 65534");
        return None;
    }
    Some(Options::new().flag("--task-user", "nobody").flag("--cwd", "/tmp").flag("--grace", 1))
}

#[test]
fn a_task_of_another_user_is_that_user_in_everything_and_cannot_enter_the_state_directory() {
    let Some(options) = as_nobody() else { return };
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let state = supervisor.state_directory();
    let command = format!(
        "id -u; id -g; id -G; echo $USER $LOGNAME; cat {0}/key {0}/state.db >/dev/null 2>&1 || echo closed
         echo by-name > /dev/stdout",
        state.display()
    );
    let answer = client.execute(&json!({ "command": command })).unwrap();
    assert_eq!(answer["isolation"]["user"], "nobody");
    let said = client.collect(answer).stdout();
    assert_eq!(said, "65534\n65534\n65534\nnobody nobody\nclosed\nby-name\n");
}

#[test]
fn a_task_of_another_user_is_canceled_with_its_whole_tree() {
    let Some(options) = as_nobody() else { return };
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    assert_cancel_ends_the_whole_tree(&mut client, &unique_tag("nobody"));
}

#[test]
fn a_task_of_another_user_enters_no_directory_that_is_closed_to_it() {
    let Some(options) = as_nobody() else { return };
    let supervisor = Supervisor::start(&options);
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error =
        supervisor.connect().execute(&json!({"argv": ["true"], "cwd": closed.path()})).unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("Permission denied"), "{error}");
}

#[test]
fn only_root_can_run_tasks_as_another_user() {
    let Some(ordinary) = Options::of_an_ordinary_user() else { return };
    let mut supervisor = Supervisor::start(&ordinary);
    supervisor.stop();
    let said = supervisor.start_in_vain(&ordinary.clone().flag("--task-user", "root"));
    assert!(said.contains("only a supervisor that runs as root"), "{said}");
}
