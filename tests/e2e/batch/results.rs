//! Results that are longer than a row shows: whole up to a stated size, also later, and cut where they must be.

use std::fs;

use cc_tests::{
    Client, Supervisor,
    batches::{Notes, Over, options, plan, submit},
};
use serde_json::{Value, json};

/// What a row shows at most.
const ROW_BYTES: usize = 16 * 1024;
/// What is kept at most.
const WHOLE_BYTES: usize = 256 * 1024;

/// `batch.result`: the text, and whether it is not all.
fn result(client: &mut Client, batch_id: &str, index: usize) -> (Value, bool) {
    let params = json!({"batch_id": batch_id, "index": index});
    let answer = client.call("batch.result", &params).unwrap();
    assert!(answer["task_id"].is_string(), "{}", answer["task_id"]);
    (answer["result"].clone(), answer["truncated"].as_bool().unwrap())
}

fn of_length(letter: &str, bytes: usize) -> Value {
    json!(letter.repeat(bytes / letter.len()))
}

/// An answer, which the next task uses, an answer that no task uses, and what a program prints.
fn long_ones(notes: &Notes) -> [Value; 4] {
    let answer = "a".repeat(100 * 1024);
    let program = |name: &str, bytes: usize| {
        notes.shell(name, &format!("head -c {bytes} /dev/zero | tr '\\0' p"))
    };
    [
        notes.prompt("answer", [format!("say: {answer}")]),
        json!({"name": "uses", "command": "echo {{tasks.answer.result}} | wc -c"}),
        program("printed", 200 * 1024),
        program("too-long", 300 * 1024),
    ]
}

fn assert_long_ones_are_whole(client: &mut Client, batch_id: &str) {
    assert_eq!(result(client, batch_id, 0), (of_length("a", 100 * 1024), false));
    assert_eq!(result(client, batch_id, 1), (json!("102401"), false));
    assert_eq!(result(client, batch_id, 2), (of_length("p", 200 * 1024), false));
    assert_eq!(result(client, batch_id, 3), (of_length("p", WHOLE_BYTES), true));
}

#[test]
fn a_result_is_whole_up_to_a_stated_size_and_after_a_restart_too() {
    let mut supervisor = Supervisor::start(&options());
    let notes = Notes::new(&supervisor);
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(long_ones(&notes)));
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["succeeded"; 4], "{:?}", over.row("uses"));
    for (name, letter) in [("answer", "a"), ("printed", "p"), ("too-long", "p")] {
        assert_eq!(over.row(name)["result"], of_length(letter, ROW_BYTES));
        assert_eq!(over.row(name)["result_truncated"], true);
    }
    assert_eq!(over.row("uses")["result_truncated"], false);
    assert_long_ones_are_whole(&mut client, &batch_id);
    supervisor.kill();
    supervisor.start_again(&options());
    assert_long_ones_are_whole(&mut supervisor.connect(), &batch_id);
}

#[test]
fn where_the_log_is_gone_the_beginning_is_left_unless_a_later_task_used_it() {
    let supervisor = Supervisor::start(&options());
    let notes = Notes::new(&supervisor);
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(long_ones(&notes)));
    let over = Over::of(&mut client, &batch_id);
    for name in ["answer", "printed"] {
        let task_id = over.row(name)["attempts"][0]["task_id"].as_str().unwrap();
        fs::remove_dir_all(supervisor.task_directory(task_id)).unwrap();
    }
    assert_eq!(result(&mut client, &batch_id, 0), (of_length("a", 100 * 1024), false));
    assert_eq!(result(&mut client, &batch_id, 2), (of_length("p", ROW_BYTES), true));
}

#[test]
fn what_is_no_task_has_no_result_and_what_has_not_ended_has_none_yet() {
    let supervisor = Supervisor::start(&options());
    let notes = Notes::new(&supervisor);
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan([notes.prompt("endless", ["silence: "])]));
    notes.ledger.wait_for_starts(1);
    assert_eq!(result(&mut client, &batch_id, 0), (Value::Null, false));
    for (params, code) in [
        (json!({"batch_id": batch_id, "index": 1}), -32602),
        (json!({"batch_id": batch_id}), -32602),
        (json!({"batch_id": "nonesuch", "index": 0}), -32015),
    ] {
        let error = client.call("batch.result", &params).unwrap_err();
        assert_eq!(error["code"], code, "{error}");
    }
}
