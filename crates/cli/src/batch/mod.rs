//! `ccx batch`: the tasks of a file as a batch of a supervisor, looked at from here.
//!
//! Modules in the order of a batch: `plan` makes of file and command line what is submitted, `live`
//! follows it to its end, with `question` for Ctrl-C, `status` for what is said meanwhile and `row` for
//! the table; `list` is for batches that are there already. The supervisor decides everything: order,
//! retries, waits, halting. A private one ends with this command, and its batch with it.

pub(crate) mod list;
mod live;
mod plan;
mod question;
mod row;
mod status;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cc_batch::Plan;
use cc_client::{BatchAnswer, BatchRequest, Connection, Error, Reconnect, Session, SessionEvent};
use cc_protocol::batch::{
    BatchOutcome, BatchResume, BatchRow, BatchRows, BatchSummary, ROWS_LIMIT, ResumeOnly,
};
use uuid::Uuid;

#[cfg(test)]
pub(crate) use self::row::shown;
use self::{
    live::{Hold, Live, Recorder, Seen, Stop},
    plan::Submission,
};
use crate::{
    args::{
        AgentOption, BatchArguments, BatchAttachArguments, BatchCommand, BatchView, ServerOptions,
    },
    conclusion::{self, Conclusion, End},
    dry_run, exit_code,
    failure::Failure,
    interrupts::{Interrupt, Interrupts},
    leftovers,
    private_supervisor::Urgency,
    progress::Progress,
    report,
    reports::{AccountEnd, Entry, Past, Reports, Task, Totals, Wanted, Which},
    run::private_arguments,
    server::{Server, Standing, USUAL_URL},
    task_file::{self, FileOptions},
    text,
};

/// How long a connection to a supervisor that stays is tried again: it may be restarted meanwhile, and the
/// batch goes on without this command anyhow.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

fn reconnect() -> Reconnect {
    Reconnect { patience: Some(PATIENCE), ..Reconnect::default() }
}

/// Runs the command to its exit code.
pub(crate) async fn run(
    options: ServerOptions,
    mut arguments: BatchArguments,
) -> Result<u8, Failure> {
    match arguments.command.take() {
        Some(BatchCommand::Attach(arguments)) => return attach(options, arguments).await,
        Some(BatchCommand::Cancel(arguments)) => return list::cancel(options, arguments).await,
        None => {}
    }
    match Resume::of(&arguments)? {
        Some(Resume::Batch { typed, only }) => resume(options, &arguments, &typed, only).await,
        Some(Resume::Joblog { path, which }) => {
            submit(options, arguments, Some((path, which))).await
        }
        None => submit(options, arguments, None).await,
    }
}

/// What is gone on with.
enum Resume {
    Batch { typed: String, only: ResumeOnly },
    Joblog { path: PathBuf, which: Which },
}

impl Resume {
    fn of(arguments: &BatchArguments) -> Result<Option<Self>, Failure> {
        let (typed, only, which) = match (&arguments.resume, &arguments.resume_failed) {
            (Some(typed), _) => (typed, ResumeOnly::Unsuccessful, Which::NotSucceeded),
            (None, Some(typed)) => (typed, ResumeOnly::Failed, Which::Failed),
            (None, None) => return Ok(None),
        };
        let path = PathBuf::from(typed);
        if path.exists() || !is_id_like(typed) {
            if arguments.file.is_none() {
                return Err(Failure::usage(format!(
                    "{typed}: a joblog is gone on with together with its task file: ccx batch FILE --resume {typed}"
                )));
            }
            return Ok(Some(Self::Joblog { path, which }));
        }
        if arguments.file.is_some() {
            return Err(Failure::usage(format!(
                "{typed} is no file, and a batch is resumed by its id without a task file: the supervisor has its tasks"
            )));
        }
        Ok(Some(Self::Batch { typed: typed.clone(), only }))
    }
}

/// Whether it can be a part of a batch's id.
fn is_id_like(typed: &str) -> bool {
    const ID_CHARS: usize = 36;
    (1..=ID_CHARS).contains(&typed.len())
        && typed.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Submits the tasks of a file.
async fn submit(
    mut options: ServerOptions,
    arguments: BatchArguments,
    resume: Option<(PathBuf, Which)>,
) -> Result<u8, Failure> {
    if arguments.detach {
        // A private supervisor would end with this command, and its batch with it.
        options.url.get_or_insert_with(|| USUAL_URL.to_owned());
        refuse_reports_of_nobody(&arguments)?;
    }
    let mut interrupts = Interrupts::catch()?;
    let path = arguments.file.as_deref().unwrap_or(Path::new("-"));
    let file = task_file::read(path, arguments.format)?;
    let agent = agent(&options, &arguments.agent, file.file.options())?;
    let wanted = arguments.reports.settle(file.file.options(), resume.clone())?;
    let resume = resume.as_ref().map(|(path, which)| (path.as_path(), *which));
    let submission = Submission::make(&options, &arguments, file, resume)?;
    if arguments.dry_run {
        print_dry_run(&submission, arguments.view.json);
        return Ok(0);
    }
    let private_arguments = private_arguments(&options, &agent, submission.is_agent_needed())?;
    let Submission { plan, tasks, left_out, past } = submission;
    if let (true, Some(plan)) = (arguments.detach, &plan) {
        return detach(&options, plan).await;
    }
    let name = path.display().to_string();
    let done = past.as_ref().map(Past::done);
    let mut shown = Shown::open(arguments.view, &wanted, &name, &tasks, &left_out, past)?;
    if let Some(done) = done.filter(|_| !arguments.view.quiet) {
        let (done, to_run) = (text::count(done, "task"), tasks.len());
        conclusion::note(&format!("ccx: {done} succeeded before; {to_run} to run"));
    }
    shown.succeeded_before = done.unwrap_or_default();
    let Some(plan) = plan else { return Ok(shown.conclude_nothing()) };
    leftovers::take_in_orphans();
    let opened = Server::open(&options, &private_arguments, reconnect(), &mut interrupts).await;
    let mut server = match opened {
        Ok(server) => server,
        Err(failure) => return Err(shown.fail(failure)),
    };
    let submitted = submit_on(&mut server.session, plan, &mut interrupts).await;
    let batch_id = match submitted {
        Ok(batch_id) => batch_id,
        Err(failure) => {
            // What it says of its own end matters less than why nothing was begun.
            server.close(Urgency::AtOnce).await.ok();
            return Err(shown.fail(failure));
        }
    };
    let hold = if server.is_private() { Hold::Private } else { Hold::Started };
    follow(server, &options, hold, &batch_id, &tasks, shown, &mut interrupts).await
}

/// Who detaches writes no reports.
fn refuse_reports_of_nobody(arguments: &BatchArguments) -> Result<(), Failure> {
    if arguments.reports.is_any() {
        return Err(Failure::usage(
            "reports are written by whoever is attached; leave --detach away, or write them later: ccx batch attach ID --report FILE",
        ));
    }
    Ok(())
}

fn print_dry_run(submission: &Submission, is_json: bool) {
    let (plan, tasks) = (submission.plan.as_ref(), &submission.tasks);
    let text = if is_json {
        dry_run::json(plan, tasks)
    } else {
        dry_run::table(plan, tasks, conclusion::look().columns)
    };
    conclusion::print(&text);
}

/// Submits it and leaves it.
async fn detach(options: &ServerOptions, plan: &Plan) -> Result<u8, Failure> {
    let mut connection = Standing::of(options)?.connect().await?;
    let submitted = match connection.batch_submit(plan).await {
        Ok(submitted) => submitted,
        Err(Error::Server(error)) => return Err(Failure::own(error.message)),
        Err(error @ Error::MessageTooLarge { .. }) => return Err(error.into()),
        Err(error) => {
            return Err(Failure::own(format!(
                "{error}; whether the batch was begun is not known here: see `ccx batches`"
            )));
        }
    };
    conclusion::print(&format!("{}\n", submitted.batch_id));
    connection.close().await;
    Ok(0)
}

/// Submits it on a session, whose outages it survives; returns its id.
async fn submit_on(
    session: &mut Session,
    mut plan: Plan,
    interrupts: &mut Interrupts,
) -> Result<String, Failure> {
    // A lost answer is asked for again, and gives the same batch.
    plan.idempotency_key.get_or_insert_with(|| Uuid::new_v4().to_string());
    let asked = session.ask_batch(BatchRequest::Submit(Box::new(plan))).await?;
    loop {
        let event = tokio::select! {
            biased;
            interrupt = interrupts.next() => return Err(interruption(interrupt)),
            event = session.next_event() => event?,
        };
        if let SessionEvent::Batch { id, outcome } = event
            && id == asked
        {
            return match outcome {
                Ok(BatchAnswer::Submitted(submitted)) => {
                    if !submitted.is_new {
                        conclusion::note(&format!(
                            "ccx: batch {} has this idempotency key; it is shown",
                            submitted.batch_id
                        ));
                    }
                    Ok(submitted.batch_id)
                }
                Ok(BatchAnswer::Attached(_) | BatchAnswer::Rows(_) | BatchAnswer::Canceled) => {
                    Err(Failure::own("the server broke the protocol: another answer was due"))
                }
                Err(error) => Err(Failure::own(error.message)),
            };
        }
    }
}

fn interruption(interrupt: Interrupt) -> Failure {
    Failure {
        exit_code: interrupt.exit_code(),
        text: "interrupted while the batch was submitted; `ccx batches` says whether it was"
            .to_owned(),
    }
}

/// Runs again what has not succeeded of a batch that the supervisor knows.
async fn resume(
    options: ServerOptions,
    arguments: &BatchArguments,
    typed: &str,
    only: ResumeOnly,
) -> Result<u8, Failure> {
    let standing = Standing::of(&options)?;
    let mut connection = standing.connect().await?;
    let before = list::resolve(&mut connection, typed).await?;
    let which = BatchResume { batch_id: before.batch_id.clone(), only };
    let resumed = match connection.batch_resume(&which).await {
        Ok(resumed) => resumed,
        Err(Error::Server(error)) => {
            return Err(Failure::own(format!("batch {}: {}", before.batch_id, error.message)));
        }
        Err(error) => {
            return Err(Failure::own(format!(
                "{error}; whether it was resumed is not known here: see `ccx batches`"
            )));
        }
    };
    if arguments.detach {
        refuse_reports_of_nobody(arguments)?;
        conclusion::print(&format!("{}\n", resumed.batch_id));
        connection.close().await;
        return Ok(0);
    }
    let done = usize::try_from(before.counts.succeeded).unwrap_or_default();
    if !arguments.view.quiet {
        let done = text::count(done, "task");
        conclusion::note(&format!(
            "ccx: {done} succeeded before; {} to run, as batch {}",
            resumed.tasks, resumed.batch_id
        ));
    }
    let wanted = arguments.reports.settle(&FileOptions::default(), None)?;
    let view = (arguments.view, Hold::Started, done);
    look_at(&options, &standing, connection, &resumed.batch_id, &wanted, view).await
}

/// Shows a batch that is there.
async fn attach(options: ServerOptions, arguments: BatchAttachArguments) -> Result<u8, Failure> {
    let wanted = arguments.reports.settle(&FileOptions::default(), None)?;
    let standing = Standing::of(&options)?;
    let mut connection = standing.connect().await?;
    let batch = list::resolve(&mut connection, &arguments.id).await?;
    let view = (arguments.view, Hold::Viewed, 0);
    look_at(&options, &standing, connection, &batch.batch_id, &wanted, view).await
}

/// Follows a batch whose file is not known here.
async fn look_at(
    options: &ServerOptions,
    standing: &Standing,
    mut connection: Connection,
    batch_id: &str,
    wanted: &Wanted,
    (view, hold, succeeded_before): (BatchView, Hold, usize),
) -> Result<u8, Failure> {
    let batch = connection.batch_get(batch_id).await?;
    let tasks = tasks_of(&mut connection, batch_id).await?;
    let name = batch.name.as_deref().unwrap_or(batch_id);
    let mut shown = Shown::open(view, wanted, name, &tasks, &[], None)?;
    shown.succeeded_before = succeeded_before;
    let mut interrupts = Interrupts::catch()?;
    let session = standing.session(connection, reconnect()).await?;
    let server = Server::standing(session);
    follow(server, options, hold, batch_id, &tasks, shown, &mut interrupts).await
}

async fn tasks_of(connection: &mut Connection, batch_id: &str) -> Result<Vec<Task>, Failure> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut after_index = None;
    loop {
        let which = BatchRows { batch_id: batch_id.to_owned(), after_index, limit: ROWS_LIMIT };
        let page = connection.batch_rows(&which).await?;
        tasks.extend(page.rows.iter().map(Task::of_row));
        after_index = page.rows.last().map(|row| row.index);
        if !page.has_more || after_index.is_none() {
            return Ok(tasks);
        }
    }
}

/// Follows the batch to its end, or to where it is left, and says all that is to be said.
async fn follow(
    mut server: Server,
    options: &ServerOptions,
    hold: Hold,
    batch_id: &str,
    tasks: &[Task],
    mut shown: Shown,
    interrupts: &mut Interrupts,
) -> Result<u8, Failure> {
    if hold != Hold::Private {
        shown.reports.name_batch(batch_id);
    }
    let view = shown.view;
    let mut progress = Progress::new(tasks.len(), view.quiet);
    let live = Live::new(hold, batch_id, tasks, view.show_output, &mut progress, &mut shown);
    let seen = live.follow(&mut server.session, interrupts).await;
    if let Some(Stop::Detached(interrupt) | Stop::GivenUp(interrupt)) = seen.stop
        && hold != Hold::Private
    {
        conclusion::note(&format!(
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
    let code = own_code(&seen);
    let end = end_of(seen, tasks);
    let conclusion = Conclusion::reach(server, options, end).await;
    Ok(shown.conclude(&conclusion, code))
}

/// The exit code, where something else than the tasks decides it.
fn own_code(seen: &Seen) -> Option<u8> {
    match &seen.stop {
        Some(Stop::Canceled(interrupt) | Stop::GivenUp(interrupt) | Stop::Detached(interrupt)) => {
            Some(interrupt.exit_code())
        }
        Some(Stop::Broken(failure)) => Some(failure.exit_code),
        None => None,
    }
}

fn end_of(seen: Seen, tasks: &[Task]) -> End {
    let Seen { summary, rows, stop } = seen;
    let (urgency, broken) = match stop {
        Some(Stop::GivenUp(_) | Stop::Detached(_)) => {
            (Urgency::AtOnce, Some("interrupted".to_owned()))
        }
        Some(Stop::Canceled(_)) => (Urgency::Polite, Some("interrupted".to_owned())),
        Some(Stop::Broken(failure)) => (Urgency::Polite, Some(failure.to_string())),
        None => (Urgency::Polite, None),
    };
    let shown = (0..).zip(tasks).map(|(index, task)| row::shown(task, rows.get(&index)));
    let shown: Vec<_> = shown.collect();
    let mut totals = Totals::of(&shown);
    if let Some(summary) = &summary {
        totals.settle(summary);
    }
    let attempts = rows.values().flat_map(|row| &row.attempts);
    let is_over = summary.as_ref().is_some_and(|summary| summary.outcome.is_some());
    End {
        rows: shown,
        totals,
        task_ids: attempts.map(|attempt| attempt.task_id.clone()).collect(),
        stopped: broken.or_else(|| summary.as_ref().and_then(why_stopped)),
        elapsed: elapsed(summary.as_ref()),
        is_every_end_known: is_over,
        urgency,
    }
}

/// Why not every task had its turn.
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
    let ended = summary.ended_ms.unwrap_or_else(status::now_ms);
    Duration::from_millis(ended.saturating_sub(begun))
}

/// What people and programs are shown, and the reports.
struct Shown {
    view: BatchView,
    reports: Reports,
    succeeded_before: usize,
}

impl Shown {
    fn open(
        view: BatchView,
        wanted: &Wanted,
        name: &str,
        tasks: &[Task],
        left_out: &[Task],
        past: Option<Past>,
    ) -> Result<Self, Failure> {
        let reports = Reports::open(wanted, name, tasks, left_out, past)?;
        Ok(Self { view, reports, succeeded_before: 0 })
    }

    /// Nothing was begun.
    fn fail(self, failure: Failure) -> Failure {
        self.reports.finish(AccountEnd {
            elapsed: Duration::ZERO,
            stopped: Some(failure.to_string()),
            left_behind: Some(0),
        });
        failure
    }

    fn conclude_nothing(self) -> u8 {
        let is_json = self.view.json;
        let code = self.conclude(&Conclusion::of_nothing(), None);
        if !is_json {
            conclusion::print("nothing to run\n");
        }
        code
    }

    /// Says everything, and chooses the exit code.
    fn conclude(self, conclusion: &Conclusion, own_code: Option<u8>) -> u8 {
        let end = &conclusion.end;
        let batch_id = self.reports.batch_id().map(str::to_owned);
        let are_reports_whole = self.reports.finish(AccountEnd {
            elapsed: end.elapsed,
            stopped: end.stopped.clone(),
            left_behind: conclusion.left_behind.as_ref().map(std::collections::BTreeSet::len),
        });
        if self.view.json {
            let batch_id = batch_id.as_deref();
            let summary = report::summary_json(conclusion, batch_id, self.succeeded_before);
            conclusion::print(&format!("{summary}\n"));
        } else if !end.rows.is_empty() {
            conclusion.print(None);
        }
        let code = own_code
            .unwrap_or_else(|| exit_code::of_rows(&end.rows, conclusion.is_something_left()));
        match conclusion.checked(code) {
            0 if !are_reports_whole => exit_code::OWN_FAILURE,
            code => code,
        }
    }
}

impl Recorder for Shown {
    fn ended(&mut self, task: &Task, row: &BatchRow) {
        let entry = Entry::new(task, row);
        if self.view.json {
            conclusion::print(&format!("{}\n", entry.json()));
        }
        self.reports.record(entry, &row::shown(task, Some(row)));
    }

    fn skipped(&mut self, task: &Task, why: &str) {
        self.reports.skip(task.number, why);
    }

    fn stands(&mut self, batch: &BatchSummary) {
        self.reports.settle(batch);
    }
}

fn agent(
    options: &ServerOptions,
    own: &AgentOption,
    of_file: &FileOptions,
) -> Result<AgentOption, Failure> {
    match (&own.agent, &of_file.agent) {
        (Some(_), _) | (None, None) => Ok(own.clone()),
        (None, Some(_)) if options.url.is_some() => Err(Failure::usage(
            "the option agent of the task file is the server's setting (cc-supervisor --agent); take it out for use with --url (CC_EXECUTOR_URL)",
        )),
        (None, Some(agent)) => Ok(AgentOption { agent: Some(agent.clone()) }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use cc_protocol::batch::{BatchCounts, BatchState, RowState};
    use clap::Parser as _;

    use super::*;
    use crate::args::{Arguments, Command};

    /// A running batch of ten tasks.
    pub(crate) fn summary(batch_id: &str) -> BatchSummary {
        BatchSummary {
            batch_id: batch_id.to_owned(),
            name: None,
            state: BatchState::Running,
            outcome: None,
            reason: None,
            counts: BatchCounts {
                tasks: 10,
                waiting: 6,
                running: 1,
                succeeded: 2,
                failed: 1,
                ..BatchCounts::default()
            },
            jobs: 1,
            cost_usd: 0.25,
            input_tokens: 12_345,
            output_tokens: 678,
            retries: 0,
            killed_leftovers: 0,
            submitted_ms: 1_000,
            started_ms: Some(1_000),
            ended_ms: None,
            waits: None,
            running: Vec::new(),
        }
    }

    /// A task whose turn has not come.
    pub(crate) fn row(index: u64) -> BatchRow {
        BatchRow {
            index,
            name: None,
            label: None,
            title: format!("task {index}"),
            state: RowState::Waiting,
            verdict: None,
            reason: None,
            exit_code: None,
            error: None,
            why: None,
            attempts: Vec::new(),
            result: None,
            result_truncated: false,
            is_error: None,
            cost_usd: None,
            num_turns: None,
            usage: None,
            claude_session_id: None,
            duration_ms: None,
            killed_leftovers: 0,
            timeout_s: None,
            timeout_why: None,
        }
    }

    fn resumed(line: &[&str]) -> Result<Option<&'static str>, Failure> {
        let line = [&["ccx", "batch"], line].concat();
        let Command::Batch(arguments) = Arguments::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        Ok(Resume::of(&arguments)?.map(|resume| match resume {
            Resume::Batch { .. } => "batch",
            Resume::Joblog { .. } => "joblog",
        }))
    }

    #[test]
    fn an_id_is_resumed_without_a_file_and_a_joblog_with_one() {
        assert_eq!(resumed(&["tasks.txt"]).unwrap(), None);
        assert_eq!(resumed(&["--resume", "0199f3a2"]).unwrap(), Some("batch"));
        assert_eq!(resumed(&["tasks.txt", "--resume", "night.joblog"]).unwrap(), Some("joblog"));
        let failure = resumed(&["--resume-failed", "night.joblog"]).unwrap_err();
        assert!(failure.text.contains("ccx batch FILE --resume night.joblog"), "{failure}");
        let failure = resumed(&["tasks.txt", "--resume", "0199f3a2"]).unwrap_err();
        assert!(failure.text.contains("without a task file"), "{failure}");
    }

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
