use std::sync::Arc;

use core_model::{Event, EventId};
use llm_client::ModelMessage;

use super::size::tokens_of;

/// A message as the model is sent it, and the events that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContextMessage {
    pub(crate) events: Vec<EventId>,
    pub(crate) message: Arc<ModelMessage>,
    /// An estimate.
    pub(super) tokens: u64,
}

impl ContextMessage {
    pub(super) fn new(events: Vec<EventId>, message: ModelMessage) -> Self {
        Self {
            tokens: tokens_of(&message),
            events,
            message: Arc::new(message),
        }
    }

    pub(super) fn of(event: &Event, message: ModelMessage) -> Self {
        Self::new(vec![event.id.clone()], message)
    }

    /// What stood before this message is not what it was.
    pub(super) fn forget_provider_state(&mut self) {
        if let ModelMessage::Assistant(said) = Arc::make_mut(&mut self.message) {
            said.forget_provider_state();
        }
    }

    /// Adds a user message to this one, if this is one too: providers want the roles to alternate.
    pub(super) fn join_user_message(&mut self, more: &Self) -> bool {
        let ModelMessage::User(added) = more.message.as_ref() else {
            return false;
        };
        if !matches!(self.message.as_ref(), ModelMessage::User(_)) {
            return false;
        }
        if let ModelMessage::User(content) = Arc::make_mut(&mut self.message) {
            content.extend(added.iter().cloned());
        }
        self.events.extend(more.events.iter().cloned());
        self.tokens += more.tokens;
        true
    }
}
