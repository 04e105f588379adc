//! Token files, the limits of a token, and where a token can be read.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    time::{Duration, Instant},
};

use cc_tests::{
    Client, Options, Supervisor, batches,
    client::Refused,
    processes,
    tokens::{TokenFile, entry, secret},
    wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const SCOPES: [&str; 2] = ["run", "read"];

fn kind(outcome: Result<Value, Value>) -> String {
    outcome.unwrap_err()["data"]["kind"].as_str().unwrap().to_owned()
}

fn status(outcome: Result<Client, Refused>) -> Option<u16> {
    match outcome {
        Err(Refused::Http(status)) => Some(status),
        Err(Refused::Other(_)) | Ok(_) => None,
    }
}

#[test]
fn each_token_of_a_file_is_accepted_and_nothing_else_is() {
    let hashed = "[[token]]\nname = \"hashed\"\nscopes = [\"read\"]\ntoken_sha256 = \
                  \"bc1d79d44bd2a5bc4f9ff7ee5c8e5ba1d54a30ca2e6f5a0d6ee1a20f0e05b6f5\"\n";
    let file =
        TokenFile::new(&[entry("a", &SCOPES, ""), entry("b", &SCOPES, ""), hashed.to_owned()]);
    let supervisor = Supervisor::start(&file.options());
    for name in ["a", "b"] {
        Client::with_token(&supervisor, name).assert_alive();
    }
    let hash = "bc1d79d44bd2a5bc4f9ff7ee5c8e5ba1d54a30ca2e6f5a0d6ee1a20f0e05b6f5";
    for wrong in ["", "wrong", &secret("c"), &secret("a")[1..], &(secret("a") + "x"), hash] {
        assert_eq!(status(Client::with_secret(&supervisor, wrong)), Some(401), "{wrong:?}");
    }
}

#[test]
fn a_token_file_that_is_not_private_or_no_file_is_refused_at_once() {
    let file = TokenFile::new(&[entry("a", &SCOPES, "")]);
    let mut supervisor = Supervisor::start(&file.options());
    supervisor.stop();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let text = supervisor.start_in_vain(&file.options());
    assert!(text.contains("mode 0640 lets others read"), "{text}");

    let pipe = file.scratch().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for path in [pipe.to_str().unwrap(), "/dev/zero"] {
        let begun = Instant::now();
        let text = supervisor.start_in_vain(&Options::new().flag("--token-file", path));
        assert!(text.contains("is not a regular file"), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(20), "it waited for a writer");
    }
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(file.path(), Some(65_533), None).unwrap();
        let text = supervisor.start_in_vain(&file.options());
        assert!(text.contains("belongs to user 65533"), "{text}");
        std::os::unix::fs::chown(file.path(), Some(0), None).unwrap();
    }
    file.write(&entry("a", &["rum"], ""));
    let text = supervisor.start_in_vain(&file.options());
    assert!(text.contains("token 1 (\"a\"): scopes must be"), "{text}");
    assert!(!text.contains(&secret("a")), "{text}");
}

#[test]
fn a_credential_of_the_service_manager_has_the_tokens_where_no_file_is_named() {
    let file = TokenFile::new(&[]);
    let credentials = file.scratch().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("cc-executor.tokens"), entry("a", &SCOPES, "")).unwrap();
    let options = Options::new().env("CREDENTIALS_DIRECTORY", credentials.display());
    let supervisor = Supervisor::start(&options);
    assert_eq!(status(Client::with_secret(&supervisor, "wrong")), Some(401));
    Client::with_token(&supervisor, "a").assert_alive();
}

#[test]
fn a_token_has_no_more_sessions_and_tasks_than_its_limits() {
    let limits = "max_sessions = 2\nmax_tasks = 1";
    let file = TokenFile::new(&[entry("small", &SCOPES, limits), entry("large", &SCOPES, "")]);
    let supervisor = Supervisor::start(&file.options());
    let mut first = Client::with_token(&supervisor, "small");
    let mut second = Client::with_token(&supervisor, "small");
    let bearer = format!("Bearer {}", secret("small"));
    let mut third =
        Client::open(supervisor.address(), "/ws/mcp", &[("authorization", &bearer)]).unwrap();
    let (code, _, messages) = third.recv_close();
    assert_eq!(code, 1008);
    assert_eq!(messages[0]["error"]["code"], -32003, "{messages:?}");
    Client::with_token(&supervisor, "large").assert_alive();

    let long = json!({"argv": ["sleep", "1000"], "detach": true});
    let task_id = first.execute(&long).unwrap()["task_id"].as_str().unwrap().to_owned();
    let error = second.execute(&long).unwrap_err();
    assert_eq!((&error["code"], &error["data"]["limit"]), (&json!(-32016), &json!(1)), "{error}");
    assert_eq!(error["data"]["retryable"], true);
    let mut large = Client::with_token(&supervisor, "large");
    assert_eq!(large.run_shell("echo free").stdout(), "free\n");
    // A batch waits for room.
    let batch_id = batches::submit(&mut first, &json!({"tasks": [{"argv": ["true"]}]}));
    first.by_id("task.cancel", &task_id).unwrap();
    let over = batches::Over::of(&mut first, &batch_id);
    assert_eq!(over.verdicts(), ["succeeded"]);
}

#[test]
fn a_token_runs_in_its_own_directories_alone_whatever_links_there_are() {
    let file = TokenFile::new(&[]);
    let at = |path: &str| file.scratch().join(path).canonicalize().unwrap();
    for path in ["all/own", "all/other"] {
        fs::create_dir_all(file.scratch().join(path)).unwrap();
    }
    symlink(at("all/other"), file.scratch().join("all/own/out")).unwrap();
    let directories = format!("directories = [{:?}]", at("all/own"));
    file.write(&(entry("own", &SCOPES, &directories) + &entry("free", &SCOPES, "")));
    let options = file.options().flag("--allow-dir", at("all").display());
    let supervisor = Supervisor::start(&options.flag("--cwd", at("all").display()));
    let mut own = Client::with_token(&supervisor, "own");
    let pwd = |cwd: &str| json!({"argv": ["pwd", "-P"], "cwd": cwd});
    assert_eq!(own.run_to_end(&pwd("own")).stdout().trim(), at("all/own").to_str().unwrap());
    for cwd in [".", "other", "own/out", "own/../other", "/", "own/missing"] {
        let error = own.execute(&pwd(cwd)).unwrap_err();
        assert_eq!(error["code"], -32019, "{cwd}: {error}");
        assert_eq!(error["data"]["field"], "cwd");
    }
    let plan = json!({"tasks": [{"argv": ["true"], "cwd": "other"}]});
    let batch_id = batches::submit(&mut own, &plan);
    let over = batches::Over::of(&mut own, &batch_id);
    assert_eq!(over.verdicts(), ["spawn_failed"]);

    let mut free = Client::with_token(&supervisor, "free");
    assert_eq!(free.run_to_end(&pwd("other")).end(), ("exit", 0));
    assert_eq!(kind(free.execute(&pwd("/"))), "directory_not_allowed");
}

#[test]
fn when_a_tokens_budget_is_spent_its_tasks_are_refused_also_after_a_restart() {
    let budget = "budget_usd = 0.5\nbudget_days = 7";
    let file = TokenFile::new(&[entry("poor", &SCOPES, budget), entry("rich", &SCOPES, "")]);
    let options = file.options().fixture_agent();
    let mut supervisor = Supervisor::start(&options);
    let prompt = json!({"prompt": "say: what costs a quarter"});
    for _ in 0..2 {
        // The fixture agent reports 0.25 USD.
        let mut poor = Client::with_token(&supervisor, "poor");
        assert_eq!(poor.run_to_end(&prompt).end(), ("exit", 0));
    }
    supervisor.stop();
    supervisor.start_again(&options);
    let mut poor = Client::with_token(&supervisor, "poor");
    let error = poor.execute(&prompt).unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["spent_usd"]),
        (&json!(-32020), &json!(0.5)),
        "{error}"
    );
    assert_eq!(error["data"]["retryable"], false);
    assert!(error["message"].as_str().unwrap().contains("0.50 USD in 7 days"), "{error}");
    assert_eq!(Client::with_token(&supervisor, "rich").run_to_end(&prompt).end(), ("exit", 0));
}

#[test]
fn a_token_of_the_environment_is_in_no_processs_environment_and_the_log_advises_a_file() {
    let token = "only-in-the-environment";
    let options =
        Options::new().env("CC_EXECUTOR_TOKEN", token).flag("--env-allow", "CC_EXECUTOR_*");
    let supervisor = Supervisor::start(&options.flag("--env-allow", "CC_EXECUTOR_TOKEN"));
    let mut client = Client::with_secret(&supervisor, token).unwrap();
    let answer = client.execute(&json!({"argv": ["sleep", "1000"]})).unwrap();
    let task = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
    let (keepers, workers) = (supervisor.keepers(), supervisor.workers());
    assert_eq!((keepers.len(), workers.len()), (1, 1));
    for pid in keepers.into_iter().chain(workers).chain([task, supervisor.pid()]) {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let text = String::from_utf8_lossy(&environment);
        assert!(!text.contains(token), "{}: {text}", processes::describe(&[pid]));
    }
    client.control("CANCEL").unwrap();
    assert!(supervisor.log().contains("--token-file"), "{}", supervisor.log());
    assert!(!supervisor.log().contains(token));
}

/// Waits until a reload has been logged.
fn reload(supervisor: &Supervisor, said: &str) {
    let before = supervisor.log().matches(said).count();
    supervisor.signal(Signal::HUP);
    wait_until("the reload is over", || supervisor.log().matches(said).count() > before);
}

#[test]
fn a_reload_takes_new_tokens_and_ends_the_connections_of_those_that_are_gone() {
    let file = TokenFile::new(&[entry("old", &SCOPES, ""), entry("stays", &["read"], "")]);
    let supervisor = Supervisor::start(&file.options());
    let mut old = Client::with_token(&supervisor, "old");
    let mut stays = Client::with_token(&supervisor, "stays");
    let long = json!({"argv": ["sleep", "1000"], "detach": true});
    let task_id = old.execute(&long).unwrap()["task_id"].as_str().unwrap().to_owned();
    let session = old.session();

    file.write(&(entry("new", &["operate"], "") + &entry("stays", &SCOPES, "")));
    reload(&supervisor, "the configuration was read again");
    let (code, reason, _) = old.recv_close();
    assert_eq!((code, reason.as_str()), (1008, "the token of this connection was removed"));
    assert_eq!(status(Client::with_secret(&supervisor, &secret("old"))), Some(401));
    // One that stays has the scopes of today, on the connection that it had.
    assert_eq!(stays.run_to_end(&json!({"argv": ["true"]})).end(), ("exit", 0));
    let outcome = stays.resume(&session, None);
    assert!(outcome.is_err(), "{outcome:?}");
    let mut new = Client::with_token(&supervisor, "new");
    assert_eq!(new.task(&task_id).unwrap()["state"], "running", "it goes on");
    new.by_id("task.cancel", &task_id).unwrap();
}

#[test]
fn a_reload_with_a_broken_token_file_leaves_the_old_tokens_in_force() {
    let file = TokenFile::new(&[entry("a", &SCOPES, "")]);
    let supervisor = Supervisor::start(&file.options());
    let mut connected = Client::with_token(&supervisor, "a");
    let broken = "could not be read again";
    for text in ["", "[[token", &entry("a", &["rum"], ""), "[[token]]\n"] {
        file.write(text);
        reload(&supervisor, broken);
        connected.assert_alive();
        Client::with_token(&supervisor, "a").assert_alive();
    }
    file.write(&entry("a", &SCOPES, ""));
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
    reload(&supervisor, broken);
    fs::remove_file(file.path()).unwrap();
    reload(&supervisor, broken);
    connected.assert_alive();
    assert_eq!(status(Client::with_secret(&supervisor, "anything")), Some(401));
    assert!(!supervisor.log().contains(&secret("a")));
}

#[test]
fn a_token_of_the_environment_outlives_a_reload() {
    let token = "only-in-the-environment";
    let supervisor = Supervisor::start(&Options::new().env("CC_EXECUTOR_TOKEN", token));
    reload(&supervisor, "the configuration was read again");
    assert_eq!(status(Client::with_secret(&supervisor, "anything")), Some(401));
    Client::with_secret(&supervisor, token).unwrap().assert_alive();
}
