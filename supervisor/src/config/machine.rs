//! The settings whose values depend on the machine or on each other: files, directories, programs, the address.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::config::{
    error::{ConfigError, PathError},
    listen::ListenAddress,
    origin::Origin,
    programs::{self, is_program},
    settings::{setting::AnySetting as _, table},
    tls,
    tokens::TokenSetting,
    values::Values,
};

/// Where the service manager puts a service's credentials (systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The name of the credential with the tokens.
const TOKENS_CREDENTIAL: &str = "cc-executor.tokens";

/// What was found on this machine.
pub(crate) struct Machine {
    pub(super) tokens: TokenSetting,
    pub(super) may_be_remote: bool,
    pub(super) listen: Vec<ListenAddress>,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
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
        let tokens = tokens(values);
        // A token file that cannot be used is a mistake of its own.
        let has_token = tokens.as_ref().map_or(true, |tokens| !tokens.is_empty())
            || values.is_unusable(&table::TOKEN_FILE);
        let tls = tls::server(values);
        // As above.
        let has_tls = tls.as_ref().map_or(true, Option::is_some);
        let address = address(values, has_token, has_tls);
        let programs = (worker(values), shell(values));
        match (tokens, tls, address, state_dir(values), programs, cwd(values)) {
            (
                Ok(tokens),
                Ok(tls),
                Ok((listen, may_be_remote)),
                Ok(state_dir),
                (Ok(worker), Ok(())),
                Ok(cwd),
            ) => Ok(Self { tokens, tls, may_be_remote, listen, state_dir, worker, cwd }),
            (tokens, tls, address, state_dir, (worker, shell), cwd) => {
                let mistakes = [
                    tokens.err(),
                    tls.err(),
                    address.err(),
                    state_dir.err(),
                    worker.err(),
                    shell.err(),
                    cwd.err(),
                ];
                Err(mistakes.into_iter().flatten().collect())
            }
        }
    }
}

/// Where to listen, and whether that may be beyond loopback.
fn address(
    values: &Values<'_>,
    has_token: bool,
    has_tls: bool,
) -> Result<(Vec<ListenAddress>, bool), ConfigError> {
    let is_insecure =
        values.is_unusable(&table::INSECURE_REMOTE) || values.value(&table::INSECURE_REMOTE)?;
    let may_be_remote = (has_tls || is_insecure) && has_token;
    let origin = values.given(&table::LISTEN)?.map(|given| given.origin);
    if let Some(pinned) = values.pinned() {
        return match pinned.listening.filter(|_| !may_be_remote) {
            None => Ok((pinned.listen.to_vec(), may_be_remote)),
            Some(address) => Err(ConfigError::LastToken { address }),
        };
    }
    let listen = values.value(&table::LISTEN)?;
    let remote = listen.iter().filter(|address| !address.is_local()).find_map(ListenAddress::tcp);
    let Some(address) = remote.filter(|_| !may_be_remote) else {
        return Ok((listen, may_be_remote));
    };
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
    if may_be_remote || address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(ConfigError::Remote { origin: None, address })
    }
}

/// The argument and the configuration file name a file with tokens; the variable is a token. Where nothing is given, a
/// credential of the service manager with this name has them.
fn tokens(values: &Values<'_>) -> Result<TokenSetting, ConfigError> {
    let name = table::TOKEN_FILE.about().name;
    let Some((value, origin)) = values.optional(&table::TOKEN_FILE)? else {
        return credential(values);
    };
    match origin {
        Origin::Variable(_) => TokenSetting::of_variable(value.to_string_lossy().trim())
            .map_err(|problem| ConfigError::Token { origin: origin.of(name), problem }),
        Origin::Argument | Origin::File(_) | Origin::Default => TokenSetting::of_file(&value)
            .map_err(|problem| ConfigError::Path { origin: origin.of(name), path: value, problem }),
    }
}

fn credential(values: &Values<'_>) -> Result<TokenSetting, ConfigError> {
    let Some(directory) = values.variable(CREDENTIALS_DIRECTORY) else {
        return Ok(TokenSetting::default());
    };
    let path = Path::new(&directory).join(TOKENS_CREDENTIAL);
    if !path.exists() {
        return Ok(TokenSetting::default());
    }
    TokenSetting::of_credential(&path).map_err(|problem| ConfigError::Path {
        origin: Origin::Variable(CREDENTIALS_DIRECTORY).of(table::TOKEN_FILE.about().name),
        path,
        problem,
    })
}

/// Where the state directory is, or will be.
pub(super) fn state_dir(values: &Values<'_>) -> Result<PathBuf, ConfigError> {
    use etcetera::BaseStrategy as _;
    if let Some(pinned) = values.pinned() {
        return Ok(pinned.state_dir.to_owned());
    }
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
    if let Some(pinned) = values.pinned() {
        return Ok(pinned.worker.to_owned());
    }
    if let Some((path, origin)) = values.optional(&table::WORKER)? {
        let found = path.canonicalize().map_err(PathError::from);
        let found = found.and_then(|found| match is_program(&found) {
            true => Ok(found),
            false => Err(PathError::NoProgram),
        });
        let origin = origin.of(table::WORKER.about().name);
        return found.map_err(|problem| ConfigError::Path { origin, path, problem });
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
        .find(|candidate| is_program(candidate))
        .and_then(|found| found.canonicalize().ok())
        .ok_or(ConfigError::NoWorker)
}

/// A shell that was named must be there: without it no command line is run.
fn shell(values: &Values<'_>) -> Result<(), ConfigError> {
    let Some(origin) = values.given(&table::SHELL)?.map(|given| given.origin) else {
        return Ok(());
    };
    let shell = values.value(&table::SHELL)?;
    let search = values.variable("PATH");
    if search.is_none() && !shell.contains('/') {
        // Tasks have a PATH of their own.
        return Ok(());
    }
    match programs::find(&shell, search.unwrap_or_default().as_ref()) {
        Some(_) => Ok(()),
        None => Err(ConfigError::Path {
            origin: origin.of(table::SHELL.about().name),
            path: shell.into(),
            problem: PathError::NoProgram,
        }),
    }
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
