//! Accepts connections, finds out who is at their other ends, and hands them to [`crate::http::arrivals`]. It never reads from one, and
//! waits for none: the kernel's queue is first in, first out, so whoever waits behind a flood waits for as long as it takes to
//! turn the flood away.

use std::{io, sync::Arc};

use rustix::io::Errno;
use tokio::{io::unix::AsyncFd, task::yield_now, time::sleep};

use crate::{
    config::limits,
    http::{
        admission::check_peer,
        arrivals::meet,
        door::Door,
        peer::{KnownPeer, Lookup},
        reserve::{Reserve, is_exhausted},
        sockets::{Accepted, ListeningSocket, OtherEnd},
    },
    ops::{health::Condition, repeated::Repeated},
};

/// Accepts until the supervisor stops; then the listening socket is closed.
///
/// It accepts by itself, and not by the runtime: what is turned away at once need not be registered with it.
pub(crate) async fn accept_connections(listener: Arc<AsyncFd<ListeningSocket>>, door: Arc<Door>) {
    let mut lookup = Lookup::new();
    let mut descriptors = Descriptors { reserve: Reserve::new(), are_exhausted: false };
    loop {
        let ready = tokio::select! {
            ready = listener.readable() => ready,
            () = door.server.tasks().stage.stopping() => return,
            () = sleep(limits::DESCRIPTORS_CHECK), if descriptors.are_exhausted => {
                descriptors.check(&door);
                continue;
            }
        };
        let (accepted, error) = match ready {
            Ok(mut ready) => match ready.try_io(|listener| gather(listener.get_ref())) {
                Ok(Ok(gathered)) => gathered,
                Ok(Err(error)) => (Vec::new(), Some(error)),
                Err(_would_block) => continue,
            },
            Err(error) => (Vec::new(), Some(error)),
        };
        meet_all(&door, &mut lookup, accepted).await;
        match error {
            None => {}
            Some(error) if is_exhausted(&error) => {
                descriptors.refuse_one(&door, &mut lookup, listener.get_ref()).await;
            }
            Some(error) => {
                static LINES: Repeated = Repeated::new("accepting a connection failed");
                LINES.log(|| tracing::warn!(%error, "accepting a connection failed"));
                sleep(limits::ACCEPT_RETRY).await;
            }
        }
        // Those that were let in have their turn before the next ones.
        yield_now().await;
    }
}

/// The connections that wait, or some of them, up to an error.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] where none waits.
fn gather(listener: &ListeningSocket) -> io::Result<(Vec<Accepted>, Option<io::Error>)> {
    let mut accepted = Vec::new();
    while accepted.len() < limits::ACCEPTED_TOGETHER {
        match listener.accept() {
            Ok(connection) => accepted.push(connection),
            // It was over before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return Ok((accepted, Some(error)));
            }
            Err(error) if accepted.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok((accepted, None))
}

async fn meet_all(door: &Arc<Door>, lookup: &mut Lookup, accepted: Vec<Accepted>) {
    for (connection, peer) in identified(lookup, accepted).await {
        meet(door, connection, peer);
    }
}

/// Who is at the other ends of these connections, as far as they are not over.
async fn identified(
    lookup: &mut Lookup,
    accepted: Vec<Accepted>,
) -> Vec<(Accepted, io::Result<KnownPeer>)> {
    let mut identified = Vec::new();
    let (mut unknown, mut ends) = (Vec::new(), Vec::new());
    for connection in accepted {
        match connection.other_end() {
            None => {}
            Some(OtherEnd::Known(peer)) => identified.push((connection, Ok(peer))),
            Some(OtherEnd::Ends(of_it)) => {
                unknown.push(connection);
                ends.push(of_it);
            }
        }
    }
    identified.extend(unknown.into_iter().zip(lookup.peers(&ends).await));
    identified
}

/// The want of descriptors.
struct Descriptors {
    reserve: Reserve,
    are_exhausted: bool,
}

impl Descriptors {
    /// Answers one of the connections that cannot be accepted otherwise.
    async fn refuse_one(
        &mut self,
        door: &Arc<Door>,
        lookup: &mut Lookup,
        listener: &ListeningSocket,
    ) {
        self.are_exhausted = true;
        let text = "no file descriptor is left: new connections are told to come again, and tasks may fail to start; raise \
                    the limit (ulimit -n, LimitNOFILE=; sysctl fs.file-max), or lower --max-sessions and --max-tasks";
        door.server.tasks().health.raise(Condition::DescriptorsExhausted, text);
        if self.reserve.give_up() {
            let accepted = listener.accept().into_iter().collect();
            for (connection, peer) in identified(lookup, accepted).await {
                let is_stranger =
                    |peer: &KnownPeer| check_peer(&door.server.tasks().tokens, peer.peer).is_err();
                let stranger = peer.ok().filter(is_stranger);
                meet(door, connection, stranger.ok_or_else(|| Errno::MFILE.into()));
            }
        } else {
            sleep(limits::ACCEPT_RETRY).await;
        }
        self.reserve.restore();
    }

    /// Whether there are descriptors again.
    fn check(&mut self, door: &Door) {
        if self.reserve.is_over() {
            self.are_exhausted = false;
            door.server.tasks().health.clear(Condition::DescriptorsExhausted);
        }
    }
}
