//! The worker's socket, on which a supervisor that did not start this worker asks to adopt it.
//!
//! Owns the listening socket and the callers that have not sent their question yet. Never blocks: callers are few, what they
//! may send is short, and a connection that sends anything else is closed. The task loop calls this, and takes an
//! [`Adopter`] in the place of its supervisor.

use std::{
    collections::VecDeque,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cc_link::{
    adopt::{ADOPT_LINE_BYTES_LIMIT, Adopt, SOCKET_NAME, VersionRange},
    control::Control,
    notice::Notice,
    record::{Body, Record},
};
use rustix::{
    fs::{Mode, OFlags, fchmod, open},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen,
        socket_with,
    },
};

use crate::{
    access::Access, control_channel::ControlChannel, event_pipe::EventPipe, journal::wall_clock_ms,
};

/// Callers at a time, and connections that the kernel queues. A further caller replaces the oldest one.
const CALLERS_LIMIT: usize = 4;
/// How long no connection is accepted after one that could not be, for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The socket and its callers. The file is removed on drop.
#[derive(Debug)]
pub(crate) struct AdoptionSocket {
    listener: OwnedFd,
    path: PathBuf,
    callers: VecDeque<Caller>,
    paused_until: Option<Instant>,
    access: Access,
}

/// A connection that has not sent a whole line.
#[derive(Debug)]
struct Caller {
    stream: UnixStream,
    line: Vec<u8>,
}

/// A supervisor that asks to adopt this worker.
#[derive(Debug)]
pub(crate) struct Adopter {
    /// Non-blocking.
    stream: UnixStream,
    /// The versions of the link that it speaks.
    pub versions: VersionRange,
    /// What it sent after the question and was read with it.
    rest: Vec<u8>,
}

/// The state of a caller after a read.
enum CallerState {
    Adopter(Adopter),
    /// It has not sent a whole line.
    Waits(Caller),
    /// It closed the connection, or sent something else.
    Gone,
}

impl AdoptionSocket {
    /// Listens beside the task log. Only this user can connect.
    pub(crate) fn listen_beside(log_path: &Path, access: Access) -> io::Result<Self> {
        let directory = match log_path.parent() {
            Some(directory) if directory != Path::new("") => directory,
            Some(_) | None => Path::new("."),
        };
        let path = directory.join(SOCKET_NAME);
        let listener = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        // The file gets the mode that the socket has when it is bound.
        fchmod(&listener, Mode::RUSR | Mode::WUSR)?;
        match SocketAddrUnix::new(&path) {
            Ok(address) => bind(&listener, &address)?,
            // An address has 108 bytes, a path up to 4096: the descriptor is a shorter name for its directory.
            Err(Errno::NAMETOOLONG) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let directory = open(directory, flags, Mode::empty())?;
                let number = directory.as_raw_fd();
                let short = format!("/proc/self/fd/{number}/{SOCKET_NAME}");
                bind(&listener, &SocketAddrUnix::new(short)?)?;
            }
            Err(error) => return Err(error.into()),
        }
        // From here on the file is this worker's, and is removed on drop.
        let socket = Self { listener, path, callers: VecDeque::new(), paused_until: None, access };
        listen(&socket.listener, CALLERS_LIMIT as i32)?;
        Ok(socket)
    }

    /// What to poll(2) for reading.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listener = self.paused_until.is_none().then(|| self.listener.as_fd());
        listener.into_iter().chain(self.callers.iter().map(|caller| caller.stream.as_fd()))
    }

    /// When [`Self::receive`] is to be called although no descriptor is ready.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Accepts connections and reads from them, without blocking. Adopters come in the order in which they connected.
    pub(crate) fn receive(&mut self, now: Instant) -> Vec<Adopter> {
        self.accept(now);
        let mut adopters = Vec::new();
        for caller in std::mem::take(&mut self.callers) {
            match caller.read(&self.access) {
                CallerState::Adopter(adopter) => adopters.push(adopter),
                CallerState::Waits(caller) => self.callers.push_back(caller),
                CallerState::Gone => {}
            }
        }
        adopters
    }

    fn accept(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        // Further ones wait for the loop's next turn: the task comes first.
        for _ in 0..CALLERS_LIMIT {
            match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(connection) if self.access.may_connect(&connection) => {
                    if self.callers.len() == CALLERS_LIMIT {
                        self.callers.pop_front();
                    }
                    let stream = UnixStream::from(connection);
                    self.callers.push_back(Caller { stream, line: Vec::new() });
                }
                Ok(_) | Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.paused_until = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }
}

impl Drop for AdoptionSocket {
    fn drop(&mut self) {
        // With its directory gone, so is the file.
        drop(std::fs::remove_file(&self.path));
    }
}

impl Caller {
    fn read(mut self, access: &Access) -> CallerState {
        let start = self.line.len();
        self.line.resize(ADOPT_LINE_BYTES_LIMIT, 0);
        let read = rustix::io::read(&self.stream, &mut self.line[start..]);
        self.line.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(1..) => {}
            Err(Errno::AGAIN | Errno::INTR) => return CallerState::Waits(self),
            Ok(0) | Err(_) => return CallerState::Gone,
        }
        let Some(newline) = self.line.iter().position(|byte| *byte == b'\n') else {
            let is_too_long = self.line.len() == ADOPT_LINE_BYTES_LIMIT;
            return if is_too_long { CallerState::Gone } else { CallerState::Waits(self) };
        };
        let rest = self.line.split_off(newline + 1);
        match Control::from_line(&self.line) {
            Ok(Control::Adopt(Adopt { versions, key })) if access.may_ask(key.as_ref()) => {
                CallerState::Adopter(Adopter { stream: self.stream, versions, rest })
            }
            Ok(
                Control::Adopt(_)
                | Control::Run(_)
                | Control::Pause
                | Control::Resume
                | Control::Cancel { .. }
                | Control::Kill { .. }
                | Control::Ping { .. },
            )
            | Err(_) => CallerState::Gone,
        }
    }
}

impl Adopter {
    /// Answers that there is no version that both speak, and closes the connection.
    pub(crate) fn refuse(self, versions: VersionRange) {
        let body = Body::Notice(Notice::AdoptionRefused { versions });
        let record = Record { seq: 0, time_ms: wall_clock_ms(), body };
        let mut frame = Vec::new();
        if record.encode(&mut frame).is_ok() {
            // An empty socket buffer takes all of this; a peer that is gone needs no answer.
            let _written = rustix::io::write(&self.stream, &frame);
        }
    }

    /// Both directions of the connection, as the loop uses them.
    pub(crate) fn into_channels(self) -> io::Result<(ControlChannel, EventPipe)> {
        let control = ControlChannel::new(self.stream.try_clone()?.into(), self.rest);
        let pipe = EventPipe::new(self.stream.into())?;
        Ok((control, pipe))
    }
}
