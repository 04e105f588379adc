//! The table of methods: the name of each, its parameters, and what answers it. A new method is a row here and its name
//! in [`cc_protocol::METHODS`].
//!
//! Every client that is admitted is the same user, so every task and every batch is its own.

use cc_protocol::{
    batch::{BatchList, BatchNamed, BatchResume, BatchRows, BatchTask},
    control::{ControlType, Done},
    error::ErrorObject,
    execute::Execute,
    gate::{self, GateListResult, GateOpen, GateOpenResult},
    legacy,
    session::{SessionConfigure, SessionResume, check_close_params},
    task::{TaskAttach, TaskList, TaskNamed, TaskOutput},
};
use serde_json::{Map, Value, json};

use crate::{
    batch,
    delivery::Outgoing,
    session::{
        errors::CallError,
        handler::Handler,
        reply::{CallOutcome, Reply, Then},
    },
};

impl Handler {
    pub(super) async fn call(&mut self, method: &str, params: Map<String, Value>) -> CallOutcome {
        let outcome = match method {
            "execute" => match Execute::from_params(params) {
                Ok(execute) => self.execute(execute).await,
                Err(error) => Err(error),
            },
            _ => self.dispatch(method, params).await.map(CallOutcome::Replied),
        };
        outcome.unwrap_or_else(|error| CallOutcome::Replied(error.into()))
    }

    async fn dispatch(
        &mut self,
        method: &str,
        params: Map<String, Value>,
    ) -> Result<Reply, ErrorObject> {
        let batches = &self.services.batches;
        let p = &params;
        Ok(match method {
            "control" => self.control(ControlType::from_params(p)?).await,
            "session.resume" => self.resume(SessionResume::from_params(p)?).await?,
            "session.configure" => configure(SessionConfigure::from_params(p)?),
            "session.close" => check_close_params(p).map(|()| close())?,

            "task.get" => self.task_get(TaskNamed::from_params(p)?).await?,
            "task.list" => self.task_list(TaskList::from_params(p)?).await?,
            "task.output" => self.task_output(TaskOutput::from_params(p)?).await?,
            "task.attach" => self.task_attach(TaskAttach::from_params(p)?).await?,
            "task.detach" => self.task_detach(TaskNamed::from_params(p)?).await?,
            "task.cancel" => self.task_control(ControlType::Cancel, p).await?,
            "task.pause" => self.task_control(ControlType::Pause, p).await?,
            "task.resume" => self.task_control(ControlType::Resume, p).await?,

            "batch.submit" => Reply::new(batch::submit(batches, params).await?),
            "batch.resume" => {
                Reply::new(batch::resume(batches, BatchResume::from_params(p)?).await?)
            }
            "batch.get" => {
                Reply::new(batch::get(batches, &BatchNamed::from_params(p)?.batch_id).await?)
            }
            "batch.list" => Reply::new(batch::list(batches, BatchList::from_params(p)?).await?),
            "batch.rows" => Reply::new(batch::rows(batches, &BatchRows::from_params(p)?).await?),
            "batch.result" => {
                Reply::new(batch::result(batches, &BatchTask::from_params(p)?).await?)
            }
            "batch.cancel" => {
                batch::cancel(batches, &BatchNamed::from_params(p)?.batch_id).await?;
                Reply::new(Done::new("canceled"))
            }
            "batch.attach" => self.batch_attach(BatchNamed::from_params(p)?).await?,
            "batch.detach" => self.batch_detach(BatchNamed::from_params(p)?).await?,

            "gate.list" => {
                gate::no_params(p)?;
                Reply::new(GateListResult { gates: batches.gates.summaries() })
            }
            "gate.open" => {
                let gate_id = GateOpen::from_params(p)?.gate_id;
                let opened = batch::open_gates(batches, gate_id.as_deref()).await?;
                Reply::new(GateOpenResult { opened })
            }

            "ping" => Reply::new(json!({"type": "pong"})),
            _ => match legacy::result_of(method) {
                Some(result) => Reply::new(result),
                None => return Err(CallError::UnknownMethod(method.to_owned()).into()),
            },
        })
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
        session::{registry::Sessions, services::Services},
        task::context::TaskContext,
    };

    #[tokio::test]
    async fn each_method_of_the_contract_has_a_row_and_no_other_has() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = TaskContext::for_tests(directory.path());
        let (registry, store) = (Arc::clone(&tasks.registry), tasks.store.clone());
        let sessions = Arc::new(Sessions::new(Duration::ZERO, registry, store));
        let batches = Arc::new(Batches::new(Arc::clone(&tasks)));
        let services = Services { sessions: Arc::clone(&sessions), batches, tasks };
        let (outgoing, _queue) = mpsc::channel(100);
        let connection = sessions.connection_handle();
        let mut handler = Handler::begin(services, connection, outgoing).await.unwrap();
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
