//! What the end of a task means.
//!
//! One pure, total function. Its questions, in order: could it start? did we end it, and why? is there
//! a result, and what does it say? did the API refuse before? Neither exit code 0 nor a process that
//! does not exit is taken as an answer. Called by the worker for the terminal event, and by the
//! supervisor where it writes one for a worker that died.

use cc_events::{ClaudeResult, ClaudeStream, EndReason, Verdict};

use crate::{refusal::Refusal, stream::Summary};

/// Judges a task's end.
///
/// - `exit_code` is that of the terminal event; for [`EndReason::Lingered`] take
///   [`lingered_exit_code`], because the signal that ended the process was ours.
/// - `summary` is what the observer saw; without an observer, `None`.
///
/// A deadline means `timed_out`, except where the API's last word was a refusal and no result came:
/// the CLI spends a minute on retries with a key that can never work, and "the key is wrong" is what
/// the person has to know. The end *reason* says `timeout` all the same.
#[must_use]
pub fn judge(
    mode: ClaudeStream,
    reason: EndReason,
    exit_code: i32,
    summary: Option<&Summary>,
) -> Verdict {
    let summary = match mode {
        ClaudeStream::No => None,
        ClaudeStream::Observed | ClaudeStream::Required => summary,
    };
    let result = summary.and_then(|summary| summary.result.as_ref());
    let refusal = summary.and_then(|summary| summary.refusal);
    match reason {
        EndReason::SpawnFailed => Verdict::SpawnFailed,
        EndReason::WorkerDied => Verdict::WorkerDied,
        EndReason::ResourceLimit => Verdict::ResourceLimit,
        EndReason::OutputLimit => Verdict::OutputLimit,
        EndReason::Canceled
        | EndReason::Disconnected
        | EndReason::SupervisorLost
        | EndReason::WorkerRestarted => Verdict::Canceled,
        EndReason::Timeout | EndReason::IdleTimeout => match (result, refusal) {
            (None, Some(refusal)) => refused(refusal),
            (Some(_), _) | (None, None) => Verdict::TimedOut,
        },
        EndReason::Exit | EndReason::Signal | EndReason::Lingered => match (result, refusal) {
            (Some(result), refusal) => {
                let verdict = by_result(result, refusal, exit_code);
                let shortfall = summary.and_then(|summary| summary.shortfall);
                // Done is not succeeded: see `crate::notes`.
                shortfall.filter(|_| verdict == Verdict::Succeeded).unwrap_or(verdict)
            }
            (None, refusal) => without_result(mode, refusal, exit_code),
        },
    }
}

/// The exit code of a task that printed its result and was ended because it did not exit: what it
/// would have been by the result. Without a result 1.
#[must_use]
pub fn lingered_exit_code(summary: Option<&Summary>) -> i32 {
    let result = summary.and_then(|summary| summary.result.as_ref());
    i32::from(result.is_none_or(|result| result.is_error))
}

fn by_result(result: &ClaudeResult, refusal: Option<Refusal>, exit_code: i32) -> Verdict {
    if result.is_error {
        match (refusal, result.api_error_status) {
            (Some(Refusal::Account), _) | (_, Some(402)) => Verdict::Account,
            (_, Some(401 | 403)) => Verdict::Auth,
            (_, Some(429)) => Verdict::RateLimited,
            (_, Some(_)) => Verdict::Failed,
            (refusal, None) => refusal.map_or(Verdict::Failed, refused),
        }
    } else {
        by_exit_code(exit_code)
    }
}

fn without_result(mode: ClaudeStream, refusal: Option<Refusal>, exit_code: i32) -> Verdict {
    match mode {
        ClaudeStream::No => by_exit_code(exit_code),
        // A shell line may run Claude for a part of its work, or hide its stream in a file.
        ClaudeStream::Observed => match (by_exit_code(exit_code), refusal) {
            (Verdict::Failed, Some(refusal)) => refused(refusal),
            (verdict, _) => verdict,
        },
        ClaudeStream::Required => refusal.map_or(Verdict::NoResult, refused),
    }
}

fn refused(refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::Auth => Verdict::Auth,
        Refusal::RateLimit => Verdict::RateLimited,
        Refusal::Account => Verdict::Account,
    }
}

fn by_exit_code(exit_code: i32) -> Verdict {
    if exit_code == 0 { Verdict::Succeeded } else { Verdict::Failed }
}

#[cfg(test)]
mod tests {
    use cc_events::ClaudeStream::{No, Observed, Required};

    use super::*;

    fn result(is_error: bool, api_error_status: Option<u64>) -> ClaudeResult {
        ClaudeResult { is_error, api_error_status, ..ClaudeResult::default() }
    }

    fn summary(result: Option<ClaudeResult>, refusal: Option<Refusal>) -> Summary {
        Summary { result, refusal, is_stream: true, ..Summary::default() }
    }

    #[test]
    fn a_plain_task_is_judged_by_its_exit_code_whatever_was_observed() {
        let refused = summary(Some(result(true, Some(401))), Some(Refusal::Auth));
        for (code, expected) in
            [(0, Verdict::Succeeded), (1, Verdict::Failed), (-9, Verdict::Failed)]
        {
            assert_eq!(judge(No, EndReason::Exit, code, None), expected);
            assert_eq!(judge(No, EndReason::Exit, code, Some(&refused)), expected);
        }
        assert_eq!(judge(No, EndReason::Timeout, -15, Some(&refused)), Verdict::TimedOut);
    }

    #[test]
    fn what_we_did_comes_before_what_the_result_says() {
        let good = summary(Some(result(false, None)), None);
        for (reason, expected) in [
            (EndReason::SpawnFailed, Verdict::SpawnFailed),
            (EndReason::WorkerDied, Verdict::WorkerDied),
            (EndReason::ResourceLimit, Verdict::ResourceLimit),
            (EndReason::OutputLimit, Verdict::OutputLimit),
            (EndReason::Canceled, Verdict::Canceled),
            (EndReason::Disconnected, Verdict::Canceled),
            (EndReason::SupervisorLost, Verdict::Canceled),
            (EndReason::Timeout, Verdict::TimedOut),
            (EndReason::IdleTimeout, Verdict::TimedOut),
        ] {
            for mode in [No, Observed, Required] {
                assert_eq!(judge(mode, reason, 0, Some(&good)), expected, "{reason:?} {mode:?}");
                assert_eq!(judge(mode, reason, 0, None), expected, "{reason:?} {mode:?}");
            }
        }
    }

    #[test]
    fn exit_code_0_without_a_result_is_no_success_where_one_is_required() {
        let nothing = Summary::default();
        for code in [0, 1, -11] {
            assert_eq!(judge(Required, EndReason::Exit, code, None), Verdict::NoResult);
            assert_eq!(judge(Required, EndReason::Exit, code, Some(&nothing)), Verdict::NoResult);
        }
        assert_eq!(judge(Observed, EndReason::Exit, 0, Some(&nothing)), Verdict::Succeeded);
        assert_eq!(judge(Observed, EndReason::Exit, 1, Some(&nothing)), Verdict::Failed);
    }

    #[test]
    fn a_result_says_how_it_went() {
        for (result, refusal, code, expected) in [
            (result(false, None), None, 0, Verdict::Succeeded),
            (result(false, None), None, 1, Verdict::Failed),
            (result(false, None), None, -11, Verdict::Failed),
            (result(true, None), None, 0, Verdict::Failed),
            (result(true, None), None, 1, Verdict::Failed),
            (result(true, None), Some(Refusal::Auth), 1, Verdict::Auth),
            (result(true, None), Some(Refusal::RateLimit), 1, Verdict::RateLimited),
            (result(true, Some(401)), None, 1, Verdict::Auth),
            (result(true, Some(403)), None, 1, Verdict::Auth),
            (result(true, Some(429)), None, 1, Verdict::RateLimited),
            (result(true, Some(500)), Some(Refusal::Auth), 1, Verdict::Failed),
            (result(true, Some(400)), None, 1, Verdict::Failed),
        ] {
            let summary = summary(Some(result), refusal);
            for mode in [Observed, Required] {
                for reason in [EndReason::Exit, EndReason::Signal] {
                    assert_eq!(judge(mode, reason, code, Some(&summary)), expected, "{summary:?}");
                }
            }
        }
    }

    #[test]
    fn a_task_that_lingers_after_its_result_is_judged_by_the_result() {
        for (is_error, code, expected) in
            [(false, 0, Verdict::Succeeded), (true, 1, Verdict::Failed)]
        {
            let summary = summary(Some(result(is_error, None)), None);
            assert_eq!(lingered_exit_code(Some(&summary)), code);
            assert_eq!(judge(Required, EndReason::Lingered, code, Some(&summary)), expected);
        }
        assert_eq!(lingered_exit_code(None), 1);
        assert_eq!(lingered_exit_code(Some(&Summary::default())), 1);
    }

    #[test]
    fn a_refusal_explains_an_end_without_a_result() {
        for (refusal, expected) in
            [(Refusal::Auth, Verdict::Auth), (Refusal::RateLimit, Verdict::RateLimited)]
        {
            let summary = summary(None, Some(refusal));
            for reason in [EndReason::Exit, EndReason::Timeout, EndReason::IdleTimeout] {
                assert_eq!(judge(Required, reason, 1, Some(&summary)), expected);
                assert_eq!(judge(Observed, reason, 1, Some(&summary)), expected);
            }
            assert_eq!(judge(Observed, EndReason::Exit, 0, Some(&summary)), Verdict::Succeeded);
            assert_eq!(judge(Required, EndReason::Canceled, 1, Some(&summary)), Verdict::Canceled);
        }
    }
}
