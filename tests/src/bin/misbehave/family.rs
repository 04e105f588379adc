//! Processes that get away: daemons, sessions of their own, deaf ones, ones that multiply.

#![expect(
    clippy::zombie_processes,
    reason = "children that nobody waits for are what this is about"
)]

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::{
        signal::{SigSet, SigmaskHow, Signal, pthread_sigmask, raise},
        wait::wait,
    },
    unistd::{pause, setsid},
};

/// Whether a child holds on to the pipes of the task.
#[derive(Clone, Copy)]
enum Pipes {
    Held,
    Closed,
}

/// A minute or more of a comet's life, far longer than anything may take to catch it.
const COMET_GENERATIONS: u32 = 50_000;

/// Starts this program as `child KIND TAG` and returns when it has done what it is for.
///
/// Its standard input is a socket on which it reports; nothing else is shared by the two, so the
/// pipes of the task are held, or not, as the test wants it.
fn start(kind: &str, tag: &str, pipes: Pipes) -> Child {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", kind, tag]).stdin(OwnedFd::from(theirs));
    if matches!(pipes, Pipes::Closed) {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    let child = command.spawn().unwrap();
    drop(command);
    // A byte when it is ready; the end if it died first, which is the test's business.
    drop(ours.read(&mut [0]));
    child
}

fn report_ready() {
    // Fails when the reader is gone.
    nix::unistd::write(std::io::stdin(), b".").ok();
}

/// One of the children that [`start`] starts.
pub fn child(kind: &str, tag: &str) {
    match kind {
        "sleeper" => {
            setsid().unwrap();
            report_ready();
            pause();
        }
        // The first child of a double fork: it leaves the session, starts the daemon and is gone.
        "daemon-holding-pipes" => begin_daemon(tag, Pipes::Held),
        "daemon-closing-pipes" => begin_daemon(tag, Pipes::Closed),
        "stopped" => {
            setsid().unwrap();
            report_ready();
            raise(Signal::SIGSTOP).unwrap();
            pause();
        }
        _ => match kind.strip_prefix("comet-").map(str::parse) {
            Some(Ok(left)) => generation(left, tag),
            Some(Err(_)) | None => panic!("no such child: {kind}"),
        },
    }
}

fn begin_daemon(tag: &str, pipes: Pipes) {
    setsid().unwrap();
    start("sleeper", tag, pipes);
    report_ready();
}

/// A build server, an ssh agent, a file watcher: forks twice, leaves the session, and outlives the
/// command that started it, with the command's pipes (`holding`) or without them (`closing`).
pub fn daemon(pipes: &str, tag: &str) {
    let kind = format!("daemon-{pipes}-pipes");
    start(&kind, tag, Pipes::Held).wait().unwrap();
    say("the daemon runs");
}

/// A test runner or a browser: many helpers, each in a session of its own, as the tools of an agent are.
pub fn setsid_sleepers(count: usize, and_then: &str, tag: &str) {
    for _ in 0..count {
        start("sleeper", tag, Pipes::Held);
    }
    finish("the sleepers sleep", and_then);
}

/// An agent in the middle of a request, a shell script with `trap '' TERM`: deaf to polite signals.
pub fn ignore_term(_tag: &str) {
    block(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    say("deaf");
    pause();
}

/// An editor or a pager that was started in the background and is stopped by its terminal: a stopped
/// process takes no signal but SIGKILL and SIGCONT.
pub fn stopped_child(and_then: &str, tag: &str) {
    start("stopped", tag, Pipes::Held);
    finish("a child is stopped", and_then);
}

/// The same, the main process itself.
pub fn stop_self(_tag: &str) {
    say("stopping");
    raise(Signal::SIGSTOP).unwrap();
    pause();
}

/// A process manager (nodemon, pm2): deaf to SIGTERM, starts a new child whenever one dies. So it
/// forks while its tree is being killed.
pub fn respawn(count: usize, tag: &str) {
    block(&[Signal::SIGTERM]);
    for _ in 0..count {
        start("sleeper", tag, Pipes::Held);
    }
    say("children run");
    loop {
        wait().unwrap();
        start("sleeper", tag, Pipes::Held);
    }
}

/// A self-updating or self-restarting program: every generation starts the next one, in a session of
/// its own, and exits. Whoever lists processes and then kills them one by one always comes too late.
///
/// It burns out by itself in the end: one that a failed test has not caught would take the machine from
/// all that come after it.
pub fn comet(and_then: &str, tag: &str) {
    next_generation(COMET_GENERATIONS, tag);
    finish("the comet flies", and_then);
}

/// This generation ends as soon as the next one lives.
fn generation(left: u32, tag: &str) {
    setsid().unwrap();
    report_ready();
    if left > 0 {
        next_generation(left - 1, tag);
    }
}

fn next_generation(left: u32, tag: &str) {
    start(&format!("comet-{left}"), tag, Pipes::Held);
}

/// An agent in an endless loop of its own making.
pub fn burn(tag: &str) {
    say("burning");
    let mut number = tag.len() as u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
    }
}

/// Says that all is in place, and then exits (`exit`) or stays (`stay`).
fn finish(what: &str, and_then: &str) {
    say(what);
    match and_then {
        "exit" => {}
        "stay" => pause(),
        unknown => panic!("neither exit nor stay: {unknown}"),
    }
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").unwrap();
    stdout.flush().unwrap();
}

fn block(signals: &[Signal]) {
    let set: SigSet = signals.iter().copied().collect();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), None).unwrap();
}
