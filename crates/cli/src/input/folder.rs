//! A folder: each text file in it is a prompt, sorted by name, with numbers in names compared as numbers.

use std::{
    cmp::Ordering,
    fs::{self, File},
    path::{Path, PathBuf},
};

use cc_protocol::execute::is_blank;

use super::{
    encoding::{Decoded, FILE_BYTES_LIMIT, read_all, with_hint},
    found::{Found, LABEL_CHARS_LIMIT, NamedFile, TaskFile},
    markdown::FrontMatter,
    note::{Names, Note},
    place::Place,
};
use crate::{display::text, error::CommandError};

/// What a prompt's file ends in.
const ENDINGS: [&str; 5] = ["md", "markdown", "txt", "text", "prompt"];

/// Names of files that describe their folder.
const ABOUT_FOLDERS: [&str; 8] = [
    "agents",
    "changelog",
    "claude",
    "code_of_conduct",
    "contributing",
    "license",
    "readme",
    "security",
];

pub(super) fn read(path: &Path, name: &str) -> Result<NamedFile, CommandError> {
    let refused =
        |error: std::io::Error| CommandError::usage(format!("cannot read {name}: {error}"));
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for entry in fs::read_dir(path).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        // Files of editors and version control.
        if !file_name.starts_with('.') && !file_name.ends_with('~') {
            files.push((file_name, entry.path()));
        }
    }
    files.sort_by(|(one, _), (other, _)| natural(one, other));
    let mut found = Found {
        if_none: "there are no tasks: no file in it ends in .md, .markdown, .txt, .text or .prompt, or all of \
                  them are done",
        place_if_none: Some(Place::WHOLE),
        ..Found::default()
    };
    let mut bytes_left = FILE_BYTES_LIMIT;
    for ((file_name, path), line) in files.iter().zip(1..) {
        let place = Place { line, column: 1 };
        match why_not(file_name, path) {
            Some(why) => found.notes.push(Note::new(place, &format!("passed over, {why}"), "")),
            None => {
                let bytes = File::open(path).and_then(read_all);
                let bytes = bytes.map_err(|error| {
                    CommandError::usage(format!("cannot read {}: {error}", path.display()))
                })?;
                let size = bytes.len() as u64;
                bytes_left = bytes_left.checked_sub(size).ok_or_else(|| {
                    CommandError::usage(format!(
                        "the files in {name} are larger together than a task file may be ({})",
                        text::bytes(FILE_BYTES_LIMIT)
                    ))
                })?;
                prompt(&mut found, place, file_name, &bytes);
            }
        }
    }
    let members = files.into_iter().map(|(file_name, _)| file_name).collect();
    Ok(NamedFile { names: Names::of_folder(name, members), file: TaskFile(found) })
}

/// Why something in the folder is no prompt.
fn why_not(file_name: &str, path: &Path) -> Option<&'static str> {
    if path.is_dir() {
        return Some("a folder in the folder");
    }
    // A pipe would be waited for.
    if path.exists() && !path.is_file() {
        return Some("no file");
    }
    let path = Path::new(file_name);
    let part = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
    };
    if !ENDINGS.contains(&part(path.extension()).as_str()) {
        return Some("no prompt by its ending (.md, .txt)");
    }
    ABOUT_FOLDERS
        .contains(&part(path.file_stem()).as_str())
        .then_some("about the folder by its name")
}

fn prompt(found: &mut Found, place: Place, file_name: &str, bytes: &[u8]) {
    let text = match Decoded::of(bytes) {
        Ok(Decoded(text)) => text,
        Err(mistake) => return found.mistake(place, with_hint(mistake).what),
    };
    let front = FrontMatter::of(&text);
    let lines: Vec<&str> = front.rest(&text).lines().map(str::trim_end).collect();
    let prompt = lines.join("\n").trim_matches('\n').to_owned();
    if is_blank(&prompt) {
        return found.mistake(place, "the file is empty");
    }
    if front.is_done() {
        found.notes.push(Note::new(place, "passed over, done", ""));
        return found.done_prompt(place, prompt);
    }
    let stem = Path::new(file_name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let label = front.title().map(str::to_owned).or(stem).unwrap_or_default();
    found.prompt(place, prompt, Some(text::one_line(&label, LABEL_CHARS_LIMIT)));
}

/// `2.md` comes before `10.md`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let (number, left_rest) = split_number(left);
        let (other_number, right_rest) = split_number(right);
        if !number.is_empty() && !other_number.is_empty() {
            let (number, other_number) =
                (number.trim_start_matches('0'), other_number.trim_start_matches('0'));
            let order =
                number.len().cmp(&other_number.len()).then_with(|| number.cmp(other_number));
            if order.is_ne() {
                return order;
            }
            (left, right) = (left_rest, right_rest);
            continue;
        }
        let (mut letters, mut others) = (left.chars(), right.chars());
        match (letters.next(), others.next()) {
            (None, None) => return one.cmp(other),
            (letter, other) if letter != other => return letter.cmp(&other),
            (Some(_) | None, _) => (left, right) = (letters.as_str(), others.as_str()),
        }
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

#[cfg(test)]
mod tests {
    use cc_protocol::execute::Program;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, NamedFile) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join("old")).unwrap();
        let file = read(folder.path(), "prompts").unwrap();
        (folder, file)
    }

    #[test]
    fn each_file_is_a_prompt_whatever_is_in_it() {
        let (_folder, NamedFile { names, file }) = folder(&[
            ("10-last.txt", "# not a comment\n\n- not a list\n"),
            ("2-first.md", "---\ntitle: The first\n---\n\n  - [ ] one\n  - [x] two\n"),
            ("3-done.md", "---\nstatus: done\n---\ndone\n"),
            ("README.md", "About these prompts."),
            ("CLAUDE.md", "x"),
            ("notes.docx", "x"),
            (".hidden.md", "x"),
            ("2-first.md~", "x"),
        ]);
        assert_eq!(
            file.notes(&names, false),
            [
                "prompts, 3-done.md: passed over, done",
                "prompts, CLAUDE.md, README.md: passed over, about the folder by its name",
                "prompts, notes.docx: passed over, no prompt by its ending (.md, .txt)",
                "prompts, old: passed over, a folder in the folder",
            ]
        );
        let plan = file.plan(Vec::new(), |_| {}).unwrap().plan;
        let tasks: Vec<(String, String)> = plan
            .tasks
            .into_iter()
            .map(|task| {
                let Program::Prompt(prompt) = task.execute.program else { panic!("no prompt") };
                (task.execute.label.unwrap_or_default(), prompt.prompt)
            })
            .collect();
        let task = |label: &str, prompt: &str| (label.to_owned(), prompt.to_owned());
        assert_eq!(
            tasks,
            [
                task("The first", "  - [ ] one\n  - [x] two"),
                task("10-last", "# not a comment\n\n- not a list"),
            ]
        );
    }

    #[test]
    fn a_mistake_names_the_file_in_the_folder() {
        let (_folder, NamedFile { names, file }) =
            folder(&[("a.md", "fine"), ("b.md", " \u{a0}\n")]);
        let mistakes = file.plan(Vec::new(), |_| {}).unwrap_err();
        let complaint = crate::input::complaint(&names, &mistakes, &[]).to_string();
        assert_eq!(
            complaint,
            "1 mistake in prompts; nothing was started\nprompts/b.md: the file is empty"
        );
        for files in [&[][..], &[("README.md", "About these prompts.")]] {
            let (_folder, NamedFile { names, file }) = folder(files);
            let mistakes = file.plan(Vec::new(), |_| {}).unwrap_err();
            assert!(mistakes[0].what.contains("no file in it"));
            let complaint = crate::input::complaint(&names, &mistakes, &[]).to_string();
            assert!(complaint.contains("\nprompts: there are no tasks"), "{complaint}");
        }
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["10.md", "2.md", "a10", "a2b", "a2", "02.md", "b", "a"];
        names.sort_by(|one, other| natural(one, other));
        assert_eq!(names, ["02.md", "2.md", "10.md", "a", "a2", "a2b", "a10", "b"]);
    }
}
