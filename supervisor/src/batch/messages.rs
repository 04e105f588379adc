//! Every message to the owner of a batch.

use cc_batch::{Job, Scope};
use tokio::sync::oneshot;

use crate::batch::{attempt_end::JobEnd, gates::Credential};

#[derive(Debug)]
pub(super) enum Message {
    /// A gate admits a job.
    Admitted(Job),
    /// The API refused the credentials of a running job, and its CLI tries again.
    AuthRefused { job: Job, task_id: String },
    /// A job's terminal event was read and its process tree is gone.
    Ended { job: Job, task_id: String, end: Box<JobEnd> },
    /// The wait of a hook that could not be started is over: start it again.
    RetryHook { job: Job, task_id: String },
    /// A gate was opened before its time.
    GateOpened { credential: Credential, scope: Scope },
    /// Answered when everything that came before is dealt with.
    Settle(oneshot::Sender<()>),
    /// A client cancels the batch; answered when that is stored.
    Cancel(oneshot::Sender<()>),
}
