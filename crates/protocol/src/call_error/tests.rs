use super::*;
use crate::params;

fn written(error: CallError) -> String {
    serde_json::to_string(&ErrorObject::from(error)).unwrap()
}

#[test]
fn each_error_has_the_code_the_text_and_the_data_that_clients_know() {
    let id = || "t".repeat(70);
    let shown = "t".repeat(64);
    for (error, expected) in [
        (
            CallError::TaskRuns { task_id: "t".to_owned() },
            r#"{"code":-32602,"message":"A process is already running","data":{"kind":"invalid_params","retryable":false,"task_id":"t"}}"#.to_owned(),
        ),
        (
            CallError::NoProcess { task_id: None },
            r#"{"code":-32002,"message":"No process is running","data":{"kind":"no_process","retryable":false}}"#.to_owned(),
        ),
        (
            CallError::NoSuchTask { task_id: id() },
            format!(r#"{{"code":-32014,"message":"no such task: \"{shown}\"; it may have been removed by retention","data":{{"kind":"no_such_task","retryable":false,"task_id":"{shown}"}}}}"#),
        ),
        (
            CallError::TasksFull { limit: 3 },
            r#"{"code":-32016,"message":"3 tasks run already, the most that --max-tasks allows: try again later","data":{"kind":"queue_full","limit":3,"retryable":true}}"#.to_owned(),
        ),
        (
            CallError::MethodNotFound { method: "exekute".to_owned() },
            r#"{"code":-32601,"message":"Method not found: \"exekute\"; did you mean \"execute\"?","data":{"kind":"method_not_found","retryable":false,"suggestion":"execute"}}"#.to_owned(),
        ),
        (
            CallError::from(UnfitParam::BeyondLastEvent {
                member: "after.seq",
                seq: 9,
                last_seq: 7,
            }),
            r#"{"code":-32602,"message":"Invalid params: after.seq is 9, and the last event of this task is 7","data":{"field":"after","kind":"invalid_params","last_seq":7,"retryable":false}}"#.to_owned(),
        ),
        (
            CallError::NotStarted {
                task_id: "t".to_owned(),
                problem: "no program".to_owned(),
                end_reason: EndReason::SpawnFailed,
                exit_code: 127,
                is_retryable: true,
            },
            r#"{"code":-32017,"message":"the task could not be started: no program","data":{"end_reason":"spawn_failed","exit_code":127,"kind":"spawn_failed","reason":"no program","retryable":true,"task_id":"t"}}"#.to_owned(),
        ),
        (
            CallError::DrainingTasks { task_id: Some("t".to_owned()) },
            r#"{"code":-32012,"message":"the supervisor is stopping and takes no new tasks","data":{"kind":"draining","retryable":true,"task_id":"t"}}"#.to_owned(),
        ),
    ] {
        assert_eq!(written(error), expected);
    }
}

#[test]
fn a_parameter_that_is_wrong_in_itself_is_answered_as_its_reader_has_worded_it() {
    let error = params::invalid("cwd", "must be text");
    assert_eq!(ErrorObject::from(CallError::from(error.clone())), error);
}

#[test]
fn each_unfit_parameter_is_named_in_the_text_and_in_the_data() {
    let id = || "b".to_owned();
    for (unfit, expected) in [
        (
            UnfitParam::AlreadyAttached { task_id: id() },
            r#"{"code":-32602,"message":"Invalid params: task_id is a task whose events this connection gets already","data":{"field":"task_id","kind":"invalid_params","retryable":false,"task_id":"b"}}"#,
        ),
        (
            UnfitParam::OwnSession,
            r#"{"code":-32602,"message":"Invalid params: session_id is the session of this connection already","data":{"field":"session_id","kind":"invalid_params","retryable":false}}"#,
        ),
        (
            UnfitParam::OtherPlan { batch_id: id() },
            r#"{"code":-32602,"message":"Invalid params: idempotency_key is that of batch b, which has another plan: give this one another key","data":{"batch_id":"b","field":"idempotency_key","kind":"invalid_params","retryable":false}}"#,
        ),
        (
            UnfitParam::NoSuchIndex { batch_id: id(), tasks: 2 },
            r#"{"code":-32602,"message":"Invalid params: index must be less than 2, the number of tasks of batch b","data":{"batch_id":"b","field":"index","kind":"invalid_params","retryable":false}}"#,
        ),
        (
            UnfitParam::NoSuchGate { gate_id: "g".repeat(70) },
            r#"{"code":-32602,"message":"Invalid params: gate_id is no gate: \"gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg\"; see gate.list","data":{"field":"gate_id","kind":"invalid_params","retryable":false}}"#,
        ),
        (
            UnfitParam::OverLimit { field: "max_line_bytes", limit: 5 },
            r#"{"code":-32602,"message":"Invalid params: max_line_bytes must be at most 5","data":{"field":"max_line_bytes","kind":"invalid_params","limit":5,"retryable":false}}"#,
        ),
    ] {
        assert_eq!(written(unfit.into()), expected);
    }
}

#[test]
fn the_mistakes_of_a_plan_are_counted_and_listed() {
    let mistake = PlanMistake {
        task: Some(0),
        name: None,
        field: "timeout".to_owned(),
        what: "is too long".to_owned(),
    };
    let error = CallError::Plan {
        first: "task 1: timeout is too long".to_owned(),
        mistakes: vec![mistake],
        further: 2,
    };
    assert_eq!(
        written(error),
        r#"{"code":-32602,"message":"Invalid params: 3 mistakes in the plan; the first: task 1: timeout is too long","data":{"field":"timeout","further":2,"kind":"invalid_params","mistakes":[{"field":"timeout","name":null,"task":0,"what":"is too long"}],"retryable":false}}"#
    );
}
