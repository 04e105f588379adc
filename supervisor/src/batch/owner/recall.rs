//! Records in memory are short: before one is stored again, it gets back what only the stored one has.

use crate::batch::owner::Owner;
use crate::batch::stored;

impl Owner {
    /// Gives records that are to be stored the last words of their earlier attempts. Only a task that was started
    /// more than once has any, so that others cost no reading.
    pub(super) async fn recall_tails(&mut self) {
        let is_short =
            |index: &usize| self.records.get(*index).is_some_and(|record| record.is_short());
        let short: Vec<usize> = self.dirty.iter().copied().filter(is_short).collect();
        for index in short {
            let id = self.snapshot.batch_id();
            match stored::tasks(&self.batches, id, index, index + 1).await {
                Ok(mut stored) => {
                    if let (Some((_, stored)), Some(record)) =
                        (stored.pop(), self.records.get_mut(index))
                    {
                        record.recall(&stored);
                    }
                }
                // Last words are worth no wait.
                Err(error) => {
                    tracing::error!(batch_id = id, index, error = error.message, "last words")
                }
            }
        }
    }
}
