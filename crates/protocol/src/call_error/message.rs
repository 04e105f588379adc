//! The text of each refusal, for people: what is wrong and what to do.

use super::{
    CallError, nearest_method,
    shown::{shown_id, shown_word},
};
use crate::method::METHODS;

impl CallError {
    /// For people: what is wrong and what to do.
    pub(super) fn message(&self) -> String {
        match self {
            Self::TooMany { what, limit } => {
                format!("Invalid Request: there may be at most {limit} {what}")
            }
            Self::AnswerTooLong => {
                "the answer is too long to be sent: shorten the id or the parameters".to_owned()
            }
            Self::MethodNotFound { method } => no_such_method(method),
            Self::Param(error) => error.message.clone(),
            Self::UnfitParam(unfit) => {
                format!("Invalid params: {} {}", unfit.field(), unfit.problem())
            }
            Self::Plan { first, mistakes, further } => {
                let count = mistakes.len() + further;
                let noun = if count == 1 { "mistake" } else { "mistakes" };
                format!("Invalid params: {count} {noun} in the plan; the first: {first}")
            }
            Self::TaskRuns { .. } => "A process is already running".to_owned(),
            Self::CommandNotAllowed { command, allowed } => {
                let shown = shown_word(command);
                format!("Command not allowed: {shown:?}; allowed are {}", allowed.join(", "))
            }
            Self::Denied(denied) => denied.message(),
            Self::NoProcess { .. } => "No process is running".to_owned(),
            Self::BatchOver { .. } => "this batch is over".to_owned(),
            Self::NothingToResume => "nothing is left to be done of this batch".to_owned(),
            Self::GateOpen { gate_id } => format!("the gate {} is not shut", shown_id(gate_id)),
            Self::SessionUnknown { .. } => {
                "there is no such session, or this is not its token".to_owned()
            }
            Self::SessionExpired { .. } => {
                "the session is over: it was closed, or had no connection for too long; \
                 task.list shows what became of its tasks"
                    .to_owned()
            }
            Self::SessionLost => "this session is closed, or another connection has it".to_owned(),
            Self::NoSuchTask { task_id } => no_such("task", task_id),
            Self::NoSuchBatch { batch_id } => no_such("batch", batch_id),
            Self::DrainingTasks { .. } => DRAINING_TASKS.to_owned(),
            Self::DrainingBatches => DRAINING_BATCHES.to_owned(),
            Self::Drained { what } => drained(what),
            Self::Configuration { mistakes } => not_reloaded(mistakes),
            Self::StateLost => STATE_LOST.to_owned(),
            Self::TasksFull { limit } => tasks_full(*limit),
            Self::BatchesFull { limit } => batches_full(*limit),
            Self::AttachedFull { what, limit } => attached_full(what, *limit),
            Self::WorkerBroken { retry_after_ms } => worker_broken(*retry_after_ms),
            Self::NoWorkerProgram { problem } => {
                format!("no worker is restarted: {problem}; install the worker program first")
            }
            Self::NotReady { problem, .. } => {
                format!("no task is started now: {problem}; try again later")
            }
            Self::NotStarted { problem, .. } => format!("the task could not be started: {problem}"),
            Self::Withdrawn => "the task was canceled before it could be started".to_owned(),
            Self::OwnerFailed => {
                "the supervisor failed while it ran the task; its log says why".to_owned()
            }
            Self::NotConfirmed { control, seconds } => {
                format!("the task was not {} within {seconds} s", control.done())
            }
            Self::Internal { problem } => problem.clone(),
        }
    }
}

const DRAINING_TASKS: &str = "the supervisor is stopping and takes no new tasks";
const DRAINING_BATCHES: &str = "the supervisor is stopping and takes no new batches";
const STATE_LOST: &str = "the supervisor's state directory was removed or replaced while it ran: it takes no new tasks \
                          and stops when the running ones have ended; start it again";

fn no_such_method(method: &str) -> String {
    let shown = shown_word(method);
    match nearest_method(&shown) {
        Some(known) => format!("Method not found: {shown:?}; did you mean {known:?}?"),
        None => format!("Method not found: {shown:?}; known are {}", METHODS.join(", ")),
    }
}

fn drained(what: &str) -> String {
    format!(
        "an operator lets this supervisor run empty: it starts no new {what} until that ends or another supervisor \
         takes its place; try again later"
    )
}

fn not_reloaded(mistakes: &[String]) -> String {
    format!("the configuration has mistakes, and the old one is in force: {}", mistakes.join("; "))
}

fn tasks_full(limit: usize) -> String {
    let tasks = if limit == 1 { "task runs" } else { "tasks run" };
    format!("{limit} {tasks} already, the most that --max-tasks allows: try again later")
}

fn no_such(what: &str, id: &str) -> String {
    format!("no such {what}: {:?}; it may have been removed by retention", shown_id(id))
}

fn batches_full(limit: usize) -> String {
    format!("{limit} batches are under way, and no more may: try again later")
}

fn attached_full(what: &str, limit: usize) -> String {
    format!("a connection can be attached to {limit} {what}: detach one first")
}

fn worker_broken(retry_after_ms: u64) -> String {
    let seconds = retry_after_ms.div_ceil(1000);
    format!(
        "no task is started now, because workers fail at their start; the server's log says why. Try again in {seconds} s"
    )
}
