use core_model::{Event, EventId};
use llm_client::ModelMessage;

/// A message as the model is sent it, and the events that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContextMessage {
    pub(crate) events: Vec<EventId>,
    pub(crate) message: ModelMessage,
}

impl ContextMessage {
    pub(super) fn of(event: &Event, message: ModelMessage) -> Self {
        Self {
            events: vec![event.id.clone()],
            message,
        }
    }

    /// Adds a user message to this one, if this is one too: providers want the roles to alternate.
    pub(super) fn join_user_message(&mut self, more: &Self) -> bool {
        let (ModelMessage::User(content), ModelMessage::User(added)) =
            (&mut self.message, &more.message)
        else {
            return false;
        };
        content.extend(added.iter().cloned());
        self.events.extend(more.events.iter().cloned());
        true
    }
}
