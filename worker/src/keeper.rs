//! The keeper: forks a worker for every task and stays the parent of them all. It outlives its supervisor.
//!
//! It runs no task, reads nothing but requests and questions, and keeps no data, so that each worker is as fresh as a program
//! that was just started. It reaps its workers and kills what a dead one has left. [`cc_link::keeper`] is the protocol. It
//! exits when it has neither a supervisor nor a worker; SIGTERM, SIGINT and SIGHUP do not end it before.

use std::{
    collections::VecDeque,
    fs,
    io::{self, IoSlice, IoSliceMut, Read as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use cc_link::{
    keeper::{
        Answer, KEY_NAME, QUESTION_BYTES_LIMIT, Question, REQUEST, REQUEST_DESCRIPTORS, Settled,
        WorkerEnd, from_line, to_line,
    },
    key::{KEY_LETTERS, Key},
    record::{Body, Record},
};
use cc_proctree::{
    fork::{Forked, fork},
    keeper::{Remains, Workers},
    pidfd::Pidfd,
    procfs::own_pid,
    subreaper::{self, ExitStatus},
};
use cc_tasklog::open_for_reading;
use nix::{
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::{Pid, setpgid},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, accept_with, listen, recvmsg, sendmsg,
    },
    thread::set_name,
};

use crate::{access::Access, heartbeat::pong};

/// Callers at a time. A further caller replaces the oldest one.
const CALLERS_LIMIT: usize = 32;
/// How long no connection is accepted after one that could not be, for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How long a caller may take for its question.
const CALLER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a keeper that has nothing else to do keeps the end of a failed worker for the next supervisor.
const UNASKED_END_KEPT: Duration = Duration::from_secs(5);

/// The three descriptors that a supervisor sends for a worker.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

#[derive(Debug)]
struct Keeper {
    /// `None`: it is gone, or requests no more workers.
    supervisor: Option<UnixStream>,
    listener: OwnedFd,
    /// The oldest is the first.
    callers: VecDeque<Caller>,
    paused_until: Option<Instant>,
    signals: SignalFd,
    workers: Workers,
    access: Access,
}

/// A connection to the socket.
#[derive(Debug)]
struct Caller {
    stream: UnixStream,
    line: Vec<u8>,
    /// When it is closed if it has asked nothing.
    patience_until: Instant,
    /// `None` until its line is complete.
    question: Option<Question>,
}

/// Runs the keeper. Returns `None` when it is not needed any more, and `Some` in a new process, which is to be a worker.
pub(crate) fn serve(
    supervisor: OwnedFd,
    listener: OwnedFd,
    path: &Path,
) -> anyhow::Result<Option<Pipes>> {
    // What `ps` shows; the copies get the workers' name back.
    set_name(c"cc-keeper").context("PR_SET_NAME")?;
    subreaper::enable().context("PR_SET_CHILD_SUBREAPER")?;
    warm_up()?;
    rustix::io::ioctl_fionbio(&listener, true).context("the keeper's socket")?;
    // A second time: listen(2) makes this process the one that its callers see as their peer.
    listen(&listener, CALLERS_LIMIT as i32).context("the keeper's socket")?;
    let mut keeper = Keeper {
        supervisor: Some(supervisor.into()),
        listener,
        callers: VecDeque::new(),
        paused_until: None,
        signals: watch_signals().context("signalfd")?,
        workers: Workers::default(),
        access: Access::new(key_beside(path), None),
    };
    let worker = keeper.serve()?;
    if worker.is_none() {
        // With its directory gone, so is the file.
        drop(fs::remove_file(path));
    }
    Ok(worker)
}

impl Keeper {
    fn serve(&mut self) -> anyhow::Result<Option<Pipes>> {
        loop {
            let now = Instant::now();
            if let Err(error) = self.workers.tend(now) {
                crate::stdio::complain(format_args!("the keeper: looking after workers: {error}"));
            }
            let workers = &mut self.workers;
            self.callers.retain_mut(|caller| !caller.is_answered(workers));
            if self.is_done(now) {
                return Ok(None);
            }
            let ready = self.sleep(now).context("poll")?;
            if ready.has_signals {
                // Which ones they were does not matter; further ones wake the next sleep.
                let _which = self.signals.read_signal();
            }
            if ready.has_request {
                match self.supervisor.as_ref().map(receive) {
                    Some(Ok(Some(pipes))) => {
                        if self.fork()? {
                            return Ok(Some(pipes));
                        }
                    }
                    Some(Ok(None)) | None => self.supervisor = None,
                    Some(Err(error)) => {
                        crate::stdio::complain(format_args!("the keeper: {error:#}"));
                        self.supervisor = None;
                    }
                }
            }
            if ready.has_caller {
                self.accept(now);
            }
            let (access, now) = (&self.access, Instant::now());
            self.callers.retain_mut(|caller| caller.read(access, now));
        }
    }

    fn is_done(&self, now: Instant) -> bool {
        // `None` only in the first seconds after boot: then the keeper stays.
        let long_ago = now.checked_sub(UNASKED_END_KEPT);
        self.supervisor.is_none()
            && self.workers.is_empty()
            && self.callers.is_empty()
            && !long_ago.is_none_or(|moment| self.workers.has_unasked_since(moment))
    }

    fn sleep(&self, now: Instant) -> io::Result<Ready> {
        let supervisor = self.supervisor.as_ref();
        let paused_until = self.paused_until.filter(|until| now < *until);
        let listening = if paused_until.is_some() { PollFlags::empty() } else { PollFlags::IN };
        let mut fds =
            vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.listener, listening)];
        fds.extend(supervisor.map(|socket| PollFd::new(socket, PollFlags::IN)));
        fds.extend(self.callers.iter().map(|caller| PollFd::new(&caller.stream, PollFlags::IN)));
        let lingers = self.supervisor.is_none() && self.workers.is_empty();
        let linger = lingers.then(|| now + UNASKED_END_KEPT);
        let silent = self.callers.iter().filter(|caller| caller.question.is_none());
        let patience = silent.map(|caller| caller.patience_until).min();
        let until =
            [self.workers.next(), linger, paused_until, patience].into_iter().flatten().min();
        // Rounded up, so that the moment has come when the sleep is over.
        let timeout = until.map(|moment| {
            let left = moment.saturating_duration_since(now) + Duration::from_millis(1);
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready {
            has_signals: is_ready(0),
            has_caller: is_ready(1),
            has_request: supervisor.is_some() && is_ready(2),
        })
    }

    /// Forks a worker. Returns true in the worker.
    fn fork(&mut self) -> anyhow::Result<bool> {
        match fork() {
            Ok(Forked::Parent { child }) => self.workers.add(child),
            Ok(Forked::Child) => {
                self.become_worker().context("a new worker")?;
                return Ok(true);
            }
            Err(error) => {
                if let Some(supervisor) = &self.supervisor {
                    // A supervisor that is gone is noticed at the next read.
                    let _written = rustix::io::write(supervisor, &Answer(Err(error)).to_bytes());
                }
            }
        }
        Ok(false)
    }

    /// Makes this process what a supervisor expects, the leader of a process group, and answers the request.
    fn become_worker(&self) -> anyhow::Result<()> {
        SigSet::empty().thread_set_mask().context("the signal mask")?;
        set_name(c"cc-worker").context("PR_SET_NAME")?;
        setpgid(Pid::from_raw(0), Pid::from_raw(0)).context("setpgid")?;
        let handle = Pidfd::open(own_pid()).context("pidfd_open")?;
        let descriptors = [handle.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let answer = Answer(Ok(handle.pid())).to_bytes();
        let socket = self.supervisor.as_ref().context("the supervisor is gone")?;
        sendmsg(socket, &[IoSlice::new(&answer)], &mut ancillary, SendFlags::NOSIGNAL)
            .context("the answer")?;
        Ok(())
    }

    fn accept(&mut self, now: Instant) {
        self.paused_until = None;
        // Further ones wait for the next turn.
        for _ in 0..CALLERS_LIMIT {
            match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(connection) if self.access.may_connect(&connection) => {
                    if self.callers.len() == CALLERS_LIMIT {
                        self.callers.pop_front();
                    }
                    let stream = UnixStream::from(connection);
                    let patience_until = now + CALLER_PATIENCE;
                    self.callers.push_back(Caller {
                        stream,
                        line: Vec::new(),
                        patience_until,
                        question: None,
                    });
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

/// What poll(2) reported, without the callers.
#[derive(Clone, Copy, Debug)]
struct Ready {
    has_signals: bool,
    has_caller: bool,
    has_request: bool,
}

impl Caller {
    /// Reads without blocking. False: it closed the connection, or sent something else than a question.
    fn read(&mut self, access: &Access, now: Instant) -> bool {
        let start = self.line.len();
        self.line.resize(QUESTION_BYTES_LIMIT, 0);
        let read = rustix::io::read(&self.stream, &mut self.line[start..]);
        self.line.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(1..) => {}
            Err(Errno::AGAIN | Errno::INTR) => {
                return self.question.is_some() || now < self.patience_until;
            }
            Ok(0) | Err(_) => return false,
        }
        if let Some(newline) = self.line.iter().position(|byte| *byte == b'\n') {
            self.question =
                from_line(&self.line[..newline]).ok().filter(|question| match question {
                    Question::Settle { key, .. } => access.may_ask(key.as_ref()),
                });
            return self.question.is_some();
        }
        self.line.len() < QUESTION_BYTES_LIMIT
    }

    /// Answers the question, if the answer is known. Says whether it did.
    fn is_answered(&self, workers: &mut Workers) -> bool {
        let Some(Question::Settle { worker, .. }) = self.question else { return false };
        let Some(remains) = workers.claim(worker) else { return false };
        if let Ok(line) = to_line(&settled(remains)) {
            // An empty socket buffer takes all of this; a caller that is gone needs no answer.
            let _written = rustix::io::write(&self.stream, &line);
        }
        true
    }
}

fn settled(remains: Remains) -> Settled {
    let end = remains.status.map(|status| match status {
        ExitStatus::Code(code) => WorkerEnd::Code(code),
        ExitStatus::Signal(signal) => WorkerEnd::Signal(signal),
    });
    Settled { end, killed: remains.swept.killed, unkillable: remains.swept.unkillable }
}

/// SIGCHLD wakes the loop. The others do nothing: a signal to a supervisor's process group or unit is meant for the tasks.
/// Their workers end them, and need their keeper until then.
fn watch_signals() -> nix::Result<SignalFd> {
    let signals = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    let signals: SigSet = signals.into_iter().collect();
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// Does once what every worker would otherwise do again: the first checksum and the first search detect the processor's
/// instructions.
fn warm_up() -> anyhow::Result<()> {
    let body = Body::Notice(pong(0));
    Record { seq: 0, time_ms: 0, body }.encode(&mut Vec::new()).context("a record")?;
    Ok(())
}

/// The next request; `None`: there will be no more.
fn receive(socket: &UnixStream) -> anyhow::Result<Option<Pipes>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(REQUEST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut bytes = [IoSliceMut::new(&mut byte)];
        match recvmsg(socket, &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
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
    let descriptors = <[OwnedFd; REQUEST_DESCRIPTORS]>::try_from(descriptors);
    let (Ok([stdin, stdout, stderr]), [REQUEST]) = (descriptors, byte) else {
        bail!(
            "a request must be one byte {REQUEST:#04x} with {REQUEST_DESCRIPTORS} descriptors: \
             install both programs from one build"
        );
    };
    Ok(Some(Pipes { stdin, stdout, stderr }))
}

/// The key of the state directory that this socket belongs to. Without one every supervisor of this user may ask.
fn key_beside(socket: &Path) -> Option<Key> {
    let file = socket.parent()?.parent()?.join(KEY_NAME);
    let mut text = String::new();
    open_for_reading(&file).ok()?.take(KEY_LETTERS as u64 + 1).read_to_string(&mut text).ok()?;
    Key::from_text(text.trim())
}
