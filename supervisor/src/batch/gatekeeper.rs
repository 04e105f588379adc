//! The one timer of the gates: lets tasks pass, and tells their owners.

use std::sync::Arc;

use cc_protocol::error::ErrorObject;
use tokio::{sync::mpsc, time::sleep};

use crate::batch::{
    batches::Batches, gates::GateFacts, messages::Message, wall_clock::WallClock, wall_clock::until,
};
use crate::ops::{clock::now_ms, uptime};

/// Lets tasks pass whenever something has changed, and when the time has come. Ends with the supervisor.
pub async fn keep(batches: Arc<Batches>) {
    let gates = &batches.gates;
    let mut wall = WallClock::new(now_ms(), uptime::now());
    loop {
        let now_ms = now_ms();
        if let Some(by_ms) = wall.moved(now_ms, uptime::now()) {
            gates.clock_moved(by_ms);
        }
        let (admitted, wake_at_ms, has_opened) = gates.admit(now_ms);
        if has_opened {
            batches.touch_all();
        }
        for (credential, ticket) in admitted {
            let Some(handle) = batches.get(&ticket.batch_id) else {
                gates.leave(&credential, &ticket);
                continue;
            };
            if handle.messages.send(Message::Admitted(ticket.job)).await.is_err() {
                gates.leave(&credential, &ticket);
            }
        }
        for id in gates.overdue(uptime::now()) {
            // One that was opened meanwhile needs nothing more.
            open_gates(&batches, Some(&id)).await.ok();
        }
        tokio::select! {
            () = gates.has_changed.notified() => {}
            () = sleep(until(wake_at_ms, now_ms)) => {}
            () = batches.tasks.stage.stopping() => return,
        }
    }
}

/// Opens what limits have shut, before its time: all of it, or one by its id. One task begins at once to see whether
/// the limit is over. Says which ones were opened.
///
/// # Errors
/// That there is no such gate, or that it is open.
pub async fn open_gates(batches: &Batches, id: Option<&str>) -> Result<Vec<String>, ErrorObject> {
    let opened = batches.gates.open(id)?;
    let owners: Vec<mpsc::Sender<Message>> =
        batches.handles().values().map(|handle| handle.messages.clone()).collect();
    for facts in &opened {
        tracing::info!(gate_id = facts.id(), "a gate is opened before its time");
        for owner in &owners {
            let credential = facts.credential.clone();
            let message = Message::GateOpened { credential, scope: facts.scope.clone() };
            // A batch that is over waits for nothing.
            owner.send(message).await.ok();
        }
    }
    batches.touch_all();
    Ok(opened.iter().map(GateFacts::id).collect())
}
