use core_model::{Event, EventId, Message};

/// A message as the model is sent it, and the events that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContextMessage {
    pub(crate) events: Vec<EventId>,
    pub(crate) message: Message,
}

impl ContextMessage {
    pub(super) fn of(event: &Event, message: Message) -> Self {
        Self {
            events: vec![event.id.clone()],
            message,
        }
    }
}
