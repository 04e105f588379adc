//! The daemon's life: everything is built, the tasks of earlier supervisors are recovered, clients are served,
//! and after a signal everything ends in the order of [`crate::daemon::shutdown`].
//!
//! The listening socket is there from the first moment, so that an address in use is known before anything is
//! changed; a client that connects while tasks are recovered waits in its queue and is not refused.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

use crate::{
    batch,
    config::{limits, live::Live},
    daemon::{
        build::{StoredState, build, retain, server},
        listen::listen,
        reaper,
        recovery::{self, EarlierTasks},
        service_manager,
        shutdown::{self, Left},
        signals::{Reloads, Stops},
        state_loss,
    },
    http::{self, Door},
    ops::{
        alerts, memory, open_files::ConnectionLimits, panics, stage::StageWatch, systemd, uptime,
    },
    session::{self, Services},
    storage::{adoption_key::AdoptionKey, state_dir::StateDir},
    task::context::TaskContext,
    worker::{keepers::Keepers, spawner::Spawner, supervision::Supervision},
};

/// Runs the daemon until it is told to stop, and ends everything. `inherited` is a listening socket from the service
/// manager; `open_files` is the limit for tasks, where it differs from this program's.
///
/// # Errors
/// When it cannot be started. Once it serves clients it ends without an error, unless its state directory was removed.
pub(crate) async fn serve(
    settings: Live,
    state_dir: StateDir,
    inherited: Option<std::net::TcpListener>,
    open_files: Option<u64>,
) -> anyhow::Result<()> {
    let config = settings.config();
    // First of all, so that no stop is missed.
    let stops = Stops::listen(config.stop_on_stdin_eof)?;
    let reloads = Reloads::listen()?;
    let mut listening = listen(&config, inherited)?;
    settings.listens_on(listening.beyond_loopback());
    let (to_stage, stage) = StageWatch::new();
    let stored = StoredState::load(&state_dir, config.fsync)?;
    let state_dir = Arc::new(state_dir);
    let adoption_key = AdoptionKey::load(&config.state_dir)
        .with_context(|| format!("the key in {}", config.state_dir.display()))?;
    let keepers = Keepers::new(state_dir.keepers().clone(), adoption_key.key.clone());
    let supervision = Supervision::new(Arc::default(), Arc::default(), config.restart_limit);
    let spawner = Spawner::new(config.worker.clone(), keepers, open_files, supervision)
        .allowing_core_dumps(config.allow_core_dumps);
    let (services, parent) =
        build(settings, &state_dir, stored.db, stage, spawner, adoption_key).await?;
    let tasks_dir = &services.tasks.tasks_dir;
    let earlier = EarlierTasks::find(tasks_dir, &stored.unfinished, &stored.ended)
        .with_context(|| format!("listing {}", tasks_dir.display()))?;
    retain(&services.tasks.retention, stored.ended);
    let health = Arc::clone(&services.tasks.health);
    tokio::spawn(async move { panics::show(&health).await });
    let alerted = Arc::clone(&services.tasks);
    tokio::spawn(panics::forever("the alerts", move || tell_alerts(Arc::clone(&alerted))));
    tokio::spawn(panics::forever("the reaper of strangers", reaper::reap));
    tokio::spawn(panics::forever("the return of memory", memory::give_back));
    let watched = Arc::clone(&services.tasks);
    tokio::spawn(panics::forever("the clock of timeouts", move || {
        keep_clock(Arc::clone(&watched))
    }));
    batch::restore(&services.batches, stored.batches).await;
    recovery::recover(&services.tasks, &services.batches, earlier).await;
    recovery::restore_sessions(&services.sessions, stored.sessions, &stored.unfinished);
    let pruned = services.clone();
    tokio::spawn(panics::forever("retention", move || prune(pruned.clone())));
    let told = services.clone();
    let telling = move || service_manager::keep_informed(told.clone());
    tokio::spawn(panics::forever("the reports to the service manager", telling));

    let connection_limits = ConnectionLimits::that_fit(&services.tasks.config());
    let server = server(services.clone(), listening.beyond_loopback().is_none());
    let door = Arc::new(Door::new(server, connection_limits));
    let mut accepting = JoinSet::new();
    for socket in std::mem::take(&mut listening.sockets) {
        let (socket, door) = (Arc::new(socket), Arc::clone(&door));
        let accept = move || http::accept_connections(Arc::clone(&socket), Arc::clone(&door));
        accepting.spawn(panics::forever("a listener", accept));
    }
    for url in &listening.urls {
        announce(&format!("listening on {url}"))?;
        tracing::info!(url, version = env!("CARGO_PKG_VERSION"), "serving");
    }
    systemd::ready(&format!("listening on {}", listening.urls.join(", ")));

    tokio::spawn(reload_when_told(services.clone(), reloads));
    let lost = state_loss::lost(Arc::clone(&state_dir), Arc::clone(&services.tasks));
    let left = shutdown::end(&services.tasks, stops, &to_stage, door.places(), lost).await;
    // Its loop has ended with the stage.
    accepting.join_all().await;
    listening.remove_files();
    if let Some(parent) = parent {
        match left {
            Left::Nothing => parent.remove(),
            Left::Tasks => parent.remove_if_unused(),
        }
    }
    services.tasks.store.close().await;
    let audit = Arc::clone(&services.tasks.audit);
    spawn_blocking(move || audit.close()).await.ok();
    tracing::info!("stopped");
    Ok(state_loss::check(&state_dir)?)
}

/// Runs the operator's command for every alert.
async fn tell_alerts(tasks: Arc<TaskContext>) {
    let command = || {
        let config = tasks.config();
        config.alert_command.clone().map(|line| (config.shell.clone(), line))
    };
    alerts::run_commands(tasks.health.watch(), command).await;
}

/// Keeps the clock of timeouts; each time that it is read is a sign that the event loop turns.
async fn keep_clock(tasks: Arc<TaskContext>) {
    uptime::keep(|late| {
        tasks.vitals.pulse.beat();
        tasks.metrics.event_loop.served(late);
    })
    .await;
}

/// Removes tasks and batches that are too old, at intervals. Ends with the supervisor.
async fn prune(services: Services) {
    let mut ticks = interval(limits::RETENTION_CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                services.tasks.vitals.checkup.refresh().await;
                services.tasks.clean().await;
                services.batches.prune().await;
            }
            () = services.tasks.stage.stopping() => return,
        }
    }
}

/// Reads the configuration again at each SIGHUP. Ends with the supervisor.
async fn reload_when_told(services: Services, mut reloads: Reloads) {
    loop {
        tokio::select! {
            Some(()) = reloads.next() => {
                systemd::reloading();
                let status = match session::reload(&services).await {
                    Ok(_) => "the configuration was read again",
                    Err(_) => "the configuration has mistakes, see the log; the old one is in force",
                };
                systemd::ready(status);
            }
            () = services.tasks.stage.stopping() => return,
        }
    }
}

/// The first line on standard output, for programs that start the supervisor.
fn announce(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("writing to standard output")
}
