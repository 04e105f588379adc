//! Records in, an end out.

mod classify;
mod words;

use bytes::Bytes;
use cc_batch::retry::Class;
use cc_events::{ClaudeResult, Completed, EndReason, OutputCounts, Verdict, WarningKind};
use cc_link::record::{Body, Output, Record, Stream};

use crate::batch::attempt_end::{Collector, JobEnd};

pub(in crate::batch) fn completed(verdict: Verdict, exit_code: i32) -> Completed {
    Completed {
        pid: 1,
        reason: EndReason::Exit,
        verdict,
        exit_code,
        signal: None,
        error: None,
        duration_ms: 10,
        cpu_ms: 0,
        max_rss_bytes: 0,
        output: OutputCounts::default(),
        killed_leftovers: 1,
        unkillable: 0,
        warnings: Vec::new(),
        claude: None,
        spawn_failure: None,
    }
}

fn frames(bodies: Vec<Body>) -> Bytes {
    let mut bytes = Vec::new();
    for (seq, body) in (1..).zip(bodies) {
        Record { seq, time_ms: 0, body }.encode(&mut bytes).unwrap();
    }
    bytes.into()
}

fn line(text: &str) -> Body {
    let data = Bytes::copy_from_slice(text.as_bytes());
    Body::Output(Output { stream: Stream::Stdout, piece: None, truncated: false, data })
}

fn end_of(bodies: Vec<Body>, completed: Completed) -> JobEnd {
    let mut collector = Collector::new();
    collector.take(&frames(bodies));
    collector.end(Some(completed), 1_000)
}

fn end(result: Option<ClaudeResult>) -> JobEnd {
    let mut canceled = completed(Verdict::Canceled, -15);
    canceled.reason = EndReason::Canceled;
    let mut end = Collector::new().end(Some(canceled), 1_000);
    end.result = result.map(Box::new);
    end.keep_good_result();
    end
}

#[test]
fn a_good_result_counts_and_a_bad_or_missing_one_is_what_it_was() {
    let good = end(Some(ClaudeResult { result: Some("done".into()), ..ClaudeResult::default() }));
    assert_eq!((good.attempt.verdict, good.attempt.class), (Verdict::Succeeded, Class::Done));
    let warnings = good.completed.unwrap().warnings;
    assert_eq!(warnings[0].kind, WarningKind::EndedAfterResult);
    let bad = ClaudeResult { is_error: true, ..ClaudeResult::default() };
    for result in [None, Some(bad)] {
        assert_eq!(end(result).attempt.verdict, Verdict::Canceled);
    }
}
