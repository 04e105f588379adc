//! `ccx cancel`, `pause` and `resume`.

use cc_client::{Connection, Error};
use cc_protocol::{control::ControlType, error::ErrorCode};

use crate::{
    args::{ControlArguments, ServerOptions},
    connect::{RunningSupervisor, task_id},
    display::terminal,
    error::CommandError,
};

/// The exit code if a task could not be controlled.
const SOME_FAILED: u8 = 1;

pub(crate) async fn run(
    options: ServerOptions,
    arguments: ControlArguments,
    control: ControlType,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let mut code = 0;
    for typed in &arguments.ids {
        match control_one(&mut connection, typed, control).await {
            Ok(task_id) => terminal::print(&format!("{task_id} {}\n", control.done())),
            Err(error) => {
                terminal::note(&format!("ccx: {error}"));
                code = SOME_FAILED;
            }
        }
    }
    connection.close().await;
    Ok(code)
}

async fn control_one(
    connection: &mut Connection,
    typed: &str,
    control: ControlType,
) -> Result<String, CommandError> {
    let task = task_id::resolve(connection, typed).await?;
    match connection.control_task(&task.task_id, control).await {
        Ok(_) => Ok(task.task_id),
        Err(Error::Server(error)) if error.code == ErrorCode::NoProcess.code() => {
            Err(CommandError::failed(format!("task {} has ended already", task.task_id)))
        }
        Err(Error::Server(error)) => {
            Err(CommandError::failed(format!("task {}: {}", task.task_id, error.message)))
        }
        Err(error) => Err(error.into()),
    }
}
