use std::collections::BTreeMap;

use core_model::{
    Agent, ConfirmationPolicy, Content, ConversationId, ConversationInfo, EventId, Workspace,
};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use crate::RuntimeError;

/// What it takes to make a conversation; whatever is left out takes the server's defaults.
#[derive(Clone, Debug)]
pub struct NewConversation {
    /// Chosen by the client, or else random. An id that exists makes creation a no-op.
    pub id: Option<ConversationId>,
    /// Set when the request may come again: then what it makes has ids that follow from this one, and
    /// what is there already is not made twice.
    pub request: Option<Request>,
    /// None: the usual tools with the server's default model.
    pub agent: Option<Agent>,
    /// None: the server's default workspace folder.
    pub workspace: Option<Workspace>,
    /// Appended and run at once.
    pub initial_message: Option<Vec<Content>>,
    pub max_iterations: u32,
    pub stuck_detection: bool,
    pub confirmation_policy: ConfirmationPolicy,
    pub security_analyzer: Option<Value>,
    pub hook_config: Option<Value>,
    pub tags: BTreeMap<String, String>,
    /// In the clear; sealed before they are stored.
    pub secrets: Map<String, Value>,
    pub client_tools: Vec<Value>,
    pub tool_module_qualnames: BTreeMap<String, String>,
    pub user_id: Option<String>,
    pub autotitle: bool,
    pub parent_conversation_id: Option<ConversationId>,
}

impl Default for NewConversation {
    fn default() -> Self {
        Self {
            id: None,
            request: None,
            agent: None,
            workspace: None,
            initial_message: None,
            max_iterations: 500,
            stuck_detection: true,
            confirmation_policy: ConfirmationPolicy::default(),
            security_analyzer: None,
            hook_config: None,
            tags: BTreeMap::new(),
            secrets: Map::new(),
            client_tools: Vec::new(),
            tool_module_qualnames: BTreeMap::new(),
            user_id: None,
            autotitle: true,
            parent_conversation_id: None,
        }
    }
}

/// One request, of which a second sending must have no second effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Follows from the request's key and from when it first came. The ids of what the request makes
    /// follow from it (UUID v5).
    pub id: Uuid,
    /// Whether it was begun before, and may have been carried out, or in part.
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

/// What a client asks of one conversation. Each is answered once it is durable.
#[derive(Debug)]
pub(crate) enum Command {
    SendMessage {
        content: Vec<Content>,
        run: bool,
        /// Where it must not come twice.
        request: Option<Request>,
        /// The run's slot, when it was taken beforehand.
        slot: Option<OwnedSemaphorePermit>,
        answer: Answer<()>,
    },
    Run {
        /// Where it must not start twice.
        request: Option<Request>,
        answer: Answer<()>,
    },
    Pause {
        answer: Answer<()>,
    },
    Interrupt {
        answer: Answer<()>,
    },
    Respond {
        accept: bool,
        reason: String,
        answer: Answer<()>,
    },
    /// Answers what a stop of the server left open, and stores the state.
    Recover {
        answer: Answer<()>,
    },
    /// Closes the tools, the shell among them, unless a turn uses them.
    CloseTools,
    /// Leaves memory, for others need the room, unless there is something to do or tools that may stay
    /// open.
    LeaveMemory,
    /// Ends the turn, answers no more commands.
    Stop {
        reason: StopReason,
        answer: Answer<()>,
    },
}

/// Why an actor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    Deleted,
    ServerStopping,
}

impl Command {
    pub(crate) fn request(&self) -> Option<Request> {
        match self {
            Self::SendMessage { request, .. } | Self::Run { request, .. } => *request,
            Self::Pause { .. }
            | Self::Interrupt { .. }
            | Self::Respond { .. }
            | Self::Recover { .. }
            | Self::CloseTools
            | Self::LeaveMemory
            | Self::Stop { .. } => None,
        }
    }

    /// Tells whoever waits for it that it cannot be carried out.
    pub(crate) fn refuse(self, error: RuntimeError) {
        match self {
            Self::SendMessage { answer, .. }
            | Self::Run { answer, .. }
            | Self::Pause { answer }
            | Self::Interrupt { answer }
            | Self::Respond { answer, .. }
            | Self::Recover { answer }
            | Self::Stop { answer, .. } => {
                answer.send(Err(error)).ok();
            }
            Self::CloseTools | Self::LeaveMemory => {}
        }
    }
}

/// What of a request is done already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) message: bool,
    pub(crate) run: bool,
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, RuntimeError>>;
