//! The one timer of the gates: admits tasks, informs their owners, and opens gates before their time.
//!
//! A gate decides; this file carries the decision to the owners.

use std::sync::Arc;

use tokio::{sync::mpsc, time::sleep};

use crate::{
    batch::{
        batches::Batches,
        error::BatchError,
        gates::GateFacts,
        messages::Message,
        wall_clock::{WallClock, until},
    },
    ops::{clock::now_ms, uptime},
};

/// Admits tasks whenever a gate has changed or its time has come. Ends with the supervisor.
pub(crate) async fn keep(batches: Arc<Batches>) {
    let gates = &batches.gates;
    let drain = &batches.tasks.drain;
    let mut drained = drain.changes();
    let mut wall = WallClock::new(now_ms(), uptime::now());
    loop {
        let now_ms = now_ms();
        if let Some(by_ms) = wall.moved(now_ms, uptime::now()) {
            gates.clock_moved(by_ms);
        }
        let (admitted, wake_at_ms, has_opened) =
            if drain.is_on() { (Vec::new(), None, false) } else { gates.admit(now_ms) };
        if has_opened {
            batches.touch_all();
        }
        for (_, ticket) in admitted {
            let Some(handle) = batches.get(&ticket.batch_id) else {
                gates.leave(&ticket);
                continue;
            };
            if handle.messages.send(Message::Admitted(ticket.job)).await.is_err() {
                gates.leave(&ticket);
            }
        }
        for id in gates.overdue(uptime::now()) {
            // A gate that was opened meanwhile needs nothing more.
            open_gates(&batches, Some(&id)).await.ok();
        }
        tokio::select! {
            () = gates.has_changed.notified() => {}
            // The sender lives as long as the supervisor.
            _ = drained.changed() => {}
            () = sleep(until(wake_at_ms, now_ms)) => {}
            () = batches.tasks.stage.stopping() => return,
        }
    }
}

/// Opens closed gates before their time: all of them, or the one with this id. One task begins at once to find out
/// whether the limit is over. Returns the ids of the gates that were opened.
pub(crate) async fn open_gates(
    batches: &Batches,
    id: Option<&str>,
) -> Result<Vec<String>, BatchError> {
    let opened = batches.gates.open(id)?;
    let owners: Vec<mpsc::Sender<Message>> =
        batches.handles().values().map(|handle| handle.messages.clone()).collect();
    for facts in &opened {
        tracing::info!(gate_id = facts.id(), "gate opened before its time");
        for owner in &owners {
            let credential = facts.credential.clone();
            let message = Message::GateOpened { credential, scope: facts.scope.clone() };
            // An owner whose batch is over has no queue.
            owner.send(message).await.ok();
        }
    }
    batches.touch_all();
    Ok(opened.iter().map(GateFacts::id).collect())
}
