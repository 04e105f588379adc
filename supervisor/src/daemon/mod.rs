//! The daemon's life: everything is built, the tasks of earlier supervisors are taken over, clients are served,
//! and after a signal everything ends in the order of [`crate::daemon::shutdown`].
//!
//! The listening socket is there from the first moment, so that an address in use is known before anything is
//! touched; who connects while tasks are taken over waits in its queue and is not refused.

pub(crate) mod reaper;
pub(crate) mod runtime;
pub(crate) mod shutdown;
pub(crate) mod signals;
pub(crate) mod startup;

use std::{
    collections::HashSet,
    io::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Instant,
};

use anyhow::Context as _;
use cc_link::spec::Fsync;
use cc_proctree::cgroup::Parent;
use cc_state::{BatchFilter, BatchRow, SessionRow, StateDb, TaskRow};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use self::{shutdown::Left, signals::Stops, startup::Inheritance};
use crate::{
    batch::{self, Batches},
    config::{self, Config, environment::Base, limits},
    http::{
        admission::Rules,
        listener::{self, Connections},
    },
    ops::{cli_news::CliNews, clock::now_ms, health::Problems, metrics::Metrics, systemd, uptime},
    session::registry::Sessions,
    storage::{database::Store, state_dir::StateDir},
    task::{
        context::{Shared, Stage},
        recover::Unfinished,
        registry::Registry,
        retention::{self, EndedTask, Retention},
    },
    worker::{cgroup, keepers::Keepers, spawner::Spawner},
};

/// Runs the daemon until it is told to stop, and ends everything. `inherited` is used instead of a socket of its
/// own; `open_files` is the limit that tasks have, where that is not this program's.
///
/// # Errors
/// When it cannot be started. Once it listens it ends well.
pub async fn serve(
    config: Config,
    state_dir: StateDir,
    inherited: Option<std::net::TcpListener>,
    open_files: Option<u64>,
) -> anyhow::Result<()> {
    // First of all, so that no stop is missed.
    let stops = Stops::listen(config.stop_on_stdin_eof)?;
    let listener = listen(&config, inherited).await?;
    let address = listener.local_addr().context("the listener's address")?;
    let (to_stage, stage) = watch::channel(Stage::Serving);
    let known = Known::load(&state_dir, config.fsync)?;
    let keepers = Keepers::new(state_dir.keepers().to_owned());
    let spawner = Spawner::new(config.worker.clone(), keepers, open_files);
    let (shared, parent) = build(config, &state_dir, known.db, address, stage, spawner).await?;
    let inheritance = inherit(&shared, &known.unfinished, known.ended)?;
    tokio::spawn(reaper::reap());
    tokio::spawn(uptime::keep());
    batch::restore(&shared, known.batches).await;
    startup::take_over(&shared, inheritance).await;
    restore_sessions(&shared, known.sessions, &known.unfinished);
    tokio::spawn(retention::run(Arc::clone(&shared)));

    let connections = Connections::new(shared.config.sessions_limit);
    let listening = tokio::spawn(listener::run(listener, Arc::clone(&shared), connections.clone()));
    announce(&format!("listening on ws://{address}/ws/mcp"))?;
    systemd::ready(&format!("listening on {address}"));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");

    let left = shutdown::end(&shared, stops, &to_stage, &connections).await;
    // Its loop has ended with the stage.
    drop(listening.await);
    if let Some(parent) = parent {
        match left {
            Left::Nothing => parent.remove(),
            Left::Tasks => parent.remove_if_unused(),
        }
    }
    shared.store.close().await;
    tracing::info!("stopped");
    drop(state_dir);
    Ok(())
}

/// The inherited socket, or one of its own.
async fn listen(
    config: &Config,
    inherited: Option<std::net::TcpListener>,
) -> anyhow::Result<TcpListener> {
    let Some(inherited) = inherited else {
        return TcpListener::bind(config.listen).await.map_err(|error| {
            let advice = advice(error.kind());
            anyhow::anyhow!("listening on {}: {error}{advice}", config.listen)
        });
    };
    let address = inherited.local_addr().context("the inherited socket's address")?;
    let address = config::check_listen(address, config.may_be_remote)?;
    if config.is_listen_given {
        systemd::check_address(address, config.listen)?;
    }
    tracing::info!(%address, "the listening socket was handed over");
    TcpListener::from_std(inherited).context("the inherited socket")
}

/// What to do where a socket cannot be had.
fn advice(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::AddrInUse {
        "; another program listens there: stop it, or choose another port with --listen HOST:PORT"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "; this machine does not have this address: choose another with --listen HOST:PORT"
    } else if kind == io::ErrorKind::PermissionDenied {
        "; ports below 1024 need a privilege: choose another with --listen HOST:PORT"
    } else {
        ""
    }
}

/// What the database knows at the start.
struct Known {
    db: StateDb,
    sessions: Vec<SessionRow>,
    unfinished: Vec<TaskRow>,
    ended: Vec<cc_state::EndedTask>,
    /// The oldest first.
    batches: Vec<BatchRow>,
}

impl Known {
    fn load(state_dir: &StateDir, fsync: Fsync) -> anyhow::Result<Self> {
        let (db, opened) = StateDb::open(state_dir.database())?;
        match fsync {
            Fsync::Never => {}
            Fsync::Always => db.wait_for_disk()?,
        }
        tracing::info!(?opened, "state database");
        let sessions = db.sessions()?;
        let unfinished = db.unfinished_tasks()?;
        let ended = db.retention_candidates(limits::MOST_KEEP_TASKS)?.oldest;
        let mut batches = db.batches(BatchFilter::Open, None, usize::MAX)?;
        batches.reverse();
        Ok(Self { db, sessions, unfinished, ended, batches })
    }
}

async fn build(
    config: Config,
    state_dir: &StateDir,
    db: StateDb,
    address: SocketAddr,
    stage: watch::Receiver<Stage>,
    spawner: Spawner,
) -> anyhow::Result<(Arc<Shared>, Option<Parent>)> {
    let tasks_dir = state_dir.tasks().to_owned();
    let problems = Arc::new(Problems::default());
    let store = Store::start(db, Arc::clone(&problems)).with_context(|| runtime::ADVICE)?;
    let registry = Arc::new(Registry::new(config.tasks_limit));
    let sessions = Sessions::new(config.resume_grace, Arc::clone(&registry), store.clone());
    let (parent, cgroup) = cgroup::find(&config.cgroup, &spawner).await?.unzip();
    let rules = retention::Rules::new(config.keep, config.resume_grace, &tasks_dir);
    let (environment, unusable) =
        Base::new(std::env::vars_os(), &config.env_allow, &config.env_deny);
    if !unusable.is_empty() {
        let names = unusable.join(", ");
        tracing::warn!(names, "environment variables that are no UTF-8 are not passed to tasks");
    }
    let batches = Batches::new(config.claude_jobs);
    batches.gates.set_environment(&environment);
    let shared = Shared {
        rules: Rules {
            is_loopback: address.ip().is_loopback(),
            token: config.token.clone(),
            allowed_origins: config.allowed_origins.clone(),
        },
        environment,
        places: Arc::new(Semaphore::new(config.sessions_limit)),
        sessions: Arc::new(sessions),
        registry,
        batches,
        store,
        problems,
        cli_news: CliNews::default(),
        spawner,
        retention: Arc::new(Retention::new(&tasks_dir, rules, now_ms())),
        metrics: Metrics::new(),
        tasks_dir,
        cgroup,
        stage,
        started_at: Instant::now(),
        config,
    };
    Ok((Arc::new(shared), parent))
}

/// What there is to be seen to. Tasks that have ended are the retention's from now on.
fn inherit(
    shared: &Shared,
    unfinished: &[TaskRow],
    ended: Vec<cc_state::EndedTask>,
) -> anyhow::Result<Inheritance> {
    let unfinished = unfinished.iter().map(Unfinished::from).collect();
    let ids: HashSet<&str> = ended.iter().map(|task| task.id.as_str()).collect();
    let tasks_dir = &shared.tasks_dir;
    let inheritance = Inheritance::find(tasks_dir, unfinished, &ids)
        .with_context(|| format!("listing {}", tasks_dir.display()))?;
    for task in ended {
        let (task_id, ended_ms, log_bytes) = (task.id, task.ended_ms, task.log_bytes);
        shared.retention.add(EndedTask { task_id, ended_ms, log_bytes, feed: Weak::new() });
    }
    Ok(inheritance)
}

/// When their tasks have owners again, so that a session without a grace period finds what it has to cancel.
fn restore_sessions(shared: &Shared, sessions: Vec<SessionRow>, unfinished: &[TaskRow]) {
    for row in sessions {
        let is_its = |task: &&TaskRow| task.accepted.session_id.as_ref() == Some(&row.id);
        let current = unfinished.iter().rev().find(is_its);
        let current_task_id = current.map(|task| task.accepted.id.clone());
        shared.sessions.restore(row, current_task_id);
    }
}

/// The first line on standard output, for programs that start this one.
fn announce(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("writing to standard output")
}

/// What a supervisor has whose state is in this directory, and that serves nobody. Its worker is no worker.
#[cfg(test)]
pub async fn shared_in(directory: &std::path::Path) -> Arc<Shared> {
    let args = crate::config::args::Args {
        worker: Some("/bin/false".into()),
        state_dir: Some(directory.join("state")),
        cwd: Some("/".into()),
        cgroup: Some("off".to_owned()),
        ..crate::config::args::Args::default()
    };
    let config = Config::resolve(args, &|_| None).unwrap();
    let state_dir = StateDir::open(&config.state_dir).unwrap();
    let known = Known::load(&state_dir, config.fsync).unwrap();
    let keepers = Keepers::new(state_dir.keepers().to_owned());
    let spawner = Spawner::new(config.worker.clone(), keepers, None);
    let (_, stage) = watch::channel(Stage::Serving);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let (shared, _) = build(config, &state_dir, known.db, address, stage, spawner).await.unwrap();
    shared
}
