//! One WebSocket: messages in, messages out, heartbeat.

pub(crate) mod heartbeat;
pub(crate) mod serve;

pub(crate) use self::serve::{ConnectionContext, serve};
