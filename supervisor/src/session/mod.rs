//! What a client may ask for, and what outlives its connection.
//!
//! Owns the sessions, the table of methods, and the order in which a client is sent answers and events. Never reads or
//! writes a socket, never starts or signals a process: it asks a task's owner, a batch's owner, or the database.
//!
//! In reading order:
//! - `services` holds what is asked: sessions, batches, tasks.
//! - `handler` is a session on its connection: it reads messages, has calls answered, and queues what is sent. `due`
//!   is what it does while the client says nothing.
//! - `budget` bounds what the messages of all clients take together.
//! - `request` reads a text within bounds, `message` collects the responses, `response` keeps them within bounds.
//! - `dispatch` is the table of methods, `scope` its column of who may call what, `audit` what of
//!   it the audit log has; `reply` is what a call comes to.
//! - `execute` starts a task, or leaves it `waiting` for a canceled one to be gone. `control` cancels, pauses and
//!   resumes one. `task_calls`, `task_output` and `batch_attach` are calls about any task or batch.
//! - `ownership` finds the tasks and batches that a client sees. `position`, `follow`, `current_task` and `delivered` are
//!   what those calls share: from which event on a task is sent, and how far.
//! - `subscription` sends alerts to a client that wants them.
//! - `resume` gives an old session to a new connection.
//! - `operate` is what operators call: `drain`, `reload`.
//! - `registry` has all sessions; `state` is their state machine.
//!
//! Called by [`crate::connection`] and, at the start, by [`crate::daemon`].

mod services;

mod due;
mod handler;

mod budget;

mod request;

mod message;

mod response;

mod dispatch;

mod scope;

mod audit;

mod reply;

mod execute;

mod waiting;

mod control;

mod task_calls;

mod task_output;

mod batch_attach;

mod ownership;

mod status;

mod position;

mod follow;

mod current_task;

mod delivered;

mod resume;

mod operate;

mod drain;

mod reload;
mod subscription;

mod registry;

mod state;

pub(crate) use self::{
    budget::{Claim, MessageBudget},
    due::Due,
    handler::Handler,
    registry::Sessions,
    reload::reload,
    services::Services,
};

#[cfg(fuzzing)]
pub use self::request::fuzz_message;
