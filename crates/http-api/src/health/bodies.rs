use core_model::{ConversationId, UtcTime};
use schemars::JsonSchema;
use serde::Serialize;

/// `{"status": "ok"}`.
#[derive(Serialize, JsonSchema)]
pub(super) struct HealthStatus {
    pub(super) status: &'static str,
}

/// Whether the server is ready.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ready {
    /// `ready` or `not ready`.
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) details: ReadyDetails,
}

/// What to know besides whether the server is ready.
#[derive(Serialize, JsonSchema)]
pub(super) struct ReadyDetails {
    /// Whether all stored conversations are listed and recovered. Lists and counts wait until they are
    /// listed.
    pub(super) settled: bool,
    /// What was found in stored conversations since the start, and what became of it; the newest last,
    /// at most a hundred.
    pub(super) notices: Vec<ReadyNotice>,
}

/// Something a person should know about a stored conversation.
#[derive(Serialize, JsonSchema)]
pub(super) struct ReadyNotice {
    pub(super) conversation_id: ConversationId,
    pub(super) found_at: UtcTime,
    pub(super) text: String,
}

/// What this server is. `version` and the other versions are those of the protocol, which clients compare.
#[derive(Serialize, JsonSchema)]
pub(super) struct ServerInfo {
    /// Seconds since the start.
    pub(super) uptime: f64,
    /// Seconds since the last request that changes something.
    pub(super) idle_time: f64,
    pub(super) title: &'static str,
    pub(super) version: &'static str,
    pub(super) sdk_version: &'static str,
    pub(super) tools_version: &'static str,
    pub(super) workspace_version: &'static str,
    /// The name of this implementation.
    pub(super) server: &'static str,
    /// The version of this implementation.
    pub(super) server_version: &'static str,
    pub(super) build_git_sha: &'static str,
    pub(super) build_git_ref: &'static str,
    pub(super) usable_tools: Vec<&'static str>,
    pub(super) runtime_idle_timeout_seconds: Option<f64>,
    pub(super) conversation_runtime: &'static str,
    pub(super) available_conversation_runtimes: Vec<&'static str>,
    pub(super) capabilities: Vec<&'static str>,
    /// The longest that a call of the terminal waits for its command, unless the agent's parameters say
    /// otherwise.
    pub(super) max_foreground_terminal_timeout_seconds: f64,
    /// Whether conversations are in memory only, and lost when the server stops.
    pub(super) ephemeral: bool,
    /// Where the interactive documentation is.
    pub(super) docs: String,
    pub(super) redoc: String,
}
