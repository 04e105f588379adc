//! `misbehave`: one small program that plays the tasks which have hurt people.
//!
//! Each part says which program of the real world it imitates. A part that lives long carries a tag
//! among its arguments, by which a test counts the survivors, and ends by itself after
//! [`LIFETIME_S`]. Whatever has to be in place before a test goes on is announced by a line on
//! stdout. Called by the suites, as a task or as a client under another user.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture: a broken assumption must end it where it is noticed"
)]

mod agent;
mod family;
mod foreign;
mod intruder;
mod output;
mod pipes;
mod refusals;
mod report;
mod trace;

use std::process::ExitCode;

/// A fixture that is left alone is ended by its own alarm.
const LIFETIME_S: u32 = 120;

fn main() -> ExitCode {
    nix::unistd::alarm::set(LIFETIME_S);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["child", kind, tag, ..] => family::child(kind, tag),
        ["daemon", pipes, tag] => family::daemon(pipes, tag),
        ["setsid-sleepers", count, and_then, tag] => {
            family::setsid_sleepers(count.parse().unwrap(), and_then, tag);
        }
        ["ignore-term", tag] => family::ignore_term(tag),
        ["stopped-child", and_then, tag] => family::stopped_child(and_then, tag),
        ["stop-self", tag] => family::stop_self(tag),
        ["respawn", count, tag] => family::respawn(count.parse().unwrap(), tag),
        ["comet", and_then, tag] => family::comet(and_then, tag),
        ["burn", tag] => family::burn(tag),
        ["flood", bytes] => output::flood(bytes.parse().unwrap(), 100),
        ["flood", bytes, line_bytes] => {
            output::flood(bytes.parse().unwrap(), line_bytes.parse().unwrap());
        }
        ["lines", count] => output::lines(count.parse().unwrap()),
        ["long-line", bytes, end] => output::long_line(bytes.parse().unwrap(), end),
        ["speak", seed, bytes] => output::speak(seed.parse().unwrap(), bytes.parse().unwrap()),
        ["pour", stop] => output::pour(stop),
        ["steady", bytes_a_second] => output::steady(bytes_a_second.parse().unwrap()),
        ["interleave", count] => output::interleave(count.parse().unwrap()),
        ["hoard-pipes"] => pipes::hoard(),
        ["report"] => report::report(),
        ["exec-with-signals-blocked", program, ref rest @ ..] => {
            report::exec_with_signals_blocked(program, rest)
        }
        ["foreign-worker", socket, stop] => foreign::worker(socket, stop),
        ["agent", ..] => return agent::agent(),
        ["trace", ledger, name, command] => return trace::trace(ledger, name, command),
        ["knock-as", user_id, address, token] => {
            intruder::knock_as(user_id.parse().unwrap(), address, token);
        }
        ["crowd-as", user_id, address, kept] => {
            let (user_id, kept) = (user_id.parse().unwrap(), kept.parse().unwrap());
            intruder::crowd_as(user_id, address.parse().unwrap(), kept);
        }
        ref unknown => panic!("misbehave cannot {unknown:?}"),
    }
    ExitCode::SUCCESS
}
