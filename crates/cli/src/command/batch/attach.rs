//! `ccx batch attach` and `ccx batch --resume ID`: batches that a supervisor has already.

use cc_client::{Connection, Error};
use cc_protocol::batch::{BatchResume, BatchRows, ROWS_LIMIT, ResumeOnly};

use super::{
    arguments::refuse_reports_of_detached,
    follow::{follow, reconnect},
    list,
    live::Ownership,
    view::BatchOutput,
};
use crate::{
    args::{BatchArguments, BatchAttachArguments, BatchView, ServerOptions},
    connect::{RunningSupervisor, Server, interrupts::Interrupts},
    display::{task::Task, terminal, text},
    error::CommandError,
    input::FileOptions,
    reports::ReportPaths,
};

/// Runs the tasks of a batch that have not succeeded, as a new batch.
pub(super) async fn resume(
    options: ServerOptions,
    arguments: &BatchArguments,
    typed: &str,
    only: ResumeOnly,
) -> Result<u8, CommandError> {
    if arguments.detach {
        refuse_reports_of_detached(arguments)?;
    }
    let wanted = ReportPaths::settle(&arguments.reports, &FileOptions::default(), None)?;
    let supervisor = RunningSupervisor::of(&options)?;
    let mut connection = supervisor.connect().await?;
    let before = list::resolve(&mut connection, typed).await?;
    let which = BatchResume { batch_id: before.batch_id.clone(), only };
    let resumed = match connection.batch_resume(&which).await {
        Ok(resumed) => resumed,
        Err(Error::Server(error)) => {
            return Err(CommandError::failed(format!(
                "batch {}: {}",
                before.batch_id, error.message
            )));
        }
        Err(error) => {
            return Err(CommandError::failed(format!(
                "{error}; the batch may have been resumed: see `ccx batches`"
            )));
        }
    };
    if arguments.detach {
        terminal::print(&format!("{}\n", resumed.batch_id));
        connection.close().await;
        return Ok(0);
    }
    let done = usize::try_from(before.counts.succeeded).unwrap_or_default();
    if !arguments.view.quiet {
        let done = text::count(done, "task");
        terminal::note(&format!(
            "ccx: {done} succeeded before; {} to run, as batch {}",
            resumed.tasks, resumed.batch_id
        ));
    }
    let view = (arguments.view, Ownership::Started, done);
    look_at(&options, &supervisor, connection, &resumed.batch_id, &wanted, view).await
}

/// `ccx batch attach`.
pub(super) async fn attach(
    options: ServerOptions,
    arguments: BatchAttachArguments,
) -> Result<u8, CommandError> {
    let wanted = ReportPaths::settle(&arguments.reports, &FileOptions::default(), None)?;
    let supervisor = RunningSupervisor::of(&options)?;
    let mut connection = supervisor.connect().await?;
    let batch = list::resolve(&mut connection, &arguments.id).await?;
    let view = (arguments.view, Ownership::Viewed, 0);
    look_at(&options, &supervisor, connection, &batch.batch_id, &wanted, view).await
}

/// Follows a batch without its task file.
async fn look_at(
    options: &ServerOptions,
    supervisor: &RunningSupervisor,
    mut connection: Connection,
    batch_id: &str,
    wanted: &ReportPaths,
    (view, ownership, succeeded_before): (BatchView, Ownership, usize),
) -> Result<u8, CommandError> {
    let batch = connection.batch_get(batch_id).await?;
    let tasks = tasks_of(&mut connection, batch_id).await?;
    let name = batch.name.as_deref().unwrap_or(batch_id);
    let mut shown = BatchOutput::open(view, wanted, name, &tasks, &[], None)?;
    shown.succeeded_before = succeeded_before;
    let mut interrupts = Interrupts::catch()?;
    let session = supervisor.session(connection, reconnect()).await?;
    let server = Server::running(session);
    follow(server, options, ownership, batch_id, &tasks, shown, &mut interrupts).await
}

async fn tasks_of(connection: &mut Connection, batch_id: &str) -> Result<Vec<Task>, CommandError> {
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
