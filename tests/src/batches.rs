//! Batches as a client sees them, with the invariants that hold for every one.
//!
//! Plans are plain JSON, as everything that the suites send. Called by the suites of `batch`.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Client, Options, Supervisor,
    binaries::misbehave_argv,
    cgroup::Containment,
    client::Incoming,
    ledger::{Ledger, TAG_VARIABLE},
    unique_tag,
};

/// How long a test waits for the next word about a batch: a wait for a limit lasts up to half a minute
/// longer than the limit, and no message comes meanwhile.
pub const BATCH_PATIENCE: Duration = Duration::from_secs(120);

/// Options for most suites about batches: the fixture agent, and a short grace at the end of a task.
#[must_use]
pub fn options() -> Options {
    contained(&Containment::Subreaper)
}

/// The same, with this containment.
#[must_use]
pub fn contained(containment: &Containment) -> Options {
    containment.options().fixture_agent().flag("--grace", 1)
}

/// A supervisor with [`options`].
#[must_use]
pub fn supervisor() -> Supervisor {
    Supervisor::start(&options())
}

/// What one test's batches share: the tag of their processes, and a ledger.
pub struct Notes {
    /// Each start and end.
    pub ledger: Ledger,
    tag: String,
}

impl Notes {
    /// New ones, in a file of the supervisor's scratch directory.
    #[must_use]
    pub fn new(supervisor: &Supervisor) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let ledger = Ledger::at(&supervisor.scratch().join(format!("ledger-{number}")));
        Self { ledger, tag: unique_tag("batch") }
    }

    /// A prompt for the fixture agent that plays these, one a start; the last one from then on.
    #[must_use]
    pub fn prompt<S: AsRef<str>>(&self, name: &str, plays: impl IntoIterator<Item = S>) -> Value {
        let plays: Vec<String> = plays.into_iter().map(|play| play.as_ref().to_owned()).collect();
        let script = json!({"ledger": self.ledger.path(), "name": name, "plays": plays});
        self.task(name, json!({"prompt": format!("script: {script}")}))
    }

    #[must_use]
    pub fn shell(&self, name: &str, command: &str) -> Value {
        let argv = misbehave_argv(&["trace", self.ledger.path(), name, command]);
        self.task(name, json!({ "argv": argv }))
    }

    fn task(&self, name: &str, mut task: Value) -> Value {
        task["name"] = json!(name);
        task["env"] = json!({TAG_VARIABLE: self.tag});
        task
    }
}

/// A batch that is over, as every client sees it.
#[derive(Debug)]
pub struct Over {
    pub batch: Value,
    /// A row a task.
    pub rows: Vec<Value>,
}

/// A plan with default options.
#[must_use]
pub fn plan(tasks: impl IntoIterator<Item = Value>) -> Value {
    plan_with(json!({}), tasks)
}

#[must_use]
pub fn plan_with(options: Value, tasks: impl IntoIterator<Item = Value>) -> Value {
    let tasks: Vec<Value> = tasks.into_iter().collect();
    json!({"options": options, "tasks": tasks})
}

/// The same task with other members.
#[must_use]
pub fn with(mut task: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        task[name] = value.clone();
    }
    task
}

/// Submits a plan; returns the id of its new batch.
pub fn submit(client: &mut Client, plan: &Value) -> String {
    let answer = client.call("batch.submit", plan).expect("the plan is accepted");
    assert_eq!(answer["is_new"], true, "{answer}");
    assert_eq!(answer["tasks"], plan["tasks"].as_array().unwrap().len(), "{answer}");
    answer["batch_id"].as_str().unwrap().to_owned()
}

/// Submits a plan and waits for its end.
pub fn run(supervisor: &Supervisor, plan: &Value) -> Over {
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, plan);
    Over::of(&mut client, &batch_id)
}

pub fn get(client: &mut Client, batch_id: &str) -> Value {
    client.call("batch.get", &json!({ "batch_id": batch_id })).expect("the batch is known")
}

pub fn attach(client: &mut Client, batch_id: &str) -> Value {
    client.set_patience(BATCH_PATIENCE);
    client.call("batch.attach", &json!({ "batch_id": batch_id })).expect("the batch is attached to")
}

/// Reads the messages about an attached batch until one says so, or it is over; returns all of them.
///
/// # Panics
/// When none comes, or it is over without having said so.
pub fn progress_until(
    client: &mut Client,
    batch_id: &str,
    mut is_so: impl FnMut(&Value) -> bool,
) -> Vec<Value> {
    let mut messages = Vec::new();
    loop {
        let message = client.recv_json();
        if message["params"]["batch"]["batch_id"] != batch_id {
            continue;
        }
        let is_over = message["method"] == "batch.completed";
        let params = message["params"].clone();
        let is_last = is_so(&params);
        messages.push(message);
        if is_last {
            return messages;
        }
        assert!(!is_over, "the batch is over without that: {messages:?}");
    }
}

/// All rows, page by page.
///
/// # Panics
/// When a page is refused, empty although there are more, or not where it should begin.
pub fn rows(client: &mut Client, batch_id: &str, limit: Option<u64>) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let mut params = json!({ "batch_id": batch_id });
        if !rows.is_empty() {
            params["after_index"] = json!(rows.len() - 1);
        }
        if let Some(limit) = limit {
            params["limit"] = json!(limit);
        }
        let page = client.call("batch.rows", &params).expect("rows are told");
        let new = page["rows"].as_array().unwrap();
        if let Some(limit) = limit {
            assert!(new.len() as u64 <= limit, "{} rows in a page of {limit}", new.len());
        }
        rows.extend(new.iter().cloned());
        if page["has_more"] == false {
            return rows;
        }
        assert!(!new.is_empty(), "a page without rows, and there are more");
    }
}

impl Over {
    /// Attaches to a batch, waits for its end and checks what holds for every one.
    ///
    /// # Panics
    /// When it does not end, or something does not hold.
    #[must_use]
    pub fn of(client: &mut Client, batch_id: &str) -> Self {
        attach(client, batch_id);
        Self::of_attached(client, batch_id)
    }

    /// The same on a connection that is attached to the batch already.
    ///
    /// # Panics
    /// When it does not end, or something does not hold.
    #[must_use]
    pub fn of_attached(client: &mut Client, batch_id: &str) -> Self {
        let end = Self::completed(client, batch_id);
        let told = end["params"]["rows"].as_array().unwrap();
        let rows = rows(client, batch_id, None);
        assert_eq!(told[..], rows[..told.len()], "the end tells what can be asked for");
        let is_whole = told.len() == rows.len();
        assert_eq!(end["params"]["rows_omitted"], !is_whole, "{} of {}", told.len(), rows.len());
        let batch = get(client, batch_id);
        assert_eq!(end["params"]["batch"], batch, "the end tells what can be asked for");
        Self::checked(batch, rows)
    }

    /// Waits for the end of an attached batch.
    fn completed(client: &mut Client, batch_id: &str) -> Value {
        loop {
            match client.recv() {
                Incoming::Json(message) => {
                    if message["method"] == "batch.completed"
                        && message["params"]["batch"]["batch_id"] == batch_id
                    {
                        return message;
                    }
                }
                end @ (Incoming::Closed { .. } | Incoming::Ended) => {
                    panic!("the end of the batch was expected: {end:?}")
                }
            }
        }
    }

    /// Checks what must be true of every batch that is over.
    #[must_use]
    pub fn checked(batch: Value, rows: Vec<Value>) -> Self {
        let over = Self { batch, rows };
        assert_eq!(over.batch["state"], "over", "{}", over.batch);
        assert!(over.batch["outcome"].is_string(), "{}", over.batch);
        assert!(over.batch["waits"].is_null(), "{}", over.batch);
        assert_eq!(over.batch["running"], json!([]), "{}", over.batch);
        assert!(over.batch["ended_ms"].is_u64(), "{}", over.batch);
        for (index, row) in over.rows.iter().enumerate() {
            assert_eq!(row["index"], index, "a row a task, in order: {row}");
            check_row(row);
        }
        over.check_counts();
        over
    }

    fn check_counts(&self) {
        let counts = &self.batch["counts"];
        let count =
            |is_so: &dyn Fn(&Value) -> bool| self.rows.iter().filter(|row| is_so(row)).count();
        let succeeded = count(&|row| row["verdict"] == "succeeded");
        let skipped = count(&|row| row["state"] == "skipped");
        let expected = json!({
            "tasks": self.rows.len(), "waiting": 0, "running": 0, "retrying": 0,
            "succeeded": succeeded, "skipped": skipped,
            "failed": self.rows.len() - succeeded - skipped,
        });
        assert_eq!(counts, &expected, "{}", self.batch);
    }

    /// The row of the task with this name.
    #[must_use]
    pub fn row(&self, name: &str) -> &Value {
        let row = self.rows.iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("no task is named {name}: {:?}", self.rows))
    }

    /// For each task its verdict, or `skipped`.
    #[must_use]
    pub fn verdicts(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row["verdict"].as_str().unwrap_or("skipped")).collect()
    }

    #[must_use]
    pub fn outcome(&self) -> &str {
        self.batch["outcome"].as_str().unwrap()
    }

    /// The first line of a report on it.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.batch["reason"].as_str().unwrap_or_else(|| panic!("no reason: {}", self.batch))
    }

    /// Ids of all attempts of all tasks, in order.
    #[must_use]
    pub fn task_ids(&self) -> Vec<&str> {
        self.rows
            .iter()
            .flat_map(attempts)
            .map(|attempt| attempt["task_id"].as_str().unwrap())
            .collect()
    }

    /// Checks that all of them succeeded, each at its first start.
    pub fn assert_all_succeeded_at_once(&self) {
        assert_eq!(self.outcome(), "succeeded", "{}", self.batch);
        for row in &self.rows {
            assert_eq!(row["verdict"], "succeeded", "{row}");
            assert_eq!(attempts(row).len(), 1, "{row}");
        }
    }
}

/// The attempts of a row.
#[must_use]
pub fn attempts(row: &Value) -> &Vec<Value> {
    row["attempts"].as_array().unwrap_or_else(|| panic!("no attempts: {row}"))
}

/// For each attempt of a row its class.
#[must_use]
pub fn classes(row: &Value) -> Vec<Option<&str>> {
    attempts(row).iter().map(|attempt| attempt["class"].as_str()).collect()
}

/// Exactly one verdict, or the reason why it never began.
fn check_row(row: &Value) {
    match row["state"].as_str() {
        Some("over") => {
            assert!(row["verdict"].is_string(), "{row}");
            assert!(row["why"].is_null(), "{row}");
        }
        Some("skipped") => {
            assert!(row["verdict"].is_null(), "{row}");
            assert!(row["why"].as_str().is_some_and(|why| !why.is_empty()), "{row}");
            assert!(attempts(row).is_empty(), "what was skipped never began: {row}");
        }
        _ => panic!("the batch is over, and its task is not: {row}"),
    }
    for (number, attempt) in attempts(row).iter().enumerate() {
        assert!(attempt["task_id"].is_string(), "{row}");
        assert!(attempt["verdict"].is_string(), "each attempt has ended: {row}");
        assert!(attempt["started_ms"].as_u64() <= attempt["ended_ms"].as_u64(), "{row}");
        if number > 0 {
            let before = &attempts(row)[number - 1];
            assert!(before["ended_ms"].as_u64() <= attempt["started_ms"].as_u64(), "{row}");
        }
    }
    if let Some(last) = attempts(row).last() {
        assert!(row["verdict"].is_string(), "{row}");
        assert!(last["wait_until_ms"].is_null() || row["verdict"] != "succeeded", "{row}");
    }
}
