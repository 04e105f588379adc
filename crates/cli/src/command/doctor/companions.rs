//! The three programs of this product, and a supervisor that runs: whether their versions fit together.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time};

use super::{finding::Finding, port};
use crate::{
    args::ServerOptions,
    connect::{RunningSupervisor, USUAL_URL, programs},
};

/// Where a supervisor listens by default.
const USUAL_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8003));
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// For a program to print its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// A line for each of the two programs beside this one.
pub(crate) async fn check() -> Vec<Finding> {
    let mut findings = vec![Finding::ok("programs", format!("ccx {OWN_VERSION}"))];
    for name in ["cc-supervisor", "cc-worker"] {
        findings.push(companion(name).await);
    }
    findings
}

async fn companion(name: &str) -> Finding {
    const WHAT: &str = "programs";
    let path = match programs::find_companion(name) {
        Ok(path) => path,
        Err(failure) => return Finding::failure(WHAT, failure.to_string()),
    };
    let mut command = Command::new(&path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let said = match time::timeout(VERSION_LIMIT, command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(Err(error)) => return Finding::failure(WHAT, format!("{}: {error}", path.display())),
        Err(_) => return Finding::failure(WHAT, format!("{} does not answer", path.display())),
    };
    let found = format!("{said} ({})", path.display());
    if said == format!("{name} {OWN_VERSION}") {
        Finding::ok(WHAT, found)
    } else {
        Finding::warn(
            WHAT,
            format!("{found} is not of this version, {OWN_VERSION}"),
            "install the three programs together",
        )
    }
}

/// Whether the configuration files and the environment of this shell have mistakes.
pub(crate) async fn configuration() -> Finding {
    const WHAT: &str = "settings";
    let Ok(path) = programs::find_companion("cc-supervisor") else {
        return Finding::skip(WHAT, "there is no cc-supervisor to ask");
    };
    let mut command = Command::new(&path);
    command.arg("--check-config").stdin(Stdio::null()).kill_on_drop(true);
    match time::timeout(VERSION_LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            Finding::ok(WHAT, "no mistakes; `ccx config show --origin` lists them")
        }
        Ok(Ok(output)) => {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let first = errors.lines().next().unwrap_or_default();
            let found = first.trim_start_matches("cc-supervisor: ").to_owned();
            Finding::fail(WHAT, found, "`ccx config check` lists all mistakes")
        }
        Ok(Err(error)) => Finding::failure(WHAT, format!("{}: {error}", path.display())),
        Err(_) => Finding::failure(WHAT, format!("{} does not answer", path.display())),
    }
}

/// Whether a supervisor answers at `--url`, or at the usual address.
pub(crate) async fn running_supervisor(options: &ServerOptions) -> Vec<Finding> {
    const WHAT: &str = "supervisor";
    let url = options.url.as_deref().unwrap_or(USUAL_URL);
    let connected = match RunningSupervisor::of(options) {
        Ok(supervisor) => supervisor.connect().await,
        Err(failure) => Err(failure),
    };
    match connected {
        Ok(connection) => {
            let version = connection.connected().version.clone();
            connection.close().await;
            if version == OWN_VERSION {
                return vec![Finding::ok(WHAT, format!("{version} answers at {url}"))];
            }
            vec![Finding::warn(
                WHAT,
                format!("{version} answers at {url}, and this is ccx {OWN_VERSION}"),
                "install one version; an upgrade of a supervisor costs no task (SIGUSR1)",
            )]
        }
        Err(failure) if options.url.is_some() => {
            vec![Finding::failure(WHAT, failure.to_string())]
        }
        Err(_) => {
            let found = format!(
                "no supervisor can be used at {url}; `ccx run` and `ccx batch` start a private one"
            );
            let mut findings = vec![Finding::ok(WHAT, found)];
            findings.extend(port::check(USUAL_ADDRESS));
            findings
        }
    }
}
