//! The way back: the records of tasks become messages of a client.
//!
//! The room owns what is on its way to one client. It never decides what a client may see (that is [`crate::session`]'s),
//! and it holds no more of a task than one read: a slow client is an offset in the task's feed.
//!
//! On the way of a record, each file above those that it uses:
//! - `writer`: takes records of the followed tasks in turn and writes messages; driven by [`crate::connection`]
//! - `turn`: what a client that has stopped reading is left with
//! - `outgoing`: what the session has its writer do
//! - `notification`: a record becomes a notification
//! - `output_json`: the same for output, which is nearly all, straight from its bytes
//! - `pending`: records that were read and are not sent yet
//! - `socket`: messages in a buffer, their short way past the WebSocket codec, and the signs of life of the other end
//! - `transport`: the stream below it, TCP, Unix or TLS

mod writer;

mod turn;

mod outgoing;

pub(crate) mod notification;

mod output_json;

pub(crate) mod pending;

pub(crate) mod socket;

pub(crate) mod transport;

pub(crate) use self::{
    outgoing::{Follow, Outgoing},
    writer::Writer,
};

#[cfg(fuzzing)]
pub use self::socket::fuzz_written_frames;
