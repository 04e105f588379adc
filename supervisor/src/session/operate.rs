//! The calls of operators: settings, reload, drain.

use cc_protocol::{CallError, gate};
use serde_json::{Map, Value};

use crate::session::{drain, handler::Handler, reload, reply::Reply};

impl Handler {
    /// Answers one of them; none has parameters.
    pub(super) async fn operate(
        &self,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<Reply, CallError> {
        gate::no_params(params)?;
        let services = &self.services;
        Ok(match method {
            "supervisor.settings" => Reply::new(services.tasks.settings.settings()),
            "supervisor.reload" => Reply::new(reload::reload(services).await?),
            "supervisor.drain" => Reply::new(drain::drain(services).await),
            "supervisor.drain_progress" => Reply::new(drain::progress(services)),
            "supervisor.undrain" => Reply::new(drain::undrain(services)),
            _ => return Err(CallError::MethodNotFound { method: method.to_owned() }),
        })
    }
}
