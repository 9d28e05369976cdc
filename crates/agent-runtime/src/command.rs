use std::collections::BTreeMap;

use core_model::{Agent, ConfirmationPolicy, Content, ConversationId, ConversationInfo, Workspace};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::RuntimeError;

/// What it takes to make a conversation; whatever is left out takes the server's defaults.
#[derive(Clone, Debug)]
pub struct NewConversation {
    /// Chosen by the client, or else random. An id that exists makes creation a no-op.
    pub id: Option<ConversationId>,
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
        /// The run's slot, when it was taken beforehand.
        slot: Option<OwnedSemaphorePermit>,
        answer: Answer<()>,
    },
    Run {
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
    Mend {
        answer: Answer<()>,
    },
    /// Closes the tools, the shell among them, unless a turn uses them.
    CloseTools,
    /// Ends the turn, answers no more commands.
    Stop {
        farewell: Farewell,
        answer: Answer<()>,
    },
}

/// Why an actor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    Deleted,
    ServerStopping,
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, RuntimeError>>;
