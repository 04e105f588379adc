//! Rust client of cc-supervisor: connect, start a task, steer it, follow its events.
//!
//! Modules in the order in which a message travels:
//! - [`session`] survives its connections: `ledger` has what it has asked for and heard, [`batches`] what it asks about
//!   batches, `request` what it sends, `session_event` what its caller gets, `identity` how it is resumed, and `outage` waits
//!   for the next connection.
//! - [`connection`] owns one WebSocket: `address` finds it, [`calls`] are what can be asked, `reader` and `writer` its halves.
//! - [`event`] turns what comes back into types, and [`error`] says what may go wrong on the way.
//!
//! Use [`Session`] for tasks: a broken connection costs it nothing. A [`Connection`] is for single
//! questions, and ends when its socket does. This crate never starts processes and never interprets a task's
//! output. It speaks plain `ws://`: the supervisor listens on loopback, where TLS has nothing to
//! protect. `ccx` and the Rust tests are built on it.
//!
//! ```no_run
//! use cc_client::{Reconnect, Session, SessionEvent};
//! use cc_protocol::{execute::{Execute, Program}, notification::Notification};
//!
//! # async fn example() -> Result<(), cc_client::Error> {
//! let mut session = Session::open("ws://127.0.0.1:8003", None, Reconnect::default()).await?;
//! let program = Program::Argv { argv: vec!["uname".to_owned(), "-a".to_owned()] };
//! session.execute(&Execute { program, ..Execute::default() }).await?;
//! loop {
//!     match session.next_event().await? {
//!         SessionEvent::Notification(message) => match message.notification {
//!             Notification::Output(output) => print!("{}", output.data),
//!             Notification::Completed(_) => break,
//!             _ => {}
//!         },
//!         SessionEvent::NotStarted(error) => return Err(cc_client::Error::Server(error)),
//!         _ => {}
//!     }
//! }
//! session.close().await;
//! # Ok(())
//! # }
//! ```

mod address;
pub mod batches;
pub mod calls;
pub mod connection;
pub mod error;
pub mod event;
mod identity;
mod ledger;
mod outage;
mod reader;
mod request;
pub mod session;
mod session_event;
mod writer;

pub use address::Token;
pub use batches::BatchAnswer;
pub use connection::Connection;
pub use error::{Error, Unknown};
pub use event::{Event, Received, Response};
pub use outage::Reconnect;
pub use request::BatchRequest;
pub use session::Session;
pub use session_event::{SessionEvent, StartedTask};
