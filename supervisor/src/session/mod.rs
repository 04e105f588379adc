//! What a client may ask for, and what outlives its connection.

pub(crate) mod services;

pub(crate) mod handler;

pub(crate) mod due;

mod batch_attach;
mod control;
mod current_task;
mod dispatch;
mod errors;
mod execute;
mod follow;
mod message;
mod position;
pub(crate) mod registry;
mod reply;
mod request;
mod response;
mod resume;
pub(crate) mod state;
mod task_calls;
mod task_output;
mod waiting;
