//! `supervisor.status`: what an operator asks first. It is put together of what each room knows already.

use cc_protocol::status::{
    BATCHES_LIMIT, EndCounts, ServiceState, StatusProblem, StatusResources, StatusSessions,
    StatusTasks, SupervisorStatus,
};

use crate::{
    batch,
    ops::{
        clock::now_ms,
        health::{Condition, Severity},
        metrics::{open_files, open_files_limit, resident_bytes},
        vitals::recent::ByVerdict,
    },
    session::services::Services,
    task::context::TaskContext,
};

/// With a `token`, of the batches only those that were submitted with it.
pub(super) async fn status(services: &Services, token: Option<&str>) -> SupervisorStatus {
    let tasks = &services.tasks;
    tasks.vitals.checkup.refresh().await;
    let (connected, waiting) = services.sessions.counts();
    let (batches, waiting_tasks) = batch::progress(&services.batches, token);
    let started_ms = tasks.vitals.recent.since_ms;
    SupervisorStatus {
        state: state(tasks),
        problems: problems(tasks),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: now_ms().saturating_sub(started_ms) / 1000,
        tasks: counts(tasks, waiting_tasks),
        sessions: StatusSessions {
            connected: connected as u64,
            waiting: waiting as u64,
            limit: tasks.config().sessions_limit as u64,
        },
        batch_count: batches.len() as u64,
        batches: batches.into_iter().take(BATCHES_LIMIT).collect(),
        gates: services.batches.gates.summaries(),
        resources: resources(tasks),
    }
}

fn state(tasks: &TaskContext) -> ServiceState {
    if tasks.stage.is_stopping() {
        return ServiceState::Stopping;
    }
    if tasks.health.stands(Condition::Draining) {
        return ServiceState::Draining;
    }
    match tasks.health.worst() {
        None => ServiceState::Ok,
        Some(Severity::Degraded) => ServiceState::Degraded,
        Some(Severity::NotReady) => ServiceState::NotReady,
    }
}

fn problems(tasks: &TaskContext) -> Vec<StatusProblem> {
    let problems = tasks.health.watch().borrow().clone();
    let problems = problems.standing().map(|(condition, problem)| StatusProblem {
        condition: condition.name().to_owned(),
        is_blocking: condition.severity() == Severity::NotReady,
        text: problem.text.clone(),
        since_ms: problem.since_ms,
    });
    problems.collect()
}

fn counts(tasks: &TaskContext, waiting: u64) -> StatusTasks {
    let words = |counts: ByVerdict| -> EndCounts {
        counts.into_iter().map(|(verdict, count)| (verdict.to_owned(), count)).collect()
    };
    let (hour, day) = tasks.vitals.recent.counts();
    StatusTasks {
        running: tasks.registry.count() as u64,
        limit: tasks.config().tasks_limit as u64,
        waiting,
        ended_last_hour: words(hour),
        ended_last_day: words(day),
        counted_since_ms: tasks.vitals.recent.since_ms,
    }
}

fn resources(tasks: &TaskContext) -> StatusResources {
    let space = tasks.vitals.checkup.space();
    StatusResources {
        resident_bytes: resident_bytes(),
        open_files: open_files(),
        open_files_limit: open_files_limit(),
        disk_free_bytes: space.map(|space| space.free_bytes),
        disk_total_bytes: space.map(|space| space.total_bytes),
        ended_logs_bytes: tasks.retention.bytes(),
    }
}
