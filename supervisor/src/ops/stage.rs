//! Where the supervisor is in its life. The daemon sets it, every room may watch it.

use tokio::sync::watch;

/// Where the supervisor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It takes connections and tasks.
    Serving,
    /// It was told to stop: it takes no new tasks and ends the running ones.
    Stopping,
    /// It was told to make room for another supervisor: it takes no new tasks and leaves the running ones.
    Leaving,
}

/// Watches the stage; clones watch the same one.
#[derive(Clone, Debug)]
pub struct StageWatch(watch::Receiver<Stage>);

impl StageWatch {
    /// The stage that is serving, and the sender that changes it.
    #[must_use]
    pub fn new() -> (watch::Sender<Stage>, Self) {
        let (to_stage, stage) = watch::channel(Stage::Serving);
        (to_stage, Self(stage))
    }

    /// Whether the supervisor was told to stop, in either way.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        match *self.0.borrow() {
            Stage::Serving => false,
            Stage::Stopping | Stage::Leaving => true,
        }
    }

    /// Returns when the supervisor is told to stop, in either way.
    pub async fn stopping(&self) {
        let mut stage = self.0.clone();
        // An error means that the sender is gone, which is the end as well.
        drop(stage.wait_for(|stage| *stage != Stage::Serving).await);
    }

    /// Whether the supervisor was told to leave its tasks to another one.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        *self.0.borrow() == Stage::Leaving
    }

    /// Returns when the supervisor is told to leave its tasks to another one.
    pub async fn leaving(&self) {
        let mut stage = self.0.clone();
        if stage.wait_for(|stage| *stage == Stage::Leaving).await.is_err() {
            // The sender is gone without that: it never comes.
            std::future::pending::<()>().await;
        }
    }
}
