//! Whether tasks get cgroups, decided once at the start by trying it.
//!
//! Owns the parent directory of all tasks' leaves. Leaves belong to workers; those of tasks that an earlier
//! supervisor started stay in its parent directory, beside this one, which goes with the last of them.

use std::path::{Path, PathBuf};

use cc_link::spec::CgroupParent;
use cc_proctree::cgroup::{self, Parent, Setting};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{config::limits, worker::spawner::Spawner};

/// Finds or makes the place for cgroups and has a worker try it. `None`: the subreaper alone contains tasks.
///
/// # Errors
/// When an operator named the place and it does not work.
pub async fn find(
    setting: &Setting,
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
                        problem,
                        "cgroups cannot be used; tasks are contained by the subreaper alone"
                    );
                    Ok(None)
                }
            }
        }
    }
}

/// Has a worker try to start, freeze and kill a process in a leaf. Says whether `CLONE_INTO_CGROUP` works.
async fn probe(parent: &Parent, spawner: &Spawner) -> Result<bool, String> {
    let mut command = spawner.command();
    command.arg("--probe-cgroup").arg(parent.path()).stdin(std::process::Stdio::null());
    let output = timeout(limits::CGROUP_PROBE, command.kill_on_drop(true).output())
        .await
        .map_err(|_| "the probe did not end in time".to_owned())?
        .map_err(|error| format!("the worker could not be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), said.trim()) {
        (true, "clone-into") => Ok(true),
        (true, "procs") => Ok(false),
        (_, said) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("the probe ended with {} {said:?} {:?}", output.status, errors.trim()))
        }
    }
}

/// The leaf of a task of an earlier supervisor, if it is there.
#[must_use]
pub fn find_leaf(parent: Option<&CgroupParent>, task_id: &str) -> Option<PathBuf> {
    cgroup::find_leaf(&parent?.path, task_id)
}

/// A task's leaf is not needed any more: if it was another supervisor's and the last one, its parent goes too.
pub async fn left(parent: Option<&CgroupParent>, leaf: &Path) {
    let own = parent.map(|parent| parent.path.as_path());
    if leaf.parent() != own {
        let leaf = leaf.to_owned();
        if let Err(error) = spawn_blocking(move || cgroup::remove_parent_of(&leaf)).await {
            tracing::error!(%error, "removing an earlier supervisor's cgroup");
        }
    }
}

/// Removes the cgroups of supervisors that run no more. `running`: the tasks whose leaves are in use. To be called when
/// every task of an earlier supervisor has an owner or an end.
pub async fn remove_abandoned(parent: Option<&CgroupParent>, running: Vec<String>) {
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
