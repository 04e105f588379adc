//! `ccx token new`: makes a token, and adds it to a token file.

use std::{
    fmt::Write as _,
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use base64::Engine as _;
use cc_protocol::Scope;
use nix::fcntl::{Flock, FlockArg};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    args::{TokenCommand, TokenNewArguments},
    error::CommandError,
};

/// Longest token file that a supervisor reads.
const FILE_BYTES: usize = 64 * 1024;

pub(crate) fn run(command: &TokenCommand) -> Result<u8, CommandError> {
    match command {
        TokenCommand::New(arguments) => new(arguments),
    }
}

fn new(arguments: &TokenNewArguments) -> Result<u8, CommandError> {
    let secret = random_secret()?;
    let entry = entry(arguments, &secret);
    let mut shown = format!("{secret}\n");
    match &arguments.file {
        Some(path) => add(path, &arguments.name, &entry)?,
        None => shown.push_str(&entry),
    }
    let written = io::stdout().write_all(shown.as_bytes());
    written.map_err(CommandError::io("standard output"))?;
    Ok(0)
}

/// 256 random bits, in characters that may stand in a header.
fn random_secret() -> Result<String, CommandError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| CommandError::failed(format!("no random numbers: {error}")))?;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
    Ok(format!("ccx_{text}"))
}

fn entry(arguments: &TokenNewArguments, secret: &str) -> String {
    let hash = Sha256::digest(secret.as_bytes());
    let hash = hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    });
    let words: Vec<&str> = Scope::ALL
        .into_iter()
        .filter(|scope| arguments.scope.contains(scope))
        .map(Scope::as_str)
        .collect();
    let mut lines = vec![
        "\n[[token]]".to_owned(),
        format!("name = {:?}", arguments.name),
        format!("token_sha256 = {hash:?}"),
        format!("scopes = {words:?}"),
    ];
    lines.extend(arguments.max_sessions.map(|limit| format!("max_sessions = {limit}")));
    lines.extend(arguments.max_tasks.map(|limit| format!("max_tasks = {limit}")));
    if !arguments.dir.is_empty() {
        // A text of JSON, and a list of them, is one of TOML.
        lines.push(format!("directories = {}", json!(arguments.dir)));
    }
    lines.extend(arguments.budget_usd.map(|usd| format!("budget_usd = {usd:?}")));
    lines.extend(arguments.budget_days.map(|days| format!("budget_days = {days}")));
    lines.join("\n") + "\n"
}

/// Adds an entry to a token file. A reader sees the old file or the new one, and only its owner sees either.
fn add(path: &Path, name: &str, entry: &str) -> Result<(), CommandError> {
    let cannot = |problem: &str| {
        CommandError::failed(format!("{}: {problem}; the token was not added", path.display()))
    };
    let failed = |error: io::Error| cannot(&error.to_string());
    let (target, folder) = places(path).map_err(failed)?;
    // Of two that add at the same time, neither undoes what the other has done.
    let folder_file = File::open(&folder).map_err(failed)?;
    let _lock = Flock::lock(folder_file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| failed(errno.into()))?;
    let before = match fs::metadata(&target) {
        Ok(metadata) if metadata.is_file() => Some(metadata),
        Ok(_) => return Err(cannot("it is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let mut text = match &before {
        Some(_) => fs::read_to_string(&target).map_err(failed)?,
        None => String::new(),
    };
    if !text.trim().is_empty() && !text.contains("[[token]]") {
        return Err(cannot(
            "it holds a single token and no list; give that one a name in another file (docs/tokens.md)",
        ));
    }
    let Ok(table) = toml::from_str::<toml::Table>(&text) else {
        return Err(cannot("it is no TOML"));
    };
    let tokens = table.get("token").and_then(toml::Value::as_array);
    let has_name =
        |token: &toml::Value| token.get("name").and_then(toml::Value::as_str) == Some(name);
    if tokens.into_iter().flatten().any(has_name) {
        return Err(cannot(&format!("it has a token named {name} already")));
    }
    text.push_str(if text.is_empty() { entry.trim_start() } else { entry });
    if text.len() > FILE_BYTES {
        return Err(cannot("it would be longer than 64 KiB"));
    }
    let mut file = tempfile::Builder::new()
        .prefix(".ccx-tokens-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(&folder)
        .map_err(failed)?;
    if let Some(before) = before {
        // A service's file stays readable for the service.
        fchown(file.as_file(), Some(before.uid()), Some(before.gid())).map_err(failed)?;
    }
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The file and its folder. A symbolic link stays, and its target is replaced.
fn places(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let target = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path)?,
        found => found?,
    };
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    Ok((target, folder))
}
