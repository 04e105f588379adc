//! Whether tasks get cgroups, decided once at the start by trying it.
//!
//! Owns the parent directory of all tasks' leaves. Leaves belong to workers. Those of an earlier supervisor's tasks stay
//! in its parent directory, beside this one, which is removed with the last of them.

use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use cc_link::{isolation::TaskLimits, spec::CgroupParent};
use cc_proctree::cgroup::{self, Controllers, Parent, Setting};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{config::limits, worker::spawner::Spawner};

/// Why the probe of a cgroup failed.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("the probe did not end in time")]
    Timeout,
    #[error("the worker could not be started: {0}")]
    Start(#[source] io::Error),
    #[error("the probe ended with {status} {stdout:?} {stderr:?}")]
    Failed { status: ExitStatus, stdout: String, stderr: String },
}

/// Finds or makes the parent cgroup and has a worker try it. `None`: the subreaper alone contains tasks.
///
/// # Errors
/// When the operator named the parent and it cannot be used.
pub(crate) async fn find(
    setting: &Setting,
    limits: &TaskLimits,
    spawner: &Spawner,
) -> anyhow::Result<Option<(Parent, CgroupParent)>> {
    let Some(parent) = Parent::discover(setting)? else {
        match setting {
            Setting::Off => tracing::info!("cgroups are off; tasks are contained by the subreaper"),
            Setting::Auto | Setting::Path(_) => {
                tracing::warn!("no writable cgroup v2; tasks are contained by the subreaper alone");
            }
        }
        return Ok(None);
    };
    match probe(&parent, spawner).await {
        Ok(clone_into) => {
            let path = parent.path().to_owned();
            tracing::info!(path = %path.display(), clone_into, "tasks get cgroups");
            enable_controllers(&path, limits);
            Ok(Some((parent, CgroupParent { path, clone_into })))
        }
        Err(problem) => {
            let path = parent.path().to_owned();
            parent.remove();
            match setting {
                Setting::Path(_) => {
                    anyhow::bail!("--cgroup: {} cannot be used: {problem}", path.display())
                }
                Setting::Auto | Setting::Off => {
                    tracing::warn!(
                        path = %path.display(),
                        problem = problem.to_string(),
                        "cgroups cannot be used; tasks are contained by the subreaper alone"
                    );
                    Ok(None)
                }
            }
        }
    }
}

/// Those that the operator's limits need: each of them costs every task something.
fn enable_controllers(parent: &Path, limits: &TaskLimits) {
    let wanted = Controllers {
        memory: limits.memory_bytes.is_some(),
        pids: limits.processes.is_some(),
        cpu: limits.cpu_percent.is_some(),
    };
    let enabled = wanted.enable(parent);
    if enabled != wanted {
        let wanted: Vec<_> = wanted.names().collect();
        let enabled: Vec<_> = enabled.names().collect();
        tracing::warn!(
            path = %parent.display(), ?wanted, ?enabled,
            "not all cgroup controllers can be had for the limits of tasks: what stands in for them is in the answer \
             to execute (isolation)"
        );
    }
}

/// Has a worker try to start, freeze and kill a process in a leaf. Returns whether `CLONE_INTO_CGROUP` works.
async fn probe(parent: &Parent, spawner: &Spawner) -> Result<bool, ProbeError> {
    let mut command = spawner.command();
    command.arg("--probe-cgroup").arg(parent.path()).stdin(Stdio::null());
    let output = timeout(limits::CGROUP_PROBE, command.kill_on_drop(true).output())
        .await
        .map_err(|_| ProbeError::Timeout)?
        .map_err(ProbeError::Start)?;
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    match (output.status.success(), text(&output.stdout)) {
        (true, said) if said == "clone-into" => Ok(true),
        (true, said) if said == "procs" => Ok(false),
        (_, stdout) => {
            let stderr = text(&output.stderr);
            Err(ProbeError::Failed { status: output.status, stdout, stderr })
        }
    }
}

/// The leaf of a task of an earlier supervisor, if it is there.
#[must_use]
pub(crate) fn find_leaf(parent: Option<&CgroupParent>, task_id: &str) -> Option<PathBuf> {
    cgroup::find_leaf(&parent?.path, task_id)
}

/// To be called when a task has left its leaf. If that was the last one of an earlier supervisor, its parent is removed.
pub(crate) async fn left(parent: Option<&CgroupParent>, leaf: &Path) {
    let own = parent.map(|parent| parent.path.as_path());
    if leaf.parent() != own {
        let leaf = leaf.to_owned();
        if let Err(error) = spawn_blocking(move || cgroup::remove_parent_of(&leaf)).await {
            tracing::error!(%error, "removing an earlier supervisor's cgroup");
        }
    }
}

/// Removes the cgroups of supervisors that have ended. `running` are the tasks whose leaves are in use. To be called when
/// every task of an earlier supervisor has an owner or an end.
pub(crate) async fn remove_abandoned(parent: Option<&CgroupParent>, running: Vec<String>) {
    let Some(parent) = parent.map(|parent| parent.path.clone()) else { return };
    let removing = spawn_blocking(move || {
        let in_use: Vec<PathBuf> =
            running.iter().filter_map(|task_id| cgroup::find_leaf(&parent, task_id)).collect();
        cgroup::remove_abandoned(&parent, &in_use);
    });
    if let Err(error) = removing.await {
        tracing::error!(%error, "removing abandoned cgroups");
    }
}
