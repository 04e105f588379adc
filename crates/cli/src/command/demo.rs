//! `ccx demo`: tasks that behave and tasks that misbehave, with a stand-in for the agent.
//!
//! The tasks are a batch, submitted and followed as by `ccx batch`. Each has an expected end. The demo succeeds when
//! each task came to that end and no process is left behind.

use cc_batch::Plan;
use cc_client::Reconnect;
use cc_protocol::{EndReason, Verdict, batch::BatchRow};
use serde_json::{Value, json};

use super::{
    batch::{
        follow::{end_of, own_code, watch},
        live::Ownership,
        submit::submit_on,
        view::BatchOutput,
    },
    finish,
};
use crate::{
    args::{BatchView, DemoArguments, ServerOptions},
    connect::{Server, interrupts::Interrupts, leftovers, private::Urgency},
    display::{task::Task, terminal},
    error::CommandError,
    exit_code,
    input::agent,
    reports::ReportPaths,
};

/// Timeout of a task that hangs.
const HANG_TIMEOUT_S: f64 = 2.0;
/// Shorter than the defaults, so that the demo is short: from SIGTERM to SIGKILL, and from a result to its kill.
const SUPERVISOR_OPTIONS: [&str; 4] = ["--grace", "1", "--linger", "1"];
/// More than a supervisor keeps of a task's output by default.
const FLOOD_BYTES: u64 = 11_000_000;

const GREETING: &str = "\
No model is called: the tasks are played by a stand-in for `claude` that is part
of ccx. All else is real: WebSocket, supervisor, a fresh worker for each task.
Some tasks misbehave on purpose. The column `ok` says whether each ended as it
should; the last lines say how many processes the tasks left behind.

";

/// A task of the demo and the end that it should come to.
struct Exhibit {
    title: &'static str,
    prompt: &'static str,
    timeout_s: Option<f64>,
    /// A variable of the task, with its value.
    variable: Option<(&'static str, &'static str)>,
    expected: Expected,
}

/// The end that a task should come to.
#[derive(Clone, Copy)]
struct Expected {
    verdict: Verdict,
    reason: EndReason,
    /// Fewest processes that outlive the main one.
    leftovers: u64,
    /// Fewest bytes of output.
    output_bytes: u64,
}

const WELL: Expected = Expected {
    verdict: Verdict::Succeeded,
    reason: EndReason::Exit,
    leftovers: 0,
    output_bytes: 0,
};
const ENDED_AT_TIMEOUT: Expected =
    Expected { verdict: Verdict::TimedOut, reason: EndReason::Timeout, ..WELL };
const PLAIN: Exhibit =
    Exhibit { title: "", prompt: "", timeout_s: None, variable: None, expected: WELL };

/// Those that stand among ordinary tasks.
const EXHIBITS: [Exhibit; 8] = [
    Exhibit {
        title: "prints 30 MB and ends well",
        prompt: "print 30 MB",
        expected: Expected { output_bytes: FLOOD_BYTES, ..WELL },
        ..PLAIN
    },
    Exhibit {
        title: "fails: says so",
        prompt: "fail",
        expected: Expected { verdict: Verdict::Failed, ..WELL },
        ..PLAIN
    },
    Exhibit {
        title: "leaves a daemon: killed",
        prompt: "leave a daemon",
        expected: Expected { leftovers: 1, ..WELL },
        ..PLAIN
    },
    Exhibit {
        title: "hangs: timed out after 2 s",
        prompt: "hang",
        timeout_s: Some(HANG_TIMEOUT_S),
        expected: ENDED_AT_TIMEOUT,
        ..PLAIN
    },
    Exhibit {
        title: "exits 0 without a result",
        prompt: "no result",
        expected: Expected { verdict: Verdict::NoResult, ..WELL },
        ..PLAIN
    },
    Exhibit {
        title: "ignores SIGTERM: killed",
        prompt: "hang ignoring SIGTERM",
        timeout_s: Some(HANG_TIMEOUT_S),
        expected: ENDED_AT_TIMEOUT,
        ..PLAIN
    },
    Exhibit {
        title: "answers and never exits",
        prompt: "result without exit",
        expected: Expected { reason: EndReason::Lingered, ..WELL },
        ..PLAIN
    },
    Exhibit {
        title: "prints 12 MB and ends well",
        prompt: "print 12 MB",
        expected: Expected { output_bytes: FLOOD_BYTES, ..WELL },
        ..PLAIN
    },
];

/// The last one: refused credentials stop a batch, so that its other tasks do not fail in the same way.
const WRONG_KEY: Exhibit = Exhibit {
    title: "wrong API key: 401",
    prompt: "wrong key",
    // A login of its own, which was never good: of one that was, a refusal is tried again.
    variable: Some(("ANTHROPIC_API_KEY", "wrong")),
    expected: Expected { verdict: Verdict::Auth, ..WELL },
    ..PLAIN
};

const QUESTIONS: [&str; 5] = [
    "What is 2 + 2?",
    "Name three prime numbers.",
    "Write a haiku about pipes.",
    "What does fsync do?",
    "Sort pear, apple and fig.",
];

pub(crate) async fn run(
    options: ServerOptions,
    arguments: DemoArguments,
) -> Result<u8, CommandError> {
    if options.url.is_some() {
        return Err(CommandError::usage(
            "the demo starts a supervisor of its own; omit --url (CC_EXECUTOR_URL)",
        ));
    }
    let mut interrupts = Interrupts::catch()?;
    terminal::print(GREETING);
    let exhibits = schedule(arguments.tasks as usize);
    let plan = plan(&exhibits)?;
    let tasks: Vec<Task> =
        plan.tasks.iter().zip(1..).map(|(task, number)| Task::of_plan(task, number)).collect();
    leftovers::adopt_orphans();
    let mut supervisor_options = vec!["--agent".to_owned(), agent::stand_in()?];
    supervisor_options.extend(SUPERVISOR_OPTIONS.map(str::to_owned));
    let mut server =
        Server::open(&options, &supervisor_options, Reconnect::default(), &mut interrupts).await?;
    let batch_id = match submit_on(&mut server.session, plan, &mut interrupts).await {
        Ok(batch_id) => batch_id,
        Err(error) => {
            // Why nothing was begun matters more than how the supervisor ended.
            server.close(Urgency::AtOnce).await.ok();
            return Err(error);
        }
    };
    let mut shown = BatchOutput::open(
        BatchView::default(),
        &ReportPaths::default(),
        "demo",
        &tasks,
        &[],
        None,
    )?;
    let seen =
        watch(&mut server, Ownership::Private, &batch_id, &tasks, &mut shown, &mut interrupts)
            .await;
    let is_as_expected = |(index, exhibit): (u64, &Exhibit)| {
        seen.rows.get(&index).is_some_and(|row| exhibit.expected.is_met_by(row))
    };
    let as_expected: Vec<bool> = (0..).zip(&exhibits).map(is_as_expected).collect();
    let interrupted = own_code(&seen);
    let (end, urgency) = end_of(seen, &tasks);
    let conclusion = finish::conclude(server, &options, end, urgency).await;
    finish::print(&conclusion, Some(&as_expected));
    let met = as_expected.iter().filter(|is_expected| **is_expected).count();
    terminal::print(&format!("ended as they should: {met} of {}\n", as_expected.len()));
    let of_tasks = exit_code::of_batch(as_expected.len() - met, 0, conclusion.is_something_left());
    Ok(finish::exit_code(&conclusion, interrupted.unwrap_or(of_tasks)))
}

/// The tasks: exhibits spread evenly among ordinary ones, and the one that stops a batch at the end. Where there are
/// fewer tasks than exhibits, the first exhibits.
fn schedule(count: usize) -> Vec<Exhibit> {
    let has_wrong_key = count > EXHIBITS.len();
    let spread = count - usize::from(has_wrong_key);
    let mut exhibits = EXHIBITS.into_iter().enumerate().peekable();
    let mut schedule: Vec<Exhibit> = (0..spread)
        .map(|position| {
            // The n-th of N exhibits stands where n/N of all tasks are over; the first task is a
            // good one unless there are hardly any.
            let place = |index: usize| (2 * index + 1) * spread / (2 * EXHIBITS.len());
            let exhibit = exhibits.next_if(|(index, _)| place(*index) <= position);
            exhibit.map_or_else(|| ordinary(position), |(_, exhibit)| exhibit)
        })
        .collect();
    schedule.extend(has_wrong_key.then_some(WRONG_KEY));
    schedule
}

fn ordinary(position: usize) -> Exhibit {
    let question = QUESTIONS.get(position % QUESTIONS.len()).unwrap_or(&"Hello?");
    Exhibit { title: question, prompt: question, ..PLAIN }
}

fn plan(exhibits: &[Exhibit]) -> Result<Plan, CommandError> {
    let tasks: Vec<Value> = exhibits.iter().map(Exhibit::task).collect();
    let plan = json!({
        "name": "demo",
        // An end that is expected is not tried again, and the CLI's own retries are a part of the show.
        "options": {"auth": "let_cli_retry", "defaults": {"retries": 0}},
        "tasks": tasks,
    });
    serde_json::from_value(plan)
        .map_err(|error| CommandError::failed(format!("the demo's plan cannot be read: {error}")))
}

impl Exhibit {
    fn task(&self) -> Value {
        let mut task = json!({"prompt": self.prompt, "label": self.title});
        if let Some(timeout_s) = self.timeout_s {
            task["timeout"] = json!(timeout_s);
        }
        if let Some((name, value)) = self.variable {
            task["env"] = json!({ name: value });
        }
        task
    }
}

impl Expected {
    fn is_met_by(self, row: &BatchRow) -> bool {
        let output_bytes: u64 =
            row.attempts.iter().filter_map(|attempt| attempt.output_bytes).sum();
        row.verdict == Some(self.verdict)
            && row.reason == Some(self.reason)
            && row.killed_leftovers >= self.leftovers
            && output_bytes >= self.output_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exhibit_is_shown_once_when_there_is_room() {
        for count in [9, 10, 20, 50, 1000] {
            let schedule = schedule(count);
            assert_eq!(schedule.len(), count);
            for exhibit in EXHIBITS.iter().chain([&WRONG_KEY]) {
                let shown = schedule.iter().filter(|task| task.title == exhibit.title);
                assert_eq!(shown.count(), 1, "{} of {count}", exhibit.title);
            }
            assert_eq!(schedule.last().unwrap().title, WRONG_KEY.title, "it stops the batch");
        }
    }

    #[test]
    fn few_tasks_are_as_many_as_were_asked_for() {
        for count in 1..9 {
            assert_eq!(schedule(count).len(), count);
        }
    }

    #[test]
    fn the_demo_is_a_plan_that_a_supervisor_takes() {
        assert_eq!(plan(&schedule(50)).unwrap().tasks.len(), 50);
    }
}
