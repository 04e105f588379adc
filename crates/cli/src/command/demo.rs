//! `ccx demo`: tasks that behave and tasks that do not, so that one sees what this is for.
//!
//! Every task has an end that it is expected to have. The demo is a success when each of them came
//! to that end and nothing is left behind.

use cc_client::Reconnect;
use cc_protocol::{
    EndReason, Verdict,
    execute::{Execute, Program, Prompt},
};

use crate::{
    args::{DemoArguments, ServerOptions},
    command::{
        finish::{self, Conclusion},
        sequence::{self, SequenceEnd, Task},
    },
    connect::{Server, interrupts::Interrupts, leftovers},
    display::{progress::Progress, row::Row},
    error::Failure,
    exit_code,
    input::agent,
};

/// How long a task that hangs may hang.
const HANG_TIMEOUT_S: f64 = 2.0;
/// Short, because the demo's patience is: from SIGTERM to SIGKILL, and from a result to its kill.
const PATIENCE: [&str; 4] = ["--grace", "1", "--linger", "1"];

const GREETING: &str = "\
No model is called: the tasks are played by a stand-in for `claude` that is part
of ccx. All else is real: WebSocket, supervisor, a fresh worker for each task.
Some tasks misbehave on purpose. `ok` says whether each ended as it should; at
the end it is counted what is left of them.

";

/// A task of the demo and the end that it should come to.
struct Exhibit {
    title: &'static str,
    prompt: &'static str,
    timeout_s: Option<f64>,
    expected: Expected,
}

/// The end that an exhibit should come to.
#[derive(Clone, Copy)]
struct Expected {
    verdict: Verdict,
    reason: EndReason,
    /// At least so many processes outlive the main one.
    leftovers: u64,
    is_output_dropped: bool,
}

const WELL: Expected = Expected {
    verdict: Verdict::Succeeded,
    reason: EndReason::Exit,
    leftovers: 0,
    is_output_dropped: false,
};

const EXHIBITS: [Exhibit; 9] = [
    Exhibit {
        title: "prints 30 MB: bounded",
        prompt: "print 30 MB",
        timeout_s: None,
        expected: Expected { is_output_dropped: true, ..WELL },
    },
    Exhibit {
        title: "fails: says so",
        prompt: "fail",
        timeout_s: None,
        expected: Expected { verdict: Verdict::Failed, ..WELL },
    },
    Exhibit {
        title: "leaves a daemon: killed",
        prompt: "leave a daemon",
        timeout_s: None,
        expected: Expected { leftovers: 1, ..WELL },
    },
    Exhibit {
        title: "hangs: timed out after 2 s",
        prompt: "hang",
        timeout_s: Some(HANG_TIMEOUT_S),
        expected: Expected { verdict: Verdict::TimedOut, reason: EndReason::Timeout, ..WELL },
    },
    Exhibit {
        title: "exits 0 without a result",
        prompt: "no result",
        timeout_s: None,
        expected: Expected { verdict: Verdict::NoResult, ..WELL },
    },
    Exhibit {
        title: "wrong API key: 401",
        prompt: "wrong key",
        timeout_s: None,
        expected: Expected { verdict: Verdict::Auth, ..WELL },
    },
    Exhibit {
        title: "ignores SIGTERM: killed",
        prompt: "hang ignoring SIGTERM",
        timeout_s: Some(HANG_TIMEOUT_S),
        expected: Expected { verdict: Verdict::TimedOut, reason: EndReason::Timeout, ..WELL },
    },
    Exhibit {
        title: "answers and never exits",
        prompt: "result without exit",
        timeout_s: None,
        expected: Expected { reason: EndReason::Lingered, ..WELL },
    },
    Exhibit {
        title: "prints 12 MB: bounded",
        prompt: "print 12 MB",
        timeout_s: None,
        expected: Expected { is_output_dropped: true, ..WELL },
    },
];

const QUESTIONS: [&str; 5] = [
    "What is 2 + 2?",
    "Name three prime numbers.",
    "Write a haiku about pipes.",
    "What does fsync do?",
    "Sort pear, apple and fig.",
];

/// Runs the command to its exit code.
pub(crate) async fn run(options: ServerOptions, arguments: DemoArguments) -> Result<u8, Failure> {
    if options.url.is_some() {
        return Err(Failure::usage(
            "the demo starts a supervisor of its own; leave --url (CC_EXECUTOR_URL) away",
        ));
    }
    let mut interrupts = Interrupts::catch()?;
    finish::print(GREETING);
    let (tasks, expected): (Vec<Task>, Vec<Expected>) =
        programme(arguments.tasks).into_iter().unzip();
    leftovers::take_in_orphans();
    let mut private_arguments = vec!["--agent".to_owned(), agent::stand_in()?];
    private_arguments.extend(PATIENCE.map(str::to_owned));
    let mut server =
        Server::open(&options, &private_arguments, Reconnect::default(), &mut interrupts).await?;
    let mut progress = Progress::new(tasks.len(), false);
    let SequenceEnd { end, exit_code } =
        sequence::run(&mut server, &tasks, &mut interrupts, &mut progress).await;
    let conclusion = Conclusion::reach(server, &options, end).await;
    let rows = conclusion.end.rows.iter().zip(&expected);
    let as_expected: Vec<bool> = rows.map(|(row, expected)| expected.is_met_by(row)).collect();
    conclusion.print(Some(&as_expected));
    let met = as_expected.iter().filter(|is_expected| **is_expected).count();
    finish::print(&format!("ended as they should: {met} of {}\n", as_expected.len()));
    let of_rows = exit_code::of_batch(as_expected.len() - met, conclusion.is_something_left());
    Ok(conclusion.checked(exit_code.unwrap_or(of_rows)))
}

/// The tasks: exhibits spread evenly among ordinary ones.
fn programme(count: u32) -> Vec<(Task, Expected)> {
    let count = count as usize;
    let mut exhibits = EXHIBITS.iter().enumerate().peekable();
    (0..count)
        .map(|position| {
            // The n-th of N exhibits stands where n/N of all tasks are over; the first task is a
            // good one unless there are hardly any.
            let place = |index: usize| (2 * index + 1) * count / (2 * EXHIBITS.len());
            match exhibits.next_if(|(index, _)| place(*index) <= position) {
                Some((_, exhibit)) => {
                    let (title, timeout_s) = (exhibit.title, exhibit.timeout_s);
                    let task = task(position + 1, title, exhibit.prompt, timeout_s);
                    (task, exhibit.expected)
                }
                None => {
                    let question = QUESTIONS.get(position % QUESTIONS.len()).unwrap_or(&"Hello?");
                    (task(position + 1, question, question, None), WELL)
                }
            }
        })
        .collect()
}

fn task(number: usize, title: &str, prompt: &str, timeout: Option<f64>) -> Task {
    let execute = Execute {
        program: Program::Prompt(Box::new(Prompt {
            prompt: prompt.to_owned(),
            ..Prompt::default()
        })),
        label: Some(title.to_owned()),
        timeout,
        ..Execute::default()
    };
    Task::new(number, execute)
}

impl Expected {
    fn is_met_by(self, row: &Row) -> bool {
        let is_dropped = row.output.map(|output| output.dropped_bytes > 0);
        row.verdict == self.verdict.as_str()
            && row.reason == Some(self.reason)
            && row.killed_leftovers.is_some_and(|killed| killed >= self.leftovers)
            && is_dropped == Some(self.is_output_dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exhibit_is_shown_once_when_there_is_room() {
        for count in [9, 10, 20, 50, 1000] {
            let programme = programme(count);
            assert_eq!(programme.len(), count as usize);
            for exhibit in &EXHIBITS {
                let shown = programme.iter().filter(|(task, _)| task.title == exhibit.title);
                assert_eq!(shown.count(), 1, "{} of {count}", exhibit.title);
            }
        }
    }

    #[test]
    fn few_tasks_are_as_many_as_were_asked_for() {
        for count in 1..9 {
            assert_eq!(programme(count).len(), count as usize);
        }
    }
}
