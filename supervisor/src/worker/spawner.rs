//! Has workers forked by a keeper.
//!
//! Owns this supervisor's keeper. It is started for the first worker, and again when it is gone or its program was
//! replaced; the replaced keeper exits with its last worker. What a worker costs does not grow with this process.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use cc_link::spec::{CORE_DUMPS_VARIABLE, OPEN_FILES_VARIABLE};
use cc_proctree::shortage;
use tokio::{process::Command, sync::Mutex, time::timeout};

use crate::{
    config::{limits, programs::is_program},
    ops::uptime,
    worker::{
        keeper::{Build, ForkError, Forked, Keeper},
        keepers::{self, Keepers, WorkerExit},
        link::Worker,
        start_guard::StartGuard,
        supervision::Supervision,
        sweeper::Sweeper,
    },
};

/// Why no worker could be started.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", program.display())]
pub(crate) struct SpawnError {
    pub program: PathBuf,
    pub error: ForkError,
}

impl SpawnError {
    /// Whether as many processes run as may, of this user or in this container.
    #[must_use]
    pub(crate) fn is_want_of_processes(&self) -> bool {
        match &self.error {
            ForkError::Refused(error) => error.kind() == ErrorKind::WouldBlock,
            ForkError::Lost(_) => false,
        }
    }

    /// Whether the machine lacks something, such as processes, memory or descriptors: the program is not at fault.
    fn is_shortage(&self) -> bool {
        match &self.error {
            ForkError::Refused(error) => shortage::is_environmental(error),
            ForkError::Lost(_) => false,
        }
    }
}

/// Why the program does not work.
#[derive(Debug, thiserror::Error)]
enum TrialError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("a worker without a task {0}")]
    Ended(WorkerExit),
}

/// Starts workers. Clones are the same spawner.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    program: Arc<Path>,
    keeper: Arc<Mutex<Option<Keeper>>>,
    keepers: Keepers,
    sweeper: Sweeper,
    supervision: Supervision,
    guard: StartGuard,
    open_files: Option<u64>,
    allow_core_dumps: bool,
}

impl Spawner {
    /// Starts workers that run `program`. `open_files` is their limit; `None`: as this process's.
    #[must_use]
    pub(crate) fn new(
        program: PathBuf,
        keepers: Keepers,
        open_files: Option<u64>,
        supervision: Supervision,
    ) -> Self {
        let sweeper = Sweeper::new(supervision.clone());
        Self {
            program: program.into(),
            keeper: Arc::default(),
            keepers,
            sweeper,
            guard: StartGuard::new(Arc::clone(supervision.health())),
            supervision,
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
        let spawned = self.try_spawn().await;
        if let Err(error) = &spawned
            && !error.is_shortage()
        {
            self.start_failed(&error.to_string());
        }
        spawned
    }

    async fn try_spawn(&self) -> Result<Worker, SpawnError> {
        let forked = self.fork(&mut *self.keeper.lock().await).await;
        match forked {
            Ok(Forked { process, stdin, stdout }) => Ok(Worker::over_pipes(process, stdin, stdout)),
            Err(error) => Err(SpawnError { program: self.program.to_path_buf(), error }),
        }
    }

    /// Whether tasks may be started.
    #[must_use]
    pub(crate) fn guard(&self) -> &StartGuard {
        &self.guard
    }

    /// A worker failed before it had started its task. After several in a row, starts are refused, and the program is tried
    /// until it works.
    pub(crate) fn start_failed(&self, problem: &str) {
        if let Some(wait) = self.guard.failed(problem) {
            tokio::spawn(self.clone().try_until_it_works(wait));
        }
    }

    async fn try_until_it_works(self, mut wait: Duration) {
        loop {
            uptime::sleep(wait).await;
            if self.guard.is_closed() {
                return;
            }
            match self.try_program().await {
                Ok(()) => return self.guard.worked(),
                Err(error) => wait = self.guard.tried_in_vain(&error.to_string()),
            }
        }
    }

    /// Starts a worker, which gets no task: then it has to exit with 0.
    async fn try_program(&self) -> Result<(), TrialError> {
        let worker = self.try_spawn().await?;
        let pid = worker.pid;
        worker.end().await;
        let exit = self.keepers.settle(pid).await;
        if exit.end.is_some() { Err(TrialError::Ended(exit)) } else { Ok(()) }
    }

    /// Whether the program is there and can be executed. What it does then is found only when it is run.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_program(&self) -> Result<(), SpawnError> {
        let checked = Build::of(&self.program).and_then(|_| match is_program(&self.program) {
            true => Ok(()),
            false => Err(ErrorKind::PermissionDenied.into()),
        });
        let of_program = |error: io::Error| SpawnError {
            program: self.program.to_path_buf(),
            error: error.into(),
        };
        checked.map_err(of_program)
    }

    /// The next worker gets a new keeper. The one that there is exits with its last worker.
    pub(crate) async fn renew(&self) {
        if let Some(keeper) = self.keeper.lock().await.take() {
            drop(keeper.dismiss());
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
                    self.supervision.keeper_lost();
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
        self.guard.close();
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

    /// What is counted of workers and keepers that end as they should not.
    #[must_use]
    pub(crate) fn supervision(&self) -> &Supervision {
        &self.supervision
    }

    /// Kills the processes that dead workers have left and no keeper has ended.
    #[must_use]
    pub(crate) fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }
}
