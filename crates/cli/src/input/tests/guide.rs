//! The guide `docs/batches.md` shows task files and commands that are accepted, and explains every verdict.

use clap::Parser as _;

use super::*;

const GUIDE: &str = include_str!("../../../../../docs/batches.md");

/// The code blocks of the guide in this language.
fn examples(language: &str) -> Vec<&'static str> {
    let fence = format!("\n```{language}\n");
    let parts = GUIDE.split(fence.as_str()).skip(1);
    let examples: Vec<&str> = parts.map(|part| part.split("\n```\n").next().unwrap()).collect();
    assert!(!examples.is_empty(), "no example in {language}");
    examples
}

#[test]
fn every_task_file_of_the_guide_can_be_read() {
    for (language, format, tasks) in [
        ("txt", Format::Text, &[2][..]),
        ("markdown", Format::Markdown, &[3]),
        ("jsonl", Format::Jsonl, &[3]),
        ("json", Format::Json, &[1]),
        ("toml", Format::Toml, &[2, 3, 2]),
    ] {
        let count = |text| plan_of(text, format).unwrap().0.tasks.len();
        let found: Vec<usize> = examples(language).into_iter().map(count).collect();
        assert_eq!(found, tasks, "{language}");
    }
}

#[test]
fn every_command_of_the_guide_is_one() {
    let commands = examples("sh").into_iter().flat_map(str::lines);
    for command in commands.filter(|command| command.starts_with("ccx ")) {
        let command = command.split(" > ").next().unwrap();
        let words = shell_words::split(command).unwrap();
        crate::args::Arguments::try_parse_from(&words).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn every_verdict_is_explained_in_the_guide() {
    use cc_protocol::Verdict;
    let words = Verdict::ALL.iter().map(|verdict| verdict.as_str());
    for word in words.chain(["unknown", "not run"]) {
        assert!(GUIDE.contains(&format!("\n| `{word}` | ")), "{word} is missing");
    }
}
