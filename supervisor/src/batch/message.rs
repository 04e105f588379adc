//! What a batch's owner hears from others: every message to it.

use cc_batch::Job;
use tokio::sync::oneshot;

use super::evidence::End;

/// What a batch's owner hears.
#[derive(Debug)]
pub enum Message {
    /// The gate lets a job pass.
    Admitted(Job),
    /// The API refused the credentials of a running job, and its CLI tries again.
    AuthRefused {
        /// Which.
        job: Job,
        /// Under which id it runs.
        task_id: String,
    },
    /// A job's terminal event is there and its tree is gone.
    Ended {
        /// Which.
        job: Job,
        /// Under which id it ran.
        task_id: String,
        /// How.
        end: Box<End>,
    },
    /// Somebody wants the batch to end; answered when that is stored.
    Cancel(oneshot::Sender<()>),
}
