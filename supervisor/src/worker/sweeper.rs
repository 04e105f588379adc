//! Kills the processes that dead workers' tasks have left and no keeper has ended.
//!
//! A sweep looks at every process of the machine, so one sweep serves all that wait for one: those that ask while a sweep
//! is under way share the next. However many workers die at once, one thread is busy with them, and what a start needs is
//! free. Called by [`crate::task::worker_lost`].

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cc_link::spec::MARKER_VARIABLE;
use cc_proctree::{
    kill::{Leftovers, Swept, end_leftovers},
    procfs::Process,
};
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    task::spawn_blocking,
};

use crate::worker::supervision::Supervision;

/// Why it is not known whether a task has left processes.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error("looking at /proc: {0}")]
    Proc(Arc<io::Error>),
    #[error("the sweep broke off")]
    Broken,
}

type Outcome = Result<Swept, SweepError>;

/// Clones are the same sweeper.
#[derive(Clone, Debug)]
pub(crate) struct Sweeper {
    waiting: Arc<Mutex<Vec<Waiting>>>,
    /// Held during a sweep.
    turn: Arc<AsyncMutex<()>>,
    supervision: Supervision,
}

#[derive(Debug)]
struct Waiting {
    leftovers: Leftovers,
    answer: oneshot::Sender<Outcome>,
}

impl Sweeper {
    #[must_use]
    pub(super) fn new(supervision: Supervision) -> Self {
        Self { waiting: Arc::default(), turn: Arc::default(), supervision }
    }

    /// Kills what the task has left: the processes in its cgroup, those with its marker in their environment, and those
    /// that were `known` to descend from its worker, with all that descends from them.
    ///
    /// # Errors
    /// [`SweepError`]: something may be left.
    pub(crate) async fn sweep(
        &self,
        task_id: &str,
        leaf: Option<PathBuf>,
        known: Vec<Process>,
    ) -> Outcome {
        let (answer, mut answered) = oneshot::channel();
        let leftovers = Leftovers { marker: task_id.to_owned(), leaf, known };
        self.waiting().push(Waiting { leftovers, answer });
        let _turn = tokio::select! {
            biased;
            // Another caller's sweep has served this one.
            outcome = &mut answered => return outcome.unwrap_or(Err(SweepError::Broken)),
            turn = self.turn.lock() => turn,
        };
        let waiting = std::mem::take(&mut *self.waiting());
        if !waiting.is_empty() {
            self.supervision.swept();
            // The thread answers, so that a caller that is dropped takes no answer with it.
            drop(spawn_blocking(move || sweep_for(waiting)).await);
        }
        answered.await.unwrap_or(Err(SweepError::Broken))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep_for(waiting: Vec<Waiting>) {
    let (tasks, answers): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|waiting| (waiting.leftovers, waiting.answer)).unzip();
    let outcomes: Vec<Outcome> = match end_leftovers(MARKER_VARIABLE, &tasks) {
        Ok(swept) => swept.into_iter().map(Ok).collect(),
        Err(error) => {
            let error = SweepError::Proc(Arc::new(error));
            tasks.iter().map(|_| Err(error.clone())).collect()
        }
    };
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        // A caller that is gone needs no answer.
        answer.send(outcome).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::metrics::Metrics;

    fn sweeps(metrics: &Metrics) -> String {
        let page = metrics.text(crate::ops::metrics::Format::OpenMetrics);
        page.lines().find(|line| line.contains("sweeps_total")).unwrap().to_owned()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn fifty_that_ask_while_a_sweep_is_under_way_share_the_next_one() {
        let metrics = Arc::new(Metrics::new());
        let sweeper = Sweeper::new(Supervision::for_tests(Arc::clone(&metrics)));
        let turn = sweeper.turn.lock().await;
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let (sweeper, id) = (sweeper.clone(), format!("no-task-{number}"));
                tokio::spawn(async move { sweeper.sweep(&id, None, Vec::new()).await })
            })
            .collect();
        while sweeper.waiting().len() < 50 {
            tokio::task::yield_now().await;
        }
        drop(turn);
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), Swept::default());
        }
        assert!(sweeps(&metrics).ends_with(" 1"), "{}", sweeps(&metrics));
        let one_more = sweeper.sweep("one-more", None, Vec::new()).await;
        assert_eq!(one_more.unwrap(), Swept::default());
        assert!(sweeps(&metrics).ends_with(" 2"), "{}", sweeps(&metrics));
    }
}
