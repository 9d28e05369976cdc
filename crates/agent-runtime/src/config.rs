use std::{path::PathBuf, sync::Arc, time::Duration};

use agent_tools::{BuiltInTools, ToolSource};
use core_model::{ConversationId, LlmSettings, shared_budget::SharedBudgets};
use llm_client::{Model, ModelError};
use secrecy::SecretBox;
use workspace::Processes;

use crate::KeySource;

/// Opens the model that settings describe.
pub type Connect = Arc<dyn Fn(&LlmSettings) -> Result<Arc<dyn Model>, ModelError> + Send + Sync>;

/// What a runtime needs to know.
#[derive(Clone)]
pub struct RuntimeConfig {
    /// Runs at a time, in all conversations together.
    pub max_concurrent_runs: usize,
    /// Commands that may wait in one conversation.
    pub mailbox: usize,
    /// How long an unused conversation stays in memory, and with it its shell. It is used by commands,
    /// runs, reads and followers.
    pub idle_ttl: Duration,
    /// How long it stays, instead, where the agent left something running.
    pub idle_jobs_ttl: Duration,
    /// Conversations that stay in memory although they are not in use; beyond this, the one that was not
    /// used for the longest time leaves first, also before [`Self::idle_ttl`].
    pub max_idle_conversations: usize,
    /// Idle conversations that keep their tools, and so their shells, open; beyond this, the longest idle
    /// one loses its own, with those first that run nothing and that nobody follows. Its next command
    /// starts a new shell.
    pub max_idle_shells: usize,
    /// How long a call of the terminal waits for its command at most, unless the agent's parameters say
    /// something else.
    pub max_foreground_terminal_timeout: Duration,
    /// For conversations that name no agent.
    pub default_llm: LlmSettings,
    /// For conversations that name no workspace.
    pub default_workspace: PathBuf,
    /// Holds a folder for each conversation, named by its id, with what its tools keep. A store on files
    /// has its own files there too.
    pub conversations: PathBuf,
    /// Seals secrets at rest.
    pub secret_key: KeySource,
    /// What the conversations of an API key, and all, may spend; a request may set other limits in their
    /// place.
    pub shared_budgets: SharedBudgets,
    /// Whether runs that the last stop of the server paused start again with it.
    pub resume_runs: bool,
    pub connect: Connect,
    /// Where agents' tools come from; of several tools with one name, the first source's counts.
    pub tool_sources: Vec<Arc<dyn ToolSource>>,
    /// How workspaces start processes, and what those inherit.
    pub processes: Processes,
}

impl RuntimeConfig {
    pub const MAX_CONCURRENT_RUNS: usize = 10;
    pub const MAILBOX: usize = 256;
    pub const MAX_IDLE_CONVERSATIONS: usize = 256;
    pub const MAX_IDLE_SHELLS: usize = 64;
    pub const IDLE_TTL: Duration = Duration::from_secs(20 * 60);
    pub const IDLE_JOBS_TTL: Duration = Duration::from_secs(24 * 60 * 60);
    pub const MAX_FOREGROUND_TERMINAL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

    /// The usual limits with a key, a default model, a default workspace, and the folder that holds a
    /// folder for each conversation.
    pub fn new(
        secret_key: [u8; 32],
        default_llm: LlmSettings,
        default_workspace: impl Into<PathBuf>,
        conversations: impl Into<PathBuf>,
    ) -> Self {
        Self {
            max_concurrent_runs: Self::MAX_CONCURRENT_RUNS,
            mailbox: Self::MAILBOX,
            idle_ttl: Self::IDLE_TTL,
            idle_jobs_ttl: Self::IDLE_JOBS_TTL,
            max_idle_conversations: Self::MAX_IDLE_CONVERSATIONS,
            max_idle_shells: Self::MAX_IDLE_SHELLS,
            max_foreground_terminal_timeout: Self::MAX_FOREGROUND_TERMINAL_TIMEOUT,
            default_llm,
            default_workspace: default_workspace.into(),
            conversations: conversations.into(),
            secret_key: Arc::new(move || Ok(SecretBox::new(Box::new(secret_key)))),
            shared_budgets: SharedBudgets::default(),
            resume_runs: false,
            connect: Arc::new(llm_client::connect),
            tool_sources: vec![Arc::new(BuiltInTools)],
            processes: Processes::default(),
        }
    }

    /// The folder of one conversation.
    pub(crate) fn folder(&self, id: ConversationId) -> PathBuf {
        self.conversations.join(id.to_string())
    }
}
