//! Every notation: text, and the tasks or mistakes that are read from it.

mod guide;
mod toml;

use cc_batch::{
    Plan,
    limits::{PROMPT_BYTES_LIMIT, TASKS_LIMIT},
};
use cc_protocol::execute::Program;

use super::*;

/// `line label|prompt` of each task, or `line: mistake` of each mistake.
fn shown(text: &str, format: Format) -> Vec<String> {
    match plan_of(text, format) {
        Ok((plan, places)) => plan
            .tasks
            .into_iter()
            .zip(places)
            .map(|(task, place)| {
                let label = task.execute.label.unwrap_or_default();
                let what = match task.execute.program {
                    Program::Prompt(prompt) => format!("{:?}", prompt.prompt),
                    Program::Argv { argv } => format!("argv {argv:?}"),
                    Program::Command { command } => format!("command {command:?}"),
                };
                format!("{place} {label}|{what}")
            })
            .collect(),
        Err(mistakes) => mistakes
            .into_iter()
            .map(|mistake| format!("{}: {}", mistake.place, mistake.what))
            .collect(),
    }
}

fn plan_of(text: &str, format: Format) -> Result<(Plan, Vec<Place>), Vec<Mistake>> {
    let file = parse_bytes(text.as_bytes(), format).unwrap();
    file.plan(Vec::new(), |_| {}).map(|judged| (judged.plan, judged.places))
}

#[test]
fn a_text_file_has_a_prompt_a_line() {
    for (text, expected) in [
        ("one\ntwo", &["1:1 |\"one\"", "2:1 |\"two\""][..]),
        ("\u{feff}one\r\n\r\n# no\r\n  # no\r\n\t two \r\n", &["1:1 |\"one\"", "5:3 |\"two\""]),
        ("- not a list", &["1:1 |\"- not a list\""]),
        ("", &["1:1: there are no tasks: every line is empty, begins with # or is done"]),
        ("\n# a\n", &["1:1: there are no tasks: every line is empty, begins with # or is done"]),
    ] {
        assert_eq!(shown(text, Format::Text), expected, "{text:?}");
    }
}

#[test]
fn in_a_text_file_only_a_hash_with_a_space_is_a_comment() {
    let ruler = |place: &str, sign: char| {
        format!(
            "{place}: a line of {sign:?} is no prompt: in a .txt file each line is one; for prompts of several \
             lines use a .md list, .jsonl, .toml, or a folder with a file for each"
        )
    };
    for (text, expected) in [
        ("#1 fix it\n#\n# no\n#\tno\n", vec!["1:1 |\"#1 fix it\"".to_owned()]),
        ("## no\n####\n###x\n", vec!["3:1 |\"###x\"".to_owned()]),
        ("#!/usr/bin/env ccx\na\n#!b\n", vec!["2:1 |\"a\"".to_owned(), "3:1 |\"#!b\"".to_owned()]),
        ("a\rb\r", vec!["1:1 |\"a\"".to_owned(), "2:1 |\"b\"".to_owned()]),
        ("a\n\n---\nb\n", vec![ruler("3:1", '-')]),
        ("a\n  =====  \n", vec![ruler("2:3", '=')]),
        ("```sh\nmake\n```\n", vec![ruler("1:1", '`'), ruler("3:1", '`')]),
        ("--\n", vec!["1:1 |\"--\"".to_owned()]),
        ("--- a\n", vec!["1:1 |\"--- a\"".to_owned()]),
        ("a\n\u{a0}\n", vec!["1:1 |\"a\"".to_owned()]),
    ] {
        assert_eq!(shown(text, Format::Text), expected, "{text:?}");
    }
    let notes = |text: &str| parse(text, Format::Text).notes(&Names::of_file("t"), false);
    assert_eq!(
        notes("#123 a\n#later\n"),
        ["t, line 2: run, although it begins with #: a comment has a space after it: #later"]
    );
}

#[test]
fn check_boxes_in_a_text_file_mean_what_they_mean_in_markdown() {
    let nested = |place: &str| {
        format!(
            "{place}: is nested below a check box, and in a .txt file each line is a prompt by itself; for prompts \
             of several lines name the file .md (--format markdown)"
        )
    };
    for (text, expected) in [
        ("- [x] a\n- [ ] b\n* [X] c\n~~d~~\n", vec!["2:1 |\"b\"".to_owned()]),
        ("[x] a\n[ ] b\n[-] c\n2) [ ] d\n", vec!["2:1 |\"b\"".to_owned(), "4:1 |\"d\"".to_owned()]),
        ("☑ a\n☐ b\nc\n", vec!["2:1 |\"b\"".to_owned()]),
        ("To do:\n  - [ ] a\n  - [] b\n", vec!["2:3 |\"a\"".to_owned(), "3:3 |\"b\"".to_owned()]),
        ("- [ ] a\n  - b\n\n    c\n- [x] d\n", vec![nested("2:3"), nested("4:5")]),
        ("- [ ] a\n- [ ]\n", vec!["2:1: the line is empty".to_owned()]),
        (
            "- [link](x) a\n[1] b\n- c\n",
            vec![
                "1:1 |\"- [link](x) a\"".to_owned(),
                "2:1 |\"[1] b\"".to_owned(),
                "3:1 |\"- c\"".to_owned(),
            ],
        ),
        ("✅ a\nb\n", vec!["2:1 |\"b\"".to_owned()]),
    ] {
        assert_eq!(shown(text, Format::Text), expected, "{text:?}");
    }
    let file = parse("Today:\n- [x] a\n[-] b\n[ ] c\n~~d~~\n", Format::Text);
    assert_eq!(
        file.notes(&Names::of_file("t"), false),
        [
            "t, line 1: passed over, without a check box: Today:",
            "t, line 2: passed over, done: a",
            "t, line 3: passed over, marked [-], which is neither open nor done: b",
            "t, line 5: passed over, struck out: ~~d~~",
        ]
    );
    assert_eq!(file.done(), 1);
}

#[test]
fn what_is_no_text_is_named_with_its_line() {
    let mistake = parse_bytes(b"one\ntwo\xff", Format::Text).unwrap_err();
    let place = Place { line: 2, column: 4 };
    assert_eq!(mistake, Mistake { place, what: "is no UTF-8 text".to_owned() });
}

#[test]
fn a_markdown_file_has_a_prompt_an_item() {
    for (text, expected) in [
        ("- one\n- two\n", &["1:1 |\"one\"", "2:1 |\"two\""][..]),
        (
            "* one\n\n+ two\n\n1. three\n2) four\n",
            &["1:1 |\"one\"", "3:1 |\"two\"", "5:1 |\"three\"", "6:1 |\"four\""],
        ),
        ("- [ ] open\n- [x] done\n- [X] done\n  - of the done one\n", &["1:1 |\"open\""]),
        (
            "- [X] done\n  - [ ] still to be done\n  - [x] done\n",
            &["2:3 done: still to be done|\"still to be done\""],
        ),
        ("intro\n\n- one\n  goes on\nlazily\n", &["3:1 |\"one\\ngoes on\\nlazily\""]),
        ("- [ ] a\n  - b\n    - c\n- [ ] d\n", &["1:1 |\"a\\n- b\\n  - c\"", "4:1 |\"d\""]),
        (
            "1. fix:\n\n   ```sh\n     make\n\n   ```\n2. next\n",
            &["1:1 |\"fix:\\n\\n```sh\\n  make\\n\\n```\"", "7:1 |\"next\""],
        ),
        (
            "# Plan\n- a\n## Part *one*\n- b\n## Part two\n- c\n# Rest\n- d\n",
            &[
                "2:1 Plan: a|\"a\"",
                "4:1 Plan / Part one: b|\"b\"",
                "6:1 Plan / Part two: c|\"c\"",
                "8:1 Rest: d|\"d\"",
            ],
        ),
        ("- # heading\n\n  text\n", &["1:1 |\"# heading\\n\\ntext\""]),
        ("> - quoted\n\n- real\n", &["3:1 |\"real\""]),
        ("```\n- code\n```\n- real\n", &["4:1 |\"real\""]),
        ("- a\n-\n- b\n", &["2:1: the item is empty"]),
        ("- a\n- [ ]\n", &["2:1: the item is empty"]),
        (
            "only text\n",
            &[
                "1:1: there are no tasks; a prompt each are check boxes (\"- [ ] ...\"), the items of a list (\"- ...\", \
               \"1. ...\"), and headings with the text below them (\"## Task 1: ...\", \"## 1. ...\"); a file that is \
               one prompt as a whole goes into a folder (ccx batch FOLDER)",
            ],
        ),
        ("## Done\n- a\n", &["1:1: there are no tasks: no list has an item that is not done"]),
        (
            "- [x] a\n- b\n",
            &[
                "1:1: there are no tasks: no check box is open ([ ]), and where a file has check boxes nothing without \
               one is a task",
            ],
        ),
        ("- a\r\n  b\r\n- c\r\n", &["1:1 |\"a\\nb\"", "3:1 |\"c\""]),
        ("- äöü\n  - 日本\n", &["1:1 |\"äöü\\n- 日本\""]),
    ] {
        assert_eq!(shown(text, Format::Markdown), expected, "{text:?}");
    }
}

#[test]
fn a_jsonl_file_has_an_object_a_line() {
    for (text, expected) in [
        (r#"{"prompt":"hi","label":"x"}"#, &["1:1 x|\"hi\""][..]),
        (
            "{\"argv\":[\"ls\",\"-l\"]}\n\n{\"command\":\"ls\"}",
            &["1:1 |argv [\"ls\", \"-l\"]", "3:1 |command \"ls\""],
        ),
        (r#"{"argv":["ls"],"timeout":null}"#, &["1:1 |argv [\"ls\"]"]),
    ] {
        assert_eq!(shown(text, Format::Jsonl), expected, "{text:?}");
    }
}

#[test]
fn every_mistake_of_a_jsonl_file_is_found_at_once() {
    let text = [
        r#"{"prompt":"fine"}"#,
        r#"{"prompt":"ä","timeuot":5, "moddel":"m"}"#,
        r#"  {"command":"ls","moddel":"m"}"#,
        r#"{"argv":["ls"],"id":1}"#,
        r#"{"prompt":"a","argv":["b"]}"#,
        r#"{"prompt":"#,
        r#"["ls"]"#,
        r#"{"argv":["ls"],"timeout":"5"}"#,
        r#"{"timeout":-1}"#,
        r#"{"argv":[],"model":"m","cwd":5}"#,
        r#"{"command":"ls","command":"rm"}"#,
        r#"{"command":"ls","timeout":1e999}"#,
        r#"{"command":"a", "detach":true}"#,
        r#"{"command":"ä" "cwd":"x"}"#,
    ]
    .join("\n");
    let mistakes = shown(&text, Format::Jsonl);
    insta::assert_snapshot!(mistakes.join("\n"), @r#"
        2:15: timeuot is unknown; did you mean "timeout"?
        2:28: moddel is unknown; did you mean "model"?
        3:19: moddel is unknown; did you mean "model"?
        4:16: id is unknown; known are name, needs, retries, retry_timed_out, allow_failure, timeout, command, argv, prompt, cwd, env, idle_timeout, max_output_bytes, max_line_bytes, max_memory_bytes, max_processes, max_cpu_percent, max_open_files, label, model, allowed_tools, permission_mode, append_system_prompt, max_turns, resume_claude_session, extra_args
        5:2: prompt cannot be combined: give only one of command, argv and prompt
        6:10: is no JSON: EOF while parsing a value
        7:1: must be an object, such as {"prompt": "..."}
        8:16: timeout is "5"; it takes a number of seconds and "auto"
        9:1: command is missing: give one of command, argv and prompt
        9:2: timeout must be a number of seconds greater than 0 and at most 31536000 (a year)
        10:2: argv must begin with the name of a program
        10:12: model goes only with prompt
        10:24: cwd must be a string
        11:17: command is there twice
        12:31: is no JSON: number out of range
        13:17: detach is unknown; known are name, needs, retries, retry_timed_out, allow_failure, timeout, command, argv, prompt, cwd, env, idle_timeout, max_output_bytes, max_line_bytes, max_memory_bytes, max_processes, max_cpu_percent, max_open_files, label, model, allowed_tools, permission_mode, append_system_prompt, max_turns, resume_claude_session, extra_args
        14:16: is no JSON: expected `,` or `}`
        "#);
}

#[test]
fn a_batch_has_at_most_10_000_tasks() {
    let text = "do it\n".repeat(TASKS_LIMIT);
    assert_eq!(plan_of(&text, Format::Text).unwrap().0.tasks.len(), TASKS_LIMIT);
    let one_more = shown(&(text + "and that"), Format::Text);
    assert_eq!(one_more, ["10001:1: a batch may have at most 10000 tasks"]);
}

#[test]
fn a_prompt_has_at_most_10_mb_in_every_notation() {
    let longest = "x".repeat(PROMPT_BYTES_LIMIT);
    for (format, before, after, place) in [
        (Format::Text, "  ", "", "1:3"),
        (Format::Markdown, "\n- ", "", "2:1"),
        (Format::Jsonl, r#"{"label":"l","prompt":""#, r#""}"#, "1:14"),
        (Format::Json, r#"[{"prompt":""#, r#""}]"#, "1:3"),
        (Format::Toml, "[[tasks]]\nprompt = \"", "\"", "2:1"),
    ] {
        let (plan, _) = plan_of(&format!("{before}{longest}{after}"), format).unwrap();
        assert_eq!(plan.tasks.len(), 1);
        let mistakes = shown(&format!("{before}x{longest}{after}"), format);
        assert_eq!(mistakes.len(), 1, "{format:?}");
        assert!(
            mistakes[0].starts_with(&format!("{place}: prompt has 10000001 bytes")),
            "{mistakes:?}"
        );
    }
}

#[test]
fn a_complaint_names_file_and_line_of_each_mistake() {
    let mistakes = shown_mistakes(3);
    insta::assert_snapshot!(complaint(&Names::of_file("tasks.jsonl"), &mistakes, &[]).to_string(), @r#"
        3 mistakes in tasks.jsonl; nothing was started
        tasks.jsonl:1:7: mistake 1
        tasks.jsonl:2:7: mistake 2
        tasks.jsonl:3:7: mistake 3
        "#);
    assert!(
        complaint(&Names::of_file("x"), &shown_mistakes(60), &[])
            .to_string()
            .ends_with("\n... and 10 more")
    );
}

#[test]
fn mistakes_of_one_kind_are_said_once() {
    let text =
        "{\"prompt\":\"a\",\"colour\":1}\n".repeat(40) + "{\"prompt\":\"a\",\"flavour\":1}\n";
    let mistakes = plan_of(&text, Format::Jsonl).unwrap_err();
    let complaint = complaint(&Names::of_file("t"), &mistakes, &[]).to_string();
    let lines: Vec<&str> = complaint.lines().collect();
    assert_eq!(lines[0], "41 mistakes in t; nothing was started");
    assert!(lines[1].starts_with("t:1:15: colour is unknown; known are name, "), "{complaint}");
    assert!(lines[1].ends_with(" (the same in lines 2-40)"), "{complaint}");
    assert_eq!(lines[2..], ["t:41:15: flavour is unknown"]);
}

fn shown_mistakes(count: usize) -> Vec<Mistake> {
    (1..=count)
        .map(|line| Mistake { place: Place { line, column: 7 }, what: format!("mistake {line}") })
        .collect()
}

#[test]
fn the_ending_says_how_to_read_a_file() {
    assert_eq!(by_ending(Path::new("a/b.TXT")), Some(Format::Text));
    assert_eq!(by_ending(Path::new("b.md")), Some(Format::Markdown));
    assert_eq!(by_ending(Path::new("b.jsonl")), Some(Format::Jsonl));
    assert_eq!(by_ending(Path::new("b.json")), Some(Format::Json));
    assert_eq!(by_ending(Path::new("b.toml")), Some(Format::Toml));
    assert_eq!(by_ending(Path::new("txt")), None);
}
