//! A state database in a directory of its own, and tasks to put into it.

use cc_events::{
    ClaudeFacts, Completed, Containment, EndReason, OutputCounts, Started, Verdict, Warning,
    WarningKind,
};
use cc_link::spec::Deadlines;
use tempfile::TempDir;

use crate::{Change, Opened, ResultSummary, StateDb, TaskAccepted};

/// An empty database; the directory goes with the value.
pub(crate) struct Fixture {
    pub(crate) db: StateDb,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (db, opened) = StateDb::open(&directory.path().join("state.db")).unwrap();
        assert_eq!(opened, Opened::Created);
        Self { db, directory }
    }

    /// The same, after `changes` in one transaction.
    pub(crate) fn with(changes: &[Change]) -> Self {
        let mut fixture = Self::new();
        fixture.db.transaction(changes).unwrap();
        fixture
    }

    /// Writes what no [`Change`] can.
    pub(crate) fn by_hand(&self, sql: &str) {
        self.db.connection.execute_batch(sql).unwrap();
    }
}

/// Ids in the order of their numbers, as uuids of version 7 are in that of time.
pub(crate) fn id(number: usize) -> String {
    format!("0190a0b0-0000-7000-8000-{number:012}")
}

pub(crate) fn begun(session_id: &str) -> Change {
    Change::SessionBegun { id: session_id.to_owned(), token_hash: [7; 32], at_ms: 1, token: None }
}

pub(crate) fn closed(session_id: &str, at_ms: u64) -> Change {
    Change::SessionClosed { id: session_id.to_owned(), at_ms }
}

/// A task of which everything is known that can be.
pub(crate) fn task(id: &str, session_id: Option<&str>) -> TaskAccepted {
    TaskAccepted {
        id: id.to_owned(),
        session_id: session_id.map(str::to_owned),
        label: Some("nightly \u{1f319}".to_owned()),
        command: "claude -p 'What is 2+2?'".to_owned(),
        accepted_ms: 1_000,
        is_claude: true,
        is_prompt: false,
        leaf: Some("/sys/fs/cgroup/cc/leaf".into()),
        deadlines: Some(Deadlines {
            total_ms: Some(86_400_000),
            silence_ms: None,
            first_output_ms: Some(120_000),
            linger_ms: 10_000,
            grace_ms: 10_000,
        }),
        batch_id: Some("a batch".to_owned()),
        shape: Some("a shape".to_owned()),
        token: Some("ci".to_owned()),
    }
}

pub(crate) fn accepted(id: &str, session_id: Option<&str>) -> Change {
    Change::TaskAccepted(Box::new(task(id, session_id)))
}

pub(crate) fn started(id: &str, at_ms: u64) -> Change {
    let started = Started {
        pid: 12,
        worker_pid: 11,
        containment: Containment::Cgroup,
        isolation: Default::default(),
    };
    Change::TaskStarted { id: id.to_owned(), at_ms, started }
}

pub(crate) fn completed() -> Completed {
    Completed {
        pid: 12,
        reason: EndReason::Timeout,
        verdict: Verdict::TimedOut,
        exit_code: -15,
        signal: Some(15),
        error: Some("the task took more than 1 s".to_owned()),
        duration_ms: 1_001,
        cpu_ms: 2,
        max_rss_bytes: 3,
        output: OutputCounts {
            lines: 4,
            bytes: 5,
            dropped_lines: 6,
            dropped_bytes: 7,
            truncated_lines: 8,
        },
        killed_leftovers: 9,
        unkillable: 10,
        warnings: vec![Warning {
            kind: WarningKind::EndedAfterResult,
            message: "a watcher was cut off".to_owned(),
        }],
        claude: Some(Box::new(ClaudeFacts {
            session_id: Some("7e57".to_owned()),
            unknown: [("novel".to_owned(), 2)].into(),
            ..ClaudeFacts::default()
        })),
        spawn_failure: None,
    }
}

pub(crate) fn result() -> ResultSummary {
    ResultSummary {
        is_error: true,
        cost_usd: Some(0.25),
        turns: Some(3),
        claude_session_id: Some("7e57".to_owned()),
    }
}

pub(crate) fn ended(id: &str, at_ms: u64, log_bytes: u64) -> Change {
    Change::TaskEnded {
        id: id.to_owned(),
        at_ms,
        completed: Box::new(completed()),
        last_seq: 20,
        log_bytes,
        result: Some(result()),
    }
}
