//! The fork server: a worker without a task, of which the supervisor has a copy made for every task.
//!
//! It runs nothing, reads nothing but requests and keeps nothing, so that each copy is as fresh as a program that was
//! just started. [`cc_link::fork`] says what it is asked and answers. It exits when its supervisor is gone.

use std::{
    io::{self, IoSliceMut, Write},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use anyhow::{Context, bail};
use cc_link::{
    event::Notice,
    fork::{Answer, REQUEST},
    record::{Body, Record},
};
use cc_proctree::fork::{Forked, fork_sibling};
use nix::unistd::{Pid, setpgid};
use rustix::{
    io::Errno,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::getpid,
    thread::set_name,
};

/// What a worker has of its supervisor.
#[derive(Debug)]
pub struct Pipes {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
}

/// Serves until the supervisor is gone: `None`. `Some`: this is a new process, which is to be a worker.
pub fn serve(socket: OwnedFd) -> anyhow::Result<Option<Pipes>> {
    // What `ps` shows; the copies get the workers' name back.
    set_name(c"cc-fork-server").context("PR_SET_NAME")?;
    warm_up()?;
    let mut socket = UnixStream::from(socket);
    while let Some(pipes) = receive(&socket)? {
        match fork_sibling() {
            Ok(Forked::Caller) => {}
            Ok(Forked::Child) => {
                become_worker(&mut socket).context("a new worker")?;
                return Ok(Some(pipes));
            }
            Err(error) => socket.write_all(&Answer(Err(error)).to_bytes())?,
        }
    }
    Ok(None)
}

/// Answers only when it is what the supervisor expects: at the head of a process group.
fn become_worker(socket: &mut UnixStream) -> io::Result<()> {
    set_name(c"cc-worker")?;
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    socket.write_all(&Answer(Ok(getpid().as_raw_nonzero().get())).to_bytes())
}

/// Does once what every worker would do for the first time: which instructions there are for checksums and searches is
/// found out when the first is wanted.
fn warm_up() -> anyhow::Result<()> {
    let body = Body::Notice(Notice::Pong { nonce: 0 });
    Record { seq: 0, time_ms: 0, body }.encode(&mut Vec::new()).context("a record")?;
    Ok(())
}

/// The next request; `None`: there will be no more.
fn receive(socket: &UnixStream) -> anyhow::Result<Option<Pipes>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut bytes = [IoSliceMut::new(&mut byte)];
        match recvmsg(socket, &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            outcome => break outcome.context("the supervisor's socket")?.bytes,
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let (Ok([stdin, stdout]), [REQUEST]) = (<[OwnedFd; 2]>::try_from(descriptors), byte) else {
        bail!("a request must be one byte {REQUEST:#04x} with two descriptors");
    };
    Ok(Some(Pipes { stdin, stdout }))
}
