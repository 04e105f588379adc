//! How a supervisor has its workers forked: by one process of the worker program that is ready to be a worker and
//! never becomes one itself, the fork server.
//!
//! It is started with [`FORK_SERVER_ARGUMENT`] and a stream socket as its stdin. A request is the byte [`REQUEST`],
//! sent together with two descriptors, the worker's stdin and stdout. The answer is an [`Answer`], from
//! the worker itself where there is one now. One request is answered before the next is sent. The fork server
//! exits when the socket ends.

use std::io;

/// What makes the worker program a fork server.
pub const FORK_SERVER_ARGUMENT: &str = "--fork-server";
/// What a request has beside its descriptors: these cannot travel alone.
pub const REQUEST: u8 = b'w';
/// Length of an [`Answer`].
pub const ANSWER_BYTES: usize = 4;

/// What became of a request: a worker's pid, or why there is none.
#[derive(Debug)]
pub struct Answer(pub io::Result<i32>);

impl Answer {
    /// As it is sent: a pid, or a negative number of an error as in errno(3), little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ANSWER_BYTES] {
        let number = match &self.0 {
            Ok(pid) => *pid,
            // An error that the kernel did not make is none of a fork.
            Err(error) => -error.raw_os_error().unwrap_or(1),
        };
        number.to_le_bytes()
    }

    /// From what was received.
    #[must_use]
    pub fn from_bytes(bytes: [u8; ANSWER_BYTES]) -> Self {
        let number = i32::from_le_bytes(bytes);
        Self(if number > 0 {
            Ok(number)
        } else {
            Err(io::Error::from_raw_os_error(number.saturating_neg()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_and_an_error_arrive_as_they_were_sent() {
        let pid = Answer::from_bytes(Answer(Ok(4711)).to_bytes());
        assert_eq!(pid.0.unwrap(), 4711);
        let error = Answer(Err(io::Error::from_raw_os_error(11))).to_bytes();
        assert_eq!(Answer::from_bytes(error).0.unwrap_err().raw_os_error(), Some(11));
    }
}
