//! Task files: text to tasks, or to all that is wrong with it.
//!
//! A file is read whole and judged whole: every mistake is found before anything runs, because a
//! batch that stops at a typing error in line 40 after an hour is worse than one that never started.

mod jsonl;
mod judge;
mod markdown;
mod object;
mod options;
mod place;
mod plain;
mod toml;

use std::{fs::File, io::Read, path::Path};

use serde_json::Value;

pub(crate) use self::{judge::CommandLine, options::FileOptions, place::Place};
use self::{object::Object, place::Places};
use crate::{args::Format, failure::Failure, text};

/// Largest task file.
const FILE_BYTES_LIMIT: u64 = 64 * 1024 * 1024;
/// Most mistakes that are printed.
const SHOWN_MISTAKES_LIMIT: usize = 50;
/// Longest label that is made of a heading and a prompt.
const LABEL_CHARS_LIMIT: usize = 100;

/// What a task file says, as far as it could be read. [`TaskFile::plan`] judges it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskFile(Found);

impl TaskFile {
    /// What the file says that the command line may say, too.
    pub(crate) fn options(&self) -> &FileOptions {
        &self.0.options
    }
}

/// A task as its file has it: without any defaults.
#[derive(Clone, Debug, PartialEq)]
struct FileTask {
    place: Place,
    /// None where nothing of it could be read.
    object: Option<Object>,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) place: Place,
    /// What is wrong, and what would be right.
    pub(crate) what: String,
}

/// What was found so far.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    tasks: Vec<FileTask>,
    /// What tasks have that do not say otherwise.
    defaults: Option<Object>,
    options: FileOptions,
    mistakes: Vec<Mistake>,
    /// Something stands in the file that may be meant as tasks, and is none.
    lacks_tasks: bool,
    /// Of what was read there nothing counts.
    doubtful_lines: Vec<usize>,
}

impl Found {
    fn prompt(&mut self, place: Place, prompt: String, label: Option<String>) {
        let mut object = Object::default();
        object.insert("prompt".to_owned(), place, Value::String(prompt));
        if let Some(label) = label {
            object.insert("label".to_owned(), place, Value::String(label));
        }
        self.tasks.push(FileTask { place, object: Some(object) });
    }

    fn set_options(&mut self, options: Object) {
        self.options = FileOptions::of(options, &mut self.mistakes);
    }

    fn mistake(&mut self, place: Place, what: impl Into<String>) {
        self.mistakes.push(Mistake { place, what: what.into() });
    }
}

/// A file that was read, under the name that complaints about it have.
#[derive(Debug)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) file: TaskFile,
}

/// Reads a task file, or stdin for `-`.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<NamedFile, Failure> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let format = match format
        .or_else(|| if is_stdin { Some(Format::Text) } else { by_ending(path) })
    {
        Some(format) => format,
        None => {
            return Err(Failure::usage(format!(
                "{name}: its ending does not say how to read it; use .txt, .md, .jsonl or .toml, or give --format"
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
    match parse_bytes(&bytes, format) {
        Ok(file) => Ok(NamedFile { name, file }),
        Err(mistake) => Err(complaint(&name, &[mistake])),
    }
}

fn by_ending(path: &Path) -> Option<Format> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "text" => Some(Format::Text),
        "md" | "markdown" => Some(Format::Markdown),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "toml" => Some(Format::Toml),
        _ => None,
    }
}

fn read_all(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than allowed, to see that there is more.
    reader.take(FILE_BYTES_LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a text says; the mistake is that it is none.
fn parse_bytes(bytes: &[u8], format: Format) -> Result<TaskFile, Mistake> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = std::str::from_utf8(before).unwrap_or_default();
        let place = Places::of(before).at(before.len());
        Mistake { place, what: "is no UTF-8 text".to_owned() }
    })?;
    Ok(parse(text.strip_prefix('\u{feff}').unwrap_or(text), format))
}

fn parse(text: &str, format: Format) -> TaskFile {
    let mut found = match format {
        Format::Text => plain::parse(text),
        Format::Markdown => markdown::parse(text),
        Format::Jsonl => jsonl::parse(text),
        Format::Toml => toml::parse(text),
    };
    if found.tasks.is_empty() && found.mistakes.is_empty() {
        let what = match format {
            Format::Text => "there are no tasks: every line is empty or begins with #",
            Format::Markdown => "there are no tasks: no list has an item that is not done",
            Format::Jsonl => "there are no tasks: every line is empty",
            Format::Toml => "there are no tasks: begin each with a line [[tasks]]",
        };
        found.mistake(Place::START, what);
    }
    TaskFile(found)
}

/// All mistakes of a file as one failure with a line each.
pub(crate) fn complaint(name: &str, mistakes: &[Mistake]) -> Failure {
    let mut text =
        format!("{} in {name}; nothing was started", text::count(mistakes.len(), "mistake"));
    for mistake in mistakes.iter().take(SHOWN_MISTAKES_LIMIT) {
        text.push_str(&format!("\n{name}:{}: {}", mistake.place, mistake.what));
    }
    if mistakes.len() > SHOWN_MISTAKES_LIMIT {
        text.push_str(&format!("\n... and {} more", mistakes.len() - SHOWN_MISTAKES_LIMIT));
    }
    Failure::usage(text)
}

#[cfg(test)]
mod tests;
