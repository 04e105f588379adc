//! The supervisor that a command uses: a running one (`mod`) or a `private` one for its duration. `programs` finds the
//! executables, `interrupts` catches signals, `task_id` finds a task by a part of its id, and `leftovers` counts the
//! processes that a private supervisor's tasks left behind.

pub(crate) mod interrupts;
pub(crate) mod leftovers;
pub(crate) mod private;
pub(crate) mod programs;
pub(crate) mod task_id;

use std::{env, fs};

use cc_client::{Connection, Error, Reconnect, Session, Token, Trust};

use self::{
    interrupts::{Interrupt, Interrupts},
    private::{PrivateSupervisor, Urgency},
};
use crate::{args::ServerOptions, error::CommandError};

/// The default address of a supervisor.
pub(crate) const USUAL_URL: &str = "ws://127.0.0.1:8003";

/// A session, and its supervisor if that is private.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) session: Session,
    private: Option<PrivateSupervisor>,
}

impl Server {
    /// Connects to the supervisor of `--url`, with this policy for reconnecting, or starts a private one with these
    /// arguments. A signal meanwhile ends the command, after a supervisor that was started is stopped.
    pub(crate) async fn open(
        options: &ServerOptions,
        private_arguments: &[String],
        reconnect: Reconnect,
        interrupts: &mut Interrupts,
    ) -> Result<Self, CommandError> {
        let opening = async {
            match &options.url {
                Some(url) => {
                    let token = token(options)?;
                    let session = Session::open(url, token.as_ref(), reconnect).await?;
                    Ok(Self { session, private: None })
                }
                None => {
                    let private = PrivateSupervisor::start(private_arguments).await?;
                    let session = Session::open(private.url(), None, Reconnect::default()).await?;
                    Ok(Self { session, private: Some(private) })
                }
            }
        };
        // Not abandoned at the first signal: a supervisor that is just starting has to be stopped, too.
        let mut opening = std::pin::pin!(opening);
        let mut interrupted: Option<Interrupt> = None;
        let opened = loop {
            tokio::select! {
                biased;
                interrupt = interrupts.next() => {
                    if interrupted.replace(interrupt).is_some() {
                        return Err(interruption(interrupt));
                    }
                }
                opened = &mut opening => break opened,
            }
        };
        match (interrupted, opened) {
            (None, opened) => opened,
            (Some(interrupt), Ok(server)) => {
                server.close(Urgency::AtOnce).await?;
                Err(interruption(interrupt))
            }
            (Some(interrupt), Err(_)) => Err(interruption(interrupt)),
        }
    }

    /// A session with a supervisor that outlives this command.
    pub(crate) fn running(session: Session) -> Self {
        Self { session, private: None }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Where the supervisor of this command listens.
    pub(crate) fn private_url(&self) -> Option<&str> {
        self.private.as_ref().map(PrivateSupervisor::url)
    }

    /// Closes the session, and ends and reaps a private supervisor.
    pub(crate) async fn close(self, urgency: Urgency) -> Result<(), CommandError> {
        match urgency {
            Urgency::Polite => self.session.close().await,
            Urgency::AtOnce => drop(self.session),
        }
        match self.private {
            Some(private) => private.stop(urgency).await,
            None => Ok(()),
        }
    }
}

/// A supervisor that runs independently of this command: the one of `--url`, else the one at the default address.
#[derive(Debug)]
pub(crate) struct RunningSupervisor {
    url: String,
    token: Option<Token>,
}

impl RunningSupervisor {
    pub(crate) fn of(options: &ServerOptions) -> Result<Self, CommandError> {
        let url = options.url.clone().unwrap_or_else(|| USUAL_URL.to_owned());
        Ok(Self { url, token: token(options)? })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, CommandError> {
        let opened = Connection::open(&self.url, self.token.as_ref()).await;
        if let Err(Error::Connect { url, source }) = opened {
            return Err(CommandError::NoSupervisor { url, source });
        }
        Ok(opened?)
    }

    /// Turns the connection into a session that reconnects.
    pub(crate) async fn session(
        &self,
        connection: Connection,
        settings: Reconnect,
    ) -> Result<Session, CommandError> {
        Ok(Session::over(connection, &self.url, self.token.as_ref(), settings).await?)
    }
}

fn interruption(interrupt: Interrupt) -> CommandError {
    interrupt.error("before anything ran")
}

/// The token, after the files for TLS were read.
fn token(options: &ServerOptions) -> Result<Option<Token>, CommandError> {
    let identity = options.tls_cert.clone().zip(options.tls_key.clone());
    if options.tls_ca.is_some() || identity.is_some() {
        Trust { ca: options.tls_ca.clone(), identity }.install()?;
    }
    match &options.token_file {
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Token::new(&text))),
            Err(error) => Err(CommandError::failed(format!(
                "cannot read the token file {}: {error}",
                path.display()
            ))),
        },
        None => Ok(env::var("CC_EXECUTOR_TOKEN")
            .ok()
            .filter(|text| !text.trim().is_empty())
            .map(|text| Token::new(&text))),
    }
}
