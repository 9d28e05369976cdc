use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ConversationId, ConversationKey, ConversationState, EventId, Extent, UtcTime, budget::Budgets,
    event::SecurityRisk,
};

/// The status of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    #[default]
    Idle,
    Running,
    Paused,
    WaitingForConfirmation,
    Finished,
    Error,
    Stuck,
    Deleting,
}

impl ExecutionStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::WaitingForConfirmation => "waiting_for_confirmation",
            Self::Finished => "finished",
            Self::Error => "error",
            Self::Stuck => "stuck",
            Self::Deleting => "deleting",
        }
    }
}

/// The folder an agent works in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workspace {
    /// Absolute, or relative to the server's own working directory.
    pub working_dir: String,
    #[serde(default)]
    pub kind: WorkspaceKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkspaceKind {
    #[default]
    LocalWorkspace,
}

/// Which actions wait for a person's confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum ConfirmationPolicy {
    AlwaysConfirm {},
    NeverConfirm {},
    ConfirmRisky {
        #[serde(default = "high")]
        threshold: SecurityRisk,
        #[serde(default = "yes")]
        confirm_unknown: bool,
    },
}

fn high() -> SecurityRisk {
    SecurityRisk::High
}

fn yes() -> bool {
    true
}

impl Default for ConfirmationPolicy {
    fn default() -> Self {
        Self::NeverConfirm {}
    }
}

impl ConfirmationPolicy {
    /// Whether an action of this risk waits.
    #[must_use]
    pub fn asks(&self, risk: SecurityRisk) -> bool {
        match *self {
            Self::AlwaysConfirm {} => true,
            Self::NeverConfirm {} => false,
            Self::ConfirmRisky {
                confirm_unknown, ..
            } if risk == SecurityRisk::Unknown => confirm_unknown,
            Self::ConfirmRisky { threshold, .. } => risk >= threshold,
        }
    }
}

/// What a client chooses for a conversation besides its agent, its workspace and its first message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationSettings {
    /// Model calls in one run.
    pub max_iterations: u32,
    /// Whether an agent that repeats itself is stopped.
    pub stuck_detection: bool,
    /// Which actions wait for a person's confirmation.
    pub confirmation_policy: ConfirmationPolicy,
    /// What judges how risky an action is.
    pub security_analyzer: Option<Value>,
    pub hook_config: Option<Value>,
    pub tags: BTreeMap<String, String>,
    /// By name, each `{kind, description, value, …}`.
    pub secrets: Map<String, Value>,
    pub client_tools: Vec<Value>,
    /// Where a Python client finds its classes for a tool, by the tool's name.
    pub tool_module_qualnames: BTreeMap<String, String>,
    pub user_id: Option<String>,
    /// The name of the API key that created it, whose budget it counts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_name: Option<String>,
    /// Whether the conversation gets a title automatically.
    pub autotitle: bool,
    /// The model that writes the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_llm_profile: Option<String>,
    /// How the model is asked for the title, in place of the server's words.
    #[serde(default, rename = "prompt", skip_serializing_if = "Option::is_none")]
    pub title_prompt: Option<String>,
    pub parent_conversation_id: Option<ConversationId>,
    /// What it may spend.
    #[serde(default, skip_serializing_if = "Budgets::is_unlimited")]
    pub budgets: Budgets,
}

impl Default for ConversationSettings {
    fn default() -> Self {
        Self {
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
            api_key_name: None,
            autotitle: true,
            title_llm_profile: None,
            title_prompt: None,
            parent_conversation_id: None,
            budgets: Budgets::default(),
        }
    }
}

/// What `metadata.json` holds: all that the log does not, and a copy of the fold that can always
/// be rebuilt. Secrets inside `agent` and `secrets` are sealed with the server's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version of this file's format.
    pub format: u32,
    pub id: ConversationId,
    pub created_at: UtcTime,
    pub title: Option<String>,
    /// An agent as [`crate::Agent`] describes it, or of a kind this build does not know.
    pub agent: Value,
    pub workspace: Workspace,
    /// As created; of what events can change, the log has what holds now.
    #[serde(flatten)]
    pub settings: ConversationSettings,
    pub forked_from_conversation_id: Option<ConversationId>,
    pub forked_from_event_id: Option<EventId>,
    /// Whether the server's stop paused a run that its next start may resume.
    #[serde(default)]
    pub resume: bool,
    /// Unfinished last lines that were found and moved aside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub torn: Vec<TornTail>,
    /// Written at the end of a turn.
    pub snapshot: Option<Snapshot>,
}

impl Metadata {
    pub const FORMAT: u32 = 1;

    /// Which conversation these are of, also if its id is used again later.
    #[must_use]
    pub fn key(&self) -> ConversationKey {
        ConversationKey {
            id: self.id,
            created_at: self.created_at,
        }
    }

    /// Those of a new conversation under a fresh id, with the settings that a server takes when its
    /// client chooses none.
    ///
    /// ```
    /// use core_model::{Metadata, Workspace, WorkspaceKind};
    ///
    /// let workspace = Workspace {
    ///     working_dir: "workspace/project".to_owned(),
    ///     kind: WorkspaceKind::LocalWorkspace,
    /// };
    /// let metadata = Metadata::new(serde_json::json!({"kind": "Agent"}), workspace);
    /// assert_eq!((metadata.settings.max_iterations, metadata.title), (500, None));
    /// ```
    #[must_use]
    pub fn new(agent: Value, workspace: Workspace) -> Self {
        Self {
            format: Self::FORMAT,
            id: ConversationId::random(),
            created_at: UtcTime::now(),
            title: None,
            agent,
            workspace,
            settings: ConversationSettings::default(),
            forked_from_conversation_id: None,
            forked_from_event_id: None,
            resume: false,
            torn: Vec::new(),
            snapshot: None,
        }
    }
}

/// Bytes at a log's end that were never acknowledged, and where they are kept now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornTail {
    /// The file in the conversation's folder.
    pub file: String,
    /// Where the log ends without them, in bytes.
    pub offset: u64,
    pub bytes: u64,
    pub found_at: UtcTime,
}

/// A stored fold of a log, with the extent that it is true of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(flatten)]
    pub extent: Extent,
    pub state: ConversationState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_asks_as_it_says() {
        let risky: ConfirmationPolicy =
            serde_json::from_str(r#"{"kind":"ConfirmRisky","threshold":"MEDIUM"}"#).unwrap();
        let asks: Vec<bool> = [
            SecurityRisk::Unknown,
            SecurityRisk::Low,
            SecurityRisk::Medium,
            SecurityRisk::High,
        ]
        .map(|risk| risky.asks(risk))
        .into();
        assert_eq!(asks, [true, false, true, true]);
        assert!(ConfirmationPolicy::AlwaysConfirm {}.asks(SecurityRisk::Low));
        assert!(!ConfirmationPolicy::default().asks(SecurityRisk::High));
    }
}
