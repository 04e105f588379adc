//! `.txt`: a prompt a line. Empty lines are no tasks, and neither are comments: a `#` alone, or `# ` and words.
//!
//! Check boxes mean what they mean in Markdown: where a line has one, only these lines count, `[ ]` is taken off the
//! prompt, and what is done is passed over. What is nested below a box would be a prompt by itself and is refused.

use super::{
    found::Found,
    markdown::{Mark, line_mark, without_marker},
    note::Note,
    place::Place,
};

/// Shortest row of one sign that is a ruler and no prompt.
const RULER_CHARS: usize = 3;

pub(super) fn parse(text: &str) -> Found {
    let mut found = Found::default();
    let mut lines: Vec<(Place, &str, Mark, &str)> = Vec::new();
    // How far the last box is indented that the line may be nested in.
    let mut box_above: Option<usize> = None;
    for (index, line) in text.lines().enumerate() {
        let prompt = line.trim();
        let indentation = line.chars().take_while(|letter| letter.is_whitespace()).count();
        let place = Place { line: index + 1, column: indentation + 1 };
        if prompt.is_empty() || is_comment(prompt) || (index == 0 && prompt.starts_with("#!")) {
            continue;
        }
        if is_ruler(prompt) {
            let sign = prompt.chars().next().unwrap_or_default();
            let what = format!(
                "a line of {sign:?} is no prompt: in a .txt file each line is one; for prompts of several \
                 lines use a .md list, .jsonl, .toml, or a folder with a file for each"
            );
            found.mistake(place, what);
            continue;
        }
        let is_below_box = box_above.is_some_and(|above| indentation > above);
        let (mark, rest) = line_mark(prompt);
        if mark.is_box() {
            box_above = Some(box_above.filter(|_| is_below_box).unwrap_or(indentation));
        } else if !is_below_box {
            box_above = None;
        }
        if is_below_box {
            found.mistake(place, NESTED);
            continue;
        }
        lines.push((place, prompt, mark, rest));
    }
    // A tick, `✅`, says how it is with its line and nothing of others.
    let has_boxes = lines.iter().any(|(_, line, ..)| Mark::bare(without_marker(line)).is_some());
    for (place, prompt, mark, rest) in lines {
        let mut note = |what: &str| found.notes.push(Note::new(place, what, rest));
        match mark {
            Mark::Open if rest.is_empty() => found.mistake(place, "the line is empty"),
            Mark::Open => found.prompt(place, rest.to_owned(), None),
            Mark::Done => {
                note("passed over, done");
                found.done_prompt(place, rest.to_owned());
            }
            Mark::Struck => note("passed over, struck out"),
            Mark::Other(word) => {
                note(&format!("passed over, marked [{word}], which is neither open nor done"));
            }
            Mark::None | Mark::Word(_) | Mark::Hidden if has_boxes => {
                found.notes.push(Note::new(place, "passed over, without a check box", prompt));
            }
            Mark::None | Mark::Word(_) | Mark::Hidden => without_box(&mut found, place, prompt),
        }
    }
    found
}

/// What is indented below a line with a check box.
const NESTED: &str = "is nested below a check box, and in a .txt file each line is a prompt by itself; for prompts of \
    several lines name the file .md (--format markdown)";

fn without_box(found: &mut Found, place: Place, prompt: &str) {
    // `#123` is an issue; a word may have been meant as a comment.
    if prompt.strip_prefix('#').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    {
        let what = "run, although it begins with #: a comment has a space after it";
        found.notes.push(Note::new(place, what, prompt));
    }
    found.prompt(place, prompt.to_owned(), None);
}

fn is_comment(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    rest.len() < line.len() && (rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// A line between prompts, or a fence around code: what it parts would not be one prompt.
fn is_ruler(line: &str) -> bool {
    let of = |sign: char| line.chars().all(|letter| letter == sign);
    let is_row = ['-', '=', '*', '_', '~', '+'].into_iter().any(of);
    (is_row && line.chars().count() >= RULER_CHARS) || line.starts_with("```")
}
