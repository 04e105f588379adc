//! The settings whose values depend on the machine or on each other: files, directories, programs, the address.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::config::{
    error::{ConfigError, PathError},
    limits,
    origin::Origin,
    settings::{setting::AnySetting as _, table},
    text_file,
    token::Token,
    values::Values,
};

/// What was found on this machine.
pub(crate) struct Machine {
    pub(super) token: Option<Token>,
    pub(super) may_be_remote: bool,
    pub(super) listen: SocketAddr,
    pub(super) state_dir: PathBuf,
    pub(super) worker: PathBuf,
    pub(super) cwd: PathBuf,
}

impl Machine {
    /// Looks at everything, whatever is wrong with the rest. What the configuration file gives an unusable value for
    /// causes no second mistake here.
    ///
    /// # Errors
    /// All mistakes.
    pub(super) fn examine(values: &Values<'_>) -> Result<Self, Vec<ConfigError>> {
        let token = token(values);
        // A token file that cannot be used is a mistake of its own.
        let has_token = !matches!(token, Ok(None)) || values.is_unusable(&table::TOKEN_FILE);
        let address = address(values, has_token);
        match (token, address, state_dir(values), worker(values), cwd(values)) {
            (Ok(token), Ok((listen, may_be_remote)), Ok(state_dir), Ok(worker), Ok(cwd)) => {
                Ok(Self { token, may_be_remote, listen, state_dir, worker, cwd })
            }
            (token, address, state_dir, worker, cwd) => {
                let mistakes =
                    [token.err(), address.err(), state_dir.err(), worker.err(), cwd.err()];
                Err(mistakes.into_iter().flatten().collect())
            }
        }
    }
}

/// Where to listen, and whether that may be beyond loopback.
fn address(values: &Values<'_>, has_token: bool) -> Result<(SocketAddr, bool), ConfigError> {
    let is_insecure =
        values.is_unusable(&table::INSECURE_REMOTE) || values.value(&table::INSECURE_REMOTE)?;
    let may_be_remote = is_insecure && has_token;
    let origin = values.given(&table::LISTEN)?.map(|given| given.origin);
    let address = values.value(&table::LISTEN)?;
    if may_be_remote || is_local(address) {
        return Ok((address, may_be_remote));
    }
    let origin = origin.map(|origin| origin.of(table::LISTEN.about().name));
    Err(ConfigError::Remote { origin, address })
}

/// The address of an inherited socket, if it may listen there.
///
/// # Errors
/// [`ConfigError::Remote`].
pub(crate) fn check_inherited(
    address: SocketAddr,
    may_be_remote: bool,
) -> Result<SocketAddr, ConfigError> {
    if may_be_remote || is_local(address) {
        Ok(address)
    } else {
        Err(ConfigError::Remote { origin: None, address })
    }
}

fn is_local(address: SocketAddr) -> bool {
    address.ip().is_loopback()
}

/// The argument and the configuration file name a file with the token; the variable is the token.
fn token(values: &Values<'_>) -> Result<Option<Token>, ConfigError> {
    let Some((value, origin)) = values.optional(&table::TOKEN_FILE)? else { return Ok(None) };
    let name = table::TOKEN_FILE.about().name;
    match origin {
        Origin::Variable(_) => Token::new(value.to_string_lossy().trim())
            .map(Some)
            .map_err(|problem| ConfigError::Token { origin: origin.of(name), problem }),
        Origin::Argument | Origin::File(_) | Origin::Default => token_of_file(&value)
            .map(Some)
            .map_err(|problem| ConfigError::Path { origin: origin.of(name), path: value, problem }),
    }
}

fn token_of_file(path: &Path) -> Result<Token, PathError> {
    let text = text_file::read(path, limits::TOKEN_FILE_BYTES)?;
    Token::new(text.trim()).map_err(PathError::Token)
}

fn state_dir(values: &Values<'_>) -> Result<PathBuf, ConfigError> {
    use etcetera::BaseStrategy as _;
    let (path, origin) = match values.optional(&table::STATE_DIR)? {
        Some(given) => given,
        None => {
            let xdg = etcetera::base_strategy::Xdg::new().ok();
            let directory = xdg.and_then(|xdg| xdg.state_dir()).ok_or(ConfigError::NoStateDir)?;
            (directory.join("cc-executor"), Origin::Default)
        }
    };
    std::path::absolute(&path).map_err(|error| {
        let origin = origin.of(table::STATE_DIR.about().name);
        ConfigError::Path { origin, path, problem: error.into() }
    })
}

fn worker(values: &Values<'_>) -> Result<PathBuf, ConfigError> {
    if let Some((path, origin)) = values.optional(&table::WORKER)? {
        let origin = origin.of(table::WORKER.about().name);
        return path.canonicalize().map_err(|error| ConfigError::Path {
            origin,
            path,
            problem: error.into(),
        });
    }
    if values.is_unusable(&table::WORKER) {
        // That is a mistake already: whether there is a default does not matter.
        return Ok(PathBuf::new());
    }
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("cc-worker"));
    let search = values.variable("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&search).map(|directory| directory.join("cc-worker")))
        .find(|candidate| candidate.is_file())
        .and_then(|found| found.canonicalize().ok())
        .ok_or(ConfigError::NoWorker)
}

fn cwd(values: &Values<'_>) -> Result<PathBuf, ConfigError> {
    let given = values.optional(&table::CWD)?;
    let (path, origin) = given.unwrap_or_else(|| (PathBuf::from("."), Origin::Default));
    let origin = origin.of(table::CWD.about().name);
    match directory(&path) {
        Ok(directory) => Ok(directory),
        Err(error) => Err(ConfigError::Path { origin, path, problem: error.into() }),
    }
}

/// The absolute path of a directory.
fn directory(path: &Path) -> std::io::Result<PathBuf> {
    let absolute = path.canonicalize()?;
    if absolute.is_dir() { Ok(absolute) } else { Err(std::io::ErrorKind::NotADirectory.into()) }
}
