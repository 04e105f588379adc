//! Task files: text to tasks, or to all that is wrong with it.
//!
//! A file is read whole and judged whole: every mistake is found before anything runs, because a
//! batch that stops at a typing error in line 40 after an hour is worse than one that never started.

mod jsonl;
mod markdown;
mod plain;

use std::{fs::File, io::Read, path::Path};

use cc_protocol::execute::{Execute, Program, Prompt};

use crate::{args::Format, failure::Failure, text};

/// Largest task file.
const FILE_BYTES_LIMIT: u64 = 64 * 1024 * 1024;
/// Most tasks of a file.
const TASKS_LIMIT: usize = 100_000;
/// Most mistakes that are printed.
const SHOWN_MISTAKES_LIMIT: usize = 50;
/// Longest label that is made of a heading and a prompt.
const LABEL_CHARS_LIMIT: usize = 100;

/// A task as its file has it: without the command line's defaults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileTask {
    /// From 1.
    pub(crate) line: usize,
    /// What to send.
    pub(crate) execute: Execute,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// From 1.
    pub(crate) line: usize,
    /// What is wrong, and what would be right.
    pub(crate) what: String,
}

/// Tasks and mistakes in the order of their lines.
#[derive(Debug, Default)]
struct Found {
    tasks: Vec<FileTask>,
    mistakes: Vec<Mistake>,
}

impl Found {
    fn task(&mut self, line: usize, execute: Execute) {
        self.tasks.push(FileTask { line, execute });
    }

    fn prompt(&mut self, line: usize, prompt: String, label: Option<String>) {
        let program = Program::Prompt(Box::new(Prompt { prompt, ..Prompt::default() }));
        self.task(line, Execute { program, label, ..Execute::default() });
    }

    fn mistake(&mut self, line: usize, what: impl Into<String>) {
        self.mistakes.push(Mistake { line, what: what.into() });
    }
}

/// Reads a task file, or stdin for `-`. Mistakes come back as one failure with a line each.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<Vec<FileTask>, Failure> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let format = match format
        .or_else(|| if is_stdin { Some(Format::Text) } else { by_ending(path) })
    {
        Some(format) => format,
        None => {
            return Err(Failure::usage(format!(
                "{name}: its ending does not say how to read it; use .txt, .md or .jsonl, or give --format"
            )));
        }
    };
    let bytes =
        if is_stdin { read_all(std::io::stdin()) } else { File::open(path).and_then(read_all) };
    let bytes = bytes.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_LIMIT {
        return Err(Failure::usage(format!(
            "{name} is larger than a task file may be ({})",
            text::bytes(FILE_BYTES_LIMIT)
        )));
    }
    parse_bytes(&bytes, format).map_err(|mistakes| complaint(&name, &mistakes))
}

fn by_ending(path: &Path) -> Option<Format> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "text" => Some(Format::Text),
        "md" | "markdown" => Some(Format::Markdown),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        _ => None,
    }
}

fn read_all(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than allowed, to see that there is more.
    reader.take(FILE_BYTES_LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse_bytes(bytes: &[u8], format: Format) -> Result<Vec<FileTask>, Vec<Mistake>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        vec![Mistake { line, what: "is no UTF-8 text".to_owned() }]
    })?;
    parse(text.strip_prefix('\u{feff}').unwrap_or(text), format)
}

/// The tasks of a text, or all of its mistakes.
fn parse(text: &str, format: Format) -> Result<Vec<FileTask>, Vec<Mistake>> {
    let mut found = match format {
        Format::Text => plain::parse(text),
        Format::Markdown => markdown::parse(text),
        Format::Jsonl => jsonl::parse(text),
    };
    if found.tasks.is_empty() && found.mistakes.is_empty() {
        let what = match format {
            Format::Text => "there are no tasks: every line is empty or begins with #",
            Format::Markdown => "there are no tasks: no list has an item that is not done",
            Format::Jsonl => "there are no tasks: every line is empty",
        };
        found.mistake(1, what);
    }
    if let Some(first_too_many) = found.tasks.get(TASKS_LIMIT) {
        let line = first_too_many.line;
        found.mistake(line, format!("a batch may have at most {TASKS_LIMIT} tasks"));
    }
    if found.mistakes.is_empty() { Ok(found.tasks) } else { Err(found.mistakes) }
}

fn complaint(name: &str, mistakes: &[Mistake]) -> Failure {
    let mut text =
        format!("{} in {name}; nothing was started", text::count(mistakes.len(), "mistake"));
    for mistake in mistakes.iter().take(SHOWN_MISTAKES_LIMIT) {
        text.push_str(&format!("\n{name}:{}: {}", mistake.line, mistake.what));
    }
    if mistakes.len() > SHOWN_MISTAKES_LIMIT {
        text.push_str(&format!("\n... and {} more", mistakes.len() - SHOWN_MISTAKES_LIMIT));
    }
    Failure::usage(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line label|prompt` of each task, or `line: mistake` of each mistake.
    fn shown(text: &str, format: Format) -> Vec<String> {
        match parse_bytes(text.as_bytes(), format) {
            Ok(tasks) => tasks
                .into_iter()
                .map(|task| {
                    let label = task.execute.label.unwrap_or_default();
                    let what = match task.execute.program {
                        Program::Prompt(prompt) => format!("{:?}", prompt.prompt),
                        Program::Argv { argv } => format!("argv {argv:?}"),
                        Program::Command { command } => format!("command {command:?}"),
                    };
                    format!("{} {label}|{what}", task.line)
                })
                .collect(),
            Err(mistakes) => mistakes
                .into_iter()
                .map(|mistake| format!("{}: {}", mistake.line, mistake.what))
                .collect(),
        }
    }

    #[test]
    fn a_text_file_has_a_prompt_a_line() {
        for (text, expected) in [
            ("one\ntwo", &["1 |\"one\"", "2 |\"two\""][..]),
            ("\u{feff}one\r\n\r\n# no\r\n  # no\r\n\t two \r\n", &["1 |\"one\"", "5 |\"two\""]),
            ("- not a list", &["1 |\"- not a list\""]),
            ("", &["1: there are no tasks: every line is empty or begins with #"]),
            ("\n# a\n", &["1: there are no tasks: every line is empty or begins with #"]),
        ] {
            assert_eq!(shown(text, Format::Text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_named_with_its_line() {
        let mistakes = parse_bytes(b"one\ntwo\xff", Format::Text).unwrap_err();
        assert_eq!(mistakes, [Mistake { line: 2, what: "is no UTF-8 text".to_owned() }]);
    }

    #[test]
    fn a_markdown_file_has_a_prompt_an_item() {
        for (text, expected) in [
            ("- one\n- two\n", &["1 |\"one\"", "2 |\"two\""][..]),
            (
                "* one\n\n+ two\n\n1. three\n2) four\n",
                &["1 |\"one\"", "3 |\"two\"", "5 |\"three\"", "6 |\"four\""],
            ),
            ("- [ ] open\n- [x] done\n- [X] done\n  - [ ] of the done one\n", &["1 |\"open\""]),
            ("intro\n\n- one\n  goes on\nlazily\n", &["3 |\"one\\ngoes on\\nlazily\""]),
            ("- [ ] a\n  - b\n    - c\n- d\n", &["1 |\"a\\n- b\\n  - c\"", "4 |\"d\""]),
            (
                "1. fix:\n\n   ```sh\n     make\n\n   ```\n2. next\n",
                &["1 |\"fix:\\n\\n```sh\\n  make\\n\\n```\"", "7 |\"next\""],
            ),
            (
                "# Plan\n- a\n## Part *one*\n- b\n## Part two\n- c\n# Rest\n- d\n",
                &[
                    "2 Plan: a|\"a\"",
                    "4 Plan / Part one: b|\"b\"",
                    "6 Plan / Part two: c|\"c\"",
                    "8 Rest: d|\"d\"",
                ],
            ),
            ("- # heading\n\n  text\n", &["1 |\"# heading\\n\\ntext\""]),
            ("> - quoted\n\n- real\n", &["3 |\"real\""]),
            ("```\n- code\n```\n- real\n", &["4 |\"real\""]),
            ("- a\n-\n- b\n", &["2: the item is empty"]),
            ("- a\n- [ ]\n", &["2: the item is empty"]),
            ("only text\n", &["1: there are no tasks: no list has an item that is not done"]),
            ("- a\r\n  b\r\n- c\r\n", &["1 |\"a\\nb\"", "3 |\"c\""]),
            ("- äöü\n  - 日本\n", &["1 |\"äöü\\n- 日本\""]),
        ] {
            assert_eq!(shown(text, Format::Markdown), expected, "{text:?}");
        }
    }

    #[test]
    fn a_jsonl_file_has_an_object_a_line() {
        for (text, expected) in [
            (r#"{"prompt":"hi","label":"x"}"#, &["1 x|\"hi\""][..]),
            (
                "{\"argv\":[\"ls\",\"-l\"]}\n\n{\"command\":\"ls\"}",
                &["1 |argv [\"ls\", \"-l\"]", "3 |command \"ls\""],
            ),
            (r#"{"argv":["ls"],"timeout":null}"#, &["1 |argv [\"ls\"]"]),
        ] {
            assert_eq!(shown(text, Format::Jsonl), expected, "{text:?}");
        }
    }

    #[test]
    fn every_mistake_of_a_jsonl_file_is_found_at_once() {
        let text = [
            r#"{"prompt":"fine"}"#,
            r#"{"prompt":"x","timeuot":5}"#,
            r#"{"command":"ls","moddel":"m"}"#,
            r#"{"argv":["ls"],"id":1}"#,
            r#"{"prompt":"a","argv":["b"]}"#,
            r#"{"prompt":"#,
            r#"["ls"]"#,
            r#"{"argv":["ls"],"timeout":"5"}"#,
        ]
        .join("\n");
        let mistakes = shown(&text, Format::Jsonl);
        insta::assert_snapshot!(mistakes.join("\n"), @r#"
            2: timeuot is unknown; did you mean "timeout"?
            3: moddel is unknown; did you mean "model"?
            4: id is unknown; did you mean "label"?
            5: prompt cannot be combined: give only one of command, argv and prompt
            6: is no JSON: EOF while parsing a value (column 10)
            7: must be an object, such as {"prompt": "..."}
            8: timeout must be a number of seconds greater than 0 and at most 31536000 (a year)
            "#);
    }

    #[test]
    fn a_complaint_names_file_and_line_of_each_mistake() {
        let mistakes = shown_mistakes(3);
        insta::assert_snapshot!(complaint("tasks.jsonl", &mistakes).text, @r#"
            3 mistakes in tasks.jsonl; nothing was started
            tasks.jsonl:1: mistake 1
            tasks.jsonl:2: mistake 2
            tasks.jsonl:3: mistake 3
            "#);
        assert!(complaint("x", &shown_mistakes(60)).text.ends_with("\n... and 10 more"));
    }

    fn shown_mistakes(count: usize) -> Vec<Mistake> {
        (1..=count).map(|line| Mistake { line, what: format!("mistake {line}") }).collect()
    }

    #[test]
    fn the_ending_says_how_to_read_a_file() {
        assert_eq!(by_ending(Path::new("a/b.TXT")), Some(Format::Text));
        assert_eq!(by_ending(Path::new("b.md")), Some(Format::Markdown));
        assert_eq!(by_ending(Path::new("b.jsonl")), Some(Format::Jsonl));
        assert_eq!(by_ending(Path::new("txt")), None);
    }
}
