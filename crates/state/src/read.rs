//! What can be asked. Each answer is bounded by its `limit`, or by what can be open at once.

use rusqlite::{CachedStatement, OptionalExtension as _, Params, Result, Row, params};

use crate::{SessionRow, StateDb, StateError, TaskRow, convert::Unsigned, error};

#[cfg(test)]
mod tests;

const TASK: &str = "SELECT task.*, is_error, cost_usd, turns, claude_session_id
                    FROM task LEFT JOIN result ON result.task = task.number";
const NAMED: &str = "WHERE id = ?1";
const UNFINISHED: &str = "WHERE ended_ms IS NULL ORDER BY number";
const OF_SESSION: &str = "WHERE session_id = ?1 AND number >= ?2 ORDER BY number LIMIT ?3";

const PLACE: &str = "SELECT number FROM task WHERE id >= ?1 ORDER BY id LIMIT 1";

// `sum` fails when it overflows; `total` is exact as far as any disk goes.
const ENDED_SUMS: &str = "SELECT count(*), CAST(total(log_bytes) AS INTEGER) FROM task
                          WHERE ended_ms IS NOT NULL";
const ENDED_FIRST: &str = "SELECT id, ended_ms, log_bytes FROM task
                           WHERE ended_ms IS NOT NULL ORDER BY ended_ms, number LIMIT ?1";

/// A day of spending.
pub const DAY_MS: u64 = 86_400_000;

/// Which tasks [`StateDb::tasks`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    All,
    Unfinished,
    Ended,
}

impl Filter {
    fn newest_first(self, of_token: bool) -> String {
        let condition = match self {
            Self::All => "",
            Self::Unfinished => "ended_ms IS NULL AND",
            Self::Ended => "ended_ms IS NOT NULL AND",
        };
        let token = if of_token { "token = ?3 AND" } else { "" };
        format!("WHERE {condition} {token} number < ?1 ORDER BY number DESC LIMIT ?2")
    }
}

/// What retention chooses from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionCandidates {
    pub ended_tasks: u64,
    /// Size of the logs of all of them.
    pub log_bytes: u64,
    /// Those that ended first, the first one first.
    pub oldest: Vec<EndedTask>,
}

/// A task that retention may remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedTask {
    pub id: String,
    pub ended_ms: u64,
    pub log_bytes: u64,
}

/// # Errors
/// Every one of these fails with [`StateError::Damaged`], or with [`StateError::Sqlite`] where the disk fails.
impl StateDb {
    /// The sessions that can be resumed, the oldest first.
    pub fn sessions(&self) -> std::result::Result<Vec<SessionRow>, StateError> {
        self.all(
            "SELECT * FROM session WHERE closed_ms IS NULL ORDER BY begun_ms, id",
            (),
            SessionRow::read,
        )
    }

    /// A session, also a closed one, until its tombstone is pruned.
    pub fn session(&self, id: &str) -> std::result::Result<Option<SessionRow>, StateError> {
        self.first("SELECT * FROM session WHERE id = ?1", [id], SessionRow::read)
    }

    pub fn task(&self, id: &str) -> std::result::Result<Option<TaskRow>, StateError> {
        self.first(&format!("{TASK} {NAMED}"), [id], TaskRow::read)
    }

    /// All tasks without an end, the oldest first: what a supervisor takes over when it starts.
    pub fn unfinished_tasks(&self) -> std::result::Result<Vec<TaskRow>, StateError> {
        self.all(&format!("{TASK} {UNFINISHED}"), (), TaskRow::read)
    }

    /// At most `limit` tasks, the newest first, of those accepted before the task `before`. It may have
    /// been forgotten since: then its uuid tells the time.
    pub fn tasks(
        &self,
        filter: Filter,
        before: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<TaskRow>, StateError> {
        self.tasks_of(None, filter, before, limit)
    }

    /// The same, of those started with this token; `None`: with any, or none.
    pub fn tasks_of(
        &self,
        token: Option<&str>,
        filter: Filter,
        before: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<TaskRow>, StateError> {
        let end = match before {
            None => i64::MAX,
            Some(id) => self.number_at_or_after(id)?,
        };
        let sql = format!("{TASK} {}", filter.newest_first(token.is_some()));
        let limit = Unsigned(limit as u64);
        match token {
            None => self.all(&sql, params![end, limit], TaskRow::read),
            Some(token) => self.all(&sql, params![end, limit, token], TaskRow::read),
        }
    }

    /// At most `limit` tasks of a session, the oldest first, from the task `from` on (inclusive). It may
    /// have been forgotten or detached since.
    pub fn session_tasks(
        &self,
        session_id: &str,
        from: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<TaskRow>, StateError> {
        let begin = match from {
            None => 0,
            Some(id) => self.number_at_or_after(id)?,
        };
        self.all(
            &format!("{TASK} {OF_SESSION}"),
            params![session_id, begin, Unsigned(limit as u64)],
            TaskRow::read,
        )
    }

    /// What the tasks of a token have cost that ended on this day (since the Unix epoch) or later, in US dollars.
    pub fn spent(&self, token: &str, first_day: u64) -> std::result::Result<f64, StateError> {
        let sum = "SELECT total(usd) FROM spending WHERE token = ?1 AND day >= ?2";
        let spent = self.first(sum, params![token, Unsigned(first_day)], |row| row.get(0))?;
        Ok(spent.unwrap_or_default())
    }

    /// How much there is of ended tasks, and the `limit` of them that ended first. Adds up all of them,
    /// half a millisecond for ten thousand: not for after every task.
    pub fn retention_candidates(
        &self,
        limit: usize,
    ) -> std::result::Result<RetentionCandidates, StateError> {
        let sums = self.first(ENDED_SUMS, (), |row| {
            let (Unsigned(ended_tasks), Unsigned(log_bytes)) = (row.get(0)?, row.get(1)?);
            Ok((ended_tasks, log_bytes))
        })?;
        let (ended_tasks, log_bytes) = sums.unwrap_or_default();
        let oldest = self.all(ENDED_FIRST, params![Unsigned(limit as u64)], |row| {
            let (Unsigned(ended_ms), Unsigned(log_bytes)) = (row.get(1)?, row.get(2)?);
            Ok(EndedTask { id: row.get(0)?, ended_ms, log_bytes })
        })?;
        Ok(RetentionCandidates { ended_tasks, log_bytes, oldest })
    }

    /// The place of a task in the order of acceptance. The place of one that is not there is that of
    /// the next by id, since ids are uuids of version 7; behind all others there is none.
    fn number_at_or_after(&self, id: &str) -> std::result::Result<i64, StateError> {
        let number = self.first(PLACE, [id], |row| row.get(0))?;
        Ok(number.unwrap_or(i64::MAX))
    }

    pub(crate) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> std::result::Result<Option<T>, StateError> {
        self.prepare(sql)
            .and_then(|mut statement| statement.query_row(params, read).optional())
            .map_err(error::at(&self.path))
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> std::result::Result<Vec<T>, StateError> {
        self.prepare(sql)
            .and_then(|mut statement| statement.query_map(params, read)?.collect())
            .map_err(error::at(&self.path))
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }
}
