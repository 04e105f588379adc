//! Queues and plans of other programs, by tables.

use serde_json::json;

use super::*;
use crate::{args::Format, input::parse};

/// What is to run, as a plan has it, or the mistakes.
fn tasks(text: &str, format: Format) -> Result<Vec<Value>, Vec<String>> {
    let judged = parse(text, format).plan(Vec::new(), |_| {});
    let mistakes = |mistakes: Vec<crate::input::Mistake>| {
        mistakes
            .iter()
            .map(|mistake| format!("{}: {}", mistake.place, mistake.what))
            .collect::<Vec<_>>()
    };
    let judged = judged.map_err(mistakes)?;
    let members = ["name", "label", "prompt", "command", "cwd", "needs"];
    let task = |task| {
        let Value::Object(mut task) = serde_json::to_value(task).unwrap() else {
            panic!("no object")
        };
        task.retain(|name, _| members.contains(&name.as_str()));
        Value::Object(task)
    };
    Ok(judged.plan.tasks.iter().map(task).collect())
}

fn notes(text: &str) -> Vec<String> {
    let found = parse(text, Format::Json).0;
    found.notes.iter().map(|note| format!("{}: {}", note.place.line, note.what)).collect()
}

fn json_tasks(value: Value) -> Vec<Value> {
    tasks(&value.to_string(), Format::Json).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn json_mistakes(value: Value) -> Vec<String> {
    tasks(&value.to_string(), Format::Json).expect_err("no mistake")
}

#[test]
fn a_list_is_read_by_itself_and_below_its_known_names() {
    let expected = [json!({"prompt": "a"}), json!({"command": "b"})];
    let list = json!([{"prompt": "a"}, {"command": "b"}]);
    assert_eq!(json_tasks(list.clone()), expected);
    for name in ["tasks", "userStories", "user_stories", "stories"] {
        assert_eq!(json_tasks(json!({name: list})), expected, "{name}");
    }
    assert_eq!(json_tasks(json!(["a", "b"])), [json!({"prompt": "a"}), json!({"prompt": "b"})]);
    assert_eq!(json_tasks(json!({"prompt": "a"})), [json!({"prompt": "a"})]);
    let with_defaults = json!({"defaults": {"cwd": "/x"}, "options": {"jobs": 1}, "tasks": ["a"]});
    assert_eq!(json_tasks(with_defaults), [json!({"prompt": "a", "cwd": "/x"})]);
}

#[test]
fn a_story_becomes_a_prompt_of_its_title_its_description_and_its_criteria() {
    let story = json!({"id": "US-2", "title": "Print", "description": "As a user …", "priority": 1,
        "acceptanceCriteria": ["local zone", "tests pass"], "passes": false, "metadata": {"x": 1}});
    let text = json!({"branchName": "b", "userStories": [story]}).to_string();
    assert_eq!(
        tasks(&text, Format::Json).unwrap(),
        [json!({"name": "US-2", "label": "Print",
            "prompt": "Print\n\nAs a user …\n\nAcceptance criteria:\n- local zone\n- tests pass"})]
    );
    assert_eq!(notes(&text), ["1: branchName is not used", "1: priority is not used"]);
}

#[test]
fn ids_become_names_and_what_they_block_becomes_needs() {
    for member in ["blocked_by", "blockedBy", "dependencies", "depends_on", "dependsOn", "deps"] {
        let found = json_tasks(json!([
            {"id": 1, "prompt": "a"},
            {"id": "the second", "prompt": "b", member: [1]},
            {"id": "c", "name": "own", "prompt": "c", member: "the second"},
            {"name": "A title", "id": "d", "prompt": "d", member: ["own", 1], "needs": ["the_second"]},
            {"prompt": "e", member: null},
        ]));
        assert_eq!(
            found,
            [
                json!({"name": "1", "prompt": "a"}),
                json!({"name": "the_second", "prompt": "b", "needs": ["1"]}),
                json!({"name": "own", "prompt": "c", "needs": ["the_second"]}),
                json!({"name": "d", "label": "A title", "prompt": "d", "needs": ["the_second", "own", "1"]}),
                json!({"prompt": "e"}),
            ]
        );
    }
    let wrong = json_mistakes(json!([{"prompt": "a", "id": "x", "blocked_by": ["y"]}]));
    assert_eq!(wrong.len(), 1);
    assert!(wrong[0].contains("needs refers to \"y\", which no task is"), "{wrong:?}");
    let twice = json_mistakes(json!([{"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"}]));
    assert!(twice[0].contains("is also the name of task 1"), "{twice:?}");
}

#[test]
fn what_is_done_is_not_run_and_holds_nothing_up() {
    for done in [
        json!({"status": "done"}),
        json!({"status": "COMPLETED"}),
        json!({"passes": true}),
        json!({"status": "closed", "passes": true}),
        json!({"status": "pending", "passes": true}),
        json!({"status": "✅ Done!"}),
        json!({"state": "closed", "status": null}),
        json!({"done": true, "state": "review"}),
        json!({"isCompleted": true}),
        json!({"is_finished": true}),
        json!({"checked": true}),
        json!({"completed_at": "2026-11-03T10:00:00Z", "completed": false}),
        json!({"closedAt": 1_790_000_000}),
    ] {
        let mut first = json!({"id": "a", "prompt": "a"});
        first.as_object_mut().unwrap().extend(done.as_object().unwrap().clone());
        let second = json!({"id": "b", "prompt": "b", "blocked_by": ["a"], "needs": ["a"]});
        assert_eq!(
            json_tasks(json!([first, second])),
            [json!({"name": "b", "prompt": "b"})],
            "{done}"
        );
        let only = json_mistakes(json!([first]));
        assert_eq!(only, ["1:1: there are no tasks: every one is done, or the list is empty"]);
    }
    for open in ["", "pending", "To Do", "to-do", "not_started", "open", "failed", "queued"] {
        for name in ["status", "state", "taskStatus"] {
            assert_eq!(json_tasks(json!([{"prompt": "a", name: open}])).len(), 1, "{open}");
        }
    }
    let open = json!({"prompt": "a", "done": false, "checked": null, "finished_at": null, "doneAt": "",
        "enabled": true, "skip": false});
    assert_eq!(json_tasks(json!([open])), [json!({"prompt": "a"})]);
}

#[test]
fn what_is_switched_off_is_not_run_and_that_is_said() {
    let text = json!([
        {"prompt": "a", "enabled": false},
        {"prompt": "b", "skip": true},
        {"prompt": "c", "isArchived": true},
        {"prompt": "d", "state": "in review"},
        {"prompt": "e", "state": "✨"},
        {"prompt": "f"},
    ])
    .to_string();
    assert_eq!(tasks(&text, Format::Json).unwrap(), [json!({"prompt": "f"})]);
    assert_eq!(
        notes(&text),
        [
            "1: passed over, with enabled: false",
            "1: passed over, with skip: true",
            "1: passed over, with isArchived: true",
            "1: passed over, with the state \"in review\", which is neither open nor done",
            "1: passed over, with the state \"✨\", which is neither open nor done",
        ]
    );
}

#[test]
fn a_status_that_is_neither_open_nor_done_is_not_run_and_neither_is_what_needs_it() {
    let text = json!([
        {"id": "a", "prompt": "a", "status": "in_progress"},
        {"id": "b", "prompt": "b", "blocked_by": ["a"]},
        {"id": "c", "prompt": "c", "blocked_by": ["b"]},
        {"id": "d", "prompt": "d"},
    ])
    .to_string();
    assert_eq!(tasks(&text, Format::Json).unwrap(), [json!({"name": "d", "prompt": "d"})]);
    assert_eq!(
        notes(&text),
        [
            "1: passed over, with the status \"in_progress\", which is neither open nor done",
            "1: passed over, as it needs a task that is not run",
            "1: passed over, as it needs a task that is not run",
        ]
    );
}

#[test]
fn a_repo_is_a_folder_and_nothing_that_has_to_be_cloned() {
    assert_eq!(
        json_tasks(
            json!([{"prompt": "a", "repo": "/x"}, {"prompt": "b", "repo": "/x", "cwd": "/y"}])
        ),
        [json!({"prompt": "a", "cwd": "/x"}), json!({"prompt": "b", "cwd": "/y"})]
    );
    for repo in ["https://example.org/x.git", "git@example.org:x.git"] {
        let found = json_mistakes(json!([{"prompt": "a", "repo": repo}]));
        assert!(found[0].contains("must be a folder"), "{found:?}");
    }
}

#[test]
fn what_looks_like_a_typing_error_is_one_and_the_rest_is_said() {
    let found = json_mistakes(json!([{"prompt": "a", "timeuot": 5, "authority": "auto"}]));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("timeuot is unknown; did you mean \"timeout\"?"), "{found:?}");
    for (member, value) in [
        ("status", json!(5)),
        ("passes", json!("yes")),
        ("done", json!("2026-11-03")),
        ("completed", json!(["a"])),
        ("state", json!({"name": "Done"})),
        ("skip", json!("no")),
        ("id", json!([1])),
        ("blocked_by", json!({"a": 1})),
    ] {
        let found = json_mistakes(json!([{"prompt": "a", member: value}]));
        assert!(found[0].contains(member), "{found:?}");
    }
}

#[test]
fn a_line_of_jsonl_takes_what_a_queue_has_beside_a_prompt_and_is_strict_otherwise() {
    let text = r#"{"id":"a-1","prompt":"a","metadata":{"x":1}}
{"id":"a-2","title":"B","prompt":"b","blocked_by":["a-1"],"status":"pending"}
{"id":"a-3","prompt":"c","status":"done"}
{"id":"a-4","prompt":"d","completed":true}"#;
    assert_eq!(
        tasks(text, Format::Jsonl).unwrap(),
        [
            json!({"name": "a-1", "prompt": "a"}),
            json!({"name": "a-2", "label": "B", "prompt": "b", "needs": ["a-1"]}),
        ]
    );
    for line in [
        r#"{"command":"a","id":"x"}"#,
        r#"{"prompt":"a","authority":"x"}"#,
        r#"{"argv":["a"],"metadata":{}}"#,
    ] {
        let found = tasks(line, Format::Jsonl).unwrap_err();
        assert!(found[0].contains("is unknown"), "{found:?}");
    }
}

#[test]
fn a_list_in_the_wrong_kind_of_file_is_told_the_right_one() {
    let pretty = serde_json::to_string_pretty(&json!([{"prompt": "a"}, {"prompt": "b"}])).unwrap();
    let found = tasks(&pretty, Format::Jsonl).unwrap_err();
    assert!(found.len() == 1 && found[0].contains("--format json)"), "{found:?}");
    let found = tasks("{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n", Format::Json).unwrap_err();
    assert!(found.len() == 1 && found[0].contains("--format jsonl)"), "{found:?}");
}

#[test]
fn a_file_for_a_batch_api_is_one_mistake() {
    let one = json!({"custom_id": "a", "params": {"messages": []}});
    let other = json!({"custom_id": "b", "method": "POST", "url": "/v1", "body": {}});
    for (text, format) in [
        (format!("{one}\n{one}\n"), Format::Jsonl),
        (format!("{other}\n{one}\n"), Format::Jsonl),
        (json!([one]).to_string(), Format::Json),
        (json!({"requests": [other, one]}).to_string(), Format::Json),
    ] {
        let found = tasks(&text, format).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("batch API") && found[0].contains("params"), "{found:?}");
    }
}
