//! Starts workers, and sweeps up after those that died.
//!
//! Owns the list of live workers that are this process's children. Starting and sweeping exclude each other,
//! because a sweep takes every child that is not on the list for an orphan; an adopted worker is nobody's child
//! here, and so in no danger. Workers are started by `posix_spawn` (no `pre_exec`, no fork): its
//! cost does not grow with this process.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use cc_link::spec::MARKER_VARIABLE;
use cc_proctree::sweep::{Leftovers, Swept, end_leftovers};
use tokio::process::Command;

use crate::worker::{LiveChildren, Worker};

/// Starts workers.
#[derive(Debug)]
pub struct Spawner {
    program: PathBuf,
    /// Pids of workers that are not reaped yet.
    live: LiveChildren,
}

impl Spawner {
    /// Of workers that run this program.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program, live: Arc::default() }
    }

    /// Starts a worker, which waits for its first control line.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub async fn spawn(&self) -> io::Result<Worker> {
        let mut live = self.live.lock().await;
        let child = self.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(
            |error| io::Error::new(error.kind(), format!("{}: {error}", self.program.display())),
        )?;
        let worker = Worker::started(child, Arc::clone(&self.live))
            .ok_or_else(|| io::Error::other("the worker has no pid or no pipes"))?;
        live.insert(worker.pid);
        Ok(worker)
    }

    /// A command that runs the worker program, cleanly.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir("/").process_group(0).stderr(Stdio::inherit());
        if let Some(value) = std::env::var_os("RUST_BACKTRACE") {
            command.env("RUST_BACKTRACE", value);
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
        let sweeping = tokio::task::spawn_blocking(move || {
            let workers: Vec<i32> = live.iter().copied().collect();
            let marker = (MARKER_VARIABLE, task_id.as_str());
            end_leftovers(&Leftovers { marker, leaf, workers: &workers })
        });
        sweeping.await.map_err(io::Error::other)?
    }
}
