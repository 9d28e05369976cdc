use core_model::{
    Agent, Content, ConversationId, ConversationInfo, ConversationSettings, EventId, Workspace,
};
use uuid::Uuid;

/// What a new conversation is created from; what is left out takes the server's defaults.
#[derive(Clone, Debug, Default)]
pub struct NewConversation {
    /// Chosen by the client, or else random. An id that exists makes creation a no-op.
    pub id: Option<ConversationId>,
    /// Set when the request may come again: the ids of what it creates follow from this one, and what
    /// exists already is not created twice.
    pub request: Option<Request>,
    /// None: the usual tools with the server's default model.
    pub agent: Option<Agent>,
    /// None: the server's default workspace folder.
    pub workspace: Option<Workspace>,
    /// Appended and run at once.
    pub initial_message: Option<Vec<Content>>,
    /// Its secrets in the clear; they are sealed before they are stored.
    pub settings: ConversationSettings,
}

/// One request, of which a second sending must have no second effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Follows from the request's key and from when it first came. The ids of what the request creates
    /// follow from it (UUID v5).
    pub id: Uuid,
    /// Whether it was begun before, and may have been carried out, wholly or in part.
    pub begun: bool,
}

impl Request {
    /// The id of the message that it sends.
    pub(crate) fn message(&self) -> EventId {
        self.event("message")
    }

    /// The id of the event with which its run began, or was taken up by one that was active.
    pub(crate) fn run(&self) -> EventId {
        self.event("run")
    }

    fn event(&self, name: &str) -> EventId {
        EventId(Uuid::new_v5(&self.id, name.as_bytes()).to_string())
    }
}

/// The answer to a creation.
#[derive(Clone, Debug)]
pub struct Created {
    pub info: ConversationInfo,
    /// The id was taken: nothing was changed, the request's other fields were ignored.
    pub existed: bool,
}
