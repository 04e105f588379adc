//! Has workers forked, and sweeps up after those that died.
//!
//! Owns the list of live workers that are this process's children, and the fork server that makes them. Starting and
//! sweeping exclude each other, because a sweep takes every child that is not on the list for an orphan; an adopted
//! worker is nobody's child here, and so in no danger. The fork server is started for the first worker, and again when
//! it is gone or its program was replaced; what a worker costs does not grow with this process. Some are started
//! ahead of their tasks, as [`crate::spares`] says.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use cc_link::spec::{MARKER_VARIABLE, OPEN_FILES_VARIABLE};
use cc_proctree::{
    shortage,
    sweep::{Leftovers, Swept, end_leftovers},
};
use tokio::{
    process::Command,
    sync::Mutex,
    task::{JoinSet, spawn_blocking},
};

use crate::{
    fork_server::{Build, ForkError, ForkServer},
    spares::{Spare, Spares, Taken},
    worker::Worker,
};

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", program.display())]
pub struct SpawnError {
    /// The worker's program.
    pub program: PathBuf,
    /// What went wrong.
    pub error: ForkError,
}

impl SpawnError {
    /// Whether it is the machine's trouble: it is out of something, the worker's program is not there (somebody may be
    /// replacing it), or the process that workers are forked by has died. Not so: the program may not be executed.
    #[must_use]
    pub fn is_environmental(&self) -> bool {
        match &self.error {
            ForkError::Refused(error) => {
                error.kind() == io::ErrorKind::NotFound || shortage::is_environmental(error)
            }
            ForkError::Lost(_) => true,
        }
    }
}

/// The children of this process that no sweep may take for orphans.
#[derive(Debug, Default)]
pub struct Children {
    /// Workers that are not reaped yet.
    pub workers: BTreeSet<i32>,
    fork_server: Option<ForkServer>,
}

/// Starts workers. Clones mean the same one.
#[derive(Clone, Debug)]
pub struct Spawner {
    program: Arc<Path>,
    children: Arc<Mutex<Children>>,
    spares: Arc<Spares>,
    open_files: Option<u64>,
}

impl Spawner {
    /// Of workers that run this program, at most `spares` of them ahead of their tasks, with `open_files` as their
    /// limit where that is not to be this process's.
    #[must_use]
    pub fn new(program: PathBuf, spares: usize, open_files: Option<u64>) -> Self {
        let spares = Arc::new(Spares::new(spares));
        Self { program: program.into(), children: Arc::default(), spares, open_files }
    }

    /// A worker that waits for its first control line: a spare one, else one that is started now.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub async fn spawn(&self) -> Result<Worker, SpawnError> {
        let Taken { spare, useless } = self.spares.take(&self.program);
        for spare in useless {
            tokio::spawn(self.clone().end(spare));
        }
        let forked = match spare {
            Some(spare) => spare.forked,
            None => self.start(&mut *self.children.lock().await).await?.forked,
        };
        Ok(Worker::started(forked, Arc::clone(&self.children)))
    }

    async fn start(&self, children: &mut Children) -> Result<Spare, SpawnError> {
        let program = || self.program.to_path_buf();
        let started = self.try_to_start(children).await;
        started.map_err(|error| SpawnError { program: program(), error })
    }

    async fn try_to_start(&self, children: &mut Children) -> Result<Spare, ForkError> {
        // Before the start: a program that is replaced meanwhile makes a spare that is not used.
        let build = Build::of(&self.program)?;
        loop {
            // While it is asked it is nobody's: a future that is dropped takes it along.
            let used = children.fork_server.take();
            let was_there = used.is_some();
            let mut fork_server = match used {
                Some(current) if current.build() == build => current,
                Some(old) => {
                    old.end().await;
                    continue;
                }
                None => ForkServer::start(self.command(), build)?,
            };
            match fork_server.fork().await {
                Ok(forked) => {
                    children.fork_server = Some(fork_server);
                    children.workers.insert(forked.child.pid());
                    return Ok(Spare { forked, build });
                }
                Err(error @ ForkError::Refused(_)) => {
                    children.fork_server = Some(fork_server);
                    return Err(error);
                }
                Err(error @ ForkError::Lost(_)) => {
                    fork_server.end().await;
                    if !was_there {
                        return Err(error);
                    }
                    tracing::warn!(%error, "the fork server is started again");
                }
            }
        }
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
            // While this is held nobody closes the spares, so that none is forgotten.
            let mut children = self.children.lock().await;
            let started = self.start(&mut children).await.map(|spare| self.spares.add(spare));
            drop(children);
            match started {
                Ok(None) => {}
                Ok(Some(unwanted)) => self.clone().end(unwanted).await,
                Err(error) => {
                    tracing::warn!(%error, "a spare worker could not be started");
                    return self.spares.give_up();
                }
            }
        }
    }

    async fn end(self, spare: Spare) {
        let pid = spare.forked.child.pid();
        spare.end().await;
        self.children.lock().await.workers.remove(&pid);
    }

    /// Spares that live, now.
    #[must_use]
    pub fn spare_count(&self) -> usize {
        self.spares.count()
    }

    /// Ends all spares, of which there are none from now on, and the fork server.
    pub async fn end_spares(&self) {
        let (spares, fork_server) = {
            let mut children = self.children.lock().await;
            (self.spares.close(), children.fork_server.take())
        };
        if let Some(fork_server) = fork_server {
            fork_server.end().await;
        }
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
        let children = Arc::clone(&self.children).lock_owned().await;
        let task_id = task_id.to_owned();
        let leaf = leaf.map(Path::to_owned);
        let sweeping = spawn_blocking(move || {
            let fork_server = children.fork_server.as_ref().map(ForkServer::pid);
            let workers: Vec<i32> = children.workers.iter().copied().chain(fork_server).collect();
            let marker = (MARKER_VARIABLE, task_id.as_str());
            end_leftovers(&Leftovers { marker, leaf, workers: &workers })
        });
        sweeping.await.map_err(io::Error::other)?
    }
}
