use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::RuntimeError;

/// The runs that may be active at a time, in all conversations together.
pub(crate) struct RunSlots {
    limit: usize,
    free: Arc<Semaphore>,
}

/// The right to run. A clone shares it, so that a child run can use its parent's; it is free again
/// when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct RunSlot(
    #[expect(dead_code, reason = "held, never read")] Arc<OwnedSemaphorePermit>,
);

impl RunSlots {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            free: Arc::new(Semaphore::new(limit)),
        }
    }

    /// # Errors
    /// [`RuntimeError::RunLimit`] when every slot is taken.
    pub(crate) fn take(&self) -> Result<RunSlot, RuntimeError> {
        let permit = Arc::clone(&self.free).try_acquire_owned();
        let permit = permit.map_err(|_none_left| RuntimeError::RunLimit {
            limit: self.limit,
            message_saved: false,
        })?;
        Ok(RunSlot(Arc::new(permit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_slot_counts_once_and_is_free_after_its_last_user() {
        let slots = RunSlots::new(1);
        let parent = slots.take().unwrap();
        let child = parent.clone();
        drop(parent);
        let refused = slots.take().unwrap_err();
        assert!(matches!(refused, RuntimeError::RunLimit { limit: 1, .. }));
        drop(child);
        slots.take().unwrap();
    }
}
