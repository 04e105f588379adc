//! What a probe is answered: whether the supervisor lives, whether it can take work, and what is wrong, without a word
//! about who uses it for what.

use std::fs;

use cc_tests::{Options, Supervisor, http, wait_until};
use serde_json::Value;

/// The status and the body of a page.
fn page(supervisor: &Supervisor, path: &str) -> (u16, String) {
    let answer = http::get(supervisor.address(), path, &[]);
    (answer.status, answer.body)
}

fn status_word(supervisor: &Supervisor, path: &str) -> (u16, String) {
    let (status, body) = page(supervisor, path);
    let body: Value = serde_json::from_str(&body).unwrap();
    (status, body["status"].as_str().unwrap().to_owned())
}

fn is_ready(supervisor: &Supervisor) -> bool {
    page(supervisor, "/readyz").0 == 200
}

#[test]
fn a_supervisor_that_is_well_lists_each_check_as_ok() {
    let supervisor = Supervisor::start_default();
    for name in ["readyz", "healthz"] {
        let (status, body) = page(&supervisor, &format!("/{name}?verbose"));
        assert_eq!(status, 200, "{body}");
        let lines: Vec<&str> = body.lines().collect();
        let (last, checks) = lines.split_last().unwrap();
        assert_eq!(*last, format!("{name} check passed: ok"));
        assert!(checks.len() > 10, "{body}");
        for check in checks {
            assert!(check.starts_with("[+]") && check.ends_with(" ok"), "{check}");
        }
        for check in ["event_loop", "database", "state_directory", "worker_broken", "draining"] {
            assert!(checks.contains(&format!("[+]{check} ok").as_str()), "{body}");
        }
    }
    assert_eq!(page(&supervisor, "/livez?verbose").1, "[+]event_loop ok\nlivez check passed: ok\n");
}

#[test]
fn a_chosen_program_for_prompts_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let agent = directory.path().join("my-agent");
    let supervisor = Supervisor::start(&Options::new().flag("--agent", agent.display()));
    let (status, body) = page(&supervisor, "/readyz?verbose");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("[-]agent_missing failed: "), "{body}");
    assert!(!body.contains("my-agent"), "{body}");
    assert_eq!(status_word(&supervisor, "/readyz"), (503, "not ready".to_owned()));
    assert_eq!(status_word(&supervisor, "/healthz"), (200, "degraded".to_owned()));
    assert_eq!(status_word(&supervisor, "/livez"), (200, "ok".to_owned()));
    std::os::unix::fs::symlink("/bin/true", &agent).unwrap();
    wait_until("it is found", || is_ready(&supervisor));
}

#[test]
fn a_program_for_prompts_that_nobody_has_asked_for_may_be_missing_until_somebody_does() {
    // The real one may be installed on this machine.
    let nothing = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start(&Options::new().env("PATH", nothing.path().display()));
    assert!(is_ready(&supervisor), "the default is not installed there");
    let mut client = supervisor.connect();
    client.execute(&serde_json::json!({"prompt": "hello"})).unwrap_err();
    wait_until("it says so", || !is_ready(&supervisor));
    let (_, body) = page(&supervisor, "/readyz?verbose");
    assert!(body.contains("[-]agent_missing failed: "), "{body}");
}

#[test]
fn a_probe_needs_no_token_and_learns_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "a-token-of-the-test\n").unwrap();
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&token, own).unwrap();
    let options = Options::new()
        .flag("--token-file", token.display())
        .flag("--agent", directory.path().join("missing-agent").display());
    let supervisor = Supervisor::start(&options);
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    for path in ["/livez", "/readyz", "/healthz", "/health", "/metrics"] {
        for query in ["", "?verbose", "?verbose=1"] {
            let (status, body) = page(&supervisor, &format!("{path}{query}"));
            assert_ne!(status, 401, "{path}{query}");
            for secret in [
                supervisor.scratch().to_str().unwrap(),
                directory.path().to_str().unwrap(),
                "missing-agent",
                "a-token",
                "gates",
                &format!("/{user}"),
            ] {
                let is_family = body.contains(&format!("cc_executor_{secret}"));
                assert!(is_family || !body.contains(secret), "{path}{query} has {secret}: {body}");
            }
        }
    }
}
