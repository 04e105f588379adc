//! `supervisor.subscribe`: a client that is told of alerts.

use cc_protocol::{notification::Notification, worker::SubscribeResult};
use tokio::task::AbortHandle;

use crate::{
    delivery::{Outgoing, notification::to_text},
    ops::{alerts, health::Problems},
    session::{handler::Handler, reply::Reply},
};

/// Sends alerts until it is dropped.
#[derive(Debug)]
pub(super) struct Subscription(AbortHandle);

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Handler {
    /// A second subscription replaces the first.
    pub(super) fn subscribe(&mut self) -> Reply {
        let mut problems = self.services.tasks.health.watch();
        let mut seen = problems.borrow_and_update().clone();
        let standing = alerts::changes(&Problems::new(), &seen);
        let outgoing = self.outgoing.clone();
        let sending = tokio::spawn(async move {
            while problems.changed().await.is_ok() {
                let now = problems.borrow_and_update().clone();
                for alert in alerts::changes(&seen, &now) {
                    let text = to_text(&Notification::Alert(Box::new(alert)));
                    if outgoing.send(Box::new(Outgoing::Text(text))).await.is_err() {
                        return;
                    }
                }
                seen = now;
            }
        });
        self.subscription = Some(Subscription(sending.abort_handle()));
        Reply::new(SubscribeResult { alerts: standing })
    }
}
