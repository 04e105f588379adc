//! Options of `token`.

use std::path::PathBuf;

use cc_protocol::Scope;
use clap::{Args, Subcommand};

/// Why an option of `token new` is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum TokenArgumentError {
    #[error("up to 64 letters, digits and -._")]
    Name,
    #[error("read, run or operate")]
    Scope,
    #[error("an absolute path")]
    Directory,
    #[error("0 or more US dollars")]
    Amount,
}

const NEW_HELP: &str = "\
The secret is random and shown only now: the file holds its SHA-256. With --file, standard output has
the secret alone; without it, the secret is followed by the entry for the file. The supervisor takes a
changed file at its next reload (ccx reload, or SIGHUP).

To replace a secret without a gap, give the token both hashes (token_sha256 = [\"OLD\", \"NEW\"]), reload,
change the clients, remove the old one, and reload again.

Examples:
  ccx token new --name ci --scope run,read --file /etc/cc-executor/tokens.toml > ci.token
  ccx token new --name desk --scope read
  ccx token new --name night --scope run,read --dir /srv/work --max-tasks 4 --budget-usd 20 --budget-days 1";

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for the token file of a supervisor
    New(TokenNewArguments),
}

#[derive(Debug, Args)]
#[command(after_help = NEW_HELP)]
pub(crate) struct TokenNewArguments {
    /// Its name, under which what it makes is kept: letters, digits and -._
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) name: String,
    /// What it allows: read, run, operate, with commas between
    #[arg(long, value_name = "SCOPES", required = true, value_delimiter = ',', value_parser = scope)]
    pub(crate) scope: Vec<Scope>,
    /// Sessions with a connection at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_sessions: Option<u32>,
    /// Tasks at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tasks: Option<u32>,
    /// Let its tasks run only below this directory; repeatable
    #[arg(long, value_name = "DIR", value_parser = directory)]
    pub(crate) dir: Vec<PathBuf>,
    /// What its tasks may cost, in US dollars, as Claude reports it
    #[arg(long, value_name = "USD", value_parser = amount)]
    pub(crate) budget_usd: Option<f64>,
    /// In so many days, today (UTC) included [default: in all]
    #[arg(long, value_name = "N", requires = "budget_usd", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) budget_days: Option<u32>,
    /// Add it to this token file, which is made where there is none
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

fn name(text: &str) -> Result<String, TokenArgumentError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(TokenArgumentError::Name)
    }
}

fn scope(text: &str) -> Result<Scope, TokenArgumentError> {
    Scope::from_word(text).ok_or(TokenArgumentError::Scope)
}

fn directory(text: &str) -> Result<PathBuf, TokenArgumentError> {
    Some(PathBuf::from(text)).filter(|path| path.is_absolute()).ok_or(TokenArgumentError::Directory)
}

fn amount(text: &str) -> Result<f64, TokenArgumentError> {
    let amount = text.parse().ok().filter(|usd: &f64| usd.is_finite() && *usd >= 0.0);
    amount.ok_or(TokenArgumentError::Amount)
}
