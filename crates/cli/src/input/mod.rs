//! Task files: what is to run, or every mistake of a file with line and column.
//!
//! A file is checked as a whole before anything runs: a batch that stops at a typing error in line 40 after an hour is
//! worse than one that never started.
//!
//! `encoding` turns bytes into text; `plain`, `markdown`, `jsonl`, `json` (with `queue` for the members that other
//! programs use) and `toml` read the formats, and `folder` a folder of prompts. What they read is `found`, with an
//! `object` for each task and its `place`, `note`s about the rest, and `mistake`s. `judge` makes a plan of it. `agent`
//! finds the program that runs prompts, and `directory` is where tasks run.

pub(crate) mod agent;
pub(crate) mod directory;

mod encoding;
mod folder;
mod found;
mod json;
mod jsonl;
mod judge;
mod markdown;
mod mistake;
mod note;
mod object;
mod options;
mod place;
mod plain;
mod queue;
mod toml;

use std::{fs::File, path::Path};

use self::encoding::{Decoded, FILE_BYTES_LIMIT, read_all, with_hint};
pub(crate) use self::{
    found::{NamedFile, TaskFile},
    judge::CommandLine,
    mistake::{Mistake, complaint},
    note::Names,
    options::FileOptions,
    place::Place,
};
use crate::{args::Format, display::text, error::CommandError};

/// Reads a task file, a folder of prompts, or stdin for `-`.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<NamedFile, CommandError> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    if path.is_dir() {
        return match format {
            None => folder::read(path, &name),
            Some(_) => Err(CommandError::usage(format!(
                "{name} is a folder: each file in it is a prompt, and --format says nothing of it"
            ))),
        };
    }
    if !is_stdin && matches!(path.try_exists(), Ok(false)) {
        return Err(CommandError::usage(format!("cannot read {name}: no such file or folder")));
    }
    let format = match format
        .or_else(|| if is_stdin { Some(Format::Text) } else { by_ending(path) })
    {
        Some(format) => format,
        None => {
            return Err(CommandError::usage(format!(
                "{name}: its ending does not say how to read it; use .txt, .md, .jsonl, .json or .toml, or give --format"
            )));
        }
    };
    let bytes =
        if is_stdin { read_all(std::io::stdin()) } else { File::open(path).and_then(read_all) };
    let bytes =
        bytes.map_err(|error| CommandError::usage(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_LIMIT {
        return Err(CommandError::usage(format!(
            "{name} is larger than a task file may be ({})",
            text::bytes(FILE_BYTES_LIMIT)
        )));
    }
    let names = Names::of_file(&name);
    match parse_bytes(&bytes, format) {
        Ok(file) => Ok(NamedFile { names, file }),
        Err(mistake) => Err(complaint(&names, &[with_hint(mistake)], &[])),
    }
}

fn by_ending(path: &Path) -> Option<Format> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "text" => Some(Format::Text),
        "md" | "markdown" => Some(Format::Markdown),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "json" => Some(Format::Json),
        "toml" => Some(Format::Toml),
        _ => None,
    }
}

/// Parses bytes; the mistake is that they are no text.
fn parse_bytes(bytes: &[u8], format: Format) -> Result<TaskFile, Mistake> {
    let Decoded(text) = Decoded::of(bytes)?;
    Ok(parse(&text, format))
}

fn parse(text: &str, format: Format) -> TaskFile {
    let mut found = match format {
        Format::Text => plain::parse(text),
        Format::Markdown => markdown::parse(text),
        Format::Jsonl => jsonl::parse(text),
        Format::Json => json::parse(text),
        Format::Toml => toml::parse(text),
    };
    found.if_none = match format {
        Format::Text => "there are no tasks: every line is empty, begins with # or is done",
        Format::Markdown => found.if_none,
        Format::Jsonl => "there are no tasks: every line is empty",
        Format::Json => "there are no tasks: every one is done, or the list is empty",
        Format::Toml => "there are no tasks: begin each with a line [[tasks]]",
    };
    TaskFile(found)
}

/// A task file of any format is read, and judged, without a panic.
#[cfg(fuzzing)]
pub fn fuzz_task_file(format: u8, bytes: &[u8]) {
    let formats = [Format::Text, Format::Markdown, Format::Jsonl, Format::Json, Format::Toml];
    let format = formats[usize::from(format) % formats.len()];
    if let Ok(file) = parse_bytes(bytes, format) {
        let _ = file.notes(&Names::of_file("fuzz"), false);
        let _ = file.plan(CommandLine::default(), |_| {});
    }
}

#[cfg(test)]
mod tests;
