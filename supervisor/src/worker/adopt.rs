//! Finds the worker that listens in a task's directory and asks it to serve this supervisor (see [`cc_link::adopt`]).
//!
//! It knows nothing of tasks and kills no process: what follows from an answer, or from none, is decided by
//! [`crate::task::recover`].

use std::{io, path::Path, time::Duration};

use bytes::BytesMut;
use cc_link::{
    adopt::{Adopt, Adopted, SOCKET_NAME, VersionRange},
    control::Control,
    notice::Notice,
    record::{Body, RecordError, decode},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{
    ops::uptime,
    storage::adoption_key::AdoptionKey,
    worker::{link::Worker, process::ProcessHandle, unix_socket::connect},
};

/// A worker that lives and was asked to be adopted.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub process: ProcessHandle,
    connection: UnixStream,
    /// What it has sent and was not read yet.
    received: BytesMut,
    /// It was started before the key was made that was shown to it.
    is_key_new: bool,
}

#[derive(Debug)]
pub(crate) enum AdoptReply {
    /// It serves this supervisor now.
    Adopted(Box<Adopted>),
    /// It lives, but cannot be talked to.
    Foreign(Foreign),
    /// It closed the connection: it is ending, or dead.
    HungUp,
}

/// Why a worker cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Foreign {
    #[error("it sent no record: {0}")]
    NoRecord(#[source] RecordError),
    #[error(
        "it speaks versions {} to {} of the link, this supervisor {} to {}",
        .0.oldest, .0.newest, VersionRange::OWN.oldest, VersionRange::OWN.newest
    )]
    Versions(VersionRange),
    #[error("it was started with another key than the one in the state directory, which was lost")]
    OtherKey,
    #[error("it did not answer the question")]
    NoAnswer,
}

impl Candidate {
    /// Connects to the worker of the task in `directory` and sends the question. `None`: no worker listens there, and if
    /// the task's log exists none ever will.
    ///
    /// # Errors
    /// When it is not known whether there is one.
    pub(crate) async fn find(directory: &Path, key: &AdoptionKey) -> io::Result<Option<Self>> {
        let Some(mut connection) = connect(directory, SOCKET_NAME).await? else {
            return Ok(None);
        };
        // The peer is the process that called listen(2): the worker, whose socket no other process inherits.
        let pid = connection.peer_cred()?.pid().unwrap_or(0);
        let process = match ProcessHandle::open(pid) {
            Ok(process) => process,
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Between connecting and opening the pidfd the worker could have died and its pid been reused. Then its socket
        // is closed; while that is open, the pidfd is the worker's.
        if is_hung_up(&connection)? {
            return Ok(None);
        }
        let adopt = Adopt { versions: VersionRange::OWN, key: Some(key.key.clone()) };
        let question = Control::Adopt(adopt).to_line()?;
        // A new connection takes these few bytes at once. If it breaks here, the answer does not come either.
        drop(connection.write_all(&question).await);
        let is_key_new = key.is_new;
        Ok(Some(Self { process, connection, received: BytesMut::new(), is_key_new }))
    }

    /// Waits for the answer. `None`: there is none yet, and this may be called again.
    pub(crate) async fn answer(&mut self, patience: Duration) -> Option<AdoptReply> {
        let deadline = uptime::now() + patience;
        loop {
            match decode(&mut self.received) {
                Ok(Some(record)) => return Some(understand(record.body)),
                Ok(None) => {}
                Err(error) => {
                    return Some(AdoptReply::Foreign(Foreign::NoRecord(error)));
                }
            }
            let reading = self.connection.read_buf(&mut self.received);
            let left = deadline.saturating_duration_since(uptime::now());
            match uptime::timeout(left, reading).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) if self.is_key_new && !self.process.has_ended() => {
                    return Some(AdoptReply::Foreign(Foreign::OtherKey));
                }
                Ok(Ok(0) | Err(_)) => return Some(AdoptReply::HungUp),
                Err(_) => return None,
            }
        }
    }

    /// The worker, after [`AdoptReply::Adopted`], and the bytes that it has sent already.
    #[must_use]
    pub(crate) fn into_worker(self) -> (Worker, BytesMut) {
        (Worker::over_socket(self.process, self.connection), self.received)
    }
}

fn understand(body: Body) -> AdoptReply {
    match body {
        Body::Notice(Notice::Adopted(adopted)) => AdoptReply::Adopted(adopted),
        Body::Notice(Notice::AdoptionRefused { versions }) => {
            AdoptReply::Foreign(Foreign::Versions(versions))
        }
        Body::Notice(Notice::Pong { .. } | Notice::Ending { .. })
        | Body::Event(_)
        | Body::Lines(_)
        | Body::Output(_) => AdoptReply::Foreign(Foreign::NoAnswer),
    }
}

fn is_hung_up(connection: &UnixStream) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(connection, PollFlags::empty())];
    poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(descriptors[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

#[cfg(test)]
mod tests;
