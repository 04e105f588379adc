//! Words by which people name what is no task.

/// Acceptance criteria.
const CRITERIA: [&str; 10] = [
    "acceptance",
    "acceptance criteria",
    "acceptance criterion",
    "acceptance tests",
    "criteria",
    "definition of done",
    "done when",
    "dod",
    "exit criteria",
    "success criteria",
];
/// Parts of the description of one task.
const DETAILS: [&str; 16] = [
    "background",
    "constraints",
    "context",
    "description",
    "details",
    "implementation notes",
    "implementation plan",
    "notes",
    "out of scope",
    "overview",
    "plan",
    "requirements",
    "summary",
    "technical details",
    "technical notes",
    "why",
];
/// Other sections of a plan.
const NO_TASKS: [&str; 27] = [
    "assumptions",
    "background",
    "changelog",
    "conclusion",
    "constraints",
    "contents",
    "context",
    "further reading",
    "glossary",
    "introduction",
    "legend",
    "links",
    "motivation",
    "non-goals",
    "non goals",
    "notes",
    "open questions",
    "out of scope",
    "prerequisites",
    "references",
    "requirements",
    "risks",
    "rules",
    "see also",
    "table of contents",
    "toc",
    "won't do",
];
/// Sections of finished tasks.
const FINISHED: [&str; 20] = [
    "already completed",
    "already done",
    "already finished",
    "archive",
    "archived",
    "completed",
    "completed items",
    "completed tasks",
    "done",
    "done already",
    "done items",
    "done so far",
    "done tasks",
    "finished",
    "finished items",
    "finished tasks",
    "merged",
    "recently completed",
    "resolved",
    "shipped",
];

/// In lower case, without emphasis, leading numbers and punctuation.
fn plain(text: &str) -> String {
    let letters = text.trim().trim_start_matches(|letter: char| !letter.is_alphabetic());
    let letters = letters.trim_end_matches(|letter: char| !letter.is_alphanumeric());
    letters.to_lowercase()
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.contains(&plain(text).as_str())
}

pub(super) fn is_criteria(text: &str) -> bool {
    is_one_of(text, &CRITERIA)
}

pub(super) fn is_detail(text: &str) -> bool {
    is_one_of(text, &DETAILS) || is_criteria(text)
}

pub(super) fn is_no_task(text: &str) -> bool {
    is_one_of(text, &NO_TASKS) || is_criteria(text)
}

pub(super) fn is_finished(text: &str) -> bool {
    is_one_of(text, &FINISHED)
}

/// Whether a status means that the task is done.
pub(super) fn is_done_status(text: &str) -> bool {
    is_one_of(text, &FINISHED) || is_one_of(text, &["complete", "closed", "cancelled", "canceled"])
}
