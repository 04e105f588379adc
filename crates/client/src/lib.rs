//! Rust client of cc-supervisor: connects, starts tasks, controls them and follows their events.
//!
//! Modules in the order in which a message travels:
//! - [`session`] survives its connections. Its `identity` resumes it, its `ledger` knows what was asked for and heard,
//!   [`batches`] what was asked about batches, and `outage` makes the attempts to connect again. `request` is what a
//!   session sends, `session_event` what it reports.
//! - [`connection`] owns one WebSocket at an `address`, over a `stream` whose server it has reason to [`trust`], and [`calls`] are the typed calls on it. `writer` sends, `reader`
//!   receives.
//! - [`event`] turns what comes back into types, and [`error`] says what may go wrong on the way.
//!
//! Use [`Session`] for tasks: it loses nothing when its connection breaks. A [`Connection`] is for single
//! calls, and ends with its socket. This crate never starts processes and never interprets a task's
//! output. `ccx` and the Rust tests are built on it.
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

pub mod batches;
mod identity;
mod ledger;
mod outage;
mod request;
pub mod session;
mod session_event;

mod address;
pub mod calls;
pub mod connection;
mod reader;
mod stream;
pub mod trust;
mod writer;

pub mod error;
pub mod event;

pub use address::Token;
pub use batches::BatchAnswer;
pub use connection::Connection;
pub use error::{Error, Unknown};
pub use event::{Event, Received, Response};
pub use outage::Reconnect;
pub use request::BatchRequest;
pub use session::Session;
pub use session_event::{SessionEvent, StartedTask};
pub use trust::Trust;
