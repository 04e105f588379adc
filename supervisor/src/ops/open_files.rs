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

/// How many connections there may be of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Those with a session, or that are told that there is none.
    pub(crate) admitted: usize,
    /// Those of this supervisor's user before that.
    pub(crate) own_preauth: usize,
    /// All others before that.
    pub(crate) strangers: usize,
}

impl ConnectionLimits {
    const fn new(sessions: usize) -> Self {
        let most = limits::MOST_OWN_PREAUTH;
        Self {
            admitted: sessions + limits::EXTRA_CONNECTIONS,
            own_preauth: limits::OWN_PREAUTH + if sessions < most { sessions } else { most },
            strangers: limits::STRANGERS_PREAUTH,
        }
    }

    /// As many as the limit of open files has room for, so that the tasks get their part of what there is.
    #[must_use]
    pub(crate) fn that_fit(config: &Config) -> Self {
        let possible = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::fit(config.sessions_limit, config.tasks_limit, possible)
    }

    fn fit(sessions: usize, tasks: usize, possible: u64) -> Self {
        let wanted = Self::new(sessions);
        let at_rest = limits::OPEN_FILES_AT_REST as u64;
        let needed = needed(sessions, tasks) - at_rest;
        let possible = possible.saturating_sub(at_rest).min(needed);
        let part = |count: usize| {
            let part = count as u64 * possible / needed;
            usize::try_from(part).unwrap_or(count).max(LEAST_CONNECTIONS)
        };
        Self {
            admitted: part(wanted.admitted),
            own_preauth: part(wanted.own_preauth),
            strangers: part(wanted.strangers),
        }
    }

    fn all(self) -> usize {
        self.admitted + self.own_preauth + self.strangers + limits::ACCEPTED_TOGETHER
    }
}

/// Connections of each kind, however few open files there may be.
const LEAST_CONNECTIONS: usize = 4;

fn needed(sessions: usize, tasks: usize) -> u64 {
    let connections = ConnectionLimits::new(sessions).all();
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
    #[test]
    fn where_there_are_too_few_open_files_connections_leave_the_tasks_their_part() {
        let whole = ConnectionLimits::new(100);
        assert_eq!(ConnectionLimits::fit(100, 200, u64::MAX), whole);
        assert_eq!(ConnectionLimits::fit(100, 200, needed(100, 200)), whole);
        let few = ConnectionLimits::fit(100, 200, 256);
        assert!(few.all() + limits::OPEN_FILES_AT_REST < 200, "{few:?}");
        assert_eq!(ConnectionLimits::fit(100, 200, 20).admitted, LEAST_CONNECTIONS);
    }
}
