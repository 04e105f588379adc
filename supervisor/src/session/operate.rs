//! The calls of operators: gates, workers, alerts, status, settings, reload, drain.

use cc_protocol::{
    CallError,
    gate::{self, GateListResult, GateOpen, GateOpenResult},
    worker::{SubscribeResult, WorkerRestart},
};
use serde_json::{Map, Value};

use crate::{
    batch,
    session::{drain, handler::Handler, reload, reply::Reply, status, subscription::Subscription},
    task::workers,
};

impl Handler {
    /// Answers one of them; only two have parameters.
    pub(super) async fn operate(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<Reply, CallError> {
        if method == "worker.restart" {
            let which = WorkerRestart::from_params(params)?;
            return Ok(Reply::new(workers::restart(&self.services.tasks, which).await?));
        }
        if method == "gate.open" {
            let gate_id = GateOpen::from_params(params)?.gate_id;
            let opened = batch::open_gates(&self.services.batches, gate_id.as_deref()).await?;
            return Ok(Reply::new(GateOpenResult { opened }));
        }
        gate::no_params(params)?;
        if method == "supervisor.subscribe" {
            return Ok(self.subscribe());
        }
        let services = &self.services;
        Ok(match method {
            "gate.list" => Reply::new(GateListResult { gates: services.batches.gates.summaries() }),
            "supervisor.status" => {
                let only = self.access.only().cloned();
                Reply::new(status::status(services, only.as_deref()).await)
            }
            "worker.list" => Reply::new(workers::list(&services.tasks).await?),
            "supervisor.settings" => Reply::new(services.tasks.settings.settings()),
            "supervisor.reload" => Reply::new(reload::reload(services).await?),
            "supervisor.drain" => Reply::new(drain::drain(services).await),
            "supervisor.drain_progress" => Reply::new(drain::progress(services)),
            "supervisor.undrain" => Reply::new(drain::undrain(services)),
            _ => return Err(CallError::MethodNotFound { method: method.to_owned() }),
        })
    }

    /// A second subscription replaces the first.
    fn subscribe(&mut self) -> Reply {
        let problems = self.services.tasks.health.watch();
        let (subscription, alerts) = Subscription::begin(problems, self.outgoing.clone());
        self.subscription = Some(subscription);
        Reply::new(SubscribeResult { alerts })
    }
}
