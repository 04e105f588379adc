//! The supervisor that a command uses: a running one, or a private one for the duration.

use std::{env, fs};

use cc_client::{Connection, Token};

use crate::{
    args::ServerOptions,
    failure::Failure,
    interrupts::{Interrupt, Interrupts},
    private_supervisor::{PrivateSupervisor, Urgency},
};

/// A connection, and the supervisor behind it if it is ours.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) connection: Connection,
    private: Option<PrivateSupervisor>,
}

impl Server {
    /// Connects to the supervisor of `--url`, or starts one with these arguments. A signal meanwhile
    /// ends the command, after what was begun is undone.
    pub(crate) async fn open(
        options: &ServerOptions,
        private_arguments: &[String],
        interrupts: &mut Interrupts,
    ) -> Result<Self, Failure> {
        let opening = async {
            match &options.url {
                Some(url) => {
                    let token = token(options)?;
                    let connection = Connection::open(url, token.as_ref()).await?;
                    Ok(Self { connection, private: None })
                }
                None => {
                    let private = PrivateSupervisor::start(private_arguments).await?;
                    let connection = Connection::open(private.url(), None).await?;
                    Ok(Self { connection, private: Some(private) })
                }
            }
        };
        // Not given up at the first signal: a supervisor that is just starting has to be stopped, too.
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

    /// Whether the supervisor belongs to this command.
    pub(crate) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Closes the connection, and ends and reaps a private supervisor.
    pub(crate) async fn close(self, urgency: Urgency) -> Result<(), Failure> {
        match urgency {
            Urgency::Polite => self.connection.close().await,
            Urgency::AtOnce => drop(self.connection),
        }
        match self.private {
            Some(private) => private.stop(urgency).await,
            None => Ok(()),
        }
    }
}

fn interruption(interrupt: Interrupt) -> Failure {
    Failure { exit_code: interrupt.exit_code(), text: "interrupted before anything ran".to_owned() }
}

fn token(options: &ServerOptions) -> Result<Option<Token>, Failure> {
    match &options.token_file {
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Token::new(&text))),
            Err(error) => {
                Err(Failure::own(format!("cannot read the token file {}: {error}", path.display())))
            }
        },
        None => Ok(env::var("CC_EXECUTOR_TOKEN")
            .ok()
            .filter(|text| !text.trim().is_empty())
            .map(|text| Token::new(&text))),
    }
}
