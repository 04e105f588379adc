//! Files in TOML.

use cc_batch::plan::{Halt, Timeout};

use super::*;

#[test]
fn a_toml_file_is_a_batch_with_defaults_and_options() {
    let text = r#"
[defaults]
model = "sonnet"
timeout = 1_800
env = { CI = "1" }

[options]
fail_fast = true
joblog = "night.joblog"

[[tasks]]
label = "first"
prompt = """
Look at it.
Then say so."""

[[tasks]]
argv = ["make", "test"]
timeout = 0.5
"#;
    assert_eq!(
        shown(text, Format::Toml),
        ["11:1 first|\"Look at it.\\nThen say so.\"", "17:1 |argv [\"make\", \"test\"]"]
    );
    let options = parse(text, Format::Toml).options().clone();
    assert_eq!(options.joblog.as_deref(), Some(Path::new("night.joblog")));
    let (plan, _) = plan_of(text, Format::Toml).unwrap();
    let [first, second] = plan.tasks.as_slice() else { panic!("another number of tasks") };
    assert_eq!((first.timeout, second.timeout), (Timeout::Seconds(1800.0), Timeout::Seconds(0.5)));
    assert_eq!(first.execute.env["CI"].as_deref(), Some("1"));
    let Program::Prompt(prompt) = &first.execute.program else { panic!("another program") };
    assert_eq!(prompt.model.as_deref(), Some("sonnet"));
    assert_eq!(plan.options.halt, Halt::Soon { failures: 1 });
}

#[test]
fn the_options_of_a_toml_file_are_those_of_the_command_line() {
    let text = r#"
[options]
name = "night"
idempotency_key = "k"
jobs = 3
claude_jobs = 2
halt = "now,fail=2"
fail_fast = true
max_cost = 20
max_time = "8h"
retries = 5
timeout = "auto"
on_lost = "retry"
auth = "let-cli-retry"
before_task = "test -d ."
after_batch = { argv = ["true"], timeout = 5 }
[defaults]
retries = 1
[[tasks]]
name = "a"
command = "true"
[[tasks]]
command = "echo {{tasks.a.result}}"
needs = ["a"]
retries = 0
"#;
    let (plan, _) = plan_of(text, Format::Toml).unwrap();
    let plan = serde_json::to_value(plan).unwrap();
    let options = &plan["options"];
    assert_eq!((&plan["name"], &plan["idempotency_key"]), (&"night".into(), &"k".into()));
    assert_eq!((&options["jobs"], &options["claude_jobs"]), (&3.into(), &2.into()));
    assert_eq!(options["halt"], "now,fail=2", "it says more than fail_fast");
    assert_eq!((&options["max_cost_usd"], &options["max_time_s"]), (&20.0.into(), &28800.0.into()));
    assert_eq!((&options["on_lost"], &options["auth"]), (&"retry".into(), &"let_cli_retry".into()));
    assert_eq!(options["hooks"]["before_task"]["command"], "test -d .");
    assert_eq!(options["hooks"]["after_batch"]["timeout"], 5.0);
    let tasks = plan["tasks"].as_array().unwrap();
    assert_eq!((&tasks[0]["timeout"], &tasks[0]["retries"]), (&"auto".into(), &1.into()));
    assert_eq!(tasks[1]["retries"], 0);
}

#[test]
fn what_tasks_say_of_each_other_is_checked_with_line_and_column() {
    let text = r#"{"name":"a","prompt":"x {{tasks.b.result}}"}
{"name":"a","command":"echo {{prev.reslut}}"}
{"name":"c","command":"true","needs":["e"]}
{"prompt":"{{tasks.d.result}}","needs":["c"]}
{"command":"true","retries":-1,"timeout":"long"}
"#;
    insta::assert_snapshot!(shown(text, Format::Jsonl).join("\n"), @r#"
        1:13: prompt refers to "b", which no task is; did you mean "a"?
        2:2: name is also the name of task 1: each name may occur once
        2:13: command has {{prev.reslut}}; between double braces only tasks.NAME.result and prev.result are allowed; write {{{{ where {{ is meant
        3:30: needs refers to "e", which no task is; did you mean "a"?
        4:2: prompt refers to "d", which no task is; did you mean "a"?
        5:19: retries must be a whole number from 0 to 100
        5:32: timeout is "long"; it takes a number of seconds and "auto"
        "#);
    // Of a file that could not be read whole it is not known which names there are.
    let broken = "{\"prompt\":\"{{tasks.a.result}}\"}\n{\"name\":\"a\",";
    assert_eq!(shown(broken, Format::Jsonl).len(), 1);
    // Of a line that is wrong by itself, and of a file with wrong options, it is.
    let text = r#"{"name":"a","prompt":"{{tasks.nope.result}}","timeuot":5}
{"name":"a","prompt":"x {{prev.reslut}}","max_turns":"all"}
{"command":"true","needs":["a","gone"]}
"#;
    insta::assert_snapshot!(shown(text, Format::Jsonl).join("\n"), @r#"
        1:13: prompt refers to "nope", which no task is
        1:46: timeuot is unknown; did you mean "timeout"?
        2:2: name is also the name of task 1: each name may occur once
        2:13: prompt has {{prev.reslut}}; between double braces only tasks.NAME.result and prev.result are allowed; write {{{{ where {{ is meant
        2:42: max_turns must be a whole number greater than 0
        3:19: needs refers to "gone", which no task is
        "#);
    let text = "[options]\njobbs = 1\n[[tasks]]\nprompt = \"{{tasks.nope.result}}\"\n";
    insta::assert_snapshot!(shown(text, Format::Toml).join("\n"), @r#"
        2:1: jobbs is unknown; did you mean "jobs"?
        4:1: prompt refers to "nope", which no task is
        "#);
    insta::assert_snapshot!(shown("one {{x}}\n{{prev.result}} two", Format::Text).join("\n"), @r#"1:1: prompt has {{x}}; between double braces only tasks.NAME.result and prev.result are allowed; write {{{{ where {{ is meant"#);
}

#[test]
fn every_mistake_of_a_toml_file_is_found_at_once() {
    let text = r#"
title = "x"
[default]
[defaults]
prompt = "no"
timeuot = 5
timeout = "long"
[options]
fail_fats = true
joblog = 5
[[tasks]]
label = "nothing to do"
[[tasks]]
prompt = "a"
argv = ["b"]
max_turns = 0
[[tasks]]
command = "ls"
model = "m"
cwd = 2026-01-01
[[tasks]]
command = "ls"
model = "m"
id = 5
"#;
    insta::assert_snapshot!(shown(text, Format::Toml).join("\n"), @r#"
        2:1: title is unknown; known are defaults, options, tasks
        3:2: default is unknown; did you mean "defaults"?
        5:1: prompt has no default: each task says it itself
        6:1: timeuot is unknown; did you mean "timeout"?
        7:1: timeout is "long"; it takes a number of seconds and "auto"
        9:1: fail_fats is unknown; did you mean "fail_fast"?
        10:1: joblog must be a string that is not empty
        11:1: command is missing: give one of command, argv and prompt
        14:1: prompt cannot be combined: give only one of command, argv and prompt
        16:1: max_turns goes only with prompt
        19:1: model goes only with prompt
        20:7: cwd must not be a date; quote a text
        23:1: model goes only with prompt
        24:1: id is unknown; known are name, needs, retries, retry_timed_out, allow_failure, timeout, command, argv, prompt, cwd, env, idle_timeout, max_output_bytes, max_line_bytes, max_memory_bytes, max_processes, max_cpu_percent, max_open_files, label, model, allowed_tools, permission_mode, append_system_prompt, max_turns, resume_claude_session, extra_args
        "#);
    assert_eq!(shown("tasks = 5", Format::Toml), ["1:9: tasks must be tables: write [[tasks]]"]);
    assert_eq!(
        shown("[defaults]\n", Format::Toml),
        ["1:1: there are no tasks: begin each with a line [[tasks]]"]
    );
}

#[test]
fn what_is_no_toml_is_named_without_guesses_about_the_rest() {
    let text = r#"
[[tasks]]
prompt = "unfinished
label = "x"
[[tasks]]
prompt = "fine"
timeuot = 5
[[tasks]]
prompt = "a"
prompt = "b"
"#;
    insta::assert_snapshot!(shown(text, Format::Toml).join("\n"), @r#"
        3:21: is no TOML: invalid basic string, expected `"`
        7:1: timeuot is unknown; did you mean "timeout"?
        10:1: is no TOML: duplicate key
        "#);
}
