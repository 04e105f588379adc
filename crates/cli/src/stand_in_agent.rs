//! A stand-in for `claude -p --output-format stream-json --verbose`, built into `ccx`.
//!
//! It writes the same stream and misbehaves as agents do, in the way that its prompt asks for (`ccx stand-in-agent
//! --help` lists them). It calls no model. Workers start it like the real one; a process of it that hangs exits after
//! [`SAFETY_NET`].

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::{
    sys::signal::{SigSet, Signal},
    unistd,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::StandInArguments;

/// Longest life of every process of this module.
const SAFETY_NET: Duration = Duration::from_secs(120);
/// Length of a line of `print N MB`, about.
const PRINTED_LINE_BYTES: usize = 1000;
/// What a stream line has around its text, about.
const STREAM_LINE_FRAME_BYTES: usize = 170;
/// Between two lines of `work N s`.
const WORK_STEP: Duration = Duration::from_millis(100);
/// Between two retries of `wrong key`.
const RETRY_DELAY_MS: u64 = 200;
/// How often `wrong key` tries again.
const RETRIES: u64 = 3;

/// What the prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Print { bytes: usize },
    Work { duration: Duration },
    Fail,
    Hang,
    HangIgnoringSigterm,
    LeaveADaemon,
    NoResult,
    ResultWithoutExit,
    WrongKey,
    LimitUntil { ends_at_s: u64 },
    Answer,
}

impl Wish {
    fn of(prompt: &str) -> Self {
        let prompt = prompt.trim();
        if let Some(megabytes) = number_between(prompt, "print ", " MB") {
            return Self::Print { bytes: megabytes.saturating_mul(1_000_000) };
        }
        if let Some(seconds) = number_between(prompt, "work ", " s") {
            let duration = Duration::from_secs(seconds.try_into().unwrap_or(u64::MAX));
            return Self::Work { duration: duration.min(SAFETY_NET) };
        }
        if let Some(ends_at_s) = prompt.strip_prefix("limit until ").and_then(first_number) {
            return Self::LimitUntil { ends_at_s };
        }
        // A longer wish stands before the one that it begins with.
        let wishes = [
            ("fail", Self::Fail),
            ("hang ignoring SIGTERM", Self::HangIgnoringSigterm),
            ("hang", Self::Hang),
            ("leave a daemon", Self::LeaveADaemon),
            ("no result", Self::NoResult),
            ("result without exit", Self::ResultWithoutExit),
            ("wrong key", Self::WrongKey),
        ];
        let wish = wishes.iter().find(|(words, _)| begins_with_words(prompt, words));
        wish.map_or(Self::Answer, |(_, wish)| *wish)
    }
}

fn begins_with_words(prompt: &str, words: &str) -> bool {
    prompt
        .strip_prefix(words)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
}

fn number_between(prompt: &str, before: &str, after: &str) -> Option<usize> {
    let (number, rest) = prompt.strip_prefix(before)?.split_once(after)?;
    if rest.starts_with(|next: char| next.is_alphanumeric()) {
        return None;
    }
    number.trim().parse().ok()
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Plays the agent; returns its exit code.
pub(crate) fn run(arguments: &StandInArguments) -> u8 {
    let outcome = if arguments.daemon { be_a_daemon() } else { play(&arguments.claude_options) };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            drop(writeln!(io::stderr(), "stand-in agent: {error}"));
            1
        }
    }
}

fn play(claude_options: &[String]) -> io::Result<u8> {
    let mut prompt = String::new();
    io::stdin().read_to_string(&mut prompt)?;
    let wish = Wish::of(&prompt);
    if wish == Wish::HangIgnoringSigterm {
        // A blocked signal is as good as an ignored one, and needs no handler.
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.thread_block()?;
    }
    let mut stream = Stream::begin(claude_options)?;
    match wish {
        Wish::Answer => {
            let question: String = prompt.trim().chars().take(60).collect();
            stream.answer(&format!("The stand-in has no answer to {question:?}, and is quick."))
        }
        Wish::Print { bytes } => {
            let text = "x".repeat(PRINTED_LINE_BYTES - STREAM_LINE_FRAME_BYTES);
            for _ in 0..bytes / PRINTED_LINE_BYTES {
                stream.say(&text)?;
            }
            stream.answer("That was much.")
        }
        Wish::Work { duration } => {
            let begun_at = Instant::now();
            while begun_at.elapsed() < duration {
                stream.say(&format!("working for {:.1} s", begun_at.elapsed().as_secs_f64()))?;
                thread::sleep(WORK_STEP);
            }
            stream.answer("The work is done.")
        }
        Wish::Fail => stream.fail("The stand-in was asked to fail.", None),
        Wish::Hang | Wish::HangIgnoringSigterm => {
            stream.say("I think.")?;
            thread::sleep(SAFETY_NET);
            Ok(1)
        }
        Wish::LeaveADaemon => {
            start_a_daemon()?;
            stream.answer("A process of mine lives on.")
        }
        Wish::NoResult => {
            stream.say("I begin, and that was all.")?;
            Ok(0)
        }
        Wish::ResultWithoutExit => {
            let code = stream.answer("Done, but I stay.")?;
            thread::sleep(SAFETY_NET);
            Ok(code)
        }
        Wish::LimitUntil { ends_at_s } if ends_at_s <= now_s() => {
            stream.answer("The limit is over.")
        }
        Wish::LimitUntil { ends_at_s } => {
            stream.reject(ends_at_s)?;
            stream.fail("You've hit your limit (played by the stand-in)", Some(429))
        }
        Wish::WrongKey => {
            for attempt in 1..=RETRIES {
                stream.retry(attempt)?;
                thread::sleep(Duration::from_millis(RETRY_DELAY_MS));
            }
            stream
                .fail("Failed to authenticate. API Error: 401 (played by the stand-in)", Some(401))
        }
    }
}

/// A clock that is before 1970 shows no limit that is over.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Starts a process in a session of its own and waits until it has left ours. It keeps our stderr
/// open, as careless daemons do.
fn start_a_daemon() -> io::Result<()> {
    let mut daemon = Command::new(env::current_exe()?)
        .args(["stand-in-agent", "--daemon"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(stdout) = daemon.stdout.take() {
        BufReader::new(stdout).read_line(&mut String::new())?;
    }
    Ok(())
}

fn be_a_daemon() -> io::Result<u8> {
    unistd::setsid()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "ready")?;
    stdout.flush()?;
    thread::sleep(SAFETY_NET);
    Ok(0)
}

/// A `stream-json` stream on stdout.
struct Stream {
    session_id: Uuid,
    model: String,
    begun_at: Instant,
}

impl Stream {
    fn begin(claude_options: &[String]) -> io::Result<Self> {
        let model = claude_options
            .iter()
            .skip_while(|option| *option != "--model")
            .nth(1)
            .map_or_else(|| "stand-in".to_owned(), Clone::clone);
        let mut stream = Self { session_id: Uuid::new_v4(), model, begun_at: Instant::now() };
        let cwd = env::current_dir().unwrap_or_default();
        let init = json!({
            "cwd": cwd, "session_id": stream.session_id,
            "tools": [], "mcp_servers": [], "model": stream.model, "permissionMode": "default",
            "apiKeySource": "none", "uuid": Uuid::new_v4(),
        });
        stream.line("system", Some("init"), &init)?;
        Ok(stream)
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let message = json!({
            "message": {
                "model": self.model, "type": "message", "role": "assistant",
                "content": [{"type": "text", "text": text}],
            },
            "session_id": self.session_id,
        });
        self.line("assistant", None, &message)
    }

    fn retry(&mut self, attempt: u64) -> io::Result<()> {
        let retry = json!({
            "attempt": attempt, "max_retries": RETRIES,
            "retry_delay_ms": RETRY_DELAY_MS, "error_status": 401, "error": "authentication_failed",
            "session_id": self.session_id,
        });
        self.line("system", Some("api_retry"), &retry)
    }

    /// As the real one tells that the limit of a login is used up, and until when.
    fn reject(&mut self, ends_at_s: u64) -> io::Result<()> {
        let event = json!({
            "rate_limit_info": {
                "status": "rejected", "resetsAt": ends_at_s, "rateLimitType": "five_hour",
                "isUsingOverage": false,
            },
            "uuid": Uuid::new_v4(), "session_id": self.session_id,
        });
        self.line("rate_limit_event", None, &event)
    }

    fn answer(&mut self, text: &str) -> io::Result<u8> {
        self.say(text)?;
        self.result(text, false, None)?;
        Ok(0)
    }

    fn fail(&mut self, text: &str, api_error_status: Option<u16>) -> io::Result<u8> {
        self.result(text, true, api_error_status)?;
        Ok(1)
    }

    fn result(
        &mut self,
        text: &str,
        is_error: bool,
        api_error_status: Option<u16>,
    ) -> io::Result<()> {
        let duration_ms = self.begun_at.elapsed().as_millis();
        let tokens = u64::from(!is_error);
        let result = json!({
            "is_error": is_error,
            "api_error_status": api_error_status, "duration_ms": duration_ms,
            "duration_api_ms": duration_ms, "num_turns": 1, "result": text, "stop_reason": null,
            "session_id": self.session_id, "total_cost_usd": 0,
            "usage": {"input_tokens": tokens, "output_tokens": tokens}, "modelUsage": {},
            "permission_denials": [], "terminal_reason": "completed", "uuid": Uuid::new_v4(),
        });
        self.line("result", Some("success"), &result)
    }

    /// Writes a line that begins with its type, as the real one does; readers may look there first.
    fn line(&mut self, kind: &str, subtype: Option<&str>, rest: &Value) -> io::Result<()> {
        let subtype = subtype.map(|word| format!(r#""subtype":"{word}","#)).unwrap_or_default();
        let rest = rest.to_string();
        let rest = rest.trim_start_matches('{');
        // Stdout is line-buffered, so a line is written when it is complete.
        writeln!(io::stdout().lock(), r#"{{"type":"{kind}",{subtype}{rest}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_prompt_says_what_happens() {
        for (prompt, wish) in [
            ("print 20 MB", Wish::Print { bytes: 20_000_000 }),
            (" print 20 MB please\n", Wish::Print { bytes: 20_000_000 }),
            ("print 20 MBit", Wish::Answer),
            ("print much", Wish::Answer),
            ("work 3 s", Wish::Work { duration: Duration::from_secs(3) }),
            ("work 9999 s", Wish::Work { duration: SAFETY_NET }),
            ("fail", Wish::Fail),
            ("fail, now", Wish::Fail),
            ("failure is an option", Wish::Answer),
            ("hang ignoring SIGTERM", Wish::HangIgnoringSigterm),
            ("hang", Wish::Hang),
            ("leave a daemon", Wish::LeaveADaemon),
            ("no result", Wish::NoResult),
            ("result without exit", Wish::ResultWithoutExit),
            ("wrong key", Wish::WrongKey),
            ("limit until 1790000000, then go on", Wish::Answer),
            ("limit until 1790000000 and go on", Wish::LimitUntil { ends_at_s: 1_790_000_000 }),
            ("limit until noon", Wish::Answer),
            ("What is 2 + 2?", Wish::Answer),
            ("", Wish::Answer),
        ] {
            assert_eq!(Wish::of(prompt), wish, "{prompt:?}");
        }
    }
}
