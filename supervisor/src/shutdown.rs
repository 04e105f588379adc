//! The daemon's life: everything is built, the listener runs, and after a signal everything ends in order.
//!
//! | step | what | how long |
//! |---|---|---|
//! | 1 | the listening socket is closed, no new tasks | at once |
//! | 2 | every task is cancelled; its client gets the terminal event | grace + 5 s, or a second signal |
//! | 3 | what is left is killed; workers that do not obey are killed and swept up after | 20 s |
//! | 4 | connections are closed with 1001 | 5 s |
//! | 5 | the cgroup's parent directory is removed | at once |
//!
//! Whatever is left after that ends itself: a worker whose control channel closes kills its tree and exits.

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
    time::Instant,
};

use anyhow::Context as _;
use cc_link::{event::EndReason, spec::Fsync};
use cc_state::{StateDb, TaskRow};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};

use crate::{
    admission::Rules,
    config::Config,
    containment,
    environment::Base,
    limits,
    listener::{self, Connections},
    metrics::Metrics,
    problems::Problems,
    registry::Registry,
    retention::Retention,
    sessions::Sessions,
    shared::{Shared, Stage},
    spawn::Spawner,
    state_dir::StateDir,
    store::Store,
    task::{Request, TaskHandle},
};

/// A background shell may start programs with these blocked; then nothing could stop this one but SIGKILL.
/// To be called before there are threads.
///
/// # Errors
/// None that sigprocmask(2) documents for this use.
pub fn unblock_signals() -> nix::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&signals), None)
}

/// Runs the daemon until it is told to stop, and ends everything.
///
/// # Errors
/// When it cannot be started. Once it listens it ends well.
pub async fn serve(config: Config, state_dir: StateDir) -> anyhow::Result<()> {
    // First of all, so that no stop is missed.
    let stops = Stops::listen(config.stop_on_stdin_eof)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {}", config.listen))?;
    let address = listener.local_addr().context("the listener's address")?;
    let (to_stage, stage) = watch::channel(Stage::Serving);
    let (shared, cgroup) = build(config, &state_dir, stage).await?;
    let connections = Connections::new(shared.config.sessions_limit);
    let listening = tokio::spawn(listener::run(listener, Arc::clone(&shared), connections.clone()));
    announce(&format!("listening on ws://{address}/ws/mcp"))?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");

    let ending = end(&shared, stops, &to_stage, &connections);
    ending.await;
    // Its loop has ended with the stage.
    drop(listening.await);
    if let Some(parent) = cgroup {
        parent.remove();
    }
    shared.store.flush().await;
    tracing::info!("stopped");
    drop(state_dir);
    Ok(())
}

async fn build(
    config: Config,
    state_dir: &StateDir,
    stage: watch::Receiver<Stage>,
) -> anyhow::Result<(Arc<Shared>, Option<cc_proctree::cgroup::Parent>)> {
    let tasks_dir = state_dir.tasks().to_owned();
    let problems = Arc::new(Problems::default());
    let (db, opened) = StateDb::open(state_dir.database())?;
    match config.fsync {
        Fsync::Never => {}
        Fsync::Always => db.wait_for_disk()?,
    }
    tracing::info!(?opened, "state database");
    let known_sessions = db.sessions()?;
    let unfinished_tasks = db.unfinished_tasks()?;
    let store =
        Store::start(db, Arc::clone(&problems)).context("starting the database's thread")?;
    let registry = Arc::new(Registry::new(config.tasks_limit));
    let sessions = Sessions::new(config.resume_grace, Arc::clone(&registry), store.clone());
    let sessions = Arc::new(sessions);
    for row in known_sessions {
        let is_its = |task: &&TaskRow| task.accepted.session_id.as_ref() == Some(&row.id);
        let current = unfinished_tasks.iter().rev().find(is_its);
        let current_task_id = current.map(|task| task.accepted.id.clone());
        sessions.restore(row, current_task_id);
    }
    let spawner = Spawner::new(config.worker.clone());
    let (parent, cgroup) = containment::find(&config.cgroup, &spawner).await?.unzip();
    let retention =
        Retention::load(&tasks_dir).with_context(|| format!("listing {}", tasks_dir.display()))?;
    let (environment, unusable) =
        Base::new(std::env::vars_os(), &config.env_allow, &config.env_deny);
    if !unusable.is_empty() {
        let names = unusable.join(", ");
        tracing::warn!(names, "environment variables that are no UTF-8 are not passed to tasks");
    }
    let shared = Shared {
        rules: Rules {
            is_loopback: config.listen.ip().is_loopback(),
            token: config.token.clone(),
            allowed_origins: config.allowed_origins.clone(),
        },
        environment,
        places: Arc::new(Semaphore::new(config.sessions_limit)),
        sessions,
        registry,
        store,
        problems,
        spawner,
        retention: Arc::new(retention),
        metrics: Metrics::new(),
        tasks_dir,
        cgroup,
        stage,
        started_at: Instant::now(),
        config,
    };
    Ok((Arc::new(shared), parent))
}

/// The first line on standard output, for programs that start this one.
fn announce(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("writing to standard output")
}

async fn end(
    shared: &Shared,
    mut stops: Stops,
    to_stage: &watch::Sender<Stage>,
    connections: &Connections,
) {
    stops.next().await;
    tracing::info!(tasks = shared.registry.count(), "told to stop");
    to_stage.send_replace(Stage::Stopping);
    let tasks = shared.registry.close();
    ask_all(&tasks, || Request::Cancel(EndReason::SupervisorLost)).await;
    let patience = shared.config.task.grace + limits::SHUTDOWN_TASKS;
    let has_ended = tokio::select! {
        outcome = timeout(patience, shared.registry.empty()) => outcome.is_ok(),
        () = stops.next() => {
            tracing::warn!("told to stop again: no more grace");
            false
        }
    };
    if !has_ended {
        ask_all(&tasks, || Request::Kill(EndReason::SupervisorLost)).await;
        if timeout(limits::SHUTDOWN_KILL, shared.registry.empty()).await.is_err() {
            tracing::error!(tasks = shared.registry.count(), "tasks are left");
        }
    }
    if timeout(limits::SHUTDOWN_CONNECTIONS, connections.ended()).await.is_err() {
        tracing::warn!("some clients did not take what was sent to them");
    }
}

async fn ask_all(tasks: &[TaskHandle], request: impl Fn() -> Request) {
    for task in tasks {
        task.request(request()).await;
    }
}

/// Everything that tells the supervisor to stop.
struct Stops {
    queue: mpsc::Receiver<()>,
    _keep_open: mpsc::Sender<()>,
}

impl Stops {
    /// Handlers also take the place of an inherited "ignore".
    fn listen(on_stdin_eof: bool) -> anyhow::Result<Self> {
        let (stop, queue) = mpsc::channel(4);
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let mut signals = signal(kind).context("handling signals")?;
            let stop = stop.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    // A full queue has said it all.
                    stop.try_send(()).ok();
                }
            });
        }
        if on_stdin_eof {
            let stop = stop.clone();
            // A thread of its own: a read that never returns must not keep the runtime from ending.
            std::thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || {
                    let mut stdin = io::stdin().lock();
                    let mut ignored = [0; 1024];
                    loop {
                        match stdin.read(&mut ignored) {
                            Ok(0) => break,
                            Ok(_) => {}
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            Err(_) => break,
                        }
                    }
                    stop.try_send(()).ok();
                })
                .context("starting the thread that reads standard input")?;
        }
        Ok(Self { queue, _keep_open: stop })
    }

    async fn next(&mut self) {
        self.queue.recv().await;
    }
}
