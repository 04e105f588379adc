use cc_protocol::execute::Program;
use serde_json::{Value, json};

use super::*;
use crate::{limits::TASKS_LIMIT, mistake::Mistakes, template::Missing};

fn read(plan: Value) -> Result<Plan, Mistakes> {
    let Value::Object(params) = plan else { panic!("no object") };
    Plan::from_params(params)
}

fn read_tasks(tasks: Value) -> Result<Plan, Mistakes> {
    read(json!({ "tasks": tasks }))
}

/// What is said about a plan that is wrong, a line a mistake.
fn complaints(plan: Value) -> Vec<String> {
    read(plan).unwrap_err().list.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_said_has_its_stated_default() {
    let plan = read_tasks(json!([{"prompt": "hello"}])).unwrap();
    assert_eq!(plan.options, Options::default());
    assert_eq!(plan.options.jobs, 1);
    assert_eq!(plan.options.halt, Halt::Never);
    assert_eq!(plan.options.on_lost, OnLost::Stop);
    assert_eq!(plan.tasks[0].retries, 2);
    assert_eq!(plan.tasks[0].timeout, Timeout::Default);
    assert_eq!(plan.needs(), [vec![]]);
}

#[test]
fn every_member_is_read_and_written_again_as_the_same_plan() {
    let value = json!({
        "name": "nightly",
        "idempotency_key": "k-1",
        "options": {
            "jobs": 3, "claude_jobs": 2, "halt": "soon,fail=3", "max_cost_usd": 12.5, "max_time_s": 3600,
            "on_lost": "retry", "auth": "let_cli_retry",
            "defaults": {"cwd": "/srv", "model": "opus", "env": {"A": "1", "B": "2"}, "timeout": "auto"},
            "hooks": {
                "before_task": {"argv": ["prepare", "x"]},
                "after_task": {"command": "echo done", "timeout": 5},
                "after_batch": {"command": "notify"},
            },
        },
        "tasks": [
            {"name": "a", "prompt": "p", "retries": 0, "env": {"B": null}, "allow_failure": true},
            {"name": "b", "argv": ["x", "{{tasks.a.result}}"], "timeout": 7.5, "retry_timed_out": true,
             "idle_timeout": 3, "label": "l", "cwd": null},
            {"command": "ls {{tasks.b.result}}", "needs": ["a"]},
        ],
    });
    let plan = read(value).unwrap();
    assert_eq!(plan.options.halt, Halt::Soon { failures: 3 });
    assert_eq!(plan.options.on_lost, OnLost::Retry);
    let hook = plan.options.hooks.before_task.as_ref().unwrap();
    assert_eq!(hook.execute.timeout, Some(60.0), "a hook is always bounded");
    let Program::Prompt(prompt) = &plan.tasks[0].execute.program else { panic!("a prompt") };
    assert_eq!(prompt.model.as_deref(), Some("opus"));
    assert_eq!(plan.tasks[0].execute.env["A"].as_deref(), Some("1"));
    assert_eq!(plan.tasks[0].execute.env["B"], None);
    assert_eq!(plan.tasks[0].timeout, Timeout::Auto);
    assert_eq!(plan.tasks[1].timeout, Timeout::Seconds(7.5));
    assert_eq!(plan.tasks[1].execute.cwd, None, "null says none, also against a default");
    assert_eq!(plan.tasks[2].execute.cwd.as_deref(), Some("/srv"));
    let need = |task, result| Need { task, result };
    assert_eq!(plan.needs(), [vec![], vec![need(0, true)], vec![need(0, false), need(1, true)]]);

    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan, "{text}");
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_task_and_member() {
    let found = complaints(json!({
        "nmae": "x",
        "options": {"jobs": 0, "halt": "soon", "on_lost": "no", "hooks": {"before_task": {"argv": []}},
                    "defaults": {"retires": 1, "prompt": "x"}},
        "tasks": [
            {"name": "build", "prompt": "", "timeuot": 5, "retries": -1},
            {"name": "no good", "command": "ls", "model": "m", "idle_timeout": 0, "detach": true},
            5,
            {"argv": ["a"], "command": "b", "timeout": "soon", "id": 1},
            {"cwd": "/"},
        ],
    }));
    let expected = [
        "nmae is unknown; did you mean \"name\"?",
        "options.jobs must be a whole number from 1 to 200",
        "options.halt is \"soon\"; it takes \"never\", \"soon,fail=N\" and \"now,fail=N\"",
        "options.on_lost is \"no\"; it takes \"stop\", \"continue\" and \"retry\"",
        "options.hooks.before_task.argv must begin with the name of a program",
        "options.defaults.prompt has no default: each task says it itself",
        "options.defaults.retires is unknown; did you mean \"retries\"?",
        "task 1 (build): timeuot is unknown; did you mean \"timeout\"?",
        "task 1 (build): retries must be a whole number from 0 to 100",
        "task 1 (build): prompt must not be empty",
        "task 2: name must be 1 to 100 characters of A-Z, a-z, 0-9, '_', '.' and '-'",
        "task 2: detach is unknown; known are",
        "task 2: model goes only with prompt",
        "task 2: idle_timeout must be a number of seconds greater than 0",
        "task 3: task must be an object, such as {\"prompt\": \"...\"}",
        "task 4: id is unknown; known are",
        "task 4: timeout is \"soon\"; it takes a number of seconds and \"auto\"",
        "task 4: argv cannot be combined",
        "task 5: command is missing: give one of command, argv and prompt",
    ];
    for expected in expected {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}\nin {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    let indices: Vec<&String> = found.iter().filter(|line| line.starts_with("task ")).collect();
    assert!(indices.is_sorted_by_key(|line| line.as_bytes()[5]), "{found:#?}");
}

#[test]
fn names_occur_once_and_references_lead_to_tasks() {
    let found = complaints(json!({"tasks": [
        {"name": "a", "prompt": "{{prev.result}}"},
        {"name": "a", "prompt": "x"},
        {"name": "c", "prompt": "{{tasks.c.result}} {{tasks.d.result}} {{tasks.zebra.result}}"},
        {"name": "d", "prompt": "{{nonsense}}", "needs": ["buidl", "a"]},
        {"name": "build", "command": "echo '{{prev.result}}'"},
    ]}));
    for expected in [
        "task 1 (a): prompt uses {{prev.result}}, but no task stands before this one",
        "task 2 (a): name is also the name of task 1",
        "task 3 (c): prompt refers to the task itself",
        "task 3 (c): prompt uses the result of task 4, which stands later",
        "task 3 (c): prompt refers to \"zebra\", which no task is",
        "task 4 (d): prompt has {{nonsense}}; between double braces only",
        "task 4 (d): needs refers to \"buidl\", which no task is; did you mean \"build\"?",
        "task 5 (build): command has a reference inside quotes",
    ] {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}\nin {found:#?}");
    }
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn what_tasks_say_of_each_other_is_judged_beside_their_other_mistakes() {
    let found = complaints(json!({"options": {"jobs": 0}, "tasks": [
        {"name": "a", "prompt": "{{tasks.nope.result}}", "timeuot": 5},
        {"name": "a", "prompt": 5, "needs": ["a", "gone"]},
        {"name": "c", "prompt": "{{tasks.b.result}} {{oops}}", "max_turns": "x"},
        {"name": "b", "argv": []},
        {"name": "my task", "prompt": "x"},
        {"argv": ["true"], "needs": ["my task"]},
    ]}));
    for expected in [
        "options.jobs must be",
        "task 1 (a): timeuot is unknown",
        "task 1 (a): prompt refers to \"nope\", which no task is",
        "task 2 (a): prompt must be",
        "task 2 (a): name is also the name of task 1",
        "task 2 (a): needs refers to \"gone\", which no task is",
        "task 3 (c): max_turns must be",
        "task 3 (c): prompt has {{oops}}",
        "task 4 (b): argv must begin",
        "task 5: name must be",
    ] {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}\nin {found:#?}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");
    // What could not be read at all may be what somebody refers to.
    let found = complaints(json!({"tasks": [5, {"prompt": "{{tasks.nope.result}} {{oops}}"}]}));
    assert_eq!(found.len(), 2, "{found:#?}");
    let found = complaints(json!({"tasks": [5, {"prompt": "{{tasks.nope.result}}"}]}));
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_later_task_may_be_used_where_needs_names_it() {
    let plan = read_tasks(json!([
        {"name": "report", "prompt": "{{tasks.data.result}}", "needs": ["data"]},
        {"name": "data", "prompt": "x"},
    ]));
    assert_eq!(plan.unwrap().needs()[0], [Need { task: 1, result: true }]);
}

#[test]
fn prev_has_no_meaning_side_by_side() {
    let found = complaints(json!({"options": {"jobs": 2}, "tasks": [
        {"prompt": "x"}, {"prompt": "{{prev.result}}"},
    ]}));
    assert!(found[0].starts_with("task 2: prompt uses {{prev.result}}, which has a meaning only"));
}

#[test]
fn a_circle_of_needs_is_named_with_its_members() {
    let found = complaints(json!({"tasks": [
        {"prompt": "x"},
        {"name": "a", "prompt": "x", "needs": ["b"]},
        {"name": "b", "prompt": "x", "needs": ["c"]},
        {"name": "c", "prompt": "x", "needs": ["a"]},
    ]}));
    assert_eq!(
        found,
        ["task 2 (a): needs goes in a circle, so that none could begin: \
          a needs b needs c needs a"]
    );
}

#[test]
fn limits_are_errors_that_name_the_limit() {
    let long = "x".repeat(PROMPT_LIMIT + 1);
    assert!(complaints(json!({"tasks": [{"prompt": long}]}))[0].contains("at most 10000000"));
    let many: Vec<Value> = vec![json!({"argv": ["true"]}); TASKS_LIMIT + 1];
    assert_eq!(
        complaints(json!({"tasks": many})),
        ["tasks holds 10001 tasks; at most 10000 are taken: split the batch"]
    );
    assert_eq!(complaints(json!({"tasks": []})), ["tasks is empty: a batch has at least one task"]);
    assert_eq!(complaints(json!({})), ["tasks is missing: a list of at least one task"]);
    let name = "n".repeat(101);
    assert!(complaints(json!({"tasks": [{"name": name, "prompt": "x"}]}))[0].contains("1 to 100"));
    assert!(
        complaints(json!({"idempotency_key": "", "tasks": [{"prompt": "x"}]}))[0].contains("200")
    );
    let found =
        complaints(json!({"options": {"hooks": {"after_batch": {"command": "x", "timeout": 1e5}}},
        "tasks": [{"prompt": "x"}]}));
    assert_eq!(found, ["options.hooks.after_batch.timeout must be at most 3600 seconds"]);
}

const PROMPT_LIMIT: usize = crate::limits::PROMPT_BYTES_LIMIT;

#[test]
fn a_flood_of_mistakes_is_cut_and_counted() {
    let tasks: Vec<Value> = vec![json!({"x": 1}); 700];
    let mistakes = read_tasks(Value::Array(tasks)).unwrap_err();
    assert_eq!((mistakes.list.len(), mistakes.further), (1_000, 400));
    assert!(mistakes.to_string().ends_with("and 400 more"));
}

#[test]
fn ten_thousand_tasks_in_a_chain_are_a_plan() {
    let tasks: Vec<Value> = (0..10_000)
        .map(|index| match index {
            0 => json!({"name": "t0", "prompt": "x"}),
            _ => json!({"name": format!("t{index}"), "prompt": "{{prev.result}}"}),
        })
        .collect();
    let plan = read_tasks(Value::Array(tasks)).unwrap();
    assert_eq!(plan.needs()[9_999], [Need { task: 9_998, result: true }]);
}

#[test]
fn an_attempt_runs_what_the_plan_says_with_results_filled_in() {
    let plan = read_tasks(json!([
        {"name": "a", "prompt": "x"},
        {"prompt": "{{tasks.a.result}} and {{prev.result}}"},
    ]));
    let plan = plan.unwrap();
    let execute = plan.execute(1, |task| (task == 0).then_some("R")).unwrap();
    let Program::Prompt(prompt) = execute.program else { panic!("a prompt") };
    assert_eq!(prompt.prompt, "R and R");
    assert_eq!(plan.execute(1, |_| None), Err(Missing { task: 0 }));
    assert_eq!(plan.execute(2, |_| Some("R")), Err(Missing { task: 2 }));
}

#[test]
fn what_is_left_of_a_task_whose_references_fill_in_to_nothing_is_named() {
    let plan = read_tasks(json!([
        {"name": "a", "prompt": "x"},
        {"prompt": "\n{{tasks.a.result}}{{prev.result}}"},
        {"prompt": "Look at {{tasks.a.result}}"},
        {"argv": ["{{tasks.a.result}}", "-l"]},
        {"command": "{{tasks.a.result}}"},
        {"command": "echo {{tasks.a.result}}"},
        {"prompt": "x", "cwd": "{{tasks.a.result}}"},
    ]));
    let plan = plan.unwrap();
    let emptied = |index: usize, result: &'static str| {
        plan.emptied(index, &plan.execute(index, |_| Some(result)).unwrap())
    };
    let of = |member: &str, references: &str| {
        Some(format!("its {member} is empty: {references} filled in to nothing"))
    };
    let a = "{{tasks.a.result}}";
    for (index, expected) in [
        (1, of("prompt", &format!("{a} and {{{{prev.result}}}}"))),
        (2, None),
        (3, of("argv[0]", a)),
        (4, of("command", a)),
        (5, None),
        (6, of("cwd", a)),
    ] {
        assert_eq!(emptied(index, " \u{a0}\n"), expected, "{index}");
        assert_eq!(emptied(index, "something"), None, "{index}");
    }
}

#[test]
fn the_plan_of_the_protocol_reference_is_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let is_submit = |line: &&str| line.contains(r#""method":"batch.submit""#);
    let request: Value = serde_json::from_str(reference.lines().find(is_submit).unwrap()).unwrap();
    let Value::Object(params) = request["params"].clone() else { panic!("no object") };
    let plan = Plan::from_params(params).unwrap();
    assert_eq!(plan.needs()[1], [Need { task: 0, result: true }]);
}
