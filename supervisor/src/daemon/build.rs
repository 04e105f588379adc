//! Builds everything that clients ask for, out of the configuration and the database.

use std::{
    io::ErrorKind,
    sync::{Arc, Weak},
    time::Instant,
};

use anyhow::Context as _;
use cc_link::spec::Fsync;
use cc_proctree::cgroup::Parent;
use cc_state::{BatchFilter, BatchRow, SessionRow, StateDb, TaskRow};

use crate::{
    batch::Batches,
    config::{AuditLimits, Config, limits, live::Live, tokens::Tokens},
    connection::ConnectionContext,
    http::Server,
    ops::{
        audit::{Audit, AuditSetting},
        cli_news::CliNews,
        clock::now_ms,
        drain::Drain,
        health::Health,
        stage::StageWatch,
        threads::NO_THREAD,
        vitals::Vitals,
    },
    session::{MessageBudget, Services, Sessions},
    storage::{adoption_key::AdoptionKey, database::Store, state_dir::StateDir},
    task::{
        context::TaskContext,
        registry::Registry,
        retention::{self, EndedTask, Retention},
    },
    worker::{cgroup, spawner::Spawner},
};

/// What the database has at the start.
pub(super) struct StoredState {
    pub(super) db: StateDb,
    pub(super) sessions: Vec<SessionRow>,
    pub(super) unfinished: Vec<TaskRow>,
    pub(super) ended: Vec<cc_state::EndedTask>,
    /// Those that are not over, the oldest first.
    pub(super) batches: Vec<BatchRow>,
}

impl StoredState {
    pub(super) fn load(state_dir: &StateDir, fsync: Fsync) -> anyhow::Result<Self> {
        let (db, opened) = StateDb::open(&state_dir.database())?;
        match fsync {
            Fsync::Never => {}
            Fsync::Always => db.wait_for_disk()?,
        }
        tracing::info!("the state database {opened}");
        let sessions = db.sessions()?;
        let unfinished = db.unfinished_tasks()?;
        let ended = db.retention_candidates(limits::MOST_KEEP_TASKS)?.oldest;
        let mut batches = db.batches(BatchFilter::Open, None, usize::MAX)?;
        batches.reverse();
        Ok(Self { db, sessions, unfinished, ended, batches })
    }
}

/// Everything that sessions ask for, and the parent of the tasks' cgroups.
pub(super) async fn build(
    settings: Live,
    state_dir: &StateDir,
    db: StateDb,
    stage: StageWatch,
    spawner: Spawner,
    adoption_key: AdoptionKey,
) -> anyhow::Result<(Services, Option<Parent>)> {
    let config = settings.config();
    let tasks_dir = state_dir.tasks().path().to_owned();
    let health = Arc::clone(spawner.supervision().health());
    let metrics = Arc::clone(spawner.supervision().metrics());
    let store = Store::start(db, state_dir.tasks().clone(), Arc::clone(&health))
        .with_context(|| NO_THREAD)?;
    let (parent, cgroup) =
        cgroup::find(&config.cgroup, &config.isolation.limits, &spawner).await?.unzip();
    let rules = retention::RetentionLimits::new(config.keep, config.resume_grace, &tasks_dir);
    let audit = audit(&config, state_dir, &health)?;
    let tasks_limit = config.tasks_limit;
    let tasks = Arc::new(TaskContext {
        vitals: Vitals::new(settings.clone(), Arc::clone(&health)),
        tokens: Arc::new(Tokens::new(settings.config().tokens.clone())),
        audit: Arc::new(audit),
        registry: Arc::new(Registry::new(tasks_limit)),
        store,
        health,
        cli_news: CliNews::default(),
        spawner,
        trial: Arc::default(),
        adoption_key,
        retention: Arc::new(Retention::new(&tasks_dir, rules, now_ms())),
        metrics,
        tasks_dir,
        cgroup,
        stage,
        drain: Drain::default(),
        settings,
    });
    let (grace, registry) = (tasks.config().resume_grace, Arc::clone(&tasks.registry));
    let (store, metrics) = (tasks.store.clone(), Arc::clone(&tasks.metrics));
    let sessions = Arc::new(Sessions::new(grace, registry, store, metrics));
    let batches = Arc::new(Batches::new(Arc::clone(&tasks)));
    let budget = Arc::new(MessageBudget::new(tasks.config().message_bytes_limit));
    Ok((Services { sessions, budget, batches, tasks }, parent))
}

fn audit(config: &Config, state_dir: &StateDir, health: &Arc<Health>) -> anyhow::Result<Audit> {
    let AuditLimits { bytes: bytes_limit, files } = config.audit;
    if bytes_limit == 0 {
        return Ok(Audit::default());
    }
    let path = state_dir.audit_log();
    let setting = AuditSetting { path: path.clone(), bytes_limit, files };
    Audit::start(setting, Arc::clone(health)).map_err(|error| {
        // What opening a file never says.
        let no_thread = error.kind() == ErrorKind::WouldBlock;
        let context = if no_thread {
            NO_THREAD.to_owned()
        } else {
            format!("the audit log {}", path.display())
        };
        anyhow::Error::new(error).context(context)
    })
}

/// Gives the tasks that have ended to retention, which removes their logs in time.
pub(super) fn retain(retention: &Retention, ended: Vec<cc_state::EndedTask>) {
    for task in ended {
        let (task_id, ended_ms, log_bytes) = (task.id, task.ended_ms, task.log_bytes);
        retention.add(EndedTask { task_id, ended_ms, log_bytes, feed: Weak::new() });
    }
}

pub(super) fn server(services: Services, is_loopback: bool) -> Server {
    let connections = Arc::new(ConnectionContext::new(services));
    Server { is_loopback, started_at: Instant::now(), connections }
}
