//! The pipes that a task prints into, and how much they hold.
//!
//! Some versions of the Claude CLI do not wait for their last output when they exit: what does not fit into the pipe at
//! that moment is lost, the result line included (measured with 2.1.197 and 880 KB of output: with a pipe of 8 KiB no run
//! had its result, with 64 KiB two of three, with 256 KiB all; 2.1.332 waits, and needs 8 KiB). But the memory of pipes
//! is a shared good: all of a user's together may hold 64 MiB (`pipe-user-pages-soft` in pipe(7)); after that new ones
//! hold 8 KiB and none can be made to hold more. So:
//!
//! | when | what |
//! |---|---|
//! | the task is started | a pipe holds 64 KiB, as any pipe |
//! | it has held half of what it can | it is made to hold four times as much, up to 1 MiB |
//! | it has held little for 10 s | it is made to hold 64 KiB again |
//! | the CLI says that it is of a version that does not wait | it is made to hold 1 MiB, as near to that as is granted, until the task ends; and the worker reads on when the supervisor does not ([`crate::journal::Journal::let_more_wait`]) |
//! | a new one holds less, the user's share being used up | 5 s for others to give some back; then a socket, which takes nothing from that share |

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use cc_proctree::start::StartError;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use rustix::{
    io::ioctl_fionread,
    net::{
        AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair,
        sockopt::set_socket_send_buffer_size,
    },
};

/// The capacity of a pipe that was not changed (pipe(7)).
const USUAL_BYTES: usize = 64 * 1024;
/// Most that a pipe is made to hold: what an ordinary user may ask for (`/proc/sys/fs/pipe-max-size`).
const MOST_BYTES: usize = 1024 * 1024;
const GROWTH: usize = 4;
/// A read of less than this leaves the pipe as good as empty.
const LITTLE_BYTES: usize = 4 * 1024;
/// How long a pipe that was made larger stays so without need, and after a refusal none is asked to hold more.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a task waits for a pipe that holds what is usual.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);
/// Between two attempts.
const WAIT_STEP: Duration = Duration::from_millis(50);
/// Asked for a socket; the kernel gives what it allows (`net.core.wmem_max`).
const SOCKET_BYTES: usize = MOST_BYTES;

/// A pipe whose reading end does not block; the task's end does, as every program expects.
///
/// # Errors
/// When no descriptor is to be had.
pub(crate) fn plain() -> Result<(File, OwnedFd), StartError> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe2"))?;
    fcntl(&reading, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(system("pipe2"))?;
    Ok((File::from(reading), writing))
}

/// A pipe with the usual capacity, or else a socket. `is_wanted` sleeps so long and says whether to wait on.
///
/// # Errors
/// When no descriptor is to be had.
pub(crate) fn roomy(
    mut is_wanted: impl FnMut(Duration) -> bool,
) -> Result<(File, OwnedFd), StartError> {
    let (reading, writing) = plain()?;
    let began = Instant::now();
    loop {
        if capacity(&reading).is_none_or(|bytes| bytes >= USUAL_BYTES)
            || set_capacity(&reading, USUAL_BYTES).is_some()
        {
            return Ok((reading, writing));
        }
        if began.elapsed() >= WAIT_FOR_ROOM || !is_wanted(WAIT_STEP) {
            return socket();
        }
    }
}

/// Holds some hundred KiB, from the memory of sockets. A program that opens `/dev/stdout` anew cannot have it.
fn socket() -> Result<(File, OwnedFd), StartError> {
    let system =
        |error: rustix::io::Errno| StartError::System { step: "socketpair", error: error.into() };
    let (reading, writing) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(system)?;
    // A refusal leaves it as it is; a task that reads its output finds the end.
    let _is_larger = set_socket_send_buffer_size(&writing, SOCKET_BYTES);
    let _is_one_way = shutdown(&reading, Shutdown::Write);
    rustix::io::ioctl_fionbio(&reading, true).map_err(system)?;
    Ok((File::from(reading), writing))
}

/// The capacity of a pipe, adapted to what is read from it.
#[derive(Debug)]
pub(crate) struct Room {
    /// `None`: it is never changed.
    bytes: Option<usize>,
    /// When it was last made to hold more, or found in need of it.
    needed_at: Instant,
    is_refused: bool,
    /// It is not made to hold less again.
    is_kept: bool,
}

impl Room {
    /// A pipe whose capacity is never changed.
    pub(crate) fn fixed(now: Instant) -> Self {
        Self { bytes: None, needed_at: now, is_refused: false, is_kept: false }
    }

    /// A pipe that grows; a socket is left as it is.
    pub(crate) fn growing(pipe: &File, now: Instant) -> Self {
        Self { bytes: capacity(pipe), needed_at: now, is_refused: false, is_kept: false }
    }

    /// For a task that does not wait for its output when it exits: as much room as can be had, before it is needed.
    pub(crate) fn keep_most(&mut self, pipe: &File) {
        let Some(bytes) = self.bytes else { return };
        self.is_kept = true;
        let halves = std::iter::successors(Some(MOST_BYTES), |bytes| Some(bytes / 2));
        let larger = halves.take_while(|larger| *larger > bytes);
        self.bytes = larger.filter_map(|larger| set_capacity(pipe, larger)).next().or(self.bytes);
    }

    /// Adapts the capacity after so much was read at once.
    pub(crate) fn after_read(&mut self, pipe: &File, read_bytes: usize, now: Instant) {
        let Some(bytes) = self.bytes else { return };
        // The usual case, which is to cost nothing.
        if read_bytes < LITTLE_BYTES && bytes <= USUAL_BYTES {
            return;
        }
        let is_long_ago = now.saturating_duration_since(self.needed_at) >= PATIENCE;
        let held = read_bytes + ioctl_fionread(pipe).map_or(0, |left| left as usize);
        if held >= bytes / 2 {
            let is_hopeless = self.is_refused && !is_long_ago;
            if bytes < MOST_BYTES && !is_hopeless {
                let larger = (bytes.max(USUAL_BYTES / GROWTH) * GROWTH).min(MOST_BYTES);
                let granted = set_capacity(pipe, larger);
                self.is_refused = granted.is_none();
                self.bytes = granted.or(self.bytes);
                self.needed_at = now;
            } else if !self.is_refused {
                self.needed_at = now;
            }
        } else if held < LITTLE_BYTES && bytes > USUAL_BYTES && is_long_ago && !self.is_kept {
            self.bytes = set_capacity(pipe, USUAL_BYTES).or(self.bytes);
        }
    }
}

/// `None`: it is not a pipe.
fn capacity(pipe: &File) -> Option<usize> {
    usize::try_from(fcntl(pipe, FcntlArg::F_GETPIPE_SZ).ok()?).ok()
}

/// The new capacity; `None`: it was refused.
fn set_capacity(pipe: &File, bytes: usize) -> Option<usize> {
    let asked = i32::try_from(bytes).ok()?;
    usize::try_from(fcntl(pipe, FcntlArg::F_SETPIPE_SZ(asked)).ok()?).ok()
}

fn system(step: &'static str) -> impl Fn(Errno) -> StartError {
    move |errno| StartError::System { step, error: io::Error::from(errno) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn for_a_version_that_does_not_wait_a_pipe_holds_the_most_from_the_first_and_keeps_it() {
        let (mut reading, writing) = plain().unwrap();
        let mut writing = File::from(writing);
        let start = Instant::now();
        let mut room = Room::growing(&reading, start);
        room.keep_most(&reading);
        assert_eq!(capacity(&reading), Some(MOST_BYTES));
        writing.write_all(&[b'x'; 70_000]).unwrap();
        reading.read_exact(&mut vec![0; 70_000]).unwrap();
        room.after_read(&reading, 70_000, start + 10 * PATIENCE);
        assert_eq!(capacity(&reading), Some(MOST_BYTES));
    }

    #[test]
    fn a_pipe_grows_when_it_is_half_full_and_gives_back_what_it_has_not_needed_for_long() {
        let (mut reading, writing) = plain().unwrap();
        let mut writing = File::from(writing);
        let start = Instant::now();
        let mut room = Room::growing(&reading, start);
        let mut pass = |bytes: usize, read_bytes: usize, now: Instant| {
            writing.write_all(&vec![b'x'; bytes]).unwrap();
            let mut buffer = vec![0; read_bytes];
            reading.read_exact(&mut buffer).unwrap();
            room.after_read(&reading, read_bytes, now);
            let held = capacity(&reading).unwrap();
            reading.read_exact(&mut vec![0; bytes - read_bytes]).unwrap();
            held
        };
        assert_eq!(pass(1024, 1024, start), USUAL_BYTES, "little");
        assert_eq!(pass(20 * 1024, 20 * 1024, start), USUAL_BYTES, "less than half");
        // What is left in the pipe counts too.
        assert_eq!(pass(40 * 1024, 8 * 1024, start), 4 * USUAL_BYTES);
        assert_eq!(pass(200 * 1024, 64 * 1024, start), MOST_BYTES);
        assert_eq!(pass(1024, 1024, start + PATIENCE / 2), MOST_BYTES, "not yet");
        assert_eq!(pass(1024, 1024, start + PATIENCE), USUAL_BYTES);
    }

    #[test]
    fn a_socket_in_the_place_of_a_pipe_is_one_way_and_never_changed() {
        let (mut reading, writing) = socket().unwrap();
        let mut writing = File::from(writing);
        let mut room = Room::growing(&reading, Instant::now());
        writing.write_all(&[b'x'; 100_000]).unwrap();
        let mut text = vec![0; 100_000];
        reading.read_exact(&mut text).unwrap();
        room.after_read(&reading, text.len(), Instant::now());
        assert_eq!(writing.read(&mut text).unwrap(), 0, "who reads from it finds the end");
        drop(writing);
        assert_eq!(reading.read(&mut text).unwrap(), 0);
    }

    #[test]
    fn where_there_is_room_a_pipe_is_had_at_once() {
        let (reading, _writing) = roomy(|_| panic!("nobody has to wait")).unwrap();
        assert!(capacity(&reading).unwrap() >= USUAL_BYTES);
    }
}
