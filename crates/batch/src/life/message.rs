//! Every message between a batch and its supervisor: its inputs and its effects.

use serde::{Deserialize, Serialize};

use crate::retry::AttemptEnd;

/// One process that a batch wants run. Tasks are numbered from 0, as in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "job", content = "task", rename_all = "snake_case")]
pub enum Job {
    /// The `before_task` hook of a task.
    Before(usize),
    /// A task itself. It passes the [gate](crate::gate) of its credential, if it has one.
    Task(usize),
    /// The `after_task` hook of a task.
    After(usize),
    /// The `after_batch` hook.
    AfterBatch,
}

/// What happened, for the batch to react to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// There is a place for the job, under a new id. Nothing has begun: that is for [`Effect::Start`],
    /// and where none follows, the place is free again.
    Admitted {
        /// As in [`Effect::Enqueue`].
        job: Job,
        /// Never used before.
        task_id: String,
    },
    /// The job's terminal event is there and its process tree is gone.
    Ended {
        /// As in [`Effect::Start`].
        job: Job,
        /// As in [`Effect::Start`].
        task_id: String,
        end: AttemptEnd,
    },
    /// The CLI reports that its credentials were refused, several times in a row, and tries again by itself.
    AuthRefused {
        /// As in [`Effect::Start`].
        job: Job,
        /// As in [`Effect::Start`].
        task_id: String,
    },
    /// Answer to [`Effect::AskFate`], where there is no terminal event ([`Input::Ended`] is one too).
    Fate { job: Job, task_id: String, fate: Fate },
    /// A limit is over, or may be, before the time that was named: these tasks stop waiting for it, and pass the gate
    /// like all others.
    LimitLifted {
        /// From 0.
        tasks: Vec<usize>,
    },
    /// The time of [`Effect::WakeAt`] has come.
    Time,
    /// The wall clock has gone by so much more, or less, than time in which something could run: it was set, or
    /// the machine slept. Comes before any other input with the new time.
    ClockMoved { by_ms: i64 },
    /// A client cancels the batch.
    Cancel,
    /// This is the stored state, and a new supervisor has it. What was asked for before may or may not
    /// have been done; it is asked for again.
    Restarted,
}

/// What became of a job while there was no supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its worker lives and was adopted.
    Adopted,
    /// It was admitted, but no worker ever got it. Only for what is certain: it is started again.
    NeverBegan,
    /// Its worker died, and it is not known how far it came.
    Lost,
}

/// What a batch asks for. The state after the step is stored first; then these are done, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Answer with [`Input::Admitted`] when the job can begin.
    Enqueue { job: Job },
    /// `Enqueue` is withdrawn: a job that waits at a gate leaves it.
    Withdraw { job: Job },
    /// Start the job. Answer with [`Input::Ended`].
    Start {
        job: Job,
        task_id: String,
        /// From 1; of a hook always 1.
        attempt: u32,
    },
    /// End the job. Its end is reported like any other.
    End { job: Job, task_id: String },
    /// Answer with [`Input::Ended`] or [`Input::Fate`].
    AskFate { job: Job, task_id: String },
    /// Close the gate of the job's credential: a limit was met.
    CloseGate {
        job: Job,
        /// When the task itself will try again, ms since the epoch.
        until_ms: u64,
    },
    /// Answer with [`Input::Time`] then; it replaces the time that was asked for before.
    WakeAt {
        /// Milliseconds since the epoch.
        at_ms: u64,
    },
    /// The batch is over: no further effect follows.
    Over,
}
