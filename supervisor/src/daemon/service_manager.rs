//! What the service manager hears while the supervisor runs: that it lives (`WATCHDOG=1`), and what it does (`STATUS=`).
//!
//! A timer of the event loop does this. A loop that is stuck says nothing, and is restarted.

use std::sync::Arc;

use tokio::{task::spawn_blocking, time::sleep};

use crate::{config::limits, ops::systemd, session::Services};

/// Notifies at intervals for as long as it is polled. Returns at once where there is no service manager.
pub(super) async fn keep_informed(services: Services) {
    if !systemd::is_there() {
        return;
    }
    let watchdog = systemd::watchdog_interval();
    let interval = watchdog.unwrap_or(limits::SERVICE_STATUS).min(limits::SERVICE_STATUS);
    let mut told = Arc::<str>::default();
    loop {
        sleep(interval).await;
        // The stop has a status of its own.
        let is_stopping = services.tasks.stage.is_stopping();
        let status: Arc<str> =
            if is_stopping { Arc::clone(&told) } else { status(&services).into() };
        let news = (status != told).then(|| Arc::clone(&status));
        told = status;
        let is_watched = watchdog.is_some();
        // It waits for the service manager, which the loop must not do.
        let telling = spawn_blocking(move || systemd::alive(is_watched, news.as_deref()));
        if let Err(error) = telling.await {
            tracing::error!(%error, "the service manager cannot be told");
        }
    }
}

fn status(services: &Services) -> String {
    let (connected, waiting) = services.sessions.counts();
    let tasks = services.tasks.registry.count();
    let batches = services.batches.count();
    let mut status =
        format!("{tasks} tasks, {batches} batches, {connected} sessions and {waiting} waiting");
    for (condition, _) in services.tasks.health.watch().borrow().standing() {
        status.push_str("; ");
        status.push_str(condition.name());
    }
    status
}
