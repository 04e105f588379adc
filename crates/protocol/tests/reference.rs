//! Holds docs/protocol.md and the types against each other.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cc_protocol::{
    EndReason, METHODS, Verdict, WarningKind,
    batch::{
        BatchList, BatchListResult, BatchNamed, BatchResume, BatchRows, BatchRowsResult,
        BatchSubmitted, BatchSummary, BatchTask, WholeResult,
    },
    configuration::{ReloadResult, SettingsResult},
    control::{ControlType, Done},
    drain::DrainResult,
    envelope::{self, Incoming, Response, ResponseBody},
    error::ErrorCode,
    execute::{Execute, ExecuteResult},
    gate::{self, GateListResult, GateOpen, GateOpenResult},
    legacy,
    notification::{Message, Notification},
    session::{self, SessionConfigure, SessionResume, SessionResumeResult},
    status::SupervisorStatus,
    task::{
        TaskAttach, TaskList, TaskListResult, TaskNamed, TaskOutput, TaskOutputResult, TaskSummary,
    },
    worker::{SubscribeResult, WorkerListResult, WorkerRestart, WorkerRestartResult},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

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
    // An answer belongs to the last request with its id.
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    for example in examples() {
        let value: Value = serde_json::from_str(&example).unwrap();
        if value.get("method").is_none() {
            let response: Response = serde_json::from_str(&example).unwrap();
            assert_eq!(serde_json::to_value(&response).unwrap(), value);
            if let ResponseBody::Result(result) = response.body {
                let method = &asked[&value["id"].to_string()];
                assert_eq!(reread_result(method, result.clone()), result, "of {method}");
            }
        } else if value.get("id").is_some() {
            let Ok(Incoming::Single(Ok(call))) = envelope::parse(&example) else {
                panic!("not a call: {example}")
            };
            asked.insert(value["id"].to_string(), call.method.clone());
            let params = Value::Object(call.params.clone());
            assert_eq!(reread_params(&call.method, call.params), params, "{example}");
        } else {
            // To the letter: the order of the members, too.
            let message: Message<'_> = serde_json::from_str(&example).unwrap();
            assert_eq!(serde_json::to_string(&message).unwrap(), example);
        }
    }
}

/// The parameters, read as the server reads them and written as a Rust client writes them.
fn reread_params(method: &str, params: Map<String, Value>) -> Value {
    match method {
        "execute" => {
            let execute = Execute::from_params(params.clone()).unwrap();
            assert!(execute.ignored_params.is_empty(), "{params:?}");
            // A timeout may be written as a whole number.
            let timeout = params.get("timeout").and_then(Value::as_f64);
            assert_eq!(execute.timeout, timeout);
            Value::Object(params)
        }
        "control" => {
            json!({"type": ControlType::from_params(&params).unwrap().as_str()})
        }
        "session.resume" => json!(SessionResume::from_params(&params).unwrap()),
        "session.configure" => json!(SessionConfigure::from_params(&params).unwrap()),
        "session.close" => {
            session::check_close_params(&params).unwrap();
            json!({})
        }
        "task.list" => json!(TaskList::from_params(&params).unwrap()),
        "task.output" => json!(TaskOutput::from_params(&params).unwrap()),
        "task.attach" => json!(TaskAttach::from_params(&params).unwrap()),
        "task.get" | "task.detach" | "task.cancel" | "task.pause" | "task.resume" => {
            json!(TaskNamed::from_params(&params).unwrap())
        }
        "batch.list" => json!(BatchList::from_params(&params).unwrap()),
        "batch.rows" => json!(BatchRows::from_params(&params).unwrap()),
        "batch.result" => json!(BatchTask::from_params(&params).unwrap()),
        "batch.resume" => json!(BatchResume::from_params(&params).unwrap()),
        "batch.get" | "batch.cancel" | "batch.attach" | "batch.detach" => {
            json!(BatchNamed::from_params(&params).unwrap())
        }
        "worker.restart" => json!(WorkerRestart::from_params(&params).unwrap()),
        "gate.open" => json!(GateOpen::from_params(&params).unwrap()),
        "gate.list" | "worker.list" | "supervisor.subscribe" | "supervisor.status" => {
            gate::no_params(&params).unwrap();
            json!({})
        }
        "supervisor.settings"
        | "supervisor.reload"
        | "supervisor.drain"
        | "supervisor.drain_progress"
        | "supervisor.undrain" => {
            gate::no_params(&params).unwrap();
            json!({})
        }
        // A plan is read by the crate that owns it, which tests this very example.
        "ping" | "hook_status" | "batch.submit" => Value::Object(params),
        unknown => panic!("unknown method {unknown}"),
    }
}

/// The result, read as a Rust client reads it.
fn reread_result(method: &str, result: Value) -> Value {
    fn typed<T: Serialize + DeserializeOwned>(value: Value) -> Value {
        json!(serde_json::from_value::<T>(value).unwrap())
    }
    match method {
        "execute" => typed::<ExecuteResult>(result),
        "session.resume" => typed::<SessionResumeResult>(result),
        "session.configure" => typed::<SessionConfigure>(result),
        "task.get" | "task.attach" => typed::<TaskSummary>(result),
        "task.list" => typed::<TaskListResult>(result),
        "task.output" => {
            for event in result["events"].as_array().unwrap() {
                let text = event.to_string();
                assert_eq!(json!(serde_json::from_str::<Message<'_>>(&text).unwrap()), *event);
            }
            typed::<TaskOutputResult>(result)
        }
        "batch.submit" | "batch.resume" => typed::<BatchSubmitted>(result),
        "batch.get" | "batch.attach" => typed::<BatchSummary>(result),
        "batch.list" => typed::<BatchListResult>(result),
        "batch.rows" => typed::<BatchRowsResult>(result),
        "batch.result" => typed::<WholeResult>(result),
        "supervisor.status" => typed::<SupervisorStatus>(result),
        "supervisor.settings" => typed::<SettingsResult>(result),
        "supervisor.reload" => typed::<ReloadResult>(result),
        "supervisor.drain" | "supervisor.drain_progress" | "supervisor.undrain" => {
            typed::<DrainResult>(result)
        }
        "gate.list" => typed::<GateListResult>(result),
        "gate.open" => typed::<GateOpenResult>(result),
        "worker.list" => typed::<WorkerListResult>(result),
        "worker.restart" => typed::<WorkerRestartResult>(result),
        "supervisor.subscribe" => typed::<SubscribeResult>(result),
        "batch.cancel" | "batch.detach" => {
            assert!(result["status"].is_string());
            result
        }
        "control" | "session.close" | "task.detach" | "task.cancel" | "task.pause"
        | "task.resume" => typed::<Done>(result),
        "hook_status" => legacy::result_of(method).unwrap(),
        "ping" => result,
        unknown => panic!("unknown method {unknown}"),
    }
}

fn shown_methods() -> BTreeSet<String> {
    let method_of = |example: &String| {
        let value: Value = serde_json::from_str(example).unwrap();
        value["method"].as_str().map(str::to_owned)
    };
    examples().iter().filter_map(method_of).collect()
}

#[test]
fn every_method_and_every_notification_has_an_example() {
    let shown = shown_methods();
    // A JSON `pong` is the predecessor's, and has neither parameters nor an answer.
    let methods = METHODS.into_iter().filter(|method| *method != "pong");
    for method in methods.chain(Notification::METHODS) {
        assert!(shown.contains(method), "{method} has no example");
    }
}

#[test]
fn every_method_shows_its_result_too() {
    let mut answered = BTreeSet::new();
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    for example in examples() {
        let value: Value = serde_json::from_str(&example).unwrap();
        match (value["method"].as_str(), value.get("result")) {
            (Some(method), _) => drop(asked.insert(value["id"].to_string(), method.to_owned())),
            (None, Some(_)) => drop(answered.insert(asked[&value["id"].to_string()].clone())),
            (None, None) => {}
        }
    }
    for method in METHODS.into_iter().filter(|method| *method != "pong") {
        assert!(answered.contains(method), "the result of {method} is not shown");
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
fn every_reason_verdict_and_warning_is_explained() {
    let text = reference();
    let reasons = EndReason::ALL.map(EndReason::as_str);
    let words = reasons.into_iter().chain(Verdict::ALL.map(Verdict::as_str));
    for word in words.chain(WarningKind::ALL.map(WarningKind::as_str)) {
        assert!(text.contains(&format!("| `{word}` |")), "{word} is not explained");
    }
}
