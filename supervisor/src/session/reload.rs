//! `supervisor.reload` and SIGHUP: the settings are read again, and what may change while the supervisor runs does.
//!
//! Most rooms read the configuration in force when they need it. The few that keep a value of their own are told here.

use cc_protocol::{CallError, configuration::ReloadResult};
use tokio::task::spawn_blocking;

use crate::{
    config::{error::ConfigError, live::Current},
    ops::{health::Condition, log_filter, open_files},
    session::services::Services,
    task::retention::RetentionLimits,
};

/// Why nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<ConfigError>),
    #[error("the reload failed: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

impl From<ReloadError> for CallError {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Mistakes(mistakes) => {
                Self::Configuration { mistakes: mistakes.iter().map(ToString::to_string).collect() }
            }
            ReloadError::Panicked(error) => Self::Internal { problem: error.to_string() },
        }
    }
}

/// Reads all settings again.
///
/// # Errors
/// What is wrong with them: then nothing has changed.
pub(crate) async fn reload(services: &Services) -> Result<ReloadResult, ReloadError> {
    let health = &services.tasks.health;
    let outcome = read_again(services.clone()).await;
    match &outcome {
        Ok(result) => {
            let names = |changes: &[cc_protocol::configuration::SettingChange]| {
                changes.iter().map(|it| it.setting.as_str()).collect::<Vec<_>>().join(", ")
            };
            health.clear(Condition::Configuration);
            tracing::info!(
                files = result.files.join(", "),
                changed = names(&result.changed),
                needs_restart = names(&result.needs_restart),
                tokens = result.tokens,
                "the configuration was read again"
            );
        }
        Err(error) => {
            health.raise(
                Condition::Configuration,
                format!("the configuration could not be read again, and the old one is in force: {error}"),
            );
            tracing::error!(%error, "the configuration could not be read again: the old one is in force");
        }
    }
    outcome
}

async fn read_again(services: Services) -> Result<ReloadResult, ReloadError> {
    let reading = spawn_blocking(move || {
        let settings = services.tasks.settings.clone();
        let mut result = settings.reload(|current| apply(&services, current))?;
        result.tokens = settings.config().tokens.count() as u64;
        Ok(result)
    });
    reading.await?.map_err(ReloadError::Mistakes)
}

/// Tells those that keep a value of their own.
fn apply(services: &Services, Current { config, environment }: &Current) {
    let tasks = &services.tasks;
    tasks.tokens.replace(config.tokens.clone());
    tasks.registry.set_limit(config.tasks_limit);
    let limits = RetentionLimits::new(config.keep, config.resume_grace, &tasks.tasks_dir);
    tasks.retention.set_limits(limits);
    services.sessions.set_grace(config.resume_grace);
    services.batches.gates.set_jobs(config.claude_jobs);
    services.batches.gates.set_environment(environment);
    open_files::raise(config);
    log_filter::set(&config.log_filter);
}
