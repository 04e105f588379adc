//! A batch whose owner has panicked. A panic is a mistake of this program; even so the batch is continued: from its
//! stored state, as the next supervisor would continue it.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio::time::sleep;

use crate::{
    batch::{
        batches::Batches,
        stored::{self, StoredBatch},
    },
    config::limits,
    ops::memory,
};

/// Gives a stored batch an owner.
type Restore = fn(&Arc<Batches>, StoredBatch);

/// Runs the owner of a batch in a tokio task of its own.
pub(super) fn hold(
    batches: &Arc<Batches>,
    batch_id: &str,
    owner: impl Future<Output = ()> + Send + 'static,
    restore: Restore,
) {
    let (batches, batch_id) = (Arc::clone(batches), batch_id.to_owned());
    tokio::spawn(async move {
        if AssertUnwindSafe(owner).catch_unwind().await.is_ok() {
            memory::may_have_shrunk();
            return;
        }
        tracing::error!(
            batch_id,
            "the owner of a batch has panicked: its stored state is taken up"
        );
        // Time for an operator to see it, should every attempt panic.
        tokio::select! {
            () = sleep(limits::PANICKED_BATCH) => take_up(&batches, &batch_id, restore).await,
            () = batches.tasks.stage.stopping() => {}
        }
    });
}

async fn take_up(batches: &Arc<Batches>, batch_id: &str, restore: Restore) {
    let former = batches.get(batch_id);
    batches.gates.leave_all(batch_id);
    let stored = async { stored::load(batches, stored::row(batches, batch_id).await?).await };
    match stored.await {
        Ok(stored) if stored.state.batch.is_over() => batches.remove(batch_id),
        Ok(stored) => restore(batches, stored),
        Err(error) => {
            tracing::error!(batch_id, %error, "a batch cannot be continued");
            batches.remove(batch_id);
        }
    }
    // Whoever follows the former owner's snapshot looks for the new one.
    if let Some(former) = former {
        former.snapshot.touch();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::*;
    use crate::{batch::submit, task::context::TaskContext};

    static TAKEN_UP: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn note(_: &Arc<Batches>, stored: StoredBatch) {
        TAKEN_UP.lock().unwrap().push(stored.facts.batch_id);
    }

    #[tokio::test]
    async fn a_batch_is_taken_up_from_its_stored_state() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = TaskContext::for_tests(directory.path());
        // Its task is not started, and so does not end before the batch is taken up.
        drop(tasks.registry.close());
        let batches = Arc::new(Batches::new(tasks));
        let Value::Object(plan) = json!({"tasks": [{"command": "true"}]}) else {
            panic!("no object")
        };
        let answer = serde_json::to_value(submit(&batches, None, plan).await.unwrap()).unwrap();
        let batch_id = answer["batch_id"].as_str().unwrap();
        take_up(&batches, batch_id, note).await;
        assert_eq!(*TAKEN_UP.lock().unwrap(), [batch_id]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_not_stored_is_given_up_after_the_panic_of_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let batches = Arc::new(Batches::new(TaskContext::for_tests(directory.path())));
        hold(&batches, "unknown", async { panic!("a mistake") }, |_, _| panic!("it is unknown"));
        tokio::time::sleep(2 * limits::PANICKED_BATCH).await;
        assert_eq!(batches.count(), 0);
    }
}
