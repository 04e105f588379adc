//! Each method needs its scope, and a token that lacks it is told so.

use cc_tests::{
    Client, Supervisor,
    tokens::{TokenFile, entry},
};
use serde_json::{Value, json};

/// The methods of the contract, each with the scopes of which one is enough; none: any token may call it.
const METHODS: &[(&str, &[&str])] = &[
    ("execute", &["run"]),
    ("control", &["run", "operate"]),
    ("session.resume", &[]),
    ("session.configure", &[]),
    ("task.get", &["read", "operate"]),
    ("task.list", &["read", "operate"]),
    ("task.output", &["read", "operate"]),
    ("task.attach", &["read", "operate"]),
    ("task.detach", &["read", "operate"]),
    ("task.cancel", &["run", "operate"]),
    ("task.pause", &["run", "operate"]),
    ("task.resume", &["run", "operate"]),
    ("batch.submit", &["run"]),
    ("batch.get", &["read", "operate"]),
    ("batch.list", &["read", "operate"]),
    ("batch.rows", &["read", "operate"]),
    ("batch.result", &["read", "operate"]),
    ("batch.cancel", &["run", "operate"]),
    ("batch.attach", &["read", "operate"]),
    ("batch.detach", &["read", "operate"]),
    ("batch.resume", &["run"]),
    ("gate.list", &["read", "operate"]),
    ("gate.open", &["operate"]),
    ("supervisor.status", &["read", "operate"]),
    ("hook_status", &[]),
    ("ping", &[]),
    ("pong", &[]),
    ("session.close", &[]),
];

fn supervisor() -> (TokenFile, Supervisor) {
    let scopes = ["read", "run", "operate"];
    let entries = scopes.map(|scope| entry(scope, &[scope], ""));
    let file = TokenFile::new(&entries);
    let supervisor = Supervisor::start(&file.options());
    (file, supervisor)
}

#[test]
fn every_method_is_refused_to_a_token_that_lacks_its_scope_and_the_answer_names_the_scope() {
    let (_file, supervisor) = supervisor();
    for scope in ["read", "run", "operate"] {
        let mut client = Client::with_token(&supervisor, scope);
        for (method, enough) in METHODS {
            let outcome = client.call(method, &json!({}));
            let code = outcome.as_ref().err().map(|error| error["code"].clone());
            let is_refused = code == Some(json!(-32013));
            let may = enough.is_empty() || enough.contains(&scope);
            assert_eq!(is_refused, !may, "{method} with {scope}: {outcome:?}");
            if is_refused {
                let error: Value = outcome.unwrap_err();
                assert_eq!(error["data"]["scope"], enough[0], "{method}: {error}");
                assert_eq!(error["data"]["kind"], "not_authorised");
                assert_eq!(error["data"]["retryable"], false);
                assert!(error["message"].as_str().unwrap().contains(enough[0]), "{error}");
            }
        }
    }
}

#[test]
fn every_other_method_is_the_operators() {
    let (_file, supervisor) = supervisor();
    let mut client = Client::with_token(&supervisor, "read");
    let error = client.call("something else entirely", &json!({})).unwrap_err();
    let message = error["message"].as_str().unwrap();
    let (_, known) = message.split_once("known are ").unwrap();
    for method in known.split(", ") {
        if METHODS.iter().any(|(listed, _)| *listed == method) {
            continue;
        }
        for scope in ["read", "run"] {
            let mut client = Client::with_token(&supervisor, scope);
            let error = client.call(method, &json!({})).unwrap_err();
            assert_eq!(error["data"]["scope"], "operate", "{method}: {error}");
        }
    }
}

#[test]
fn a_method_that_there_is_not_is_called_so_whatever_the_token() {
    let (_file, supervisor) = supervisor();
    let error = Client::with_token(&supervisor, "read").call("task.begin", &json!({})).unwrap_err();
    assert_eq!(error["code"], -32601, "{error}");
}

#[test]
fn without_tokens_a_client_may_do_everything() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for (method, _) in METHODS {
        let outcome = client.call(method, &json!({}));
        let code = outcome.err().map(|error| error["code"].clone());
        assert_ne!(code, Some(json!(-32013)), "{method}");
    }
}
