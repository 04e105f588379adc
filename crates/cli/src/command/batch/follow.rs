//! Follows a batch to its end, or to where this command leaves it, and concludes.

use std::time::Duration;

use cc_client::Reconnect;
use cc_protocol::batch::{BatchOutcome, BatchSummary};

use super::{
    live::{Live, Ownership, Seen, Stop},
    view::BatchOutput,
};
use crate::{
    args::ServerOptions,
    command::finish,
    connect::{Server, interrupts::Interrupts, private::Urgency},
    display::{
        batch_row, progress::Progress, summary::End, task::Task, terminal, text, totals::Totals,
    },
    error::CommandError,
    exit_code,
    reports::AccountEnd,
};

/// How long this command tries to reconnect: the supervisor may be restarted meanwhile, and the batch does not need
/// this command.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

pub(super) fn reconnect() -> Reconnect {
    Reconnect { patience: Some(PATIENCE), ..Reconnect::default() }
}

/// Follows the batch and returns the exit code.
pub(super) async fn follow(
    mut server: Server,
    options: &ServerOptions,
    ownership: Ownership,
    batch_id: &str,
    tasks: &[Task],
    mut shown: BatchOutput,
    interrupts: &mut Interrupts,
) -> Result<u8, CommandError> {
    if ownership != Ownership::Private {
        shown.reports.name_batch(batch_id);
    }
    let seen = watch(&mut server, ownership, batch_id, tasks, &mut shown, interrupts).await;
    if let Some(Stop::Detached(interrupt) | Stop::GivenUp(interrupt)) = seen.stop
        && ownership != Ownership::Private
    {
        terminal::note(&format!(
            "ccx: detached; batch {batch_id} runs on: `ccx batch attach {batch_id}` shows it again, `ccx batch cancel {batch_id}` ends it"
        ));
        server.close(Urgency::Polite).await?;
        shown.reports.finish(AccountEnd {
            elapsed: elapsed(seen.summary.as_ref()),
            stopped: Some(format!("left running as batch {batch_id}")),
            left_behind: None,
        });
        return Ok(interrupt.exit_code());
    }
    if matches!(seen.stop, Some(Stop::Broken(_))) && ownership != Ownership::Private {
        terminal::note(&format!(
            "ccx: batch {batch_id} does not need this command: `ccx batch attach {batch_id}` shows it again"
        ));
    }
    let code = own_code(&seen);
    let (end, urgency) = end_of(seen, tasks);
    let conclusion = finish::conclude(server, options, end, urgency).await;
    Ok(shown.conclude(&conclusion, code))
}

/// Shows the batch as it runs, to its end or to where this command leaves it.
pub(in crate::command) async fn watch(
    server: &mut Server,
    ownership: Ownership,
    batch_id: &str,
    tasks: &[Task],
    shown: &mut BatchOutput,
    interrupts: &mut Interrupts,
) -> Seen {
    let view = shown.view;
    let mut progress = Progress::new(tasks.len(), view.quiet);
    let mut live = Live::new(ownership, batch_id, tasks, view.show_output, &mut progress, shown);
    live.private_url = server.private_url().map(str::to_owned);
    live.follow(&mut server.session, interrupts).await
}

/// The exit code, if a signal or an error decides it and not the tasks.
pub(in crate::command) fn own_code(seen: &Seen) -> Option<u8> {
    match &seen.stop {
        Some(Stop::Canceled(interrupt) | Stop::GivenUp(interrupt) | Stop::Detached(interrupt)) => {
            Some(interrupt.exit_code())
        }
        Some(Stop::Broken(failure)) => Some(exit_code::of_error(failure)),
        None => None,
    }
}

/// How the batch ended as seen from here, and how a private supervisor is to be ended.
pub(in crate::command) fn end_of(seen: Seen, tasks: &[Task]) -> (End, Urgency) {
    let Seen { summary, rows, stop } = seen;
    let (urgency, broken) = match stop {
        Some(Stop::GivenUp(_) | Stop::Detached(_)) => {
            (Urgency::AtOnce, Some("interrupted".to_owned()))
        }
        Some(Stop::Canceled(_)) => (Urgency::Polite, Some("interrupted".to_owned())),
        Some(Stop::Broken(failure)) => (Urgency::Polite, Some(failure.to_string())),
        None => (Urgency::Polite, None),
    };
    let shown = (0..).zip(tasks).map(|(index, task)| batch_row::shown(task, rows.get(&index)));
    let shown: Vec<_> = shown.collect();
    let mut totals = Totals::of(&shown);
    if let Some(summary) = &summary {
        totals.settle(summary);
    }
    let attempts = rows.values().flat_map(|row| &row.attempts);
    let is_over = summary.as_ref().is_some_and(|summary| summary.outcome.is_some());
    let end = End {
        rows: shown,
        totals,
        task_ids: attempts.map(|attempt| attempt.task_id.clone()).collect(),
        stopped: broken.or_else(|| summary.as_ref().and_then(why_stopped)),
        elapsed: elapsed(summary.as_ref()),
        is_every_end_known: is_over,
    };
    (end, urgency)
}

/// Why the batch ended before every task ran.
fn why_stopped(summary: &BatchSummary) -> Option<String> {
    let outcome = summary.outcome?;
    match (outcome, &summary.reason) {
        (BatchOutcome::Succeeded | BatchOutcome::Failed, reason) => reason.clone(),
        (BatchOutcome::Canceled | BatchOutcome::Halted | BatchOutcome::Stopped, Some(reason)) => {
            Some(reason.clone())
        }
        (BatchOutcome::Canceled | BatchOutcome::Halted | BatchOutcome::Stopped, None) => {
            Some(outcome.as_str().to_owned())
        }
    }
}

fn elapsed(summary: Option<&BatchSummary>) -> Duration {
    let Some(summary) = summary else { return Duration::ZERO };
    let begun = summary.started_ms.unwrap_or(summary.submitted_ms);
    let ended = summary.ended_ms.unwrap_or_else(text::now_ms);
    Duration::from_millis(ended.saturating_sub(begun))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::summary;

    #[test]
    fn a_batch_that_was_stopped_says_why() {
        let over = |outcome, reason: Option<&str>| {
            let reason = reason.map(str::to_owned);
            why_stopped(&BatchSummary { outcome: Some(outcome), reason, ..summary("b") })
        };
        assert_eq!(over(BatchOutcome::Succeeded, None), None);
        assert_eq!(over(BatchOutcome::Stopped, Some("no key")).as_deref(), Some("no key"));
        assert_eq!(over(BatchOutcome::Canceled, None).as_deref(), Some("canceled"));
        assert_eq!(why_stopped(&summary("b")), None);
    }
}
