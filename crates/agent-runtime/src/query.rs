use bytes::Bytes;
use core_model::{ConversationInfo, ConversationOrder, EventTime, ExecutionStatus};

/// Which events of a log are meant. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// A class name, or a dotted path that ends in one.
    pub kind: Option<String>,
    pub source: Option<String>,
    /// Part of a message's text, in any case.
    pub body: Option<String>,
    pub from: Option<EventTime>,
    /// Exclusive.
    pub until: Option<EventTime>,
}

/// One page of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    pub filter: EventFilter,
    /// Id of the page's first event; unknown ids mean the start.
    pub page_id: Option<String>,
    /// 1 to 100.
    pub limit: usize,
    /// Newest first instead of log order.
    pub descending: bool,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self {
            filter: EventFilter::default(),
            page_id: None,
            limit: 100,
            descending: false,
        }
    }
}

/// Events as their log lines, and the id of the next page's first event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    pub items: Vec<Bytes>,
    pub next_page_id: Option<String>,
}

/// One page of the list of conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationQuery {
    pub status: Option<ExecutionStatus>,
    /// Id (dashed or hex) of the page's first conversation; unknown ids mean the start.
    pub page_id: Option<String>,
    /// 1 to 100.
    pub limit: usize,
    pub order: ConversationOrder,
    /// With the texts of the agent's skills.
    pub include_skills: bool,
}

impl Default for ConversationQuery {
    fn default() -> Self {
        Self {
            status: None,
            page_id: None,
            limit: 100,
            order: ConversationOrder::default(),
            include_skills: false,
        }
    }
}

/// Conversations and the hex id of the next page's first one.
#[derive(Clone, Debug)]
pub struct ConversationPage {
    pub items: Vec<Listed>,
    pub next_page_id: Option<String>,
}

/// A conversation on a list.
#[derive(Clone, Debug)]
pub enum Listed {
    Info(Box<ConversationInfo>),
    /// The same as JSON, as the store has it of a conversation without an actor.
    Json(Bytes),
}

impl Listed {
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn json(self) -> serde_json::Result<Bytes> {
        match self {
            Self::Info(info) => serde_json::to_vec(&info).map(Bytes::from),
            Self::Json(json) => Ok(json),
        }
    }

    /// # Errors
    /// When the store's JSON is not a valid conversation.
    pub fn info(self) -> serde_json::Result<ConversationInfo> {
        match self {
            Self::Info(info) => Ok(*info),
            Self::Json(json) => serde_json::from_slice(&json),
        }
    }
}
