//! The time without a connection: wait, try, wait longer, until there is one or patience ends.

use std::{fmt, pin::Pin, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use cc_protocol::{
    error::{ErrorCode, ErrorObject},
    session::{SessionResume, SessionResumeResult},
};
use tokio::time::{self, Instant, Sleep};

use crate::{
    address::Token,
    connection::Connection,
    error::{Error, Severity},
};

/// How a lost connection is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The wait before the first attempt, doubled before each further one. A random share of up to the same length is
    /// added, so that many clients do not reconnect at the same moment.
    pub delay_least: Duration,
    /// The longest wait before an attempt, without the random share.
    pub delay_most: Duration,
    /// How long to try; `None`: as long as the server keeps the session.
    pub patience: Option<Duration>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            delay_least: Duration::from_millis(100),
            delay_most: Duration::from_secs(5),
            patience: None,
        }
    }
}

/// What the attempts need.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) token: Option<Token>,
    pub(crate) resume: SessionResume,
}

/// A connection is there again.
#[derive(Debug)]
pub(crate) struct Regained {
    pub(crate) connection: Connection,
    /// `Err`: the server does not have the session.
    pub(crate) session: Result<SessionResumeResult, ErrorObject>,
}

/// What a step has led to.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is a connection.
    Regained(Box<Regained>),
    /// An attempt failed; the next one comes after the delay.
    Failed { attempt: u32, error: Error, delay: Duration },
    /// There will be none: it took too long.
    GivenUp { last: Error },
    /// There will be none: for a reason that no attempt would change.
    Refused(Error),
}

type Attempt = Pin<Box<dyn Future<Output = Result<Regained, Error>> + Send>>;

enum Stage {
    Waiting(Pin<Box<Sleep>>),
    Trying(Attempt),
}

/// See the module.
pub(crate) struct Outage {
    target: Target,
    ends_at: Instant,
    attempt: u32,
    delay_most: Duration,
    delays: ExponentialBackoff,
    stage: Stage,
}

impl Outage {
    /// Begins with a delay, which is returned.
    pub(crate) fn begin(
        target: Target,
        settings: &Reconnect,
        patience: Duration,
    ) -> (Self, Duration) {
        let delays = ExponentialBuilder::default()
            .with_min_delay(settings.delay_least)
            .with_max_delay(settings.delay_most)
            .with_jitter()
            .without_max_times()
            .build();
        let mut outage = Self {
            target,
            ends_at: Instant::now() + patience,
            attempt: 0,
            delay_most: settings.delay_most,
            delays,
            stage: Stage::Waiting(Box::pin(time::sleep(Duration::ZERO))),
        };
        let delay = outage.wait();
        (outage, delay)
    }

    /// The number of the attempt that comes or is under way, from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    fn wait(&mut self) -> Duration {
        let left = self.ends_at.saturating_duration_since(Instant::now());
        let delay = self.delays.next().unwrap_or(self.delay_most).min(left);
        self.attempt += 1;
        self.stage = Stage::Waiting(Box::pin(time::sleep(delay)));
        delay
    }

    /// Waits for the end of the next attempt. Cancel safe: an attempt that has begun continues.
    pub(crate) async fn step(&mut self) -> Step {
        loop {
            match &mut self.stage {
                Stage::Waiting(sleep) => {
                    sleep.await;
                    self.stage = Stage::Trying(Box::pin(attempt(self.target.clone())));
                }
                Stage::Trying(trying) => {
                    let error = match trying.await {
                        Ok(regained) => return Step::Regained(Box::new(regained)),
                        Err(error) => error,
                    };
                    match error.severity() {
                        Severity::TakenOver | Severity::Final => return Step::Refused(error),
                        Severity::Passing if Instant::now() >= self.ends_at => {
                            return Step::GivenUp { last: error };
                        }
                        Severity::Passing => {
                            let delay = self.wait();
                            return Step::Failed { attempt: self.attempt, error, delay };
                        }
                    }
                }
            }
        }
    }
}

async fn attempt(target: Target) -> Result<Regained, Error> {
    let mut connection = Connection::open(&target.url, target.token.as_ref()).await?;
    if target.resume.resume_token.is_empty() {
        let error = ErrorObject::new(ErrorCode::SessionUnknown, "the server keeps no sessions");
        return Ok(Regained { connection, session: Err(error) });
    }
    let session = match connection.resume(&target.resume).await {
        Ok(session) => Ok(session),
        Err(Error::Server(error)) if is_gone(&error) => Err(error),
        Err(error) => return Err(error),
    };
    Ok(Regained { connection, session })
}

fn is_gone(error: &ErrorObject) -> bool {
    [ErrorCode::SessionUnknown, ErrorCode::SessionExpired].iter().any(|c| c.code() == error.code)
}

impl fmt::Debug for Outage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, ends_at, attempt, delay_most: _, delays: _, stage: _ } = self;
        formatter
            .debug_struct("Outage")
            .field("url", &target.url)
            .field("ends_at", ends_at)
            .field("attempt", attempt)
            .finish_non_exhaustive()
    }
}
