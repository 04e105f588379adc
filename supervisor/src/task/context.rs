//! What the tasks of one supervisor have in common. Built once by [`crate::daemon`], then only read.

use std::{path::PathBuf, sync::Arc};

use cc_link::spec::CgroupParent;

use crate::{
    config::{Config, live::Live, tokens::Tokens},
    ops::{
        audit::Audit, cli_news::CliNews, drain::Drain, health::Health, metrics::Metrics,
        stage::StageWatch, vitals::Vitals,
    },
    storage::{adoption_key::AdoptionKey, database::Store, state_dir},
    task::{
        feed::Feed,
        registry::Registry,
        retention::{self, EndedTask, Retention},
    },
    worker::spawner::Spawner,
};

/// What a task needs from its supervisor. The rooms above `task` hold it too, to start tasks and to look them up.
#[derive(Debug)]
pub(crate) struct TaskContext {
    /// The configuration in force, and what tasks get of the supervisor's environment.
    pub settings: Live,
    /// The tokens in force.
    pub tokens: Arc<Tokens>,
    pub audit: Arc<Audit>,
    /// The tasks that are not over.
    pub registry: Arc<Registry>,
    pub store: Store,
    pub health: Arc<Health>,
    /// Versions and unknown words of the tasks' CLI that have been logged.
    pub cli_news: CliNews,
    pub spawner: Spawner,
    /// Whose turn it is to try whether processes can be made again.
    pub trial: Arc<tokio::sync::Mutex<()>>,
    /// What the workers and keepers of earlier supervisors want to see.
    pub adoption_key: AdoptionKey,
    pub retention: Arc<Retention>,
    pub metrics: Arc<Metrics>,
    pub vitals: Vitals,
    /// The directory that holds one directory a task.
    pub tasks_dir: PathBuf,
    /// Where tasks' cgroups are made, where tasks have cgroups.
    pub cgroup: Option<CgroupParent>,
    pub stage: StageWatch,
    /// Whether new tasks are held up.
    pub drain: Drain,
}

impl TaskContext {
    /// The configuration in force.
    #[must_use]
    pub(crate) fn config(&self) -> Arc<Config> {
        self.settings.config()
    }

    #[must_use]
    pub(crate) fn log_path(&self, task_id: &str) -> PathBuf {
        state_dir::log_path(&self.tasks_dir.join(task_id))
    }

    /// Gives a task that has just ended to retention, and removes the logs that exceed the limits then.
    pub(crate) fn task_ended(&self, task_id: &str, feed: &Arc<Feed>) {
        let log_bytes = feed.position().end_offset;
        let feed = Arc::downgrade(feed);
        let ended_ms = self.retention.now_ms();
        self.retention.add(EndedTask { task_id: task_id.to_owned(), ended_ms, log_bytes, feed });
        if self.retention.has_too_much(ended_ms) {
            tokio::spawn(self.clean());
        }
    }

    /// Removes the logs of ended tasks that exceed the limits of retention.
    pub(crate) fn clean(&self) -> impl Future<Output = ()> + Send + use<> {
        let (store, metrics) = (self.store.clone(), Arc::clone(&self.metrics));
        retention::clean(Arc::clone(&self.retention), store, metrics, self.stage.clone())
    }
}

#[cfg(test)]
impl TaskContext {
    /// The context of a supervisor without clients, whose state is in this directory and whose worker program is none.
    pub(crate) fn for_tests(directory: &std::path::Path) -> Arc<Self> {
        use crate::{
            config::{command_line::Arguments, sources::Sources},
            storage::state_dir::StateDir,
            worker::{keepers::Keepers, supervision::Supervision},
        };
        let state = directory.join("state").into_os_string();
        let words = ["--worker", "/bin/false", "--cwd", "/", "--cgroup", "off", "--state-dir"];
        let words = words.map(Into::into).into_iter().chain([state]);
        let sources = Sources::of_arguments(Arguments::from_words(words));
        let settings = Live::load(sources).unwrap();
        let config = settings.config();
        let state_dir = StateDir::open(&config.state_dir).unwrap();
        let (db, _) = cc_state::StateDb::open(&state_dir.database()).unwrap();
        let tasks_dir = state_dir.tasks().path().to_owned();
        let rules = retention::RetentionLimits::new(config.keep, config.resume_grace, &tasks_dir);
        let adoption_key = AdoptionKey::load(&config.state_dir).unwrap();
        let keepers = Keepers::new(state_dir.keepers().clone(), adoption_key.key.clone());
        let metrics = Arc::new(Metrics::new());
        let supervision = Supervision::for_tests(Arc::clone(&metrics));
        let health = Arc::clone(supervision.health());
        Arc::new(Self {
            vitals: Vitals::new(settings.clone(), Arc::clone(&health)),
            tokens: Tokens::for_tests(None),
            audit: Arc::default(),
            registry: Arc::new(Registry::new(config.tasks_limit)),
            store: Store::start(db, state_dir.tasks().clone(), Arc::clone(&health)).unwrap(),
            health,
            cli_news: CliNews::default(),
            spawner: Spawner::new(config.worker.clone(), keepers, None, supervision),
            trial: Arc::default(),
            adoption_key,
            retention: Arc::new(Retention::new(&tasks_dir, rules, 0)),
            metrics,
            tasks_dir,
            cgroup: None,
            stage: StageWatch::new().1,
            drain: Drain::default(),
            settings,
        })
    }
}
