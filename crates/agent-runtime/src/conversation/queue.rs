//! Messages that wait for the agent's next turn: they stand in the state, not in the conversation, until they
//! are taken up.

use core_model::{
    Content, Draft, EventBody, EventId, ExecutionStatus, Message, QueuedMessage, Role, Source,
    UtcTime, event::MessageEvent,
};
use serde_json::json;

use crate::{RuntimeError, conversation::batch::CommitBatch};

/// Each change of the queue is an event with all of it.
const MAX_QUEUED: usize = 32;

/// Adds a message to those that wait.
///
/// # Errors
/// [`RuntimeError::QueueFull`].
pub(super) fn add(
    batch: &mut CommitBatch,
    id: EventId,
    content: Vec<Content>,
) -> Result<(), RuntimeError> {
    let mut queued = batch.state().queued.clone();
    if queued.len() >= MAX_QUEUED {
        return Err(RuntimeError::QueueFull { limit: MAX_QUEUED });
    }
    queued.push(QueuedMessage {
        id,
        content,
        queued_at: UtcTime::now(),
    });
    tell(batch, &queued);
    Ok(())
}

/// Gives a message that waits other content, or, without any, takes it back.
///
/// # Errors
/// [`RuntimeError::NotQueued`] when it was taken up, or never waited.
pub(super) fn change(
    batch: &mut CommitBatch,
    id: &EventId,
    content: Option<Vec<Content>>,
) -> Result<(), RuntimeError> {
    let mut queued = batch.state().queued.clone();
    let found = queued.iter().position(|message| message.id == *id);
    let at = found.ok_or_else(|| RuntimeError::NotQueued(id.clone()))?;
    match content {
        Some(content) => queued[at].content = content,
        None => {
            queued.remove(at);
        }
    }
    tell(batch, &queued);
    Ok(())
}

/// Puts the first message that waits into the conversation, and marks the conversation running; whether there
/// was one.
pub(super) fn take_up(batch: &mut CommitBatch) -> bool {
    let mut queued = batch.state().queued.clone();
    if queued.is_empty() {
        return false;
    }
    let next = queued.remove(0);
    tell(batch, &queued);
    let message = MessageEvent::new(Message::new(Role::User, next.content));
    let mut draft = Draft::new(Source::User, EventBody::MessageEvent(message));
    draft.id = next.id.clone();
    batch.push(draft);
    batch.push(Draft::state("last_user_message_id", next.id.0));
    batch.set_status(ExecutionStatus::Running);
    true
}

fn tell(batch: &mut CommitBatch, queued: &[QueuedMessage]) {
    batch.push(Draft::state("queued_messages", json!(queued)));
}
