//! Holds docs/protocol.md and the types against each other.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeSet, fs, path::Path};

use cc_protocol::{
    EndReason, Verdict,
    control::ControlType,
    envelope::{self, Incoming, Response},
    error::ErrorCode,
    execute::Execute,
    notification::{Message, Notification},
};
use serde_json::Value;

fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    fs::read_to_string(path).unwrap()
}

fn examples() -> Vec<String> {
    let text = reference();
    let blocks = text.split("```json\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_example_is_what_the_types_read_and_write() {
    for example in examples() {
        let value: Value = serde_json::from_str(&example).unwrap();
        if value.get("method").is_none() {
            let response: Response = serde_json::from_str(&example).unwrap();
            assert_eq!(serde_json::to_value(response).unwrap(), value);
        } else if value.get("id").is_some() {
            let Ok(Incoming::Single(Ok(call))) = envelope::parse(&example) else {
                panic!("not a call: {example}")
            };
            match call.method.as_str() {
                "execute" => {
                    let execute = Execute::from_params(call.params).unwrap();
                    assert!(execute.ignored_params.is_empty(), "{example}");
                }
                "control" => {
                    let control = ControlType::from_params(&call.params).unwrap();
                    assert!(example.contains(control.as_str()), "{example}");
                }
                unknown => panic!("unknown method {unknown}"),
            }
        } else {
            let message: Message<'_> = serde_json::from_str(&example).unwrap();
            assert_eq!(serde_json::to_value(message).unwrap(), value);
        }
    }
}

#[test]
fn every_notification_has_an_example() {
    let shown: BTreeSet<String> = examples()
        .iter()
        .filter_map(|example| {
            let value: Value = serde_json::from_str(example).unwrap();
            value["method"].as_str().map(str::to_owned)
        })
        .collect();
    for method in Notification::METHODS {
        assert!(shown.contains(method), "{method} has no example");
    }
}

#[test]
fn every_error_code_is_listed_with_its_kind() {
    let text = reference();
    for code in ErrorCode::ALL {
        let row = format!("| {} | `{}` |", code.code(), code.kind());
        assert!(text.contains(&row), "no row {row}");
    }
}

#[test]
fn every_parameter_of_execute_is_listed() {
    let text = reference();
    let unknown: Value = serde_json::json!({"argv": ["x"], "qqqqqqqqqqqqqqqqqqqqqq": 1});
    let Value::Object(params) = unknown else { panic!("no object") };
    // The refusal of an unknown parameter lists the known ones.
    let message = Execute::from_params(params).unwrap_err().message;
    let known = message.split("known are ").nth(1).unwrap().replace(" and, with prompt,", ",");
    let names: Vec<&str> = known.split(", ").collect();
    assert!(names.len() > 10, "{message}");
    for name in names {
        assert!(text.contains(&format!("| `{name}` |")), "{name} is not in the table");
    }
}

#[test]
fn every_reason_and_verdict_is_explained() {
    let text = reference();
    let reasons = [
        EndReason::Exit,
        EndReason::Signal,
        EndReason::Canceled,
        EndReason::Timeout,
        EndReason::IdleTimeout,
        EndReason::Lingered,
        EndReason::OutputLimit,
        EndReason::SpawnFailed,
        EndReason::WorkerDied,
        EndReason::SupervisorLost,
        EndReason::ResourceLimit,
        EndReason::Disconnected,
    ];
    let verdicts = [
        Verdict::Succeeded,
        Verdict::Failed,
        Verdict::NoResult,
        Verdict::Auth,
        Verdict::RateLimited,
        Verdict::TimedOut,
        Verdict::Canceled,
        Verdict::OutputLimit,
        Verdict::SpawnFailed,
        Verdict::WorkerDied,
        Verdict::ResourceLimit,
    ];
    let words = reasons.iter().map(|r| r.as_str()).chain(verdicts.iter().map(|v| v.as_str()));
    for word in words {
        assert!(text.contains(&format!("| `{word}` |")), "{word} is not explained");
    }
}
