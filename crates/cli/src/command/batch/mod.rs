//! `ccx batch`: the tasks of a file as a batch of a supervisor, shown from here. The supervisor decides everything: order,
//! retries, waits, halting. A private supervisor ends with this command, and its batch with it.
//!
//! In the order of a batch: `arguments` says what is asked for; `plan` makes of file and command line what `submit`
//! submits, and `caution` looks at the folders of its tasks; `list` and `attach` find batches that exist already.
//! `follow` shows one to its end and concludes; `live` reads what the supervisor reports, with `pending_output` for
//! results that are still fetched and `interrupt_prompt` for Ctrl-C; `status` is the progress line, `view` the end:
//! table, reports and exit code.

mod arguments;

mod attach;
pub(crate) mod list;

mod caution;
mod plan;
pub(super) mod submit;

pub(super) mod follow;
mod interrupt_prompt;
pub(super) mod live;
mod pending_output;
mod status;
pub(super) mod view;

use self::arguments::Resume;
use crate::{
    args::{BatchArguments, BatchCommand, ServerOptions},
    error::CommandError,
};

pub(crate) async fn run(
    options: ServerOptions,
    mut arguments: BatchArguments,
) -> Result<u8, CommandError> {
    match arguments.command.take() {
        Some(BatchCommand::Attach(arguments)) => return attach::attach(options, arguments).await,
        Some(BatchCommand::Cancel(arguments)) => return list::cancel(options, arguments).await,
        None => {}
    }
    match Resume::of(&arguments)? {
        Some(Resume::Batch { typed, only }) => {
            attach::resume(options, &arguments, &typed, only).await
        }
        Some(Resume::Joblog { path, which }) => {
            submit::submit(options, arguments, Some((path, which))).await
        }
        None => submit::submit(options, arguments, None).await,
    }
}
