//! `ccx attach` and `ccx logs`: the output of a task, as `ccx run` would have shown it.

use cc_client::{Error, Reconnect};
use cc_protocol::task::{TaskState, TaskSummary};
use serde_json::Value;

use crate::{
    args::{AttachArguments, LogsArguments, ServerOptions},
    connect::{RunningSupervisor, interrupts::Interrupts, task_id},
    error::CommandError,
    exit_code,
    follow::{
        self, CancelCause, NoEnd, Part, ending,
        output::{Mode, RunOutput},
    },
};

/// Which of the two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// To the end; the exit status is the task's.
    Attach,
    /// What exists now, or also what follows; the exit status says nothing about the task.
    Logs { is_follow: bool, is_json: bool },
}

/// `ccx attach`.
pub(crate) async fn attach(
    options: ServerOptions,
    arguments: AttachArguments,
) -> Result<u8, CommandError> {
    show(options, &arguments.id, arguments.since_seq, View::Attach).await
}

/// `ccx logs`.
pub(crate) async fn logs(
    options: ServerOptions,
    arguments: LogsArguments,
) -> Result<u8, CommandError> {
    let view = View::Logs { is_follow: arguments.follow, is_json: arguments.json };
    show(options, &arguments.id, arguments.since_seq, view).await
}

async fn show(
    options: ServerOptions,
    typed: &str,
    since_seq: u64,
    view: View,
) -> Result<u8, CommandError> {
    let supervisor = RunningSupervisor::of(&options)?;
    let mut connection = supervisor.connect().await?;
    let task = task_id::resolve(&mut connection, typed).await?;
    let Some(part) = part(&task, since_seq, view) else {
        connection.close().await;
        return Ok(0);
    };
    // From here on a signal detaches from the task.
    let mut interrupts = Interrupts::catch()?;
    let mut session = supervisor.session(connection, Reconnect::default()).await?;
    let mode = match view {
        View::Logs { is_json: true, .. } => Mode::Json,
        View::Attach | View::Logs { is_json: false, .. } if task.is_prompt => Mode::Agent,
        View::Attach | View::Logs { is_json: false, .. } => Mode::Output,
    };
    let mut output = RunOutput::new(mode);
    let id = &task.task_id;
    if let Some(path) = &task.damaged_log {
        output.note(&format!(
            "ccx: a part of this task's log was damaged; what could not be read of it is kept in {path}"
        ));
    }
    let end = follow::attach(&mut session, id, part, &mut interrupts, &mut output).await;
    let code = match end {
        Ok(end) => {
            let code = ending::conclude(&end, mode, task.is_prompt, &mut output);
            let is_logs_read = view != View::Attach && end.cancel_cause.is_none();
            if is_logs_read { 0 } else { code }
        }
        Err(NoEnd::PartComplete) => 0,
        Err(NoEnd::Unreadable) => exit_code::OWN_FAILURE,
        Err(NoEnd::Detached(CancelCause::OutputClosed)) => ending::output_closed(&mut output),
        Err(NoEnd::Detached(CancelCause::Interrupt(interrupt)) | NoEnd::GivenUp(interrupt)) => {
            if view == View::Attach {
                output.note(&format!(
                    "ccx: detached; task {id} runs on: `ccx attach {id}` shows it again, `ccx cancel {id}` ends it"
                ));
            }
            interrupt.exit_code()
        }
        Err(NoEnd::Client(error)) => {
            output.note(&format!("ccx: {}", explain(&error, since_seq)));
            exit_code::OWN_FAILURE
        }
    };
    output.write_last_words(&mut interrupts).await;
    session.close().await;
    Ok(code)
}

/// The server calls `--since-seq` by its name on the wire.
fn explain(error: &Error, since_seq: u64) -> String {
    if let Error::Server(answer) = error
        && answer.data.get("field").and_then(Value::as_str) == Some("after_seq")
        && let Some(last_seq) = answer.data.get("last_seq").and_then(Value::as_u64)
    {
        format!("--since-seq is {since_seq}, and the last event of this task is {last_seq}")
    } else {
        error.to_string()
    }
}

/// The part to show; `None` if it is empty.
fn part(task: &TaskSummary, since_seq: u64, view: View) -> Option<Part> {
    let is_stored = task.state == TaskState::Ended;
    let is_all_known = since_seq == task.last_seq;
    let whole = Part { after_seq: since_seq, until_seq: None, is_stored };
    match view {
        View::Logs { is_follow: false, .. } if is_all_known => None,
        View::Logs { is_follow: true, .. } if is_all_known && is_stored => None,
        View::Logs { is_follow: false, .. } if !is_stored => {
            Some(Part { until_seq: Some(task.last_seq), ..whole })
        }
        // The terminal event is requested in any case: it has the exit status.
        View::Attach if is_stored && is_all_known => {
            Some(Part { after_seq: since_seq.saturating_sub(1), ..whole })
        }
        View::Attach | View::Logs { .. } => Some(whole),
    }
}

#[cfg(test)]
mod tests {
    use cc_protocol::{CallError, UnfitParam, error::ErrorObject};

    use super::*;
    use crate::connect::task_id::tests::summary;

    const LOGS: View = View::Logs { is_follow: false, is_json: false };
    const FOLLOW: View = View::Logs { is_follow: true, is_json: false };

    #[test]
    fn logs_end_where_the_task_is_now_and_follow_and_attach_do_not() {
        let running = TaskSummary { last_seq: 5, ..summary("t") };
        let to = |until_seq| Some(Part { after_seq: 2, until_seq, is_stored: false });
        assert_eq!(part(&running, 2, LOGS), to(Some(5)));
        assert_eq!(part(&running, 2, FOLLOW), to(None));
        assert_eq!(part(&running, 2, View::Attach), to(None));
        assert_eq!(part(&running, 5, LOGS), None, "nothing new");
        let later = Part { after_seq: 5, until_seq: None, is_stored: false };
        assert_eq!(part(&running, 5, FOLLOW), Some(later));
    }

    #[test]
    fn a_position_after_the_last_event_is_called_by_the_name_of_its_option() {
        let unfit = UnfitParam::BeyondLastEvent { member: "after_seq", seq: 9, last_seq: 5 };
        let answer = ErrorObject::from(CallError::from(unfit));
        assert_eq!(
            explain(&Error::Server(answer), 9),
            "--since-seq is 9, and the last event of this task is 5"
        );
        let answer = ErrorObject::from(CallError::NoSuchTask { task_id: "t".to_owned() });
        assert!(explain(&Error::Server(answer), 9).starts_with("no such task"));
    }

    #[test]
    fn of_an_ended_task_attach_gets_the_end_even_if_that_is_known() {
        let ended = TaskSummary { state: TaskState::Ended, last_seq: 5, ..summary("t") };
        let from = |after_seq| Some(Part { after_seq, until_seq: None, is_stored: true });
        assert_eq!(part(&ended, 5, View::Attach), from(4));
        assert_eq!(part(&ended, 5, FOLLOW), None);
        assert_eq!(part(&ended, 0, LOGS), from(0));
    }
}
