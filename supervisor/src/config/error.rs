//! What can be wrong with a configuration, named by the argument, the variable or the line that it comes from.

use std::{io, net::SocketAddr, path::PathBuf};

use rustls::pki_types::pem;

use crate::config::origin::{Place, SettingOrigin};

/// Why the supervisor does not start: the first mistake.
#[derive(Debug, thiserror::Error)]
#[error("{}; --check-config prints all mistakes", first(.0))]
pub(crate) struct StartError(pub(crate) Vec<ConfigError>);

fn first(mistakes: &[ConfigError]) -> String {
    mistakes.first().map(ToString::to_string).unwrap_or_default()
}

/// A mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{origin} is {value:?}: {problem}")]
    Value { origin: SettingOrigin, value: String, problem: ValueError },
    /// The text stays out of the message.
    #[error("{origin}: {problem}")]
    Token { origin: SettingOrigin, problem: TokenError },
    /// An inherited socket has no origin.
    #[error(
        "{}{address} is not a loopback address: everyone who reaches it could run commands; \
         give a token (--token-file) and a certificate (--tls-cert, --tls-key), or, where others may read everything on the \
         way, --insecure-remote; or listen on 127.0.0.1",
        prefix(.origin.as_ref())
    )]
    Remote { origin: Option<SettingOrigin>, address: SocketAddr },
    #[error("TLS needs both a certificate (--tls-cert) and its key (--tls-key)")]
    HalfTls,
    /// Found at a reload.
    #[error(
        "this supervisor listens on {address}, beyond loopback, and would be open to everyone without a token, \
         and without TLS to everyone on the way: give a token (token-file) and a certificate (tls-cert, tls-key)"
    )]
    LastToken { address: SocketAddr },
    #[error("no state directory: set HOME, or give --state-dir")]
    NoStateDir,
    #[error("cc-worker is neither beside this program nor on the PATH: give --worker")]
    NoWorker,
    #[error("{origin}: {}: {problem}", path.display())]
    Path { origin: SettingOrigin, path: PathBuf, problem: PathError },
    #[error("the configuration file {}: {problem}", path.display())]
    File { path: PathBuf, problem: PathError },
    #[error("{place}: {message}{}", hint(*.expected))]
    Syntax { place: Place, message: String, expected: Option<(&'static str, Expected)> },
    #[error("{place}: there is no setting {key:?}{}", suggestion(*.nearest))]
    UnknownSetting { place: Place, key: String, nearest: Option<&'static str> },
    #[error("{place}: {name} must be {expected}, not {found}")]
    Type { place: Place, name: &'static str, expected: Expected, found: &'static str },
    #[error("further mistakes in the configuration file: {count}")]
    More { count: usize },
}

impl ConfigError {
    /// Whether the text of one setting is wrong in itself.
    pub(crate) fn is_of_value(&self) -> bool {
        matches!(self, Self::Value { .. })
    }

    /// The line of the configuration file that has the mistake.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. }
            | Self::UnknownSetting { place, .. }
            | Self::Type { place, .. } => Some(place),
            Self::Value { origin, .. } | Self::Token { origin, .. } | Self::Path { origin, .. } => {
                origin.place()
            }
            Self::Remote { origin, .. } => origin.as_ref()?.place(),
            Self::HalfTls
            | Self::NoStateDir
            | Self::NoWorker
            | Self::LastToken { .. }
            | Self::File { .. }
            | Self::More { .. } => None,
        }
    }
}

fn prefix(origin: Option<&SettingOrigin>) -> String {
    origin.map(|origin| format!("{origin}: ")).unwrap_or_default()
}

fn hint(expected: Option<(&'static str, Expected)>) -> String {
    expected.map(|(name, expected)| format!("; {name} must be {expected}")).unwrap_or_default()
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

/// How the value of a setting is written in the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Expected {
    #[error("a text in quotes")]
    Text,
    #[error("a number")]
    Number,
    #[error("a number of seconds, without quotes or unit")]
    Seconds,
    #[error("a number of bytes, without quotes or unit")]
    Bytes,
    #[error("a number of days, without quotes or unit")]
    Days,
    #[error("true or false")]
    Switch,
    #[error("a list of texts in quotes")]
    List,
}

/// Why a text is no value of its setting: what it must be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("must be a whole number from {least} to {most}")]
    Count { least: u64, most: u64 },
    #[error("must be a number of days from 0 to {most}")]
    Days { most: f64 },
    #[error("must be a number of seconds from 0 to {most} (a year)")]
    Seconds { most: f64 },
    #[error("must be more than 0 seconds")]
    NoTime,
    #[error("must be an octal number from 000 to 777")]
    Octal,
    #[error(transparent)]
    CommandLine(#[from] shell_words::ParseError),
    #[error("must name a program")]
    NoProgram,
    #[error("must be the name or path of a shell")]
    NoShell,
    #[error("must be auto, off or an absolute path")]
    Cgroup,
    #[error("must be trace, debug, info, warning, error or off, or a list of target=level")]
    LogLevel,
    #[error("must be trace, debug, info, warning, error or off, or a list of target=level ({0})")]
    LogTargets(#[from] tracing_subscriber::filter::ParseError),
    #[error("must be unix: and an absolute path of at most 99 bytes")]
    UnixPath,
    #[error("must be a port number from 0 to 65535")]
    Port,
    #[error("must be HOST:PORT, such as 127.0.0.1:8003 ({0})")]
    Address(std::io::Error),
    #[error("the name has no address")]
    NoAddress,
    #[error("must be {}", .words.join(" or "))]
    Choice { words: Vec<&'static str> },
    #[error("must be an absolute path")]
    Relative,
    #[error("must be true or false")]
    Switch,
    #[error("must be valid UTF-8")]
    NotUnicode,
    #[error(
        "cannot be combined with --allow-new-privileges: the kernel confines only what can gain none"
    )]
    ConfinePrivileges,
    #[error(
        "cannot be combined with --wrap: a confined program can mount nothing; have the wrapper confine tasks"
    )]
    ConfineWrap,
    #[error(
        "holds the state directory, where no task may write: name directories beside it, or move that (--state-dir)"
    )]
    ConfineState,
    #[error(
        "the state directory is below /tmp or /var/tmp, where confined tasks write: move it (--state-dir)"
    )]
    ConfineTemporary,
    #[error("is no program on the PATH")]
    NoSuchProgram,
    #[error("only a supervisor that runs as root can run tasks as another user")]
    NotRoot,
    #[error("there is no such user")]
    NoSuchUser,
    #[error("cannot be looked up: {0}")]
    User(std::io::Error),
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("is a directory; name a file")]
    Directory,
    #[error("is not a regular file; save its contents in one and name that")]
    NotRegular,
    #[error("is longer than {limit} bytes; check that this is the file you mean")]
    TooLong { limit: usize },
    #[error("is no program that can be executed")]
    NoProgram,
    #[error("is not there, and cannot be made in {}: {error}", parent.display())]
    CannotBeMade { parent: PathBuf, error: io::Error },
    #[error("must be UTF-8 text")]
    NotUnicode,
    #[error(
        "{} belongs to uid {owner}, and not to uid {own}, which runs this, or to root: change its owner, or give --no-config",
        path.display()
    )]
    Owner { path: PathBuf, owner: u32, own: u32 },
    #[error(
        "others may write {} (mode {mode:o}): chmod go-w {}, or give --no-config",
        path.display(), path.display()
    )]
    WritableByOthers { path: PathBuf, mode: u32 },
    #[error(transparent)]
    Token(TokenError),
    /// Boxed: it is much longer than the others.
    #[error(transparent)]
    Tls(Box<TlsError>),
    #[error(
        "mode {mode:04o} lets others read the secret in it; allow only yourself: chmod 600, and put a new secret in it"
    )]
    NotPrivate { mode: u32 },
    #[error(
        "belongs to user {uid}, who could replace it; it must belong to this supervisor's user or to root"
    )]
    ForeignOwner { uid: u32 },
    #[error("line {line}: {message}")]
    TokenSyntax { line: usize, message: String },
    #[error("token {number} ({name:?}): {problem}")]
    TokenEntry { number: usize, name: String, problem: TokenFileError },
    #[error("has no token; make one with: ccx token new")]
    NoTokens,
}

impl From<TlsError> for PathError {
    fn from(error: TlsError) -> Self {
        Self::Tls(Box::new(error))
    }
}

/// What is wrong with a token of a token file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFileError {
    #[error("its name may have up to 64 letters, digits and -._")]
    Name,
    #[error("it needs token_sha256 or token, and not both")]
    NoSecret,
    #[error("token_sha256 must be 64 hexadecimal digits, or a list of such texts")]
    Hash,
    #[error("scopes must be a list of read, run or operate")]
    Scopes,
    #[error("directories must be absolute paths")]
    Directory,
    #[error("a limit must be 1 or more")]
    Zero,
    #[error("budget_usd must be 0 or more; budget_days needs it")]
    Budget,
    #[error("another token has this name")]
    SameName,
    #[error("another token has this secret")]
    SameSecret,
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("is no PEM file with what is needed: {0}")]
    Pem(#[from] pem::Error),
    #[error("has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("cannot be used: {0}; the certificate and the key must belong together")]
    Unusable(#[from] rustls::Error),
    #[error("cannot be used to check client certificates: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Why a text is no token. The text itself stays out of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("a token must have at least 16 characters")]
    Short,
    #[error("a token may have only letters, digits and -._~+/=")]
    Characters,
}
