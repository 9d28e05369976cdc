use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    ConfirmationPolicy, ConversationId, ConversationState, EventId, ExecutionStatus, Metadata,
    UtcTime, Workspace,
    budget::{Budgets, Spent},
    secrets::{drop_nulls, with_masked_secrets, without_secrets},
    usage::{ConversationStats, MetricsSnapshot},
};

/// A conversation's details. Every field is always present; secrets read null.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConversationInfo {
    pub id: ConversationId,
    pub workspace: Workspace,
    /// The folder with the conversation's log.
    pub persistence_dir: String,
    pub max_iterations: u32,
    pub stuck_detection: bool,
    pub execution_status: ExecutionStatus,
    pub confirmation_policy: ConfirmationPolicy,
    pub security_analyzer: Option<Value>,
    pub activated_knowledge_skills: Vec<String>,
    pub invoked_skills: Vec<String>,
    pub blocked_actions: Map<String, Value>,
    pub blocked_messages: Map<String, Value>,
    pub last_user_message_id: Option<EventId>,
    pub leaf_event_id: Option<EventId>,
    pub stats: ConversationStats,
    pub secret_registry: SecretRegistry,
    pub agent_state: Map<String, Value>,
    pub hook_config: Option<Value>,
    pub title: Option<String>,
    pub metrics: Option<MetricsSnapshot>,
    pub created_at: UtcTime,
    /// When the last event that is not a state update was appended.
    pub updated_at: UtcTime,
    pub forked_from_conversation_id: Option<ConversationId>,
    pub forked_from_event_id: Option<EventId>,
    pub parent_conversation_id: Option<ConversationId>,
    pub sub_conversation_ids: Vec<ConversationId>,
    pub tags: BTreeMap<String, String>,
    pub current_model_id: Option<String>,
    pub available_models: Vec<Value>,
    pub supports_runtime_model_switch: bool,
    pub launched_agent_profile: Option<Value>,
    /// An `Agent` with its secrets null.
    pub agent: Value,
    pub client_tools: Vec<Value>,
    pub tool_module_qualnames: BTreeMap<String, String>,
    pub runtime_info: Option<RuntimeInfo>,
    /// What it may spend. Clients of the reference server ignore this and `spent`.
    #[serde(default)]
    pub budgets: Budgets,
    /// What it has spent.
    #[serde(default)]
    pub spent: Spent,
}

/// The names of a conversation's secrets; their values read null.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SecretRegistry {
    pub secret_sources: Map<String, Value>,
}

/// Whether a conversation can continue.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeInfo {
    pub runtime_status: String,
    pub can_resume: bool,
    pub runtime_error: Option<Value>,
}

impl RuntimeInfo {
    #[must_use]
    pub fn available() -> Self {
        Self {
            runtime_status: "available".to_owned(),
            can_resume: true,
            runtime_error: None,
        }
    }
}

impl ConversationInfo {
    /// The details of an idle conversation from its metadata alone, which are right as long as its log has as
    /// many bytes as the stored fold. None without a stored fold, or if that says that the conversation runs,
    /// because it may not run any more.
    #[must_use]
    pub fn at_rest(metadata: &Metadata, folder: &Path) -> Option<Self> {
        let state = &metadata.snapshot.as_ref()?.state;
        let rests = state.execution_status != ExecutionStatus::Running;
        rests.then(|| Self::new(metadata, state, folder))
    }

    /// As lists show it by default.
    #[must_use]
    pub fn listed(self) -> Self {
        Self {
            runtime_info: Some(RuntimeInfo::available()),
            ..self.without_skills()
        }
    }

    /// Without the texts of the agent's skills, which can be long.
    #[must_use]
    pub fn without_skills(mut self) -> Self {
        if let Some(skills) = self.agent.pointer_mut("/agent_context/skills") {
            *skills = json!([]);
        }
        self
    }

    /// Combines the state from the log with what only the metadata has.
    #[must_use]
    pub fn new(metadata: &Metadata, state: &ConversationState, folder: &Path) -> Self {
        let spent = state.spent();
        let state = state.clone();
        Self {
            id: metadata.id,
            workspace: metadata.workspace.clone(),
            persistence_dir: folder.display().to_string(),
            max_iterations: metadata.settings.max_iterations,
            stuck_detection: metadata.settings.stuck_detection,
            execution_status: state.execution_status,
            confirmation_policy: state.confirmation_policy,
            security_analyzer: state.security_analyzer,
            activated_knowledge_skills: Vec::new(),
            invoked_skills: Vec::new(),
            blocked_actions: Map::new(),
            blocked_messages: Map::new(),
            last_user_message_id: state.last_user_message_id,
            leaf_event_id: state.leaf_event_id,
            stats: state.stats,
            secret_registry: SecretRegistry {
                secret_sources: named_secrets(metadata),
            },
            agent_state: state.agent_state,
            hook_config: metadata.settings.hook_config.clone(),
            title: metadata.title.clone(),
            metrics: None,
            created_at: metadata.created_at,
            updated_at: state
                .updated_at
                .map_or(metadata.created_at, |time| UtcTime(time.utc())),
            forked_from_conversation_id: metadata.forked_from_conversation_id,
            forked_from_event_id: metadata.forked_from_event_id.clone(),
            parent_conversation_id: metadata.settings.parent_conversation_id,
            sub_conversation_ids: Vec::new(),
            tags: state.tags,
            current_model_id: None,
            available_models: Vec::new(),
            supports_runtime_model_switch: false,
            launched_agent_profile: None,
            agent: without_secrets(&metadata.agent),
            client_tools: metadata.settings.client_tools.clone(),
            tool_module_qualnames: metadata.settings.tool_module_qualnames.clone(),
            runtime_info: None,
            budgets: state.budgets,
            spent,
        }
    }
}

/// The value of a `full_state` frame: the state without nulls, secrets masked.
#[must_use]
pub fn full_state(metadata: &Metadata, state: &ConversationState, folder: &Path) -> Value {
    let mut agent = with_masked_secrets(&metadata.agent);
    drop_nulls(&mut agent);
    let mut value = json!({
        "id": metadata.id,
        "agent": agent,
        "workspace": metadata.workspace,
        "persistence_dir": folder.display().to_string(),
        "max_iterations": metadata.settings.max_iterations,
        "stuck_detection": metadata.settings.stuck_detection,
        "execution_status": state.execution_status,
        "confirmation_policy": state.confirmation_policy,
        "security_analyzer": state.security_analyzer,
        "activated_knowledge_skills": [],
        "activated_path_rules": [],
        "invoked_skills": [],
        "blocked_actions": {},
        "blocked_messages": {},
        "last_user_message_id": state.last_user_message_id,
        "leaf_event_id": state.leaf_event_id,
        "head_is_empty": false,
        "stats": state.stats,
        "secret_registry": {"secret_sources": named_secrets(metadata)},
        "tags": state.tags,
        "agent_state": state.agent_state,
        "hook_config": metadata.settings.hook_config,
    });
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

fn named_secrets(metadata: &Metadata) -> Map<String, Value> {
    let mut shown = without_secrets(&Value::Object(metadata.settings.secrets.clone()));
    shown
        .as_object_mut()
        .map(std::mem::take)
        .unwrap_or_default()
}
