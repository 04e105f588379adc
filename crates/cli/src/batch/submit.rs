//! A task file becomes a batch: of a private supervisor, or of one that stays.

use std::path::{Path, PathBuf};

use cc_batch::Plan;
use cc_client::{BatchAnswer, BatchRequest, Error, Session, SessionEvent};
use uuid::Uuid;

use super::{
    follow::follow, live::Hold, plan::Submission, reconnect, refuse_reports_of_nobody, shown::Shown,
};
use crate::{
    args::{AgentOption, BatchArguments, ServerOptions},
    conclusion, dry_run,
    failure::Failure,
    interrupts::{Interrupt, Interrupts},
    leftovers,
    private_supervisor::Urgency,
    reports::{Past, Which},
    run::private_arguments,
    server::{Server, Standing, USUAL_URL},
    task_file::{self, FileOptions},
    text,
};

/// Submits the tasks of a file.
pub(super) async fn submit(
    mut options: ServerOptions,
    arguments: BatchArguments,
    resume: Option<(PathBuf, Which)>,
) -> Result<u8, Failure> {
    if arguments.detach {
        // A private supervisor would end with this command, and its batch with it.
        options.url.get_or_insert_with(|| USUAL_URL.to_owned());
        refuse_reports_of_nobody(&arguments)?;
        if let Some((joblog, _)) = &resume {
            return Err(Failure::usage(format!(
                "{} is gone on with by whoever is attached; leave --detach away, or resume by the batch's id",
                joblog.display()
            )));
        }
    }
    let mut interrupts = Interrupts::catch()?;
    let path = arguments.file.as_deref().unwrap_or(Path::new("-"));
    let file = task_file::read(path, arguments.format)?;
    let agent = agent(&options, &arguments.agent, file.file.options())?;
    let wanted = arguments.reports.settle(file.file.options(), resume.clone())?;
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
            conclusion::note(
                "ccx: the reports of [options] are written by whoever is attached, so not now",
            );
        }
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

fn print_dry_run(submission: &Submission, is_json: bool) {
    let (plan, tasks) = (submission.plan.as_ref(), &submission.tasks);
    let text = if is_json {
        dry_run::json(plan, tasks)
    } else {
        dry_run::table(plan, tasks, conclusion::look().columns)
    };
    conclusion::print(&text);
}

fn say(submission: &Submission) {
    for note in &submission.notes {
        conclusion::note(&format!("ccx: note: {note}"));
    }
    for warning in &submission.warnings {
        conclusion::note(&format!("ccx: warning: {warning}"));
    }
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
    let asked = session.ask_batch(BatchRequest::submit(&plan)?).await?;
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
                Ok(
                    BatchAnswer::Result(_)
                    | BatchAnswer::Attached(_)
                    | BatchAnswer::Rows(_)
                    | BatchAnswer::Canceled,
                ) => Err(Failure::own("the server broke the protocol: another answer was due")),
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
