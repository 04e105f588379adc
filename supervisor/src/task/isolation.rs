//! What a request and the configuration together want a task to be kept from. A request can lower a limit, and nothing else.

use std::path::{Path, PathBuf};

use cc_link::isolation::{TaskLimits, WantedIsolation};
use cc_protocol::{UnfitParam, execute::Execute};

use crate::config::{
    environment::Base,
    isolation::{Account, IsolationSettings, TEMPORARY},
};

/// Devices that hold nothing of the machine's, which no program can do without.
const WRITABLE: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
];
/// What the Claude CLI and the tools that it starts write below the home directory. What does not exist when a task begins
/// cannot be made.
const WRITABLE_AT_HOME: [&str; 7] = [
    ".claude",
    ".claude.json",
    ".claude.json.backup",
    ".cache",
    ".npm",
    ".local/share/claude",
    ".local/state/claude",
];

/// # Errors
/// When the request asks for more than the configuration allows.
pub(super) fn wanted(
    settings: &IsolationSettings,
    environment: &Base,
    execute: &Execute,
) -> Result<WantedIsolation, UnfitParam> {
    Ok(WantedIsolation {
        is_scoped: settings.is_scoped,
        writable: settings.confine.as_ref().map(|named| writable(named, settings, environment)),
        user: settings.user.as_ref().map(|account| account.user.clone()),
        wrapper_words: settings.wrap.len(),
        limits: limits(&settings.limits, execute)?,
    })
}

/// The environment is the supervisor's: a request cannot widen the confinement by a variable.
fn writable(named: &[PathBuf], settings: &IsolationSettings, environment: &Base) -> Vec<PathBuf> {
    let home = match &settings.user {
        Some(account) => Some(account.home.as_str()),
        None => environment.get("HOME"),
    };
    let at_home = home
        .into_iter()
        .flat_map(|home| WRITABLE_AT_HOME.iter().map(move |name| Path::new(home).join(name)));
    let claude = environment.get("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    let everywhere = WRITABLE.iter().chain(&TEMPORARY).map(PathBuf::from);
    named.iter().cloned().chain(everywhere).chain(at_home).chain(claude).collect()
}

fn limits(most: &TaskLimits, execute: &Execute) -> Result<TaskLimits, UnfitParam> {
    let lower = |field, wish: Option<u64>, most: Option<u64>| match (wish, most) {
        (Some(wish), Some(limit)) if wish > limit => Err(UnfitParam::OverLimit { field, limit }),
        (wish, most) => Ok(wish.or(most)),
    };
    Ok(TaskLimits {
        memory_bytes: lower("max_memory_bytes", execute.max_memory_bytes, most.memory_bytes)?,
        processes: lower("max_processes", execute.max_processes, most.processes)?,
        cpu_percent: lower("max_cpu_percent", execute.max_cpu_percent, most.cpu_percent)?,
        open_files: lower("max_open_files", execute.max_open_files, most.open_files)?,
    })
}

/// What a login of the user would set, in the place of the supervisor's. What the request sets stays.
pub(super) fn become_account(
    variables: &mut Vec<(String, String)>,
    account: &Account,
    execute: &Execute,
) {
    let is_own = |name: &str| execute.env.contains_key(name);
    let of_account = [
        ("HOME", &account.home),
        ("USER", &account.user.name),
        ("LOGNAME", &account.user.name),
        ("SHELL", &account.shell),
    ];
    variables.retain(|(name, _)| {
        let is_of_other_user = name.starts_with("XDG_") || name == "MAIL";
        let is_replaced = of_account.iter().any(|(of_account, _)| name == of_account);
        is_own(name) || !(is_of_other_user || is_replaced)
    });
    for (name, value) in of_account {
        if !is_own(name) {
            variables.push((name.to_owned(), value.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn execute(params: Value) -> Execute {
        let Value::Object(params) = params else { panic!("no object") };
        Execute::from_params(params).unwrap()
    }

    #[test]
    fn a_request_lowers_a_limit_and_never_raises_it() {
        let most = TaskLimits { memory_bytes: Some(1000), ..TaskLimits::default() };
        let of = |params| limits(&most, &execute(params)).map(|limits| limits.memory_bytes);
        assert_eq!(of(json!({"argv": ["x"]})), Ok(Some(1000)));
        assert_eq!(of(json!({"argv": ["x"], "max_memory_bytes": 5})), Ok(Some(5)));
        let over = UnfitParam::OverLimit { field: "max_memory_bytes", limit: 1000 };
        assert_eq!(of(json!({"argv": ["x"], "max_memory_bytes": 1001})), Err(over));
        let processes = limits(&most, &execute(json!({"argv": ["x"], "max_processes": 9})));
        assert_eq!(processes.unwrap().processes, Some(9), "where the operator has set no limit");
    }

    #[test]
    fn a_request_cannot_widen_a_confinement() {
        let environment = [("HOME", "/home/a")].map(|(a, b)| (a.into(), b.into()));
        let (environment, _) = Base::new(environment.into_iter(), &[], &[]);
        let confine = Some(vec![PathBuf::from("/srv")]);
        let settings = IsolationSettings { confine, ..IsolationSettings::default() };
        let params =
            json!({"argv": ["x"], "cwd": "/etc", "env": {"HOME": "/", "CLAUDE_CONFIG_DIR": "/"}});
        let wanted = wanted(&settings, &environment, &execute(params)).unwrap();
        let writable = wanted.writable.unwrap();
        assert!(writable.contains(&"/srv".into()) && writable.contains(&"/home/a/.claude".into()));
        assert!(!writable.contains(&"/".into()) && !writable.contains(&"/etc".into()));
    }
}
