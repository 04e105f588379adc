//! What a client may ask for, and what outlives its connection.

pub(crate) mod batch_calls;
pub(crate) mod execute;
pub(crate) mod handler;
pub(crate) mod registry;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod resume;
pub(crate) mod services;
pub(crate) mod state;
pub(crate) mod task_calls;
pub(crate) mod waiting;
