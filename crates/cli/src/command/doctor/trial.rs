//! Small tasks in a private supervisor: what they see is what other tasks of this shell will see.

use std::{collections::BTreeMap, env};

use cc_client::{Connection, Event};
use cc_protocol::{
    EndReason,
    execute::{Execute, Program},
    notification::Notification,
};

use crate::{
    connect::private::{PrivateSupervisor, Urgency},
    error::CommandError,
};

/// Timeout of each task; the CLI needs one or two seconds for these questions.
const TASK_S_LIMIT: f64 = 30.0;
/// Output limit of each task.
const OUTPUT_BYTES_LIMIT: u64 = 64 * 1024;

/// A private supervisor and a connection to it.
#[derive(Debug)]
pub(crate) struct Trial {
    supervisor: PrivateSupervisor,
    connection: Connection,
}

#[derive(Debug)]
pub(crate) struct Ran {
    /// `cgroup` or `subreaper`.
    pub(crate) containment: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// It ended by itself.
    pub(crate) is_ended_by_itself: bool,
}

impl Trial {
    pub(crate) async fn open() -> Result<Self, CommandError> {
        let supervisor = PrivateSupervisor::start(&[]).await?;
        let connection = Connection::open(supervisor.url(), None).await?;
        Ok(Self { supervisor, connection })
    }

    /// Runs a task to its end.
    pub(crate) async fn run(&mut self, argv: Vec<String>) -> Result<Ran, CommandError> {
        // The CLI then sends no statistics and looks for no updates.
        let quiet = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC".to_owned(), Some("1".to_owned()));
        let cwd = env::current_dir().ok().and_then(|folder| folder.to_str().map(str::to_owned));
        let task = Execute {
            program: Program::Argv { argv },
            timeout: Some(TASK_S_LIMIT),
            max_output_bytes: Some(OUTPUT_BYTES_LIMIT),
            cwd,
            env: BTreeMap::from([quiet]),
            label: Some("ccx doctor".to_owned()),
            ..Execute::default()
        };
        let started = self.connection.execute(&task).await?;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        loop {
            let event = self.connection.next_event().await?;
            let Event::Notification(received) = event else { continue };
            if let Notification::Output(output) = &received.notification {
                let text = if output.stream == "stdout" { &mut stdout } else { &mut stderr };
                text.push_str(&output.data);
            }
            if let Notification::Completed(completed) = received.notification {
                return Ok(Ran {
                    containment: started.containment,
                    stdout,
                    stderr,
                    is_ended_by_itself: completed.reason == EndReason::Exit,
                });
            }
        }
    }

    pub(crate) async fn close(self) -> Result<(), CommandError> {
        self.connection.close().await;
        self.supervisor.stop(Urgency::Polite).await
    }
}

impl Ran {
    /// The last line of its output, for a message.
    pub(crate) fn last_words(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        match said.trim().lines().last() {
            Some(line) => format!("it said {line:?}"),
            None => "it said nothing".to_owned(),
        }
    }
}
