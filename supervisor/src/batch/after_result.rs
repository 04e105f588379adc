//! A good result stands, whatever ends the task after it: here its batch, because of its time or of other tasks.
//!
//! A task's own clocks are its worker's, which does the same. One that a person has canceled is canceled.

use cc_batch::retry::Class;
use cc_events::{EndReason, Verdict, Warning, WarningKind};

use crate::batch::attempt_end::End;

impl End {
    /// The batch stops, and the task was ended for that. If it had a good result by then, that counts.
    pub fn stand_by_its_result(&mut self) {
        let Some(completed) = &mut self.completed else { return };
        let is_good = self.result.as_ref().is_some_and(|result| !result.is_error);
        if completed.reason != EndReason::Canceled || !is_good {
            return;
        }
        completed.warnings.push(Warning {
            kind: WarningKind::EndedAfterResult,
            message: "the batch stopped when the task had its result and went on: it was ended"
                .into(),
        });
        self.attempt.verdict = Verdict::Succeeded;
        self.attempt.class = Class::Done;
        self.attempt.has_result = self.text.is_some();
        self.error = None;
    }
}

#[cfg(test)]
mod tests {
    use cc_events::ClaudeResult;

    use super::*;
    use crate::batch::attempt_end::{Collector, tests::completed};

    fn end(result: Option<ClaudeResult>) -> End {
        let mut canceled = completed(Verdict::Canceled, -15);
        canceled.reason = EndReason::Canceled;
        let mut end = Collector::new().end(Some(canceled), 1_000);
        end.result = result.map(Box::new);
        end.stand_by_its_result();
        end
    }

    #[test]
    fn a_good_result_counts_and_a_bad_or_missing_one_is_what_it_was() {
        let good =
            end(Some(ClaudeResult { result: Some("done".into()), ..ClaudeResult::default() }));
        assert_eq!((good.attempt.verdict, good.attempt.class), (Verdict::Succeeded, Class::Done));
        let warnings = good.completed.unwrap().warnings;
        assert_eq!(warnings[0].kind, WarningKind::EndedAfterResult);
        let bad = ClaudeResult { is_error: true, ..ClaudeResult::default() };
        for result in [None, Some(bad)] {
            assert_eq!(end(result).attempt.verdict, Verdict::Canceled);
        }
    }
}
