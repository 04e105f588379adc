//! Attempts in memory have no long texts: before they are stored again, the texts are read back from the database.

use crate::batch::{owner::Owner, stored};

impl Owner {
    /// Restores the last words of earlier attempts for the tasks that are about to be stored. Only a task that was
    /// started more than once has any; no other one costs a read.
    pub(super) async fn recall_tails(&mut self) {
        let is_short =
            |index: &usize| self.attempts.get(*index).is_some_and(|attempts| attempts.is_short());
        let short: Vec<usize> = self.dirty.iter().copied().filter(is_short).collect();
        for index in short {
            let id = self.snapshot.batch_id();
            match stored::tasks(&self.batches, id, index, index + 1).await {
                Ok(mut stored) => {
                    if let (Some((_, stored)), Some(attempts)) =
                        (stored.pop(), self.attempts.get_mut(index))
                    {
                        attempts.recall(&stored);
                    }
                }
                // Last words are not worth a retry.
                Err(error) => {
                    tracing::error!(batch_id = id, index, %error, "the last words of earlier attempts cannot be read")
                }
            }
        }
    }
}
