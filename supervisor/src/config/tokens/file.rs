//! The token file: a TOML file with a `[[token]]` for each token, or a plain file with one secret and nothing else.

use std::path::{Path, PathBuf};

use cc_protocol::Scope;
use serde::Deserialize;

use crate::config::{
    error::{PathError, TokenFileError},
    limits, text_file,
    tokens::{
        grant::{Budget, Grant, Scopes},
        list::TokenList,
        secret::{self, SecretHash},
    },
};

/// The whole file. Its errors never show a value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    token: Option<String>,
    token_sha256: Option<Hashes>,
    scopes: Vec<String>,
    max_sessions: Option<usize>,
    max_tasks: Option<usize>,
    #[serde(default)]
    directories: Vec<PathBuf>,
    budget_usd: Option<f64>,
    budget_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Hashes {
    One(String),
    Several(Vec<String>),
}

/// Reads a token file.
///
/// # Errors
/// When it cannot be read, others could read it, or it holds no tokens.
pub(super) fn read(path: &Path, is_credential: bool) -> Result<TokenList, PathError> {
    let text = text_file::read_private(path, limits::TOKEN_FILE_BYTES, is_credential)?;
    parse(&text)
}

fn parse(text: &str) -> Result<TokenList, PathError> {
    // No secret has a bracket, and no list of tokens is without one.
    if !text.contains('[') {
        let hash = secret::hash_of_token(text.trim()).map_err(PathError::Token)?;
        return Ok(TokenList::new(vec![Grant::only(hash)]));
    }
    let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
    let mut grants: Vec<Grant> = Vec::new();
    for (number, entry) in (1..).zip(file.token) {
        let name = entry.name.clone();
        let grant = grant(entry)
            .and_then(|grant| check_new(grant, &grants))
            .map_err(|problem| PathError::TokenEntry { number, name: shown(&name), problem })?;
        grants.push(grant);
    }
    if grants.is_empty() {
        return Err(PathError::NoTokens);
    }
    Ok(TokenList::new(grants))
}

/// What the parser says, without the line itself: that may have a secret.
fn syntax(text: &str, error: &toml::de::Error) -> PathError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    PathError::TokenSyntax {
        line,
        message: error.message().lines().next().unwrap_or("").to_owned(),
    }
}

fn grant(entry: Entry) -> Result<Grant, TokenFileError> {
    if !is_name(&entry.name) {
        return Err(TokenFileError::Name);
    }
    let hashes = hashes(entry.token, entry.token_sha256)?;
    let scopes = scopes(&entry.scopes)?;
    if entry.directories.iter().any(|directory| !directory.is_absolute()) {
        return Err(TokenFileError::Directory);
    }
    let is_zero = |limit: Option<usize>| limit == Some(0);
    if is_zero(entry.max_sessions) || is_zero(entry.max_tasks) || entry.budget_days == Some(0) {
        return Err(TokenFileError::Zero);
    }
    Ok(Grant {
        name: entry.name.into(),
        hashes,
        scopes,
        sessions_limit: entry.max_sessions,
        tasks_limit: entry.max_tasks,
        directories: entry.directories,
        budget: budget(entry.budget_usd, entry.budget_days)?,
    })
}

fn hashes(
    token: Option<String>,
    sha256: Option<Hashes>,
) -> Result<Vec<SecretHash>, TokenFileError> {
    let texts = match (token, sha256) {
        (Some(token), None) => return Ok(vec![secret::hash_of_token(&token)?]),
        (None, Some(Hashes::One(text))) => vec![text],
        (None, Some(Hashes::Several(texts))) => texts,
        (Some(_), Some(_)) | (None, None) => return Err(TokenFileError::NoSecret),
    };
    let hashes: Option<Vec<_>> = texts.iter().map(|text| secret::read_hash(text)).collect();
    hashes.filter(|hashes| !hashes.is_empty()).ok_or(TokenFileError::Hash)
}

fn scopes(words: &[String]) -> Result<Scopes, TokenFileError> {
    let scopes: Option<Vec<_>> = words.iter().map(|word| Scope::from_word(word)).collect();
    let scopes = scopes.filter(|scopes| !scopes.is_empty()).ok_or(TokenFileError::Scopes)?;
    Ok(scopes.into_iter().collect())
}

fn budget(usd: Option<f64>, days: Option<u32>) -> Result<Option<Budget>, TokenFileError> {
    match (usd, days) {
        (None, None) => Ok(None),
        (Some(usd), days) if usd.is_finite() && usd >= 0.0 => Ok(Some(Budget { usd, days })),
        (Some(_) | None, _) => Err(TokenFileError::Budget),
    }
}

/// No two tokens may have a name or a secret in common.
fn check_new(grant: Grant, others: &[Grant]) -> Result<Grant, TokenFileError> {
    if others.iter().any(|other| other.name == grant.name) {
        return Err(TokenFileError::SameName);
    }
    let has_it = |hash| others.iter().any(|other| other.hashes.contains(hash));
    if grant.hashes.iter().any(has_it) {
        return Err(TokenFileError::SameSecret);
    }
    Ok(grant)
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=limits::TOKEN_NAME_CHARS).contains(&name.len()) && name.bytes().all(is_plain)
}

fn shown(name: &str) -> String {
    name.chars()
        .filter(|character| !character.is_control())
        .take(limits::TOKEN_NAME_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn problem(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_file_is_one_token_called_default_that_allows_everything() {
        let list = parse("0123456789abcdef\n").unwrap();
        let (grant, _) = list.find("0123456789abcdef").unwrap();
        assert_eq!((&*grant.name, grant.scopes), ("default", Scopes::ALL));
    }

    #[test]
    fn an_entry_has_a_secret_or_hashes_and_limits_of_its_own() {
        let text = format!(
            "[[token]]\nname = \"ci\"\ntoken_sha256 = \"{HASH}\"\nscopes = [\"run\", \"read\"]\n\
             max_sessions = 3\nmax_tasks = 2\ndirectories = [\"/srv\"]\nbudget_usd = 5\nbudget_days = 30\n\
             [[token]]\nname = \"ops\"\ntoken = \"0123456789abcdef\"\nscopes = [\"operate\"]\n"
        );
        let list = parse(&text).unwrap();
        let (ci, _) = list.find("abc").unwrap();
        assert_eq!((ci.sessions_limit, ci.tasks_limit), (Some(3), Some(2)));
        assert_eq!(ci.directories, [PathBuf::from("/srv")]);
        assert_eq!(ci.budget, Some(Budget { usd: 5.0, days: Some(30) }));
        assert!(ci.scopes.has(Scope::Run) && !ci.scopes.has(Scope::Operate));
        let (ops, _) = list.find("0123456789abcdef").unwrap();
        assert_eq!((&*ops.name, ops.budget), ("ops", None));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_shows() {
        let entry = |more: &str| format!("[[token]]\nname = \"ci\"\nscopes = [\"run\"]\n{more}\n");
        let hash = format!("token_sha256 = \"{HASH}\"");
        let two = entry(&hash) + &entry("token = \"s3cret-s3cret-s3cret\"");
        for (text, expected) in [
            (entry(""), "needs token_sha256"),
            (entry("token = \"s3cret\""), "at least 16 characters"),
            (entry("token = \"s3cret s3cret s3cret\""), "only letters"),
            (entry("token_sha256 = \"s3cret\""), "64 hexadecimal digits"),
            (entry("token_sha256 = []"), "64 hexadecimal digits"),
            (entry(&format!("{hash}\ndirectories = [\"relative\"]")), "absolute"),
            (entry(&format!("{hash}\nmax_tasks = 0")), "1 or more"),
            (entry(&format!("{hash}\nbudget_days = 3")), "budget_usd"),
            (entry(&format!("{hash}\nbudget_usd = nan")), "budget_usd"),
            (entry(&format!("{hash}\nbudget = 3")), "line 5: unknown field `budget`"),
            (entry(&hash).replace("\"run\"", "\"rum\""), "read, run or operate"),
            (entry(&hash).replace("\"run\"", ""), "read, run or operate"),
            (entry(&hash).replace("ci", "c i"), "name"),
            (two, "another token has this name"),
            (entry(&hash) + &entry(&hash).replace("ci", "cj"), "another token has this secret"),
            ("[[token]]\nname = \"ci\"\ntoken = s3cret".to_owned(), "line 3"),
            ("[token]".to_owned(), "line 1"),
            ("# [[token]]".to_owned(), "no token"),
        ] {
            let problem = problem(&text);
            assert!(problem.contains(expected), "{expected}\n{problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
