use std::{
    collections::BTreeMap,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use agent_runtime::RuntimeConfig;
use core_model::{LlmSettings, shared_budget::SharedBudgets};
use http_api::{ApiConfig, CorsConfig, HostCheck, HostConfig};
use mcp::McpSettings;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use webhooks::WebhookConfig;

use super::Secret;

/// The model that answers when none is configured.
const BUILT_IN_MODEL: &str = "scripted";

/// Everything that can be configured: a field here is a key of the JSON file, and in capitals
/// after `OH_` an environment variable.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Name or address to listen on.
    pub host: String,
    /// Zero picks a free one.
    pub port: u16,
    /// A key that clients must send; see [`Settings::keys`].
    pub session_api_key: Option<Secret>,
    /// More keys, for rotation.
    pub session_api_keys: Vec<Secret>,
    /// Keys by names: a conversation counts for the budget of the key that created it.
    pub named_api_keys: BTreeMap<String, Secret>,
    /// What all conversations, and those of each named key, may spend.
    pub budgets: SharedBudgets,
    /// Seals secrets at rest; any text.
    pub secret_key: Option<Secret>,
    /// Origins of web pages that may call the server, besides those on this machine.
    pub allow_cors_origins: Vec<String>,
    pub allow_cors_origin_regex: Option<String>,
    /// Hosts by which the server may be called, besides addresses and the names of this machine.
    pub allowed_hosts: Vec<String>,
    /// Logs and settings of conversations. Its parent folder has the server's own files.
    pub conversations_path: PathBuf,
    /// Workspace of conversations that name none.
    pub workspace_path: PathBuf,
    pub bash_events_dir: PathBuf,
    /// Stores conversations in memory; everything is gone at the end.
    pub ephemeral: bool,
    pub webhooks: Vec<WebhookConfig>,
    /// Variables of the server that agents' processes inherit besides the usual ones; a `*` at the end
    /// stands for any rest of a name.
    pub tool_environment: Vec<String>,
    /// For conversations that name no agent.
    pub llm: LlmSettings,
    /// Runs at a time, in all conversations together.
    pub max_concurrent_runs: NonZeroUsize,
    /// Commands that may wait in one conversation.
    pub mailbox_size: NonZeroUsize,
    /// Idle conversations whose shells stay open; the one idle for the longest time loses its shell first.
    pub max_idle_shells: NonZeroUsize,
    /// Unused conversations in memory; the one unused for the longest time leaves first.
    pub max_idle_conversations: NonZeroUsize,
    /// How long an unused conversation stays in memory.
    pub idle_ttl_seconds: NonZeroU64,
    /// How long it stays where the agent left something running.
    pub idle_jobs_ttl_seconds: NonZeroU64,
    /// How long a call of the terminal waits for its command at most; the command then continues.
    pub max_foreground_terminal_timeout_seconds: NonZeroU64,
    /// How long an MCP server may take to start and to list its tools.
    pub mcp_start_timeout_seconds: NonZeroU64,
    /// How long a call of an MCP server's tool may be silent, unless the server's settings say otherwise.
    pub mcp_call_timeout_seconds: NonZeroU64,
    pub durability: Durability,
    /// How long an acknowledged event may wait to be on disk, where durability is `interval`.
    pub durability_interval_ms: NonZeroU64,
    pub log_format: LogFormat,
    /// A level, or a filter in the syntax of `RUST_LOG`, which overrides this.
    pub log_level: String,
    /// Threads that serve HTTP.
    pub workers: NonZeroUsize,
    /// Connections that may be open; more are answered 503. None: as many as files and memory allow.
    pub max_connections: Option<NonZeroUsize>,
    /// The same from one address, except this machine's. None: half of all.
    pub max_connections_per_address: Option<NonZeroUsize>,
    /// Largest request body.
    pub max_body_bytes: NonZeroUsize,
    /// The most that a request may store with its conversation, besides the events.
    pub max_metadata_bytes: NonZeroUsize,
    /// Largest WebSocket message from a client; the same as `max_body_bytes` unless set.
    pub max_frame_bytes: Option<NonZeroUsize>,
    /// Event streams count as well.
    pub max_sockets_per_conversation: NonZeroUsize,
    /// WebSockets in all whose clients have not presented a key yet.
    pub max_unauthenticated_sockets: NonZeroUsize,
    /// How long a WebSocket may take to present its key.
    pub socket_auth_timeout_seconds: NonZeroU64,
    /// How often a WebSocket is pinged, and an event stream sent a comment.
    pub socket_ping_interval_seconds: NonZeroU64,
    /// How long the client of a WebSocket may send nothing, not even pongs.
    pub socket_idle_timeout_seconds: NonZeroU64,
    /// How long the client of a WebSocket or an event stream may read nothing.
    pub socket_send_timeout_seconds: NonZeroU64,
}

/// When an acknowledged event survives a loss of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Always: it is on disk before it is acknowledged.
    #[default]
    Always,
    /// A moment later.
    Interval,
    /// When the operating system writes it.
    Os,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(n.saturating_sub(1))
}

fn seconds(time: Duration) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(time.as_secs().saturating_sub(1))
}

impl Default for Settings {
    fn default() -> Self {
        let limits = http_api::Limits::default();
        Self {
            host: "0.0.0.0".to_owned(),
            port: 8000,
            session_api_key: None,
            session_api_keys: Vec::new(),
            named_api_keys: BTreeMap::new(),
            budgets: SharedBudgets::default(),
            secret_key: None,
            allow_cors_origins: Vec::new(),
            allow_cors_origin_regex: None,
            allowed_hosts: Vec::new(),
            conversations_path: "workspace/conversations".into(),
            workspace_path: "workspace/project".into(),
            bash_events_dir: "workspace/bash_events".into(),
            ephemeral: false,
            webhooks: Vec::new(),
            tool_environment: Vec::new(),
            llm: LlmSettings {
                model: BUILT_IN_MODEL.to_owned(),
                ..LlmSettings::default()
            },
            max_concurrent_runs: count(RuntimeConfig::MAX_CONCURRENT_RUNS),
            mailbox_size: count(RuntimeConfig::MAILBOX),
            max_idle_shells: count(RuntimeConfig::MAX_IDLE_SHELLS),
            max_idle_conversations: count(RuntimeConfig::MAX_IDLE_CONVERSATIONS),
            idle_ttl_seconds: seconds(RuntimeConfig::IDLE_TTL),
            idle_jobs_ttl_seconds: seconds(RuntimeConfig::IDLE_JOBS_TTL),
            mcp_start_timeout_seconds: seconds(McpSettings::START_TIMEOUT),
            mcp_call_timeout_seconds: seconds(McpSettings::CALL_TIMEOUT),
            max_foreground_terminal_timeout_seconds: seconds(
                RuntimeConfig::MAX_FOREGROUND_TERMINAL_TIMEOUT,
            ),
            durability: Durability::default(),
            durability_interval_ms: NonZeroU64::MIN.saturating_add(199),
            log_format: LogFormat::default(),
            log_level: "info".to_owned(),
            workers: count(2),
            max_connections: None,
            max_connections_per_address: None,
            max_body_bytes: count(limits.body_bytes),
            max_metadata_bytes: count(limits.metadata_bytes),
            max_frame_bytes: None,
            max_sockets_per_conversation: count(limits.sockets_per_conversation),
            max_unauthenticated_sockets: count(limits.unauthenticated_sockets),
            socket_auth_timeout_seconds: seconds(limits.auth_timeout),
            socket_ping_interval_seconds: seconds(limits.ping_interval),
            socket_idle_timeout_seconds: seconds(limits.idle_timeout),
            socket_send_timeout_seconds: seconds(limits.send_timeout),
        }
    }
}

impl Settings {
    /// Every key that a client may send. No keys: the server is open. Empty ones count as unset; one
    /// that is only white space does not, and is refused.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.session_api_key
            .iter()
            .chain(&self.session_api_keys)
            .chain(self.named_api_keys.values())
            .filter(|key| !key.is_empty())
            .map(Secret::trimmed)
    }

    /// Those of them that have no name.
    fn unnamed_keys(&self) -> impl Iterator<Item = &str> {
        self.session_api_key
            .iter()
            .chain(&self.session_api_keys)
            .filter(|key| !key.is_empty())
            .map(Secret::trimmed)
    }

    fn named_keys(&self) -> BTreeMap<String, SecretString> {
        let keys = self.named_api_keys.iter();
        keys.map(|(name, key)| (name.clone(), SecretString::from(key.trimmed())))
            .collect()
    }

    /// Who may call the server, and how it is called.
    #[must_use]
    pub fn access(&self, check: HostCheck) -> ApiConfig {
        let regex = self.allow_cors_origin_regex.clone();
        ApiConfig {
            keys: self.unnamed_keys().map(SecretString::from).collect(),
            named_keys: self.named_keys(),
            cors: CorsConfig {
                origins: self.allow_cors_origins.clone(),
                origin_regex: regex.filter(|regex| !regex.is_empty()),
            },
            hosts: HostConfig {
                allowed: self.allowed_hosts.clone(),
                check,
            },
            ..ApiConfig::default()
        }
    }

    /// The folder of the server's own files, which belong to no conversation: its key, settings, cursors.
    #[must_use]
    pub fn workspace_root(&self) -> PathBuf {
        let parent = self.conversations_path.parent();
        parent.map_or_else(|| PathBuf::from("."), PathBuf::from)
    }
}
