//! What to do about a task that did not succeed. The guide `docs/batches.md` has the same list.

use cc_protocol::Verdict;

/// A sentence without its full stop; none for a success.
pub(super) fn of(verdict: Verdict) -> Option<&'static str> {
    Some(match verdict {
        Verdict::Succeeded => return None,
        Verdict::Failed => "read its answer or its exit code; correct the prompt or the program",
        Verdict::NoResult => {
            "the agent ended without a result, whatever its exit code; see the end of its output, then run it again"
        }
        Verdict::Auth => {
            "the API refused the credentials: log in (claude /login) or set CLAUDE_CODE_OAUTH_TOKEN, then resume"
        }
        Verdict::RateLimited => "the API's limit is reached: wait for its reset, then resume",
        Verdict::TimedOut => {
            "it had to be ended at its deadline: allow more with timeout or idle_timeout, or make the task smaller"
        }
        Verdict::Canceled => "it was canceled; resume when it is wanted again",
        Verdict::OutputLimit => {
            "it printed more than the server allows: make it print less, or raise max_output_bytes"
        }
        Verdict::SpawnFailed => {
            "it could not be started: see that program, cwd and permissions are right"
        }
        Verdict::WorkerDied => {
            "its worker died, so it may have had effects: look at them, then resume"
        }
        Verdict::ResourceLimit => {
            "the machine ran out of something: disk, memory or descriptors; make room, then resume"
        }
        Verdict::Denied => {
            "no tool that it asked for was allowed: name the tools in allowed_tools, or choose another permission_mode"
        }
        Verdict::Incomplete => {
            "it ended before its work was done: see its warnings, then run it again"
        }
        Verdict::Account => {
            "the account cannot be used until a person acts (credits, billing, a hold, a verification): do what the error says, then resume"
        }
    })
}

/// For a task whose end was not heard of.
pub(super) const OF_UNKNOWN: &str =
    "its end was not heard of, so it may have had effects: look at them, then resume";
/// For a task whose turn did not come.
pub(super) const OF_NOT_RUN: &str = "it was not its turn any more; resume";
