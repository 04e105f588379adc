//! What a batch's owner hears from others: every message to it.

use cc_batch::{Job, Scope};
use tokio::sync::oneshot;

use crate::batch::{attempt_end::End, gates::Credential};

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
    /// A hook could not be started for want of something, a while ago: it is to be tried again.
    HookAgain {
        /// Which.
        job: Job,
        /// Under which id it should have run.
        task_id: String,
    },
    /// Somebody has opened a gate before its time.
    GateOpened {
        /// Of which account.
        credential: Credential,
        /// For whom.
        scope: Scope,
    },
    /// Somebody wants the batch to end; answered when that is stored.
    Cancel(oneshot::Sender<()>),
}
