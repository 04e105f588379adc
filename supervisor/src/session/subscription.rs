//! `supervisor.subscribe`: a client that is told of alerts.

use cc_protocol::{notification::Notification, worker::Alert};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use crate::{
    delivery::{Outgoing, notification::to_text},
    ops::{alerts, health::Problems},
};

/// Sends alerts until it is dropped.
#[derive(Debug)]
pub(super) struct Subscription(AbortHandle);

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscription {
    /// Sends every change by `outgoing`. Returns the alerts that stand, too.
    pub(super) fn begin(
        mut problems: watch::Receiver<Problems>,
        outgoing: mpsc::Sender<Box<Outgoing>>,
    ) -> (Self, Vec<Alert>) {
        let mut seen = problems.borrow_and_update().clone();
        let standing = alerts::changes(&Problems::default(), &seen);
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
        (Self(sending.abort_handle()), standing)
    }
}
