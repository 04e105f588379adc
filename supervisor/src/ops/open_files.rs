//! The limit of open files: raised to what the configured sessions and tasks can need, as far as the hard limit allows.
//!
//! Workers get the limit that this program was started with and give it to their tasks: a program that uses select(2)
//! breaks with descriptors beyond 1024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, limits};

/// Raises the soft limit as far as `config` needs it and the hard limit allows. Returns the one before, if it was
/// raised.
pub(crate) fn raise(config: &Config) -> Option<u64> {
    let needed = needed(config.sessions_limit, config.tasks_limit);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current.filter(|soft| *soft < needed)?;
    let possible = maximum.map_or(needed, |hard| hard.min(needed));
    if possible < needed {
        let (sessions, tasks) = (config.sessions_limit, config.tasks_limit);
        tracing::warn!(
            possible,
            needed,
            sessions,
            tasks,
            "as many sessions and tasks as are allowed can need more open files than there may be: raise the hard \
             limit (ulimit -Hn, LimitNOFILE=), or lower --max-sessions and --max-tasks"
        );
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum }) {
        Ok(()) => Some(soft),
        Err(error) => {
            tracing::warn!(%error, soft, needed, "the limit of open files cannot be raised");
            None
        }
    }
}

fn needed(sessions: usize, tasks: usize) -> u64 {
    let connections = sessions + limits::EXTRA_CONNECTIONS;
    (connections + tasks * limits::OPEN_FILES_PER_TASK + limits::OPEN_FILES_AT_REST) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{
        numbers::Count,
        setting::{Fixed, Setting},
        table,
    };

    #[test]
    fn every_session_and_every_task_has_its_files() {
        assert!(needed(10_000, 200) > 10_000 + 200 * 4);
        let default = |setting: &Setting<Count, Fixed>| setting.read(&setting.default()).unwrap();
        let (sessions, tasks) = (default(&table::MAX_SESSIONS), default(&table::MAX_TASKS));
        assert!(needed(sessions, tasks) < 4096, "a common hard limit");
    }
}
