use core_model::{EventId, LogReader};

use crate::{Request, RuntimeError, command::CommandRequest, conversation::batch::CommitBatch};

/// What of a request is done already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) message: bool,
    pub(super) run: bool,
}

impl Done {
    /// What of a command's request is in the log or in this batch. Only what was begun before is looked
    /// for in the log.
    pub(super) async fn of(
        request: &CommandRequest,
        batch: &CommitBatch,
        log: &dyn LogReader,
    ) -> Result<Self, RuntimeError> {
        let Some(once) = request.once() else {
            return Ok(Self::default());
        };
        Ok(Self {
            message: exists(once.message(), once, batch, log).await?,
            run: exists(once.run(), once, batch, log).await?,
        })
    }
}

async fn exists(
    id: EventId,
    once: Request,
    batch: &CommitBatch,
    log: &dyn LogReader,
) -> Result<bool, RuntimeError> {
    let pending = batch.events.iter().any(|event| event.id == id);
    Ok(pending || once.begun && log.find(&id).await?.is_some())
}
