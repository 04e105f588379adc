//! The daemon's life: everything is built, the tasks of earlier supervisors are taken over, clients are served,
//! and after a signal everything ends in the order of [`crate::daemon::shutdown`].
//!
//! The listening socket is there from the first moment, so that an address in use is known before anything is
//! touched; who connects while tasks are taken over waits in its queue and is not refused.

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
    time::{MissedTickBehavior, interval},
};

use crate::{
    batch::{self, Batches},
    config::{self, Config, environment::Base, limits},
    connection::ConnectionContext,
    daemon::{
        reaper,
        recovery::{self, Inheritance},
        runtime,
        shutdown::{self, Left},
        signals::Stops,
    },
    http::{self, AdmissionRules, Connections, Server},
    ops::{
        cli_news::CliNews, clock::now_ms, health::Health, metrics::Metrics, stage::StageWatch,
        systemd, uptime,
    },
    session::{Services, Sessions},
    storage::{database::Store, state_dir::StateDir},
    task::{
        context::TaskContext,
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
    let (to_stage, stage) = StageWatch::new();
    let known = Known::load(&state_dir, config.fsync)?;
    let keepers = Keepers::new(state_dir.keepers().to_owned());
    let spawner = Spawner::new(config.worker.clone(), keepers, open_files);
    let (services, parent) = build(config, &state_dir, known.db, stage, spawner).await?;
    let inheritance = inherit(&services.tasks, &known.unfinished, known.ended)?;
    tokio::spawn(reaper::reap());
    tokio::spawn(uptime::keep());
    batch::restore(&services.batches, known.batches).await;
    recovery::take_over(&services.tasks, &services.batches, inheritance).await;
    restore_sessions(&services.sessions, known.sessions, &known.unfinished);
    tokio::spawn(forget_old(services.clone()));

    let connections = Connections::new(services.tasks.config.sessions_limit);
    let server = server(services.clone(), address);
    let listening = tokio::spawn(http::accept_connections(listener, Arc::new(server), connections.clone()));
    announce(&format!("listening on ws://{address}/ws/mcp"))?;
    systemd::ready(&format!("listening on {address}"));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");

    let left = shutdown::end(&services.tasks, stops, &to_stage, &connections).await;
    // Its loop has ended with the stage.
    drop(listening.await);
    if let Some(parent) = parent {
        match left {
            Left::Nothing => parent.remove(),
            Left::Tasks => parent.remove_if_unused(),
        }
    }
    services.tasks.store.close().await;
    tracing::info!("stopped");
    drop(state_dir);
    Ok(())
}

fn server(services: Services, address: SocketAddr) -> Server {
    let config = &services.tasks.config;
    let rules = AdmissionRules {
        is_loopback: address.ip().is_loopback(),
        token: config.token.clone(),
        allowed_origins: config.allowed_origins.clone(),
    };
    let connections = Arc::new(ConnectionContext::new(services));
    Server { rules, started_at: Instant::now(), connections }
}

/// Removes what has become too old, again and again. Ends with the supervisor.
async fn forget_old(services: Services) {
    let mut ticks = interval(limits::RETENTION_CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                services.tasks.clean().await;
                services.batches.prune().await;
            }
            () = services.tasks.stage.stopping() => return,
        }
    }
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

/// Everything that sessions ask for, and the parent of the tasks' cgroups.
async fn build(
    config: Config,
    state_dir: &StateDir,
    db: StateDb,
    stage: StageWatch,
    spawner: Spawner,
) -> anyhow::Result<(Services, Option<Parent>)> {
    let tasks_dir = state_dir.tasks().to_owned();
    let health = Arc::new(Health::default());
    let store = Store::start(db, Arc::clone(&health)).with_context(|| runtime::ADVICE)?;
    let (parent, cgroup) = cgroup::find(&config.cgroup, &spawner).await?.unzip();
    let rules = retention::RetentionLimits::new(config.keep, config.resume_grace, &tasks_dir);
    let tasks = Arc::new(TaskContext {
        environment: environment(&config),
        registry: Arc::new(Registry::new(config.tasks_limit)),
        store,
        health,
        cli_news: CliNews::default(),
        spawner,
        retention: Arc::new(Retention::new(&tasks_dir, rules, now_ms())),
        metrics: Arc::new(Metrics::new()),
        tasks_dir,
        cgroup,
        stage,
        config,
    });
    let (grace, registry) = (tasks.config.resume_grace, Arc::clone(&tasks.registry));
    let sessions = Arc::new(Sessions::new(grace, registry, tasks.store.clone()));
    let batches = Arc::new(Batches::new(Arc::clone(&tasks)));
    Ok((Services { sessions, batches, tasks }, parent))
}

fn environment(config: &Config) -> Base {
    let (environment, unusable) =
        Base::new(std::env::vars_os(), &config.env_allow, &config.env_deny);
    if !unusable.is_empty() {
        let names = unusable.join(", ");
        tracing::warn!(names, "environment variables that are no UTF-8 are not passed to tasks");
    }
    environment
}

/// What there is to be seen to. Tasks that have ended are the retention's from now on.
fn inherit(
    context: &TaskContext,
    unfinished: &[TaskRow],
    ended: Vec<cc_state::EndedTask>,
) -> anyhow::Result<Inheritance> {
    let unfinished = unfinished.iter().map(Unfinished::from).collect();
    let ids: HashSet<&str> = ended.iter().map(|task| task.id.as_str()).collect();
    let tasks_dir = &context.tasks_dir;
    let inheritance = Inheritance::find(tasks_dir, unfinished, &ids)
        .with_context(|| format!("listing {}", tasks_dir.display()))?;
    for task in ended {
        let (task_id, ended_ms, log_bytes) = (task.id, task.ended_ms, task.log_bytes);
        context.retention.add(EndedTask { task_id, ended_ms, log_bytes, feed: Weak::new() });
    }
    Ok(inheritance)
}

/// When their tasks have owners again, so that a session without a grace period finds what it has to cancel.
fn restore_sessions(sessions: &Arc<Sessions>, rows: Vec<SessionRow>, unfinished: &[TaskRow]) {
    for row in rows {
        let is_its = |task: &&TaskRow| task.accepted.session_id.as_ref() == Some(&row.id);
        let current = unfinished.iter().rev().find(is_its);
        let current_task_id = current.map(|task| task.accepted.id.clone());
        sessions.restore(row, current_task_id);
    }
}

/// The first line on standard output, for programs that start this one.
fn announce(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("writing to standard output")
}
