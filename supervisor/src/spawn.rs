//! Starts workers, and sweeps up after those that died.
//!
//! Owns the list of live workers that are this process's children. Starting and sweeping exclude each other,
//! because a sweep takes every child that is not on the list for an orphan; an adopted worker is nobody's child
//! here, and so in no danger. Workers are started by `posix_spawn` (no `pre_exec`, no fork): its
//! cost does not grow with this process. Some are started ahead of their tasks, as [`crate::spares`] says.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use cc_link::spec::{MARKER_VARIABLE, OPEN_FILES_VARIABLE};
use cc_proctree::sweep::{Leftovers, Swept, end_leftovers};
use tokio::{
    process::{Child, Command},
    sync::OwnedMutexGuard,
    task::{JoinSet, spawn_blocking},
};

use crate::{
    spares::{Build, Spare, Spares, Taken},
    worker::{LiveChildren, Worker},
};

/// Starts workers. Clones mean the same one.
#[derive(Clone, Debug)]
pub struct Spawner {
    program: Arc<Path>,
    /// Pids of workers that are not reaped yet.
    live: LiveChildren,
    spares: Arc<Spares>,
    open_files: Option<u64>,
}

impl Spawner {
    /// Of workers that run this program, at most `spares` of them ahead of their tasks, with `open_files` as their
    /// limit where that is not to be this process's.
    #[must_use]
    pub fn new(program: PathBuf, spares: usize, open_files: Option<u64>) -> Self {
        let spares = Arc::new(Spares::new(spares));
        Self { program: program.into(), live: Arc::default(), spares, open_files }
    }

    /// A worker that waits for its first control line: a spare one, else one that is started now.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub async fn spawn(&self) -> io::Result<Worker> {
        let Taken { spare, useless } = self.spares.take(&self.program);
        for spare in useless {
            tokio::spawn(self.clone().end(spare));
        }
        let child = match spare {
            Some(spare) => spare.child,
            None => {
                let mut live = self.live.lock().await;
                self.start(&mut live)?
            }
        };
        Worker::started(child, Arc::clone(&self.live))
            .ok_or_else(|| io::Error::other("the worker has no pid or no pipes"))
    }

    fn start(&self, live: &mut BTreeSet<i32>) -> io::Result<Child> {
        let child = self.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(
            |error| io::Error::new(error.kind(), format!("{}: {error}", self.program.display())),
        )?;
        live.extend(pid_of(&child));
        Ok(child)
    }

    /// Starts as many spares as are missing, in the background. To be called when a task has started: until then
    /// the machine has better things to do.
    pub fn start_spares(&self) {
        if self.spares.begin_to_fill() {
            tokio::spawn(self.clone().fill());
        }
    }

    async fn fill(self) {
        while !self.spares.is_full() {
            let live = Arc::clone(&self.live).lock_owned().await;
            let spawner = self.clone();
            // Starting a process takes a while in which this thread could serve clients.
            let started = spawn_blocking(move || spawner.start_spare(live)).await;
            match started.map_err(io::Error::other).flatten() {
                Ok(None) => {}
                Ok(Some(unwanted)) => self.clone().end(unwanted).await,
                Err(error) => {
                    tracing::warn!(%error, "a spare worker could not be started");
                    return self.spares.give_up();
                }
            }
        }
    }

    /// While `live` is held nobody closes the spares, so that none is forgotten.
    fn start_spare(&self, mut live: OwnedMutexGuard<BTreeSet<i32>>) -> io::Result<Option<Spare>> {
        // Before the start: a program that is replaced meanwhile makes a spare that is not used.
        let build = Build::of(&self.program)?;
        let child = self.start(&mut live)?;
        Ok(self.spares.add(Spare { child, build }))
    }

    async fn end(self, spare: Spare) {
        let pid = pid_of(&spare.child);
        spare.end().await;
        if let Some(pid) = pid {
            self.live.lock().await.remove(&pid);
        }
    }

    /// Spares that live, now.
    #[must_use]
    pub fn spare_count(&self) -> usize {
        self.spares.count()
    }

    /// Ends all spares; there are none from now on.
    pub async fn end_spares(&self) {
        let spares = {
            let _nobody_starts_one = self.live.lock().await;
            self.spares.close()
        };
        let mut ends: JoinSet<()> =
            spares.into_iter().map(|spare| self.clone().end(spare)).collect();
        while ends.join_next().await.is_some() {}
    }

    /// A command that runs the worker program, cleanly.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&*self.program);
        command.env_clear().current_dir("/").process_group(0).stderr(Stdio::inherit());
        if let Some(value) = std::env::var_os("RUST_BACKTRACE") {
            command.env("RUST_BACKTRACE", value);
        }
        if let Some(open_files) = self.open_files {
            command.env(OPEN_FILES_VARIABLE, open_files.to_string());
        }
        command
    }

    /// Kills what a dead worker's task has left. No worker is started meanwhile.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub async fn sweep(&self, task_id: &str, leaf: Option<&Path>) -> io::Result<Swept> {
        let live = Arc::clone(&self.live).lock_owned().await;
        let task_id = task_id.to_owned();
        let leaf = leaf.map(Path::to_owned);
        let sweeping = spawn_blocking(move || {
            let workers: Vec<i32> = live.iter().copied().collect();
            let marker = (MARKER_VARIABLE, task_id.as_str());
            end_leftovers(&Leftovers { marker, leaf, workers: &workers })
        });
        sweeping.await.map_err(io::Error::other)?
    }
}

fn pid_of(child: &Child) -> Option<i32> {
    child.id().and_then(|pid| i32::try_from(pid).ok())
}
