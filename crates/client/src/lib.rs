//! Rust client of cc-supervisor: connect, start a task, steer it, follow its events.
//!
//! Modules in the order in which a message travels: [`connection`] owns the WebSocket, its private
//! writer task sends what is asked for, [`event`] turns what comes back into types, and [`error`]
//! says what may go wrong on the way.
//!
//! This crate never starts processes, never reconnects by itself and never interprets a task's
//! output. It speaks plain `ws://`: the supervisor listens on loopback, where TLS has nothing to
//! protect. `ccx` and the Rust tests are built on it.
//!
//! ```no_run
//! use cc_client::{Connection, Event};
//! use cc_protocol::{execute::{Execute, Program}, notification::Notification};
//!
//! # async fn example() -> Result<(), cc_client::Error> {
//! let mut connection = Connection::open("ws://127.0.0.1:8003/ws/mcp", None).await?;
//! let program = Program::Argv { argv: vec!["uname".to_owned(), "-a".to_owned()] };
//! connection.execute(&Execute { program, ..Execute::default() }).await?;
//! loop {
//!     match connection.next_event().await? {
//!         Event::Notification(message) => match message.notification {
//!             Notification::Output(output) => print!("{}", output.data),
//!             Notification::Completed(_) => break,
//!             _ => {}
//!         },
//!         Event::Answer(_) => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod connection;
pub mod error;
pub mod event;
mod writer;

pub use connection::{Connection, Token};
pub use error::Error;
pub use event::{Answer, Event, Received};
