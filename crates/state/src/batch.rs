//! Batches: what is stored of them, how it is written, and what can be asked. Times are milliseconds since the Unix
//! epoch.
//!
//! Plans and states are texts here, the JSON of the crate that knows batches. A step of a batch is one change: its head and
//! the tasks that the step has changed, all or none.

use rusqlite::{Connection, Result, Row, named_params, params};

use crate::{StateDb, StateError, convert::Unsigned};

#[cfg(test)]
mod tests;

/// SHA-256 of a plan as it was submitted.
pub type PlanHash = [u8; 32];

const BATCH: &str =
    "SELECT id, idempotency_key, plan_hash, plan, head, submitted_ms, over_ms, token FROM batch";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRow {
    pub id: String,
    /// A further submission under the same key is this batch.
    pub idempotency_key: Option<String>,
    /// Of the plan as it was submitted.
    pub plan_hash: PlanHash,
    pub plan: String,
    /// The state of what belongs to no task.
    pub head: String,
    pub submitted_ms: u64,
    pub over_ms: Option<u64>,
    /// The name of the token with which it was submitted.
    pub token: Option<String>,
}

/// A task of a batch whose state differs from that at the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTaskRow {
    /// Its place in the plan, from 0.
    pub place: u64,
    pub state: String,
    /// Its attempts. `None` where none was ever written; in a step: it is as it was.
    pub record: Option<String>,
    /// The whole text of its result, where another task refers to it; in a step, `None`: it is as it was. Read
    /// by [`StateDb::batch_results`] alone.
    pub result: Option<String>,
}

/// A step of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchStep {
    pub id: String,
    pub head: String,
    /// `Some` for the last step.
    pub over_ms: Option<u64>,
    /// The tasks that the step has changed.
    pub tasks: Vec<BatchTaskRow>,
}

/// Which batches [`StateDb::batches`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFilter {
    All,
    Open,
    Over,
}

impl BatchFilter {
    fn newest_first(self, of_token: bool) -> String {
        let condition = match self {
            Self::All => "",
            Self::Open => "over_ms IS NULL AND",
            Self::Over => "over_ms IS NOT NULL AND",
        };
        let token = if of_token { "token = ?3 AND" } else { "" };
        format!("WHERE {condition} {token} number < ?1 ORDER BY number DESC LIMIT ?2")
    }
}

impl BatchRow {
    fn read(row: &Row<'_>) -> Result<Self> {
        let Unsigned(submitted_ms) = row.get("submitted_ms")?;
        let over_ms: Option<Unsigned> = row.get("over_ms")?;
        Ok(Self {
            id: row.get("id")?,
            idempotency_key: row.get("idempotency_key")?,
            plan_hash: row.get("plan_hash")?,
            plan: row.get("plan")?,
            head: row.get("head")?,
            submitted_ms,
            over_ms: over_ms.map(|Unsigned(over_ms)| over_ms),
            token: row.get("token")?,
        })
    }
}

/// Writes a new batch, unless there is one with its id, or with its token and its key.
pub(crate) fn submit(connection: &Connection, batch: &BatchRow) -> Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO batch
                 (id, idempotency_key, plan_hash, plan, head, submitted_ms, over_ms, token)
             VALUES
                 (:id, :idempotency_key, :plan_hash, :plan, :head, :submitted_ms, :over_ms, :token)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":id": batch.id,
            ":idempotency_key": batch.idempotency_key,
            ":plan_hash": batch.plan_hash,
            ":plan": batch.plan,
            ":head": batch.head,
            ":submitted_ms": Unsigned(batch.submitted_ms),
            ":over_ms": batch.over_ms.map(Unsigned),
            ":token": batch.token,
        })
}

pub(crate) fn step(connection: &Connection, step: &BatchStep) -> Result<usize> {
    let over_ms = step.over_ms.map(Unsigned);
    let changed = connection
        .prepare_cached(
            "UPDATE batch SET head = ?2, over_ms = ?3 WHERE id = ?1 AND over_ms IS NULL",
        )?
        .execute(params![step.id, step.head, over_ms])?;
    if changed == 0 {
        return Ok(0);
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO batch_task (batch, place, state, record, result)
         SELECT number, ?2, ?3, ?4, ?5 FROM batch WHERE id = ?1
         ON CONFLICT (batch, place) DO UPDATE SET
             state = excluded.state,
             record = coalesce(excluded.record, record),
             result = coalesce(excluded.result, result)",
    )?;
    for task in &step.tasks {
        let place = Unsigned(task.place);
        statement.execute(params![step.id, place, task.state, task.record, task.result])?;
    }
    Ok(changed)
}

/// Removes batches that were over before this.
pub(crate) fn prune(connection: &Connection, before_ms: u64) -> Result<usize> {
    connection
        .prepare_cached("DELETE FROM batch WHERE over_ms < ?1")?
        .execute(params![Unsigned(before_ms)])
}

/// # Errors
/// Every one of these fails with [`StateError::Damaged`], or with [`StateError::Sqlite`] where the disk fails.
impl StateDb {
    pub fn batch(&self, id: &str) -> std::result::Result<Option<BatchRow>, StateError> {
        self.first(&format!("{BATCH} WHERE id = ?1"), [id], BatchRow::read)
    }

    /// The batch that was submitted with this token under this key.
    pub fn batch_of_key(
        &self,
        token: Option<&str>,
        key: &str,
    ) -> std::result::Result<Option<BatchRow>, StateError> {
        let sql =
            format!("{BATCH} WHERE ifnull(token, '') = ifnull(?1, '') AND idempotency_key = ?2");
        self.first(&sql, params![token, key], BatchRow::read)
    }

    /// At most `limit` batches, the newest first, of those submitted before the batch `before`. It may
    /// have been removed since: then its uuid tells the time.
    pub fn batches(
        &self,
        filter: BatchFilter,
        before: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<BatchRow>, StateError> {
        self.batches_of(None, filter, before, limit)
    }

    /// The same, of those submitted with this token; `None`: with any, or none.
    pub fn batches_of(
        &self,
        token: Option<&str>,
        filter: BatchFilter,
        before: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<BatchRow>, StateError> {
        let end = match before {
            None => i64::MAX,
            Some(id) => self
                .first(
                    "SELECT number FROM batch WHERE id >= ?1 ORDER BY id LIMIT 1",
                    [id],
                    |row| row.get(0),
                )?
                .unwrap_or(i64::MAX),
        };
        let sql = format!("{BATCH} {}", filter.newest_first(token.is_some()));
        let limit = Unsigned(limit as u64);
        match token {
            None => self.all(&sql, params![end, limit], BatchRow::read),
            Some(token) => self.all(&sql, params![end, limit, token], BatchRow::read),
        }
    }

    /// The tasks of a batch that are not as they were at the beginning, in the plan's order, from the place
    /// `first` on and before the place `end`.
    pub fn batch_tasks(
        &self,
        id: &str,
        first: u64,
        end: u64,
    ) -> std::result::Result<Vec<BatchTaskRow>, StateError> {
        self.all(
            "SELECT place, state, record FROM batch_task
             WHERE batch = (SELECT number FROM batch WHERE id = ?1) AND place >= ?2 AND place < ?3
             ORDER BY place",
            params![id, Unsigned(first), Unsigned(end)],
            |row| {
                let Unsigned(place) = row.get(0)?;
                Ok(BatchTaskRow { place, state: row.get(1)?, record: row.get(2)?, result: None })
            },
        )
    }

    /// The results of these tasks of a batch, of those that have one that was kept.
    pub fn batch_results(
        &self,
        id: &str,
        places: &[u64],
    ) -> std::result::Result<Vec<(u64, String)>, StateError> {
        let mut results = Vec::new();
        for &place in places {
            let result: Option<Option<String>> = self.first(
                "SELECT result FROM batch_task
                 WHERE batch = (SELECT number FROM batch WHERE id = ?1) AND place = ?2",
                params![id, Unsigned(place)],
                |row| row.get(0),
            )?;
            results.extend(result.flatten().map(|result| (place, result)));
        }
        Ok(results)
    }

    /// The record of the newest task of a batch whose record holds this text; `None` where there is none. All records are
    /// looked through: for what is seldom asked.
    pub fn newest_batch_record_with(
        &self,
        text: &str,
    ) -> std::result::Result<Option<String>, StateError> {
        self.first(
            "SELECT record FROM batch_task WHERE record IS NOT NULL AND instr(record, ?1) > 0
             ORDER BY batch DESC, place DESC LIMIT 1",
            params![text],
            |row| row.get(0),
        )
    }

    /// How long the newest successful runs with this label took, milliseconds, the newest first.
    pub fn durations_of_label(
        &self,
        label: &str,
        limit: usize,
    ) -> std::result::Result<Vec<u64>, StateError> {
        self.durations("label", label, limit)
    }

    /// The same for prompts of this shape.
    pub fn durations_of_shape(
        &self,
        shape: &str,
        limit: usize,
    ) -> std::result::Result<Vec<u64>, StateError> {
        self.durations("shape", shape, limit)
    }

    fn durations(
        &self,
        column: &str,
        value: &str,
        limit: usize,
    ) -> std::result::Result<Vec<u64>, StateError> {
        let sql = format!(
            "SELECT duration_ms FROM task WHERE {column} = ?1 AND verdict = 'succeeded'
             ORDER BY number DESC LIMIT ?2"
        );
        self.all(&sql, params![value, Unsigned(limit as u64)], |row| {
            row.get(0).map(|Unsigned(duration_ms)| duration_ms)
        })
    }
}
