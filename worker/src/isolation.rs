//! What a task is kept from, and its limits: what the supervisor wants, as far as this machine has it.
//!
//! A limit is the leaf's where that has the controller, else one of each process. What cannot be had is not in the task's
//! `started` event; only a confinement that cannot be had is a failed start, because a task that writes everywhere is not
//! what the operator asked for.

use std::{io, os::fd::OwnedFd, path::PathBuf};

use cc_events::{Isolation, LimitInForce, LimitedUnit, LimitsInForce};
use cc_link::{
    isolation::{TaskLimits, TaskUser, WantedIsolation},
    spec::TaskSpec,
};
use cc_proctree::{
    cgroup::{CgroupError, Leaf},
    landlock::{Ruleset, Wanted},
    limits::ResourceLimits,
    seccomp::Filter,
    start::StartError,
    user::User,
};
use nix::unistd::{Gid, Uid, fchown, geteuid};

/// What the start of a task takes of it, and what its `started` event says of it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub ruleset: Option<Ruleset>,
    pub filter: Option<Filter>,
    pub user: Option<User>,
    pub limits: ResourceLimits,
    pub in_force: Isolation,
}

/// Prepares everything, and limits the leaf.
///
/// # Errors
/// When a confinement cannot be had.
pub(crate) fn prepare(spec: &TaskSpec, leaf: Option<&Leaf>) -> Result<Prepared, StartError> {
    let wanted = &spec.isolation;
    let writable = wanted.writable.as_deref();
    // The kernel takes a ruleset, and a filter, only from a process that can gain nothing any more, or has CAP_SYS_ADMIN.
    let can_restrict = spec.no_new_privs;
    let is_scoped = wanted.is_scoped && can_restrict;
    let asked = Wanted { is_scoped, writable: writable.filter(|_| can_restrict) };
    let ruleset =
        Ruleset::prepare(asked).map_err(|error| StartError::System { step: "landlock", error })?;
    let is_confined = ruleset.as_ref().is_some_and(|ruleset| ruleset.is_confined);
    if writable.is_some() && !is_confined {
        let error = io::Error::new(
            io::ErrorKind::Unsupported,
            "this kernel cannot confine tasks: start the supervisor without --confine",
        );
        return Err(StartError::System { step: "landlock", error });
    }
    let filter = if is_scoped { Filter::prepare() } else { None };
    let (limits, limits_in_force) = limits(&wanted.limits, leaf, wanted.user.as_ref());
    let in_force = Isolation {
        scoped: ruleset.as_ref().is_some_and(|ruleset| ruleset.is_scoped),
        filtered: filter.is_some(),
        writable: writable.map(existing),
        user: wanted.user.as_ref().map(|user| user.name.clone()),
        wrapper: wrapper(spec),
        limits: limits_in_force,
    };
    Ok(Prepared { ruleset, filter, user: wanted.user.as_ref().map(user), limits, in_force })
}

impl Prepared {
    /// Lets the user open its own output by name (`/dev/stdout`).
    pub(crate) fn give_to_user(&self, pipes: [&OwnedFd; 2]) -> Result<(), StartError> {
        let Some(user) = &self.user else { return Ok(()) };
        for pipe in pipes {
            fchown(pipe, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))
                .map_err(|errno| StartError::System { step: "fchown", error: errno.into() })?;
        }
        Ok(())
    }

    /// The task could not be born into its leaf, whose limits are therefore no limits of it.
    pub(crate) fn is_outside_of_leaf(&mut self) {
        let limits = &mut self.in_force.limits;
        for limit in [&mut limits.memory_bytes, &mut limits.processes, &mut limits.cpu_percent] {
            limit.take_if(|limit| limit.per == LimitedUnit::Task);
        }
    }
}

/// Where both are to be had, the leaf's limit counts what is meant: the whole task.
fn limits(
    wanted: &TaskLimits,
    leaf: Option<&Leaf>,
    user: Option<&TaskUser>,
) -> (ResourceLimits, LimitsInForce) {
    let by_leaf = |limit: Option<u64>, set: fn(&Leaf, u64) -> Result<(), CgroupError>| {
        let (leaf, limit) = (leaf?, limit?);
        set(leaf, limit).ok()?;
        Some(LimitInForce { limit, per: LimitedUnit::Task })
    };
    let memory = by_leaf(wanted.memory_bytes, Leaf::limit_memory);
    let processes = by_leaf(wanted.processes, Leaf::limit_processes);
    let cpu_percent = by_leaf(wanted.cpu_percent, Leaf::limit_cpu);
    // Root can have as many processes as it likes.
    let is_root = user.map_or_else(|| geteuid().is_root(), |user| user.uid == 0);
    let resources = ResourceLimits {
        memory_bytes: wanted.memory_bytes.filter(|_| memory.is_none()),
        processes: wanted.processes.filter(|_| processes.is_none() && !is_root),
        open_files: wanted.open_files,
    };
    let in_force = |limit: Option<u64>, per| limit.map(|limit| LimitInForce { limit, per });
    let limits_in_force = LimitsInForce {
        memory_bytes: memory.or(in_force(resources.memory_bytes, LimitedUnit::Process)),
        processes: processes.or(in_force(resources.processes, LimitedUnit::User)),
        cpu_percent,
        open_files: in_force(resources.open_files, LimitedUnit::Process),
    };
    (resources, limits_in_force)
}

/// Those that are there: the task can write below no others.
fn existing(paths: &[PathBuf]) -> Vec<String> {
    let there = paths.iter().filter(|path| path.exists());
    there.map(|path| path.to_string_lossy().into_owned()).collect()
}

fn wrapper(spec: &TaskSpec) -> Option<String> {
    let WantedIsolation { wrapper_words, .. } = spec.isolation;
    spec.argv.first().filter(|_| wrapper_words > 0).cloned()
}

fn user(user: &TaskUser) -> User {
    User { uid: user.uid, gid: user.gid, groups: user.groups.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: TaskLimits = TaskLimits {
        memory_bytes: Some(1 << 30),
        processes: Some(50),
        cpu_percent: Some(200),
        open_files: Some(100),
    };

    #[test]
    fn a_limit_is_the_leafs_where_that_has_the_controller_and_else_that_of_each_process() {
        let temporary = tempfile::tempdir().unwrap();
        let leaf = Leaf::create(temporary.path().join("leaf")).unwrap();
        std::fs::write(leaf.path().join("memory.max"), "").unwrap();
        let other = TaskUser { uid: 7, ..TaskUser::default() };
        let (resources, in_force) = limits(&ALL, Some(&leaf), Some(&other));
        let expected =
            ResourceLimits { memory_bytes: None, processes: Some(50), open_files: Some(100) };
        assert_eq!(resources, expected);
        let per = |limit: Option<LimitInForce>| limit.map(|limit| limit.per);
        assert_eq!(per(in_force.memory_bytes), Some(LimitedUnit::Task));
        assert_eq!(per(in_force.processes), Some(LimitedUnit::User));
        assert_eq!(per(in_force.cpu_percent), None, "no limit of a process is a share of a CPU");
        assert_eq!(per(in_force.open_files), Some(LimitedUnit::Process));
    }

    #[test]
    fn root_has_no_limit_of_processes_without_a_controller_and_nothing_says_that_it_had() {
        let root = TaskUser::default();
        let (resources, in_force) = limits(&ALL, None, Some(&root));
        assert_eq!((resources.processes, in_force.processes), (None, None));
    }
}
