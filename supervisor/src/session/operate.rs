//! The calls of operators: workers, alerts, settings, reload, drain.

use cc_protocol::{
    CallError, gate,
    worker::{SubscribeResult, WorkerRestart},
};
use serde_json::{Map, Value};

use crate::{
    session::{drain, handler::Handler, reload, reply::Reply, subscription::Subscription},
    task::workers,
};

impl Handler {
    /// Answers one of them; only a restart has parameters.
    pub(super) async fn operate(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<Reply, CallError> {
        if method == "worker.restart" {
            let which = WorkerRestart::from_params(params)?;
            return Ok(Reply::new(workers::restart(&self.services.tasks, which).await?));
        }
        gate::no_params(params)?;
        if method == "supervisor.subscribe" {
            return Ok(self.subscribe());
        }
        let services = &self.services;
        Ok(match method {
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
