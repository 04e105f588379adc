//! Task files: text to tasks, or to all that is wrong with it.
//!
//! A file is read whole and judged whole: every mistake is found before anything runs, because a
//! batch that stops at a typing error in line 40 after an hour is worse than one that never started.

pub(crate) mod agent;

mod encoding;
mod folder;
mod json;
mod jsonl;
mod judge;
mod markdown;
mod note;
mod object;
mod options;
mod place;
mod plain;
mod queue;
mod toml;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read,
    path::Path,
};

use serde_json::Value;

use self::{encoding::Decoded, note::Note, object::Object};
pub(crate) use self::{judge::CommandLine, note::Names, options::FileOptions, place::Place};
use crate::{args::Format, display::text, error::Failure, reports::command_key};

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

    /// What is to be said of it beside its tasks: a line for each kind. Where little is to be said, not what anybody
    /// expects who knows the file.
    pub(crate) fn notes(&self, names: &Names, is_quiet: bool) -> Vec<String> {
        let notes = self.0.notes.iter().filter(|note| !is_quiet || !note.is_expected());
        let mut notes: Vec<Note> = notes.cloned().collect();
        notes.sort_by_key(|note| note.place);
        note::lines(names, &notes)
    }

    /// How many of its tasks the file says are done, but for those that were taken up again.
    pub(crate) fn done(&self) -> usize {
        self.0.done.len()
    }

    /// Takes up again what the file says is done, where an earlier run knows it by its command: an agent ticks its box
    /// while it works, and others of the file refer to it. It is not run.
    pub(crate) fn reopen(&mut self, commands: &HashSet<String>) {
        let found = &mut self.0;
        let is_known = |task: &FileTask| {
            let command = task.object.as_ref().and_then(Object::command);
            command.is_some_and(|command| commands.contains(&command_key(&command)))
        };
        let (known, others): (Vec<FileTask>, Vec<FileTask>) =
            std::mem::take(&mut found.done).into_iter().partition(is_known);
        found.done = others;
        found.tasks.extend(known);
        found.tasks.sort_by_key(|task| task.place);
    }
}

/// A task as its file has it: without any defaults.
#[derive(Clone, Debug, PartialEq)]
struct FileTask {
    place: Place,
    /// None where nothing of it could be read.
    object: Option<Object>,
    /// The file says that nothing is left to do.
    is_done: bool,
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
    /// What the file says is done. No mistake of it counts.
    done: Vec<FileTask>,
    notes: Vec<Note>,
    /// What is wrong where there is no task.
    if_none: &'static str,
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
        self.tasks.push(FileTask { place, object: Some(object), is_done: false });
    }

    fn done_prompt(&mut self, place: Place, prompt: String) {
        let mut object = Object::default();
        object.insert("prompt".to_owned(), place, Value::String(prompt));
        self.done.push(FileTask { place, object: Some(object), is_done: true });
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
    pub(crate) names: Names,
    pub(crate) file: TaskFile,
}

/// Reads a task file, a folder of prompts, or stdin for `-`.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<NamedFile, Failure> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    if path.is_dir() {
        return match format {
            None => folder::read(path, &name),
            Some(_) => Err(Failure::usage(format!(
                "{name} is a folder: each file in it is a prompt, and --format says nothing of it"
            ))),
        };
    }
    let format = match format
        .or_else(|| if is_stdin { Some(Format::Text) } else { by_ending(path) })
    {
        Some(format) => format,
        None => {
            return Err(Failure::usage(format!(
                "{name}: its ending does not say how to read it; use .txt, .md, .jsonl, .json or .toml, or give --format"
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
    let names = Names::of_file(&name);
    match parse_bytes(&bytes, format) {
        Ok(file) => Ok(NamedFile { names, file }),
        Err(mistake) => Err(complaint(&names, &[with_hint(mistake)])),
    }
}

/// What is wrong with a file's bytes, and what can be done about it.
fn with_hint(mut mistake: Mistake) -> Mistake {
    if mistake.what == encoding::NO_UTF_8 {
        mistake.what.push_str(encoding::OLD_ENCODING_HINT);
    }
    mistake
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

fn read_all(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than allowed, to see that there is more.
    reader.take(FILE_BYTES_LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a text says; the mistake is that it is none.
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

/// All mistakes of a file as one failure with a line for each kind.
pub(crate) fn complaint(names: &Names, mistakes: &[Mistake]) -> Failure {
    let mut text = format!(
        "{} in {}; nothing was started",
        text::count(mistakes.len(), "mistake"),
        names.file()
    );
    let mut kinds: Vec<(&Mistake, Vec<usize>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for mistake in mistakes {
        match known.get(mistake.what.as_str()) {
            Some(kind) => kinds[*kind].1.push(mistake.place.line),
            None => {
                known.insert(&mistake.what, kinds.len());
                kinds.push((mistake, Vec::new()));
            }
        }
    }
    let mut has_listed = false;
    for (first, others) in kinds.iter().take(SHOWN_MISTAKES_LIMIT) {
        // What is known needs to be said only once.
        let what = match first.what.split_once("; known are ") {
            Some((what, _)) if has_listed => what,
            Some(_) => {
                has_listed = true;
                &first.what
            }
            None => &first.what,
        };
        text.push_str(&format!("\n{}: {what}", names.at(first.place)));
        if !others.is_empty() {
            text.push_str(&format!(" (the same in {})", names.list(others)));
        }
    }
    let left: usize =
        kinds.iter().skip(SHOWN_MISTAKES_LIMIT).map(|(_, others)| 1 + others.len()).sum();
    if left > 0 {
        text.push_str(&format!("\n... and {left} more"));
    }
    Failure::usage(text)
}

#[cfg(test)]
mod tests;
