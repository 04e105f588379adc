//! `supervisor.drain` and `supervisor.undrain`: no new tasks, until that is taken back.

use cc_protocol::drain::DrainResult;

use crate::{ops::health::Condition, session::services::Services};

/// Begins a drain, or says how far one is. When it returns, nothing is begun any more.
pub(super) async fn drain(services: &Services) -> DrainResult {
    let tasks = &services.tasks;
    if !tasks.drain.is_on() {
        tracing::info!(running = tasks.registry.count(), "draining: no new tasks are started");
    }
    tasks.health.raise(
        Condition::Draining,
        "an operator lets this supervisor run empty: no new tasks are started (ccx undrain ends that)",
    );
    tasks.registry.set_draining(true);
    tasks.drain.set(true);
    services.batches.settle().await;
    progress(services)
}

/// Ends a drain: batches go on, and tasks are accepted.
pub(super) fn undrain(services: &Services) -> DrainResult {
    let tasks = &services.tasks;
    if tasks.drain.is_on() {
        tracing::info!("the drain is over: tasks are started again");
    }
    tasks.registry.set_draining(false);
    tasks.drain.set(false);
    tasks.health.clear(Condition::Draining);
    progress(services)
}

pub(super) fn progress(services: &Services) -> DrainResult {
    // Before the tasks are counted: one that ends meanwhile is counted twice and not left out.
    let under_way = services.batches.under_way() as u64;
    DrainResult {
        draining: services.tasks.drain.is_on(),
        running: services.tasks.registry.count() as u64,
        under_way,
        batches: services.batches.count() as u64,
    }
}
