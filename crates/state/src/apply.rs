//! Writes one change, inside the caller's transaction. Each is one or two prepared statements.

use cc_events::{Completed, Started};
use rusqlite::{Connection, Result, named_params, params};

use crate::{
    Change, ResultSummary, TaskAccepted, batch,
    convert::{PathBytes, Unsigned, json},
    read::DAY_MS,
};

#[cfg(test)]
mod tests;

pub(crate) fn apply(connection: &Connection, change: &Change) -> Result<()> {
    match change {
        Change::SessionBegun { id, token_hash, at_ms, token } => connection
            .prepare_cached(
                "INSERT INTO session (id, token_hash, begun_ms, token) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![id, token_hash, Unsigned(*at_ms), token]),
        Change::SessionDisconnected { id, at_ms } => connection
            .prepare_cached(
                "UPDATE session SET disconnected_ms = ?2
                 WHERE id = ?1 AND disconnected_ms IS NULL AND closed_ms IS NULL",
            )?
            .execute(params![id, Unsigned(*at_ms)]),
        Change::SessionConnected { id } => connection
            .prepare_cached(
                "UPDATE session SET disconnected_ms = NULL WHERE id = ?1 AND closed_ms IS NULL",
            )?
            .execute(params![id]),
        Change::SessionClosed { id, at_ms } => connection
            .prepare_cached(
                "UPDATE session SET closed_ms = ?2 WHERE id = ?1 AND closed_ms IS NULL",
            )?
            .execute(params![id, Unsigned(*at_ms)]),
        Change::TombstonesPruned { before_ms } => connection
            .prepare_cached(
                "DELETE FROM session WHERE closed_ms < ?1
                 AND NOT EXISTS (SELECT 1 FROM task WHERE session_id = session.id)",
            )?
            .execute(params![Unsigned(*before_ms)]),
        Change::TaskAccepted(task) => accept(connection, task),
        Change::TaskStarted { id, at_ms, started } => start(connection, id, *at_ms, started),
        Change::TaskDetached { id } => connection
            .prepare_cached("UPDATE task SET session_id = NULL WHERE id = ?1")?
            .execute(params![id]),
        Change::TaskEnded { id, at_ms, completed, last_seq, log_bytes, result } => {
            let end = End { at_ms: *at_ms, completed, last_seq: *last_seq, log_bytes: *log_bytes };
            match (end.write(connection, id)?, result) {
                (1, Some(result)) => {
                    spend(connection, id, result)?;
                    summarise(connection, id, result)
                }
                (changed, Some(_) | None) => Ok(changed),
            }
        }
        Change::BatchSubmitted(row) => batch::submit(connection, row),
        Change::BatchStepped(step) => batch::step(connection, step),
        Change::BatchesPruned { before_ms } => batch::prune(connection, *before_ms),
        Change::TaskForgotten { id } => connection
            .prepare_cached("DELETE FROM task WHERE id = ?1 AND ended_ms IS NOT NULL")?
            .execute(params![id]),
    }
    .map(drop)
}

fn accept(connection: &Connection, task: &TaskAccepted) -> Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO task
                 (id, session_id, label, command, accepted_ms, is_claude, is_prompt, leaf,
                  deadlines, batch_id, shape, token)
             VALUES
                 (:id, :session_id, :label, :command, :accepted_ms, :is_claude, :is_prompt, :leaf,
                  :deadlines, :batch_id, :shape, :token)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": task.id,
            ":session_id": task.session_id,
            ":label": task.label,
            ":command": task.command,
            ":accepted_ms": Unsigned(task.accepted_ms),
            ":is_claude": task.is_claude,
            ":is_prompt": task.is_prompt,
            ":leaf": task.leaf.as_deref().map(PathBytes),
            ":deadlines": task.deadlines.as_ref().map(json).transpose()?,
            ":batch_id": task.batch_id,
            ":shape": task.shape,
            ":token": task.token,
        })
}

fn start(connection: &Connection, id: &str, at_ms: u64, started: &Started) -> Result<usize> {
    connection
        .prepare_cached(
            "UPDATE task SET started_ms = ?2, pid = ?3, worker_pid = ?4, containment = ?5
             WHERE id = ?1 AND started_ms IS NULL",
        )?
        .execute(params![
            id,
            Unsigned(at_ms),
            started.pid,
            started.worker_pid,
            started.containment.as_str()
        ])
}

struct End<'a> {
    at_ms: u64,
    completed: &'a Completed,
    last_seq: u64,
    log_bytes: u64,
}

impl End<'_> {
    /// Returns 1 if it is the task's first end.
    fn write(&self, connection: &Connection, id: &str) -> Result<usize> {
        let completed = self.completed;
        let warnings = Some(&completed.warnings).filter(|warnings| !warnings.is_empty());
        connection
            .prepare_cached(
                "UPDATE task SET
                     ended_ms = :ended_ms, reason = :reason, verdict = :verdict,
                     exit_code = :exit_code, signal = :signal, error = :error,
                     duration_ms = :duration_ms, cpu_ms = :cpu_ms, max_rss_bytes = :max_rss_bytes,
                     output_lines = :output_lines, output_bytes = :output_bytes,
                     dropped_lines = :dropped_lines, dropped_bytes = :dropped_bytes,
                     truncated_lines = :truncated_lines,
                     killed_leftovers = :killed_leftovers, unkillable = :unkillable,
                     last_seq = :last_seq, log_bytes = :log_bytes,
                     warnings = :warnings, claude = :claude
                 WHERE id = :id AND ended_ms IS NULL",
            )?
            .execute(named_params! {
                ":id": id,
                ":ended_ms": Unsigned(self.at_ms),
                ":reason": completed.reason.as_str(),
                ":verdict": completed.verdict.as_str(),
                ":exit_code": completed.exit_code,
                ":signal": completed.signal,
                ":error": completed.error,
                ":duration_ms": Unsigned(completed.duration_ms),
                ":cpu_ms": Unsigned(completed.cpu_ms),
                ":max_rss_bytes": Unsigned(completed.max_rss_bytes),
                ":output_lines": Unsigned(completed.output.lines),
                ":output_bytes": Unsigned(completed.output.bytes),
                ":dropped_lines": Unsigned(completed.output.dropped_lines),
                ":dropped_bytes": Unsigned(completed.output.dropped_bytes),
                ":truncated_lines": Unsigned(completed.output.truncated_lines),
                ":killed_leftovers": Unsigned(completed.killed_leftovers),
                ":unkillable": Unsigned(completed.unkillable),
                ":last_seq": Unsigned(self.last_seq),
                ":log_bytes": Unsigned(self.log_bytes),
                ":warnings": warnings.map(json).transpose()?,
                ":claude": completed.claude.as_ref().map(json).transpose()?,
            })
    }
}

/// Adds what a task has cost to its token's spending, on the day of its end.
fn spend(connection: &Connection, id: &str, result: &ResultSummary) -> Result<()> {
    let Some(usd) = result.cost_usd.filter(|usd| usd.is_finite() && *usd > 0.0) else {
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT INTO spending (token, day, usd)
             SELECT token, ended_ms / ?3, ?2 FROM task WHERE id = ?1 AND token IS NOT NULL
             ON CONFLICT (token, day) DO UPDATE SET usd = usd + excluded.usd",
        )?
        .execute(params![id, usd, Unsigned(DAY_MS)])
        .map(drop)
}

fn summarise(connection: &Connection, id: &str, result: &ResultSummary) -> Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO result (task, is_error, cost_usd, turns, claude_session_id)
             SELECT number, ?2, ?3, ?4, ?5 FROM task WHERE id = ?1",
        )?
        .execute(params![
            id,
            result.is_error,
            result.cost_usd,
            result.turns.map(Unsigned),
            result.claude_session_id
        ])
}
