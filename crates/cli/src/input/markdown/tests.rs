//! What is a task in Markdown and what is none, by tables, and that nothing is lost without a word, by chance.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// `3 "prompt"` of each task, then `3: what is said` of each note.
fn shown(text: &str) -> Vec<String> {
    let found = parse(text);
    assert!(found.mistakes.is_empty(), "{text:?}: {:?}", found.mistakes);
    let tasks = found.tasks.iter().map(|task| {
        let object = task.object.as_ref().unwrap();
        format!("{} {:?}", task.place.line, object.members["prompt"].as_str().unwrap())
    });
    let mut notes = found.notes.clone();
    notes.sort_by_key(|note| note.place);
    let notes = notes.iter().map(|note| format!("{}: {}", note.place.line, note.what));
    tasks.chain(notes).collect()
}

fn check(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        assert_eq!(shown(text), *expected, "{text}");
    }
}

#[test]
fn where_there_are_check_boxes_only_these_count_at_any_indentation() {
    check(&[
        ("Do:\n  - [x] a\n  - [ ] b\n", &["3 \"b\"", "2: passed over, done"]),
        ("# A\n\n    - [ ] a\n\tb\n", &["3 \"a\\nb\""]),
        ("- [ ] a\n\n\n        - [ ] part of a\n", &["1 \"a\\n\\n\\n      - [ ] part of a\""]),
        ("- [x] a\n        - [ ] b\n          c\n", &["2 \"b\\nc\"", "1: passed over, done"]),
        ("- Group\n  * [ ] a\n  * b\n", &["2 \"a\"", "3: passed over, without a check box"]),
        ("1) [X] a\n2) [ ] b\n", &["2 \"b\"", "1: passed over, done"]),
        (
            "+ [] a\n+ [ x ] b\n+ [x]c\n",
            &["1 \"a\"", "2: passed over, done", "3: passed over, done"],
        ),
        (
            "- [Parts](#parts)\n\n## Parts\n\n- [ ] a\n\n## Needed\n\n* a compiler\n",
            &[
                "5 \"a\"",
                "1: passed over, without a check box",
                "9: passed over, without a check box",
            ],
        ),
        ("- [ ] a\n- b\n", &["1 \"a\"", "2: passed over, without a check box"]),
        (
            "# Tasks\n- TODO: a\n- DONE: b\n- [ ] c\n\n1. d\n2. ✅ e\n",
            &[
                "4 \"c\"",
                "2: passed over, without a check box",
                "3: passed over, without a check box",
                "6: passed over, without a check box",
                "7: passed over, done",
            ],
        ),
        ("## Notes\n- [ ] a\n- b\n", &["2 \"a\"", "3: passed over, without a check box"]),
    ]);
}

#[test]
fn a_box_is_one_behind_any_bullet_and_without_one_too() {
    check(&[
        (
            "- [ ] a\n• [ ] b\n– [x] c\n-\u{a0}[ ] d\n  more\n· [-] e\n◦ ▢ f\n",
            &[
                "1 \"a\"",
                "2 \"b\"",
                "4 \"d\\nmore\"",
                "7 \"f\"",
                "3: passed over, done",
                "6: passed over, marked [-], which is neither open nor done",
            ],
        ),
        ("• [ ] a\n• b\n", &["1 \"a\"", "2: passed over, without a check box"]),
        ("# P\n\n    - [ ] a\n    - b\n", &["3 \"a\"", "4: passed over, without a check box"]),
        ("- a\n  • [ ] b\n", &["2 \"b\""]),
        ("- [x] a\n  • [ ] b\n  • c\n", &["2 \"b\"", "1: passed over, done"]),
        ("- [ ] a\n  • b\n  [ ] c\n", &["1 \"a\\n• b\\n[ ] c\""]),
        // Without a marker.
        (
            "To do:\n[ ] a\n[x] b\n[-] c\n\n☐ d\n  more\n☑ e\n",
            &[
                "2 \"a\"",
                "6 \"d\\nmore\"",
                "3: passed over, done",
                "4: passed over, marked [-], which is neither open nor done",
                "8: passed over, done",
            ],
        ),
        ("- [ ] a\n[ ] b\n[x] c\n", &["1 \"a\"", "2 \"b\"", "3: passed over, done"]),
        (
            "[ ] is open\n[x] is done\n\n- [ ] a\n",
            &[
                "4 \"a\"",
                "1: passed over, a check box without a \"- \" before it, beside lists with check boxes",
                "1: passed over, text beside the tasks",
                "2: passed over, a check box without a \"- \" before it, beside lists with check boxes",
            ],
        ),
        // A box in a sentence, and a tick before one.
        ("- print\n  [ ] for open\n", &["1 \"print\\n[ ] for open\""]),
        (
            "Print, as before,\n[ ] for open.\n\n✅ It works.\n\n- a\n",
            &[
                "6 \"a\"",
                "1: passed over, text beside the tasks",
                "4: passed over, text beside the tasks",
            ],
        ),
    ]);
}

#[test]
fn what_is_neither_open_nor_done_is_not_run_and_neither_is_what_stands_in_it() {
    for mark in ["-", "~", "/", ">", "!", "?", "*", "✓", "wip", "2"] {
        let text = format!("- [{mark}] a\n  - [ ] in a\n- [ ] b\n");
        let said = format!("1: passed over, marked [{mark}], which is neither open nor done");
        assert_eq!(shown(&text), ["3 \"b\"".to_owned(), said]);
    }
    let struck = "1: passed over, struck out";
    for text in ["- [ ] ~~a~~\n- [ ] b\n", "- ~~a~~ (too late)\n- b\n", "- <del>a</del>\n- b\n"] {
        assert_eq!(shown(text), ["2 \"b\"", struck]);
    }
}

#[test]
fn an_open_item_of_a_done_one_is_a_task_and_keeps_its_context_in_the_label() {
    let text = "# Plan\n- [x] Dates\n  - [x] read\n  - [ ] print\n    - all zones\n  - why: x\n";
    assert_eq!(
        shown(text),
        ["4 \"print\\n- all zones\"", "2: passed over, done", "3: passed over, done"]
    );
    let found = parse(text);
    let label = &found.tasks[0].object.as_ref().unwrap().members["label"];
    assert_eq!(label, "Plan / Dates: print");
}

#[test]
fn code_comments_quotes_html_tables_and_front_matter_are_no_tasks() {
    let text = "1: passed over, text beside the tasks";
    check(&[
        ("```\n- [ ] no\n```\n- [ ] a\n", &["4 \"a\"", text]),
        ("~~~md\n- [ ] no\n~~~\n- a\n", &["4 \"a\"", text]),
        ("<!-- - [ ] no -->\n- [ ] a\n", &["2 \"a\""]),
        ("words <!--\n- [ ] no\n- no\n-->\n\n- a\n", &["6 \"a\"", text]),
        ("`<!--` is code\n- [ ] a\n", &["2 \"a\"", "1: passed over, text beside the tasks"]),
        ("> - [ ] no\n\n- [ ] a\n", &["3 \"a\"", "1: passed over, in a quote"]),
        (
            "<details>\n- [ ] no\n</details>\n\n- [ ] a\n",
            &["5 \"a\"", "2: passed over, in HTML, which ends at an empty line"],
        ),
        ("| x | y |\n|---|---|\n| - [ ] no | z |\n\n- [ ] a\n", &["5 \"a\"", text]),
        (
            "---\ntitle: x\ntags:\n  - no\n- no\n---\n- a\n",
            &["7 \"a\"", "1: passed over, front matter"],
        ),
        ("---\n\n- a\n\n---\n- b\n", &["3 \"a\"", "6 \"b\""]),
        (
            "Like this:\n\n    - [ ] no\n\n- [ ] a\n",
            &["5 \"a\"", "3: passed over, text beside the tasks"],
        ),
    ]);
}

#[test]
fn a_plain_list_is_tasks_but_not_where_its_heading_or_its_links_say_otherwise() {
    check(&[
        (
            "- [a](#a)\n  - [b](#b)\n\n# a\n- [c](c.md)\n",
            &["5 \"[c](c.md)\"", "1: passed over, a link within the file"],
        ),
        (
            "## Requirements\n- x\n## To do\n- a\n## Done\n- b\n",
            &[
                "4 \"a\"",
                "2: passed over, below \"Requirements\", which is no heading of tasks",
                "6: passed over, done",
            ],
        ),
        (
            "Done:\n- a\n\nThe rest,\n**To do:**\n\n* b\n\n__Completed tasks__\n\n1. c\n\nNotes:\n- d\n",
            &[
                "7 \"b\"",
                "2: passed over, done",
                "4: passed over, text beside the tasks",
                "9: passed over, text beside the tasks",
                "11: passed over, done",
                "14: passed over, below \"Notes:\", which is no heading of tasks",
            ],
        ),
        ("- Done\n  - a\n- To do\n  - b\n", &["3 \"To do\\n- b\"", "1: passed over, done"]),
        ("When that is done\n- a\n", &["2 \"a\"", "1: passed over, text beside the tasks"]),
        // Where nothing else is there, that is what is meant.
        ("## Requirements\n- x\n", &["2 \"x\""]),
        ("- [1] a\n- [wip] b\n", &["1 \"[1] a\"", "2 \"[wip] b\""]),
    ]);
}

#[test]
fn a_heading_that_is_a_task_has_all_that_stands_below_it() {
    check(&[
        (
            "# S\n\n### Task 1: A\n\nText.\n\n- one\n- two\n\n#### Hints\n\nMore.\n\n### Task 2: B\n",
            &[
                "3 \"Task 1: A\\n\\nText.\\n\\n- one\\n- two\\n\\n#### Hints\\n\\nMore.\"",
                "14 \"Task 2: B\"",
            ],
        ),
        (
            "## Task 1: A\n\nText.\n- [x] s\n- [ ] t\n\n## Task 2: B\n\nText.\n- [x] u\n",
            &["1 \"Task 1: A\\n\\nText.\\n- [x] s\\n- [ ] t\"", "7: passed over, done"],
        ),
        // Only boxes: each is a task.
        ("## Task 1: A\n- [ ] s\n- [ ] t\n", &["2 \"s\"", "3 \"t\""]),
        (
            "## Task 1: A\n### Task 1.1: B\nText.\n### Task 1.2: C\nText.\n## Notes\n- x\n",
            &[
                "2 \"Task 1.1: B\\n\\nText.\"",
                "4 \"Task 1.2: C\\n\\nText.\"",
                "7: passed over, beside the tasks, which have headings of their own",
            ],
        ),
        (
            "## [x] Task 1: A\nText.\n## ~~Task 2: B~~\nText.\n## Task 3: C\n**Status**: done\n## Task 4: D\n",
            &[
                "7 \"Task 4: D\"",
                "1: passed over, done",
                "3: passed over, struck out",
                "5: passed over, done",
            ],
        ),
    ]);
}

#[test]
fn without_lists_numbered_headings_and_paragraphs_are_tasks_with_their_text() {
    let beside = "passed over, text beside the tasks";
    check(&[
        (
            "# Plan\n\nWords.\n\n## 1. A\nText.\n\n## 2. B ✅\nText.\n\n## Step 3: C\n\nMore.\n",
            &[
                "5 \"1. A\\n\\nText.\"",
                "11 \"Step 3: C\\n\\nMore.\"",
                &format!("3: {beside}"),
                "8: passed over, done",
            ],
        ),
        ("## 1. Background\nText.\n## 2. B\n", &["3 \"2. B\"", &format!("2: {beside}")]),
        (
            "Words.\n\n**Task 1:** A\n\nMore.\n\n**Task 2: B (done)**\n\n**Task 3:** C\n\n## Notes\n\nWords.\n",
            &[
                "3 \"**Task 1:** A\\n\\nMore.\"",
                "9 \"**Task 3:** C\"",
                &format!("1: {beside}"),
                "7: passed over, done",
                &format!("13: {beside}"),
            ],
        ),
        ("Task 1: A\nTask 2: B\n", &["1 \"Task 1: A\"", "2 \"Task 2: B\""]),
        // Lists and headings by their words come first.
        ("## 1. A\n- a\n", &["2 \"a\""]),
        ("## 1. A\n\n### Task 1: B\n", &["3 \"Task 1: B\""]),
        (
            "# Done\n## Task 1: A\n# Next\n## Task 2: B\n",
            &["4 \"Task 2: B\"", "2: passed over, done"],
        ),
    ]);
}

#[test]
fn a_file_that_is_one_task_is_not_split_into_what_that_must_fulfil() {
    let whole = "1: the file is one task: its lists say what that task must fulfil";
    for criteria in [
        "## Acceptance criteria\n- [ ] #1 x\n- [ ] #2 y",
        "**Acceptance:**\n- x\n- y",
        "Definition of done:\n\n1. x",
    ] {
        let text = format!("Fix the parser.\n\n{criteria}\n");
        let prompt = format!("1 {:?}", text.trim());
        assert_eq!(shown(&text), [prompt.as_str(), whole]);
    }
    // Of a plan with other boxes they are no tasks either.
    assert_eq!(
        shown("- [ ] a\n\n## Acceptance criteria\n\n- [ ] all pass\n"),
        ["1 \"a\"", "5: passed over, what a task must fulfil and no task"]
    );
    let done = "Fix it.\n\n## Acceptance criteria\n- [x] x\n";
    assert_eq!(shown(done), ["1: passed over, done"]);
}

/// A line of a made-up plan: how deep, which mark, which word.
fn lines() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    prop::collection::vec((0..4_usize, 0..7_usize, 0..1000_usize), 1..24)
}

const MARKS: [&str; 7] = ["[ ] ", "[ ] ", "[x] ", "[X] ", "[-] ", "", "[ ] ~~x~~ "];

fn plan(lines: &[(usize, usize, usize)]) -> String {
    let mut depth = 0;
    let line = |(number, (wish, mark, word)): (usize, &(usize, usize, usize))| {
        depth = (*wish).min(if number == 0 { 0 } else { depth + 1 });
        format!("{}- {}w{number}x{word}\n", "  ".repeat(depth), MARKS[*mark])
    };
    lines.iter().enumerate().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_item_is_a_task_or_in_one_or_said_and_none_is_more_than_one(lines in lines()) {
        let text = plan(&lines);
        prop_assume!(lines.iter().any(|(_, mark, _)| *mark < 5));
        let found = parse(&text);
        let prompts: Vec<(usize, &str)> = found.tasks.iter().map(|task| {
            let prompt = task.object.as_ref().and_then(|it| it.members["prompt"].as_str());
            (task.place.line, prompt.unwrap())
        }).collect();
        for (index, (_, mark, word)) in lines.iter().enumerate() {
            let (line, word) = (index + 1, format!("w{index}x{word}"));
            let times: usize = prompts.iter().map(|(_, prompt)| prompt.matches(&*word).count()).sum();
            prop_assert!(times <= 1, "{word} is run {times} times:\n{text}");
            let is_own = prompts.iter().any(|(at, _)| *at == line);
            // What is done, has no mark or another one, or is struck out is never a task by itself.
            prop_assert!(!is_own || *mark < 2, "{word} is a task:\n{text}");
            let is_said = found.notes.iter().any(|note| note.place.line == line);
            let is_open = *mark < 2;
            let is_below_said = || above(&lines, index).any(|up| {
                found.notes.iter().any(|note| note.place.line == up + 1)
            });
            let is_name = *mark == 5;
            prop_assert!(
                times == 1 || is_said || is_below_said() || is_name,
                "{word} is lost (open: {is_open}):\n{text}"
            );
        }
    }

    #[test]
    fn no_text_is_too_strange(pieces in prop::collection::vec(0..27_usize, 0..60)) {
        const PIECES: [&str; 27] = [
            "- ", "* ", "1. ", "[ ] ", "[x] ", "[-]", "\n", "\n\n", "    ", "\t", "# ", "### Task 1: ",
            "~~", "```", "<!--", "-->", "> ", "---\n", "é", "日本", "a: b", "](#x)", "\r\n", "Acceptance:\n",
            "• ", "-\u{a0}", "☐ ",
        ];
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let found = parse(&text);
        for task in &found.tasks {
            let prompt = task.object.as_ref().and_then(|object| object.members.get("prompt"));
            prop_assert!(prompt.and_then(Value::as_str).is_some_and(|prompt| !prompt.is_empty()));
        }
    }
}

/// The items that an item stands in.
fn above(lines: &[(usize, usize, usize)], index: usize) -> impl Iterator<Item = usize> {
    let mut depths = Vec::new();
    let mut depth = 0;
    for (number, (wish, ..)) in lines.iter().enumerate() {
        depth = (*wish).min(if number == 0 { 0 } else { depth + 1 });
        depths.push(depth);
    }
    let mut limit = depths[index];
    let ups: Vec<usize> = (0..index)
        .rev()
        .filter(|up| {
            let is_up = depths[*up] < limit;
            if is_up {
                limit = depths[*up];
            }
            is_up
        })
        .collect();
    ups.into_iter()
}
