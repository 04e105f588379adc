//! A session: what a client may ask, and the answers, one call after the other.
//!
//! Owns which task is the session's current one, and the order of what the client sees: the answer to
//! `execute` before anything of its task, the answer to a control before the event that it causes. It never
//! writes to the socket itself and never touches a task: it queues for the [`crate::writer`] and asks the
//! task's owner.

use std::sync::Arc;

use cc_link::event::{Completed, EndReason, Started};
use cc_protocol::{
    control::ControlType,
    envelope::{Call, Incoming, Response},
    error::{ErrorCode, ErrorObject},
    execute::{Execute, ExecuteResult},
    notification::{Connected, Limits, Notification},
};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    answer,
    clock::now_ms,
    execute, limits, message,
    registry::Refusal,
    shared::Shared,
    state_dir,
    task::{self, Answer, Facts, Outcome, Request, TaskHandle},
    translate::{Translator, to_text},
    writer::{Follow, Outgoing},
};

const CAPABILITIES: [&str; 6] = ["execute", "control", "stream", "argv", "prompt", "output_chunks"];
const METHODS: [&str; 5] = ["execute", "control", "hook_status", "ping", "pong"];

/// The connection's writer is gone: there is nobody to answer.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// One client's session.
#[derive(Debug)]
pub struct Session {
    id: String,
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    current: Option<Current>,
}

/// The session's latest task.
#[derive(Debug)]
struct Current {
    handle: TaskHandle,
    delivery: Delivery,
}

/// How far the latest task's notifications have come.
#[derive(Debug)]
enum Delivery {
    /// The answer to its `execute` is not queued yet.
    Unanswered,
    /// They are being sent.
    UnderWay(oneshot::Receiver<()>),
    /// The terminal event has been sent.
    Done,
}

/// What has to happen after a call's answer is queued.
#[derive(Debug)]
enum After {
    /// Let the writer go on with the cursor.
    Release,
    /// Send the new task's notifications; the receiver hears when they are sent.
    Follow(Box<Follow>, oneshot::Receiver<()>),
    /// Ask the task's owner.
    Ask(TaskHandle, Request),
}

type CallResult = Result<Value, ErrorObject>;

impl Session {
    /// A new one, whose answers go to `outgoing`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, outgoing: mpsc::Sender<Outgoing>) -> Self {
        Self { id: uuid::Uuid::new_v4().to_string(), shared, outgoing, current: None }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends `connected`, the first message of every session.
    ///
    /// # Errors
    /// When the writer is gone, as everywhere here.
    pub async fn greet(&self) -> Result<(), Gone> {
        let config = &self.shared.config;
        let connected = Connected {
            session_id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            resume_token: String::new(),
            resume_grace_s: 0.0,
            heartbeat_interval_s: config.heartbeat.as_secs_f64(),
            limits: Limits {
                message_bytes: config.message_bytes_limit,
                sessions: config.sessions_limit,
                line_bytes: config.task.line_bytes_limit,
                output_bytes: config.task.output_bytes_limit,
            },
        };
        self.send(Outgoing::Text(to_text(&Notification::Connected(connected)))).await
    }

    /// Answers one text message.
    ///
    /// # Errors
    /// When the writer is gone.
    pub async fn handle(&mut self, text: &str) -> Result<(), Gone> {
        let mut after = Vec::new();
        let answer = match message::read(text) {
            Err(response) | Ok(Incoming::Single(Err(response))) => Some(answer::single(&response)),
            Ok(Incoming::Single(Ok(call))) => {
                self.call(call, &mut after).await?.as_ref().map(answer::single)
            }
            Ok(Incoming::Batch(calls)) => {
                let mut responses = Vec::new();
                for call in calls {
                    match call {
                        Ok(call) => responses.extend(self.call(call, &mut after).await?),
                        Err(response) => responses.push(response),
                    }
                }
                (!responses.is_empty()).then(|| answer::batch(&responses))
            }
        };
        if let Some(answer) = answer {
            self.send(Outgoing::Text(answer)).await?;
        }
        for step in after {
            match step {
                After::Release => self.send(Outgoing::Release).await?,
                After::Follow(follow, delivery) => {
                    self.send(Outgoing::Follow(follow)).await?;
                    if let Some(current) = &mut self.current {
                        current.delivery = Delivery::UnderWay(delivery);
                    }
                }
                After::Ask(handle, request) => handle.request(request).await,
            }
        }
        Ok(())
    }

    /// Returns when the supervisor is stopping and the client has all there is. Dropping the future loses
    /// nothing.
    pub async fn may_leave(&mut self, shared: &Shared) {
        shared.stopping().await;
        self.delivered().await;
    }

    /// The client is gone: its task goes too.
    pub async fn client_gone(self) {
        if let Some(current) = self.current
            && !current.handle.is_done()
        {
            current.handle.request(Request::Cancel(EndReason::Disconnected)).await;
        }
    }

    async fn send(&self, outgoing: Outgoing) -> Result<(), Gone> {
        self.outgoing.send(outgoing).await.map_err(|_| Gone)
    }

    /// The response, unless the call was a notification.
    async fn call(&mut self, call: Call, after: &mut Vec<After>) -> Result<Option<Response>, Gone> {
        let result = match call.method.as_str() {
            "execute" => self.execute(call.params, after).await,
            "control" => self.control(&call.params, after).await?,
            "hook_status" => Ok(json!({"enabled": false, "hooks": []})),
            "ping" => Ok(json!({"type": "pong"})),
            "pong" => Ok(json!({})),
            unknown => Err(unknown_method(unknown)),
        };
        Ok(call.id.map(|id| match result {
            Ok(value) => Response::result(id, value),
            Err(error) => Response::error(id, error),
        }))
    }

    async fn execute(&mut self, params: Map<String, Value>, after: &mut Vec<After>) -> CallResult {
        let execute = Execute::from_params(params)?;
        if self.shared.is_stopping() {
            return Err(stopping());
        }
        if let Some(current) = &self.current {
            let is_unanswered = matches!(current.delivery, Delivery::Unanswered);
            if !current.handle.is_done() || is_unanswered {
                let message = "A process is already running";
                return Err(ErrorObject::new(ErrorCode::InvalidParams, message)
                    .with("task_id", current.handle.task_id()));
            }
        }
        // A client that sends the next task before it has read the end of this one waits for itself.
        self.delivered().await;
        let task_id = uuid::Uuid::now_v7().to_string();
        let label = execute.label.clone();
        let command = execute::shown(&execute.program);
        let session_id = Some(self.id.clone());
        let accepted_ms = now_ms();
        let ignored_params = shorten(&execute.ignored_params);
        let setting = execute::Setting {
            config: &self.shared.config,
            environment: &self.shared.environment,
            cgroup: self.shared.cgroup.as_ref(),
        };
        let directory = self.shared.tasks_dir.join(&task_id);
        let spec = setting.spec(execute, &task_id, state_dir::log_path(&directory))?;
        state_dir::make_task_directory(&directory)
            .await
            .map_err(|error| not_started(&task_id, &format!("{}: {error}", directory.display())))?;
        let facts = Facts { task_id: task_id.clone(), label, command, session_id, accepted_ms };
        let (handle, start) = task::accept(&self.shared, spec, facts).map_err(refused)?;
        // Known before it runs: whatever becomes of this connection now, the task is the session's.
        self.current = Some(Current { handle: handle.clone(), delivery: Delivery::Unanswered });
        match start.await {
            Ok(Outcome::Started(started)) => {
                Ok(self.started(&handle, &started, ignored_params, after))
            }
            Ok(Outcome::NotStarted(completed)) => {
                self.current = None;
                Err(answer_to_failed_start(&task_id, &completed))
            }
            Err(_) => Err(ErrorObject::new(ErrorCode::InternalError, "the task's owner failed")),
        }
    }

    fn started(
        &self,
        handle: &TaskHandle,
        started: &Started,
        ignored_params: Vec<String>,
        after: &mut Vec<After>,
    ) -> Value {
        let task_id = handle.task_id().to_owned();
        let (delivered, delivery) = oneshot::channel();
        let follow = Follow {
            cursor: handle.feed().cursor(),
            translator: Translator::new(task_id.clone(), started.pid),
            delivered,
        };
        after.push(After::Follow(Box::new(follow), delivery));
        json!(ExecuteResult {
            status: "started".to_owned(),
            pid: started.pid,
            pgid: started.pid,
            task_id,
            containment: started.containment.as_str().to_owned(),
            ignored_params,
        })
    }

    async fn control(
        &mut self,
        params: &Map<String, Value>,
        after: &mut Vec<After>,
    ) -> Result<CallResult, Gone> {
        let control = match ControlType::from_params(params) {
            Ok(control) => control,
            Err(error) => return Ok(Err(error)),
        };
        let running = self.current.as_ref().map(|current| &current.handle);
        let Some(handle) = running.filter(|handle| !handle.is_done()).cloned() else {
            return Ok(Err(no_process()));
        };
        let (answer, answered) = oneshot::channel();
        let request = match control {
            ControlType::Cancel => {
                after.push(After::Ask(handle, Request::Cancel(EndReason::Canceled)));
                return Ok(Ok(json!({"status": control.done()})));
            }
            ControlType::Pause => Request::Pause(answer),
            ControlType::Resume => Request::Resume(answer),
        };
        // The event is there before the answer is; until then the writer must not see it.
        self.send(Outgoing::Hold).await?;
        after.push(After::Release);
        handle.request(request).await;
        Ok(match timeout(limits::CONTROL_ANSWER, answered).await {
            Ok(Ok(Answer::Done)) => Ok(json!({"status": control.done()})),
            Ok(Ok(Answer::NotRunning) | Err(_)) => Err(no_process()),
            Err(_) => {
                let seconds = limits::CONTROL_ANSWER.as_secs();
                let message = format!("the task was not {} within {seconds} s", control.done());
                Err(ErrorObject::new(ErrorCode::InternalError, message))
            }
        })
    }

    /// Returns when the client has been sent the end of the latest task, or never will be.
    async fn delivered(&mut self) {
        if let Some(current) = &mut self.current
            && let Delivery::UnderWay(delivery) = &mut current.delivery
        {
            drop(delivery.await);
            current.delivery = Delivery::Done;
        }
    }
}

fn unknown_method(method: &str) -> ErrorObject {
    let shown: String = method.chars().take(100).collect();
    let nearest = METHODS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&shown, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    let code = ErrorCode::MethodNotFound;
    match nearest {
        Some((_, known)) => {
            let message = format!("Method not found: {shown:?}; did you mean {known:?}?");
            ErrorObject::new(code, message).with("suggestion", known)
        }
        None => ErrorObject::new(
            code,
            format!("Method not found: {shown:?}; known are {}", METHODS.join(", ")),
        ),
    }
}

fn no_process() -> ErrorObject {
    ErrorObject::new(ErrorCode::NoProcess, "No process is running")
}

fn refused(refusal: Refusal) -> ErrorObject {
    match refusal {
        Refusal::Closed => stopping(),
        Refusal::Full { limit } => {
            let message = format!("{limit} tasks run already, and no more may: try again later");
            ErrorObject::new(ErrorCode::QueueFull, message).with("limit", limit)
        }
    }
}

fn stopping() -> ErrorObject {
    ErrorObject::new(ErrorCode::Draining, "the supervisor is stopping and takes no new tasks")
}

fn not_started(task_id: &str, reason: &str) -> ErrorObject {
    ErrorObject::new(ErrorCode::SpawnFailed, format!("the task could not be started: {reason}"))
        .with("task_id", task_id)
        .with("reason", reason)
}

fn answer_to_failed_start(task_id: &str, completed: &Completed) -> ErrorObject {
    match completed.reason {
        EndReason::SupervisorLost => stopping().with("task_id", task_id),
        EndReason::Exit
        | EndReason::Signal
        | EndReason::Canceled
        | EndReason::Timeout
        | EndReason::IdleTimeout
        | EndReason::Lingered
        | EndReason::OutputLimit
        | EndReason::SpawnFailed
        | EndReason::WorkerDied
        | EndReason::ResourceLimit
        | EndReason::Disconnected => {
            let reason = completed.error.as_deref().unwrap_or(completed.reason.as_str());
            not_started(task_id, reason)
                .with("end_reason", completed.reason.as_str())
                .with("exit_code", completed.exit_code)
        }
    }
}

/// What a client sent without meaning is not sent back without bound.
fn shorten(names: &[String]) -> Vec<String> {
    let short = |name: &String| name.chars().take(limits::IGNORED_PARAM_CHARS).collect();
    names.iter().take(limits::IGNORED_PARAMS).map(short).collect()
}
