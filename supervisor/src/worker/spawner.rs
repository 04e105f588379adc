//! Has workers forked by a keeper, and sweeps up what a dead worker left: [`Spawner::sweep`] calls
//! `cc_proctree::kill`.
//!
//! Owns this supervisor's keeper. It is started for the first worker, and again when it is gone or its program was
//! replaced; the replaced keeper exits with its last worker. What a worker costs does not grow with this process.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use cc_link::spec::{CORE_DUMPS_VARIABLE, MARKER_VARIABLE, OPEN_FILES_VARIABLE};
use cc_proctree::{
    kill::{Leftovers, Swept, end_leftovers},
    procfs::Process,
};
use tokio::{process::Command, sync::Mutex, task::spawn_blocking, time::timeout};

use crate::{
    config::limits,
    worker::{
        keeper::{Build, ForkError, Forked, Keeper},
        keepers::{self, Keepers},
        link::Worker,
    },
};

/// Why no worker could be started.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", program.display())]
pub(crate) struct SpawnError {
    pub program: PathBuf,
    pub error: ForkError,
}

/// Starts workers. Clones are the same spawner.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    program: Arc<Path>,
    keeper: Arc<Mutex<Option<Keeper>>>,
    keepers: Keepers,
    open_files: Option<u64>,
    allow_core_dumps: bool,
}

impl Spawner {
    /// Starts workers that run `program`. `open_files` is their limit; `None`: as this process's.
    #[must_use]
    pub(crate) fn new(program: PathBuf, keepers: Keepers, open_files: Option<u64>) -> Self {
        Self {
            program: program.into(),
            keeper: Arc::default(),
            keepers,
            open_files,
            allow_core_dumps: false,
        }
    }

    /// The same, whose workers debuggers of their user may look into.
    #[must_use]
    pub(crate) fn allowing_core_dumps(mut self, allow_core_dumps: bool) -> Self {
        self.allow_core_dumps = allow_core_dumps;
        self
    }

    /// Starts a worker, which waits for its first control line.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub(crate) async fn spawn(&self) -> Result<Worker, SpawnError> {
        let forked = self.fork(&mut *self.keeper.lock().await).await;
        match forked {
            Ok(Forked { process, stdin, stdout }) => Ok(Worker::over_pipes(process, stdin, stdout)),
            Err(error) => Err(SpawnError { program: self.program.to_path_buf(), error }),
        }
    }

    async fn fork(&self, place: &mut Option<Keeper>) -> Result<Forked, ForkError> {
        // Looked at for each worker: a program that was replaced on the disk needs another keeper.
        let build = Build::of(&self.program)?;
        loop {
            // Out of its place while it forks: if this future is dropped, the keeper goes with it (see `Keeper::fork`).
            let used = place.take();
            let was_there = used.is_some();
            let mut keeper = match used {
                Some(current) if current.build() == build => current,
                Some(old) => {
                    drop(old.dismiss());
                    continue;
                }
                None => Keeper::start(self.command(), &self.keepers, build)?,
            };
            match keeper.fork().await {
                Ok(forked) => {
                    *place = Some(keeper);
                    return Ok(forked);
                }
                Err(error @ ForkError::Refused(_)) => {
                    *place = Some(keeper);
                    return Err(error);
                }
                Err(error @ ForkError::Lost(_)) => {
                    keeper.give_up();
                    if !was_there {
                        return Err(error);
                    }
                    tracing::warn!(%error, "another keeper is started");
                }
            }
        }
    }

    /// Dismisses the keeper, which exits with its last worker. Waits for the exit of keepers: of all where
    /// `are_tasks_over`, else of those that have no worker.
    pub(crate) async fn close(&self, are_tasks_over: bool) {
        let keeper = self.keeper.lock().await.take();
        if let Some(keeper) = keeper {
            let process = keeper.dismiss();
            if are_tasks_over || keepers::is_idle(process.pid()) {
                // If it takes longer, it is waited for with the others.
                drop(timeout(limits::WORKER_EXIT, process.ended()).await);
            }
        }
        self.keepers.ended(are_tasks_over).await;
    }

    /// The keepers of this supervisor's workers, and of earlier ones'.
    #[must_use]
    pub(crate) fn keepers(&self) -> &Keepers {
        &self.keepers
    }

    /// A command that runs the worker program in a clean environment.
    #[must_use]
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&*self.program);
        command.env_clear().current_dir("/").process_group(0).stderr(Stdio::inherit());
        if let Some(value) = std::env::var_os("RUST_BACKTRACE") {
            command.env("RUST_BACKTRACE", value);
        }
        if let Some(open_files) = self.open_files {
            command.env(OPEN_FILES_VARIABLE, open_files.to_string());
        }
        if self.allow_core_dumps {
            command.env(CORE_DUMPS_VARIABLE, "1");
        }
        command
    }

    /// Kills the processes that a dead worker's task has left and its keeper has not ended: those in its cgroup, those
    /// with its marker in their environment, and the `descendants` that were seen below the worker before. Called by
    /// [`crate::task::worker_lost`].
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) async fn sweep(
        &self,
        task_id: &str,
        leaf: Option<&Path>,
        descendants: Vec<Process>,
    ) -> io::Result<Swept> {
        let task_id = task_id.to_owned();
        let leaf = leaf.map(Path::to_owned);
        let sweeping = spawn_blocking(move || {
            let marker = (MARKER_VARIABLE, task_id.as_str());
            end_leftovers(&Leftovers { marker, leaf, known: &descendants })
        });
        sweeping.await.map_err(io::Error::other)?
    }
}
