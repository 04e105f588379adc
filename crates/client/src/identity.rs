//! By what a session is resumed. Kept out of every log: it has the resume token.

use std::time::Duration;

use crate::connection::Connection;

/// The secret and the name by which a session is resumed.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) session_id: String,
    pub(crate) resume_token: String,
    /// Zero where it cannot be resumed.
    pub(crate) grace: Duration,
}

impl Identity {
    pub(crate) fn of(connection: &Connection) -> Self {
        let connected = connection.connected();
        let grace = Duration::try_from_secs_f64(connected.resume_grace_s).unwrap_or_default();
        Self {
            session_id: connected.session_id.clone(),
            resume_token: connected.resume_token.clone(),
            grace: if connected.resume_token.is_empty() { Duration::ZERO } else { grace },
        }
    }
}
