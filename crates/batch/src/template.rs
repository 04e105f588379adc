//! References to results: `{{tasks.NAME.result}}` and `{{prev.result}}` in what a task runs.
//!
//! They stand in `prompt`, `command`, elements of `argv`, values of `env`, and `cwd`. `{{{{` is a
//! literal `{{`; anything else between double braces is a mistake, found before the batch starts.
//!
//! A result is text that a model wrote, perhaps after it read a web page: it is not to be trusted. In
//! a prompt, an argument, a variable and a directory it stands as it is, and no shell sees it. In
//! `command`, a line for a shell, it is quoted so that the shell takes it as one word, and a reference
//! where that would not hold (inside quotes, say) is a mistake: see [`crate::shell_line`]. A
//! NUL character, which no argument may hold, becomes U+FFFD everywhere but in a prompt.

use std::{borrow::Cow, fmt};

use cc_protocol::execute::{Execute, Program, is_blank};

use crate::{
    plan::need::is_name,
    shell_line::{ShellLine, Trouble},
};

/// What a reference refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `{{tasks.NAME.result}}`.
    Task(String),
    /// `{{prev.result}}`: the task before this one in the plan.
    Prev,
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(name) => write!(formatter, "{{{{tasks.{name}.result}}}}"),
            Self::Prev => formatter.write_str("{{prev.result}}"),
        }
    }
}

/// What is wrong with double braces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Something else between the braces.
    #[error(
        "has {{{{{found}}}}}; between double braces only tasks.NAME.result and prev.result are \
         allowed; write {{{{{{{{ where {{{{ is meant"
    )]
    Unknown { found: String },
    /// No closing braces.
    #[error("has {{{{ without }}}}; write {{{{{{{{ where {{{{ is meant")]
    Open,
    /// A reference where no quoting would make a result safe.
    #[error("{0}")]
    Shell(#[from] Trouble),
}

/// A result that is referred to is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {} has no result to fill in", task + 1)]
pub struct Missing {
    /// Whose, from 0.
    pub task: usize,
}

/// One place of a task where references may stand.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// Such as `prompt` or `argv[2]`.
    pub name: String,
    text: &'a str,
    insert: Insert,
}

/// How a result is put into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Insert {
    AsItIs,
    WithoutNul,
    QuotedForShell,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Reference(Reference),
}

impl Field<'_> {
    /// What is referred to, in order.
    ///
    /// # Errors
    /// What is wrong with its double braces.
    pub fn references(&self) -> Result<Vec<Reference>, TemplateError> {
        let pieces = parse(self.text)?;
        if self.insert == Insert::QuotedForShell {
            check_shell_line(&pieces)?;
        }
        let reference = |piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        };
        Ok(pieces.into_iter().filter_map(reference).collect())
    }
}

/// The places of a task where references may stand.
#[must_use]
pub fn fields(execute: &Execute) -> Vec<Field<'_>> {
    let field = |name: String, text, insert| Field { name, text, insert };
    let mut fields = match &execute.program {
        Program::Prompt(prompt) => {
            vec![field("prompt".to_owned(), prompt.prompt.as_str(), Insert::AsItIs)]
        }
        Program::Argv { argv } => argv
            .iter()
            .enumerate()
            .map(|(index, text)| field(format!("argv[{index}]"), text, Insert::WithoutNul))
            .collect(),
        Program::Command { command } => {
            vec![field("command".to_owned(), command.as_str(), Insert::QuotedForShell)]
        }
    };
    for (name, value) in &execute.env {
        if let Some(text) = value {
            fields.push(field(format!("env.{name}"), text, Insert::WithoutNul));
        }
    }
    if let Some(cwd) = &execute.cwd {
        fields.push(field("cwd".to_owned(), cwd, Insert::WithoutNul));
    }
    fields
}

/// The member that nothing is left of, named as in [`fields`].
pub(crate) fn emptied(filled: &Execute) -> Option<&'static str> {
    // A result stands in a command between quotes.
    let is_empty_line = |command: &str| is_blank(&command.replace('\'', ""));
    match &filled.program {
        Program::Prompt(prompt) if is_blank(&prompt.prompt) => return Some("prompt"),
        Program::Argv { argv } if argv.first().is_none_or(|program| is_blank(program)) => {
            return Some("argv[0]");
        }
        Program::Command { command } if is_empty_line(command) => return Some("command"),
        Program::Prompt(_) | Program::Argv { .. } | Program::Command { .. } => {}
    }
    filled.cwd.as_deref().is_some_and(is_blank).then_some("cwd")
}

/// The same task with results in the place of references.
pub(crate) fn fill<'r, F>(execute: &Execute, lookup: F) -> Result<Execute, Missing>
where
    F: Fn(&Reference) -> Result<&'r str, Missing>,
{
    fill_each(execute, |text, insert| fill_text(text, insert, &lookup))
}

/// The same task, still a template: results take the place of those references for which `lookup` has one.
pub(crate) fn fill_partly<'r, F>(execute: &Execute, lookup: F) -> Result<Execute, Missing>
where
    F: Fn(&Reference) -> Result<Option<&'r str>, Missing>,
{
    fill_each(execute, |text, insert| fill_text_partly(text, insert, &lookup))
}

fn fill_each<F>(execute: &Execute, fill_text: F) -> Result<Execute, Missing>
where
    F: Fn(&str, Insert) -> Result<String, Missing>,
{
    let mut filled = execute.clone();
    let fill = |text: &mut String, insert| -> Result<(), Missing> {
        if text.contains("{{") {
            *text = fill_text(text, insert)?;
        }
        Ok(())
    };
    match &mut filled.program {
        Program::Prompt(prompt) => fill(&mut prompt.prompt, Insert::AsItIs)?,
        Program::Argv { argv } => {
            argv.iter_mut().try_for_each(|text| fill(text, Insert::WithoutNul))?;
        }
        Program::Command { command } => fill(command, Insert::QuotedForShell)?,
    }
    filled.env.values_mut().flatten().try_for_each(|text| fill(text, Insert::WithoutNul))?;
    filled.cwd.iter_mut().try_for_each(|text| fill(text, Insert::WithoutNul))?;
    Ok(filled)
}

fn fill_text<'r, F>(text: &str, insert: Insert, lookup: &F) -> Result<String, Missing>
where
    F: Fn(&Reference) -> Result<&'r str, Missing>,
{
    // Of a plan that was read no template is wrong; one that was would be left as it is.
    let Ok(pieces) = parse(text) else { return Ok(text.to_owned()) };
    let mut filled = String::with_capacity(text.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Reference(reference) => {
                filled.push_str(&inserted(lookup(&reference)?, insert));
            }
        }
    }
    Ok(filled)
}

fn fill_text_partly<'r, F>(text: &str, insert: Insert, lookup: &F) -> Result<String, Missing>
where
    F: Fn(&Reference) -> Result<Option<&'r str>, Missing>,
{
    let Ok(pieces) = parse(text) else { return Ok(text.to_owned()) };
    let mut filled = String::with_capacity(text.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => filled.push_str(&escaped(text)),
            Piece::Reference(reference) => match lookup(&reference)? {
                Some(result) => filled.push_str(&escaped(&inserted(result, insert))),
                None => filled.push_str(&reference.to_string()),
            },
        }
    }
    Ok(filled)
}

/// What is read back as this text.
fn escaped(text: &str) -> String {
    text.replace("{{", "{{{{")
}

fn inserted(result: &str, insert: Insert) -> Cow<'_, str> {
    match insert {
        Insert::AsItIs => result.into(),
        Insert::WithoutNul => without_nul(result),
        Insert::QuotedForShell => quoted(result).into(),
    }
}

/// As one word, always in quotes: what needs none by the library's rules is yet a brace expansion or a
/// reserved word to some shells.
fn quoted(result: &str) -> String {
    let result = without_nul(result);
    match shell_words::quote(&result) {
        Cow::Borrowed(bare) => format!("'{bare}'"),
        Cow::Owned(quoted) => quoted,
    }
}

fn without_nul(result: &str) -> Cow<'_, str> {
    if result.contains('\0') { result.replace('\0', "\u{fffd}").into() } else { result.into() }
}

fn check_shell_line(pieces: &[Piece<'_>]) -> Result<(), Trouble> {
    let has_reference = pieces.iter().any(|piece| matches!(piece, Piece::Reference(_)));
    if !has_reference {
        return Ok(());
    }
    let mut line = ShellLine::default();
    for piece in pieces {
        match piece {
            Piece::Text(text) => line.text(text)?,
            Piece::Reference(_) => line.word()?,
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    /// As much of a wrong reference as is shown.
    const SHOWN_BYTES: usize = 60;
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, after) = rest.split_at(start);
        pieces.push(Piece::Text(before));
        if let Some(after) = after.strip_prefix("{{{{") {
            pieces.push(Piece::Text("{{"));
            rest = after;
            continue;
        }
        let inner = &after[2..];
        let end = inner.find("}}").ok_or(TemplateError::Open)?;
        let found = inner[..end].trim();
        let reference = reference(found).ok_or_else(|| TemplateError::Unknown {
            found: found[..found.floor_char_boundary(SHOWN_BYTES)].to_owned(),
        })?;
        pieces.push(Piece::Reference(reference));
        rest = &inner[end + 2..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn reference(text: &str) -> Option<Reference> {
    if text == "prev.result" {
        return Some(Reference::Prev);
    }
    let name = text.strip_prefix("tasks.")?.strip_suffix(".result")?;
    is_name(name).then(|| Reference::Task(name.to_owned()))
}

#[cfg(test)]
mod tests;
