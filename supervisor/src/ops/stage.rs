//! The stage of the supervisor's life. The daemon sets it, every room may watch it.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Connections and tasks are accepted.
    Serving,
    /// A stop was requested: no task is accepted, the running ones are ended.
    Stopping,
    /// A stop was requested so that another supervisor can take over: no task is accepted, the running ones are kept.
    Leaving,
}

/// Watches the stage; clones watch the same one.
#[derive(Clone, Debug)]
pub(crate) struct StageWatch(watch::Receiver<Stage>);

impl StageWatch {
    /// A watch of [`Stage::Serving`], and the sender that changes the stage.
    #[must_use]
    pub(crate) fn new() -> (watch::Sender<Stage>, Self) {
        let (to_stage, stage) = watch::channel(Stage::Serving);
        (to_stage, Self(stage))
    }

    /// Whether a stop of either kind was requested.
    #[must_use]
    pub(crate) fn is_stopping(&self) -> bool {
        match *self.0.borrow() {
            Stage::Serving => false,
            Stage::Stopping | Stage::Leaving => true,
        }
    }

    /// Returns when a stop of either kind is requested.
    pub(crate) async fn stopping(&self) {
        let mut stage = self.0.clone();
        // An error means that the sender is gone, which is the end as well.
        drop(stage.wait_for(|stage| *stage != Stage::Serving).await);
    }

    /// Whether a stop that keeps tasks was requested.
    #[must_use]
    pub(crate) fn is_leaving(&self) -> bool {
        *self.0.borrow() == Stage::Leaving
    }

    /// Returns when a stop that keeps tasks is requested.
    pub(crate) async fn leaving(&self) {
        let mut stage = self.0.clone();
        if stage.wait_for(|stage| *stage == Stage::Leaving).await.is_err() {
            // The sender is gone without that: it never comes.
            std::future::pending::<()>().await;
        }
    }
}
