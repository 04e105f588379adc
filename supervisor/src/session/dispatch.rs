//! The table of methods: the name of each, its parameters, and what answers it. A new method is a row here, its name
//! in [`cc_protocol::METHODS`], and the scope that it needs in [`crate::session::scope`].

use cc_protocol::{
    CallError,
    batch::{BatchList, BatchNamed, BatchResume, BatchRows, BatchTask},
    control::{ControlType, Done},
    execute::Execute,
    gate::{self, GateListResult, GateOpen, GateOpenResult},
    legacy,
    session::{SessionConfigure, SessionResume, check_close_params},
    status,
    task::{TaskAttach, TaskList, TaskNamed, TaskOutput},
    worker::WorkerRestart,
};
use serde_json::{Map, Value, json};

use crate::{
    batch,
    delivery::Outgoing,
    session::{
        audit::Subject,
        handler::Handler,
        reply::{CallOutcome, Reply, Then},
        status::status as supervisor_status,
    },
    task::workers,
};

impl Handler {
    pub(super) async fn call(&mut self, method: &str, params: Map<String, Value>) -> CallOutcome {
        let subject = Subject::of(method, &params);
        let outcome = match self.check_scope(method) {
            Ok(()) => self.dispatch(method, params).await,
            Err(refusal) => Err(refusal),
        };
        let outcome = outcome.unwrap_or_else(|error| CallOutcome::Replied(Reply::refused(error)));
        if let CallOutcome::Replied(reply) = &outcome {
            self.audit(&subject, &reply.result);
        }
        outcome
    }

    async fn dispatch(
        &mut self,
        method: &str,
        params: Map<String, Value>,
    ) -> Result<CallOutcome, CallError> {
        /// Reads the parameters as this type.
        macro_rules! read {
            ($parameters:ty) => {
                <$parameters>::from_params(&params)?
            };
        }
        /// The same, for a batch that this client sees.
        macro_rules! read_batch {
            ($parameters:ty) => {{
                let read = read!($parameters);
                self.check_batch(&read.batch_id).await?;
                read
            }};
        }
        let batches = &self.services.batches;
        let reply = match method {
            "execute" => return self.execute(Execute::from_params(params)?).await,
            "control" => self.control(read!(ControlType)).await,

            "session.resume" => self.resume(read!(SessionResume)).await?,
            "session.configure" => configure(read!(SessionConfigure)),
            "session.close" => check_close_params(&params).map(|()| close())?,

            "task.get" => self.task_get(read!(TaskNamed)).await?,
            "task.list" => self.task_list(read!(TaskList)).await?,
            "task.output" => self.task_output(read!(TaskOutput)).await?,
            "task.attach" => self.task_attach(read!(TaskAttach)).await?,
            "task.detach" => self.task_detach(read!(TaskNamed)).await?,
            "task.cancel" => self.task_control(ControlType::Cancel, read!(TaskNamed)).await?,
            "task.pause" => self.task_control(ControlType::Pause, read!(TaskNamed)).await?,
            "task.resume" => self.task_control(ControlType::Resume, read!(TaskNamed)).await?,

            "batch.submit" => {
                Reply::new(batch::submit(batches, self.access.owner(), params).await?)
            }
            "batch.get" => {
                Reply::new(batch::get(batches, &read_batch!(BatchNamed).batch_id).await?)
            }
            "batch.list" => {
                let only = self.access.only().cloned();
                Reply::new(batch::list(batches, only, read!(BatchList)).await?)
            }
            "batch.rows" => Reply::new(batch::rows(batches, &read_batch!(BatchRows)).await?),
            "batch.result" => Reply::new(batch::result(batches, &read_batch!(BatchTask)).await?),
            "batch.cancel" => {
                batch::cancel(batches, &read_batch!(BatchNamed).batch_id).await?;
                Reply::new(Done::new("canceled"))
            }
            "batch.attach" => self.batch_attach(read_batch!(BatchNamed)).await?,
            "batch.detach" => self.batch_detach(read_batch!(BatchNamed)).await?,
            "batch.resume" => {
                let (token, resume) = (self.access.owner(), read_batch!(BatchResume));
                Reply::new(batch::resume(batches, token, resume).await?)
            }

            "gate.list" => {
                gate::no_params(&params)?;
                Reply::new(GateListResult { gates: batches.gates.summaries() })
            }
            "gate.open" => {
                let opened = batch::open_gates(batches, read!(GateOpen).gate_id.as_deref()).await?;
                Reply::new(GateOpenResult { opened })
            }

            "worker.list" => {
                gate::no_params(&params)?;
                Reply::new(workers::list(&self.services.tasks).await?)
            }
            "worker.restart" => {
                let which = read!(WorkerRestart);
                Reply::new(workers::restart(&self.services.tasks, which).await?)
            }
            "supervisor.subscribe" => {
                gate::no_params(&params)?;
                self.subscribe()
            }
            "supervisor.status" => {
                status::no_params(&params)?;
                let only = self.access.only().cloned();
                Reply::new(supervisor_status(&self.services, only.as_deref()).await)
            }
            "supervisor.settings"
            | "supervisor.reload"
            | "supervisor.drain"
            | "supervisor.drain_progress"
            | "supervisor.undrain" => self.operate(method, &params).await?,

            "ping" => Reply::new(json!({"type": "pong"})),
            _ => match legacy::result_of(method) {
                Some(result) => Reply::new(result),
                None => return Err(CallError::MethodNotFound { method: method.to_owned() }),
            },
        };
        Ok(CallOutcome::Replied(reply))
    }
}

fn configure(configure: SessionConfigure) -> Reply {
    Reply::new(configure).then(Then::Send(Outgoing::Batch(configure.output_batch)))
}

fn close() -> Reply {
    Reply::new(Done::new("closed")).then(Then::CloseSession)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use cc_protocol::{METHODS, error::ErrorCode};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        batch::Batches,
        ops::identity::Identity,
        session::{budget::MessageBudget, registry::Sessions, services::Services},
        task::context::TaskContext,
    };

    #[tokio::test]
    async fn each_method_of_the_contract_has_a_row_and_no_other_has() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = TaskContext::for_tests(directory.path());
        let (registry, store) = (Arc::clone(&tasks.registry), tasks.store.clone());
        let metrics = Arc::clone(&tasks.metrics);
        let sessions = Arc::new(Sessions::new(Duration::ZERO, registry, store, metrics));
        let batches = Arc::new(Batches::new(Arc::clone(&tasks)));
        let budget = Arc::new(MessageBudget::new(1024));
        let services = Services { sessions: Arc::clone(&sessions), budget, batches, tasks };
        let (outgoing, _queue) = mpsc::channel(100);
        let connection = sessions.connection_handle();
        let mut handler =
            Handler::begin(services, Identity::for_tests(), connection, outgoing).await.unwrap();
        for (method, is_known) in METHODS
            .map(|method| (method, true))
            .into_iter()
            .chain([("task.begin", false), ("", false)])
        {
            let CallOutcome::Replied(reply) = handler.call(method, Map::new()).await else {
                panic!("{method} waits")
            };
            let code = reply.result.err().map(|error| error.code);
            assert_eq!(code != Some(ErrorCode::MethodNotFound.code()), is_known, "{method}");
        }
    }
}
