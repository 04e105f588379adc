//! What tasks are kept from, as the operator wants it, and the upper limits of what they may use.

use std::path::{Path, PathBuf};

use cc_link::isolation::{TaskLimits, TaskUser};
use nix::unistd::{User, geteuid, getgrouplist};

use crate::config::{
    error::{ConfigError, PathError, ValueError},
    origin::Origin,
    settings::{setting::AnySetting, table},
    values::Values,
};

/// Where every program makes temporary files, and confined tasks can write too.
pub(crate) const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

#[derive(Clone, Debug, Default)]
pub(crate) struct IsolationSettings {
    /// Signals, traces and abstract sockets reach none but a task's own processes.
    pub(crate) is_scoped: bool,
    /// Absolute. `None`: a task writes wherever its user can.
    pub(crate) confine: Option<Vec<PathBuf>>,
    /// Stands before every task's arguments; its program is a path.
    pub(crate) wrap: Vec<String>,
    /// `None`: the supervisor's.
    pub(crate) user: Option<Account>,
    /// What a task gets that asks for no less.
    pub(crate) limits: TaskLimits,
}

/// The user that tasks run as.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: TaskUser,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// Reads the settings.
///
/// # Errors
/// For a value that this machine, or another setting, forbids.
pub(super) fn read(
    values: &Values<'_>,
    state_dir: &Path,
) -> Result<IsolationSettings, ConfigError> {
    let number = |setting| Ok(values.optional(setting)?.map(|(number, _)| number as u64));
    let (confine, wrap) = (confine(values, state_dir)?, wrap(values)?);
    Ok(IsolationSettings {
        is_scoped: !values.value(&table::ALLOW_OUTSIDE_SIGNALS)?,
        confine,
        wrap,
        user: account(values)?,
        limits: TaskLimits {
            memory_bytes: values.optional(&table::TASK_MEMORY)?.map(|(bytes, _)| bytes),
            processes: number(&table::TASK_PROCESSES)?,
            cpu_percent: number(&table::TASK_CPU)?,
            open_files: number(&table::TASK_OPEN_FILES)?,
        },
    })
}

fn confine(values: &Values<'_>, state_dir: &Path) -> Result<Option<Vec<PathBuf>>, ConfigError> {
    let directories = values.value(&table::CONFINE)?;
    if directories.is_empty() {
        return Ok(None);
    }
    let mistake = |path: &str, problem| {
        let origin = origin(values, &table::CONFINE)?;
        Err(ConfigError::Value { origin, value: path.to_owned(), problem })
    };
    let first = directories[0].as_str();
    if values.value(&table::ALLOW_NEW_PRIVILEGES)? {
        return mistake(first, ValueError::ConfinePrivileges);
    }
    if !values.value(&table::WRAP)?.is_empty() {
        return mistake(first, ValueError::ConfineWrap);
    }
    let state_dir = existing(state_dir);
    if TEMPORARY.iter().any(|temporary| state_dir.starts_with(temporary)) {
        return mistake(first, ValueError::ConfineTemporary);
    }
    let mut confine = Vec::new();
    for path in &directories {
        let directory = match Path::new(path).canonicalize() {
            Ok(directory) => directory,
            Err(error) => {
                let origin = origin(values, &table::CONFINE)?;
                let problem = PathError::Io(error);
                return Err(ConfigError::Path { origin, path: path.into(), problem });
            }
        };
        if state_dir.starts_with(&directory) {
            return mistake(path, ValueError::ConfineState);
        }
        confine.push(directory);
    }
    Ok(Some(confine))
}

/// The real path of what there is of it.
fn existing(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|ancestor| {
        let rest = path.strip_prefix(ancestor).ok()?;
        Some(ancestor.canonicalize().ok()?.join(rest))
    });
    real.unwrap_or_else(|| path.to_owned())
}

fn wrap(values: &Values<'_>) -> Result<Vec<String>, ConfigError> {
    let mut words = values.value(&table::WRAP)?;
    let Some(program) = words.first_mut() else { return Ok(words) };
    let search = values.variable("PATH").unwrap_or_default();
    let found = if program.contains('/') {
        std::path::absolute(&*program).ok().filter(|path| path.is_file())
    } else {
        let candidates = std::env::split_paths(&search).map(|directory| directory.join(&*program));
        candidates.into_iter().find(|candidate| candidate.is_file())
    };
    match found.as_deref().and_then(Path::to_str) {
        Some(path) => *program = path.to_owned(),
        None => {
            let (origin, value) = (origin(values, &table::WRAP)?, program.clone());
            return Err(ConfigError::Value { origin, value, problem: ValueError::NoSuchProgram });
        }
    }
    Ok(words)
}

fn account(values: &Values<'_>) -> Result<Option<Account>, ConfigError> {
    let Some((name, origin)) = values.optional(&table::TASK_USER)? else { return Ok(None) };
    let mistake = |problem| {
        let origin = origin.of(table::TASK_USER.about().name);
        Err(ConfigError::Value { origin, value: name.clone(), problem })
    };
    if !geteuid().is_root() {
        return mistake(ValueError::NotRoot);
    }
    let user = match User::from_name(&name) {
        Ok(Some(user)) => user,
        Ok(None) => return mistake(ValueError::NoSuchUser),
        Err(errno) => return mistake(ValueError::User(errno.into())),
    };
    let groups = std::ffi::CString::new(name.as_str())
        .map_err(|_| nix::errno::Errno::EINVAL)
        .and_then(|name| getgrouplist(&name, user.gid));
    let groups = match groups {
        Ok(groups) => groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        Err(errno) => return mistake(ValueError::User(errno.into())),
    };
    Ok(Some(Account {
        user: TaskUser { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups },
        home: user.dir.to_string_lossy().into_owned(),
        shell: user.shell.to_string_lossy().into_owned(),
    }))
}

fn origin(
    values: &Values<'_>,
    setting: &'static dyn AnySetting,
) -> Result<crate::config::origin::SettingOrigin, ConfigError> {
    let given = values.given(setting)?.map_or(Origin::Default, |given| given.origin);
    Ok(given.of(setting.about().name))
}
