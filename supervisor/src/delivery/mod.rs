//! The way back: records of a task become messages of a client.

pub(crate) mod notification;
pub(crate) mod output_json;
pub(crate) mod pending;
pub(crate) mod socket;
mod writer;

pub(crate) use self::writer::{Follow, Outgoing, Writer};
