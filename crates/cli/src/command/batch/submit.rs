//! A task file becomes a batch: of a private supervisor, or of one that stays.

use std::path::{Path, PathBuf};

use cc_batch::Plan;
use cc_client::{BatchAnswer, BatchRequest, Error, Session, SessionEvent};
use uuid::Uuid;

use super::{
    arguments::refuse_reports_of_detached,
    follow::{follow, reconnect},
    live::Ownership,
    plan::Submission,
    view::BatchOutput,
};
use crate::{
    args::{AgentOption, BatchArguments, ServerOptions},
    connect::{
        RunningSupervisor, Server, USUAL_URL, interrupts::Interrupts, leftovers, private::Urgency,
    },
    display::{dry_run, task::Task, terminal, text},
    error::CommandError,
    input::{self, FileOptions, agent::private_arguments},
    reports::{Past, ReportPaths, Which},
};

const WHILE_SUBMITTING: &str = "while the batch was submitted; `ccx batches` says whether it was";

/// Submits the tasks of a file.
pub(super) async fn submit(
    mut options: ServerOptions,
    arguments: BatchArguments,
    resume: Option<(PathBuf, Which)>,
) -> Result<u8, CommandError> {
    if arguments.detach {
        // A private supervisor would end with this command, and its batch with it.
        options.url.get_or_insert_with(|| USUAL_URL.to_owned());
        refuse_reports_of_detached(&arguments)?;
        if let Some((joblog, _)) = &resume {
            return Err(CommandError::usage(format!(
                "the joblog {} is written by the command that follows the batch; omit --detach, or resume by the batch's id",
                joblog.display()
            )));
        }
    }
    let mut interrupts = Interrupts::catch()?;
    let path = arguments.file.as_deref().unwrap_or(Path::new("-"));
    let file = input::read(path, arguments.format)?;
    let agent = agent(&options, &arguments.agent, file.file.options())?;
    let wanted = ReportPaths::settle(&arguments.reports, file.file.options(), resume.clone())?;
    wanted.check_apart_from(path)?;
    let resume = resume.as_ref().map(|(path, which)| (path.as_path(), *which));
    let submission =
        Submission::make(&options, &arguments, file, resume, wanted.results.as_deref())?;
    if arguments.dry_run {
        print_dry_run(&submission, arguments.view.json);
        say(&submission);
        return Ok(0);
    }
    say(&submission);
    let private_arguments = private_arguments(&options, &agent, submission.is_agent_needed())?;
    let Submission { plan, tasks, left_out, past, notes: _, warnings: _ } = submission;
    if let (true, Some(plan)) = (arguments.detach, &plan) {
        if wanted.is_any() {
            terminal::note(
                "ccx: the reports of [options] are not written, because this command does not follow the batch",
            );
        }
        return detach(&options, plan).await;
    }
    let name = path.display().to_string();
    let done = past.as_ref().map(Past::done);
    let mut shown = BatchOutput::open(arguments.view, &wanted, &name, &tasks, &left_out, past)?;
    if let Some(done) = done.filter(|_| !arguments.view.quiet) {
        let (done, to_run) = (text::count(done, "task"), tasks.len());
        terminal::note(&format!("ccx: {done} succeeded before; {to_run} to run"));
    }
    shown.succeeded_before = done.unwrap_or_default();
    let Some(plan) = plan else { return Ok(shown.conclude_nothing()) };
    run_plan(&options, &private_arguments, (plan, &tasks), shown, &mut interrupts).await
}

/// Submits the plan and follows its batch to the exit code of the command.
async fn run_plan(
    options: &ServerOptions,
    private_arguments: &[String],
    (plan, tasks): (Plan, &[Task]),
    shown: BatchOutput,
    interrupts: &mut Interrupts,
) -> Result<u8, CommandError> {
    leftovers::adopt_orphans();
    let opened = Server::open(options, private_arguments, reconnect(), interrupts).await;
    let mut server = match opened {
        Ok(server) => server,
        Err(failure) => return Err(shown.fail(failure)),
    };
    let submitted = submit_on(&mut server.session, plan, interrupts).await;
    let batch_id = match submitted {
        Ok(batch_id) => batch_id,
        Err(failure) => {
            // Why nothing was started matters more than how the supervisor ended.
            server.close(Urgency::AtOnce).await.ok();
            return Err(shown.fail(failure));
        }
    };
    let ownership = if server.is_private() { Ownership::Private } else { Ownership::Started };
    follow(server, options, ownership, &batch_id, tasks, shown, interrupts).await
}

fn print_dry_run(submission: &Submission, is_json: bool) {
    let (plan, tasks) = (submission.plan.as_ref(), &submission.tasks);
    let text = if is_json {
        dry_run::json(plan, tasks)
    } else {
        dry_run::table(plan, tasks, terminal::look().columns)
    };
    terminal::print(&text);
}

fn say(submission: &Submission) {
    for note in &submission.notes {
        terminal::note(&format!("ccx: note: {note}"));
    }
    for warning in &submission.warnings {
        terminal::note(&format!("ccx: warning: {warning}"));
    }
}

/// Submits the plan and prints the batch's id.
async fn detach(options: &ServerOptions, plan: &Plan) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(options)?.connect().await?;
    let submitted = match connection.batch_submit(plan).await {
        Ok(submitted) => submitted,
        Err(Error::Server(error)) => return Err(CommandError::failed(error.message)),
        Err(error @ Error::MessageTooLarge { .. }) => return Err(error.into()),
        Err(error) => {
            return Err(CommandError::failed(format!(
                "{error}; the batch may have been submitted: see `ccx batches`"
            )));
        }
    };
    terminal::print(&format!("{}\n", submitted.batch_id));
    connection.close().await;
    Ok(0)
}

/// Submits a plan on a session, and again after an outage; returns the batch's id.
pub(in crate::command) async fn submit_on(
    session: &mut Session,
    mut plan: Plan,
    interrupts: &mut Interrupts,
) -> Result<String, CommandError> {
    // A request whose answer was lost is repeated, and returns the same batch.
    plan.idempotency_key.get_or_insert_with(|| Uuid::new_v4().to_string());
    let asked = session.ask_batch(BatchRequest::submit(&plan)?).await?;
    loop {
        let event = tokio::select! {
            biased;
            interrupt = interrupts.next() => return Err(interrupt.error(WHILE_SUBMITTING)),
            event = session.next_event() => event?,
        };
        if let SessionEvent::Batch { id, outcome } = event
            && id == asked
        {
            return match outcome {
                Ok(BatchAnswer::Submitted(submitted)) => {
                    if !submitted.is_new {
                        terminal::note(&format!(
                            "ccx: batch {} has this idempotency key; it is shown",
                            submitted.batch_id
                        ));
                    }
                    Ok(submitted.batch_id)
                }
                Ok(
                    BatchAnswer::Result(_)
                    | BatchAnswer::Attached(_)
                    | BatchAnswer::Rows(_)
                    | BatchAnswer::Canceled,
                ) => Err(CommandError::failed(
                    "the server broke the protocol: another answer was due",
                )),
                Err(error) => Err(CommandError::failed(error.message)),
            };
        }
    }
}

fn agent(
    options: &ServerOptions,
    own: &AgentOption,
    of_file: &FileOptions,
) -> Result<AgentOption, CommandError> {
    match (&own.agent, &of_file.agent) {
        (Some(_), _) | (None, None) => Ok(own.clone()),
        (None, Some(_)) if options.url.is_some() => Err(CommandError::usage(
            "the option agent of the task file is the server's setting (cc-supervisor --agent); take it out for use with --url (CC_EXECUTOR_URL)",
        )),
        (None, Some(agent)) => Ok(AgentOption { agent: Some(agent.clone()) }),
    }
}
