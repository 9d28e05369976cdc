use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{
    EventId, EventTime,
    message::{Content, Message, MessageToolCall, TextContent},
};

/// Who or what caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Agent,
    User,
    Environment,
    Hook,
}

impl Source {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::User => "user",
            Self::Environment => "environment",
            Self::Hook => "hook",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Agent, Self::User, Self::Environment, Self::Hook]
            .into_iter()
            .find(|source| source.as_str() == name)
    }
}

/// One immutable fact of a conversation. Its JSON is its line in the log, its WebSocket frame and
/// its item in a page of events.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Event {
    pub id: EventId,
    pub timestamp: EventTime,
    pub source: Source,
    /// The event that this one follows on its branch; absent on the first and on transients.
    #[schemars(default, with = "EventId")]
    pub parent_id: Option<EventId>,
    #[schemars(flatten)]
    pub body: EventBody,
}

/// The content of an event, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum EventBody {
    SystemPromptEvent(SystemPromptEvent),
    MessageEvent(MessageEvent),
    ActionEvent(ActionEvent),
    ObservationEvent(ObservationEvent),
    UserRejectObservation(UserRejectObservation),
    AgentErrorEvent(AgentErrorEvent),
    ConversationErrorEvent(ConversationErrorEvent),
    ServerErrorEvent(ServerErrorEvent),
    ConversationStateUpdateEvent(ConversationStateUpdateEvent),
    PauseEvent(Nothing),
    InterruptEvent(Nothing),
    CondensationRequest(Nothing),
    Condensation(Condensation),
    SecurityAnalysisEvent(SecurityAnalysisEvent),
    StreamingDeltaEvent(StreamingDeltaEvent),
    /// A kind that this build does not know: its fields, with its `kind`. It is only read, never
    /// written: the log keeps the bytes.
    #[serde(untagged)]
    #[schemars(skip)]
    Unknown(Map<String, Value>),
}

/// An event that has no fields of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The instructions and tools an agent starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemPromptEvent {
    pub system_prompt: TextContent,
    pub tools: Vec<ToolDefinition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_context: Option<TextContent>,
}

/// A tool as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolDefinition {
    pub description: String,
    pub action_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ToolAnnotations>,
    pub kind: String,
    #[serde(default)]
    pub title: String,
    /// The tool as its MCP server describes it, for a tool of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_tool: Option<Value>,
}

/// Hints about what a tool may do (Model Context Protocol, `ToolAnnotations`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolAnnotations {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub read_only_hint: bool,
    pub destructive_hint: bool,
    pub idempotent_hint: bool,
    pub open_world_hint: bool,
}

/// A message: of the user, of the agent, or of the environment on their behalf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageEvent {
    pub llm_message: Message,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm_response_id: Option<String>,
    #[serde(default)]
    pub activated_skills: Vec<String>,
    #[serde(default)]
    pub extended_content: Vec<TextContent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_result: Option<Value>,
}

impl MessageEvent {
    #[must_use]
    pub fn new(llm_message: Message) -> Self {
        Self {
            llm_message,
            llm_response_id: None,
            activated_skills: Vec::new(),
            extended_content: Vec::new(),
            sender: None,
            critic_result: None,
        }
    }
}

/// How dangerous an action was judged to be.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum SecurityRisk {
    #[default]
    Unknown,
    Low,
    Medium,
    High,
}

/// A tool call of the agent. Without `action`, the call was malformed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionEvent {
    pub thought: Vec<TextContent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    #[serde(default)]
    pub thinking_blocks: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses_reasoning_item: Option<Value>,
    /// The tool's own fields and its `kind`, such as `TerminalAction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Map<String, Value>>,
    pub tool_name: String,
    pub tool_call_id: String,
    pub tool_call: MessageToolCall,
    /// Groups the calls of one model reply.
    pub llm_response_id: String,
    #[serde(default)]
    pub security_risk: SecurityRisk,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// The result of a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationEvent {
    pub tool_name: String,
    pub tool_call_id: String,
    pub observation: Observation,
    pub action_id: EventId,
    #[serde(default)]
    pub extended_content: Vec<TextContent>,
}

/// A tool's answer: what the model reads, whether it failed, and the tool's own fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    #[serde(default)]
    pub content: Vec<Content>,
    #[serde(default)]
    pub is_error: bool,
    /// The tool's own fields and the observation's `kind`, such as `TerminalObservation`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// An action that a person or a hook did not allow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRejectObservation {
    pub tool_name: String,
    pub tool_call_id: String,
    pub rejection_reason: String,
    pub rejection_source: RejectionSource,
    pub action_id: EventId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RejectionSource {
    #[default]
    User,
    Hook,
}

/// A tool call that failed before it could give an observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentErrorEvent {
    pub tool_name: String,
    pub tool_call_id: String,
    pub error: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<ErrorClassification>,
}

/// Why a run ended in error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationErrorEvent {
    /// A stable name, such as `LLMRateLimitError`.
    pub code: String,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<ErrorClassification>,
}

/// A frame that tells one WebSocket client what was wrong with its input; never logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerErrorEvent {
    pub code: String,
    pub detail: String,
}

/// One key of the conversation's state got a new value. Without `value` it became null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationStateUpdateEvent {
    pub key: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// Events that the model no longer sees, and the summary it sees instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condensation {
    #[serde(default)]
    pub forgotten_event_ids: Vec<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary_offset: Option<u64>,
    pub llm_response_id: String,
}

/// An analyzer's assessment of a batch of actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityAnalysisEvent {
    pub analyzer: String,
    pub policy: String,
    /// Risk by action event id.
    pub risks: std::collections::BTreeMap<String, SecurityRisk>,
    #[serde(default)]
    pub details: Map<String, Value>,
}

/// A piece of a reply that is still being written; never logged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamingDeltaEvent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
}

/// What kind of failure an error is, and what the user can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorClassification {
    pub kind: FailureKind,
    pub retryable: bool,
    #[serde(default)]
    pub user_action: UserAction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_id: Option<String>,
}

impl ErrorClassification {
    #[must_use]
    pub fn new(kind: FailureKind, retryable: bool, user_action: UserAction) -> Self {
        Self {
            kind,
            retryable,
            user_action,
            error_id: None,
        }
    }

    /// A mistake that the agent can correct by itself: a wrong tool name, bad arguments.
    #[must_use]
    pub fn agent_mistake() -> Self {
        Self::new(FailureKind::AgentAction, true, UserAction::Retry)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    Auth,
    Quota,
    RateLimit,
    Config,
    Transient,
    AgentAction,
    Internal,
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserAction {
    #[default]
    None,
    Retry,
    Settings,
}

/// An event without its time and parent, which its conversation adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub id: EventId,
    pub source: Source,
    pub body: EventBody,
}

impl Draft {
    #[must_use]
    pub fn new(source: Source, body: EventBody) -> Self {
        Self {
            id: EventId::random(),
            source,
            body,
        }
    }

    /// `key` of the conversation's state becomes `value`.
    pub fn state(key: &str, value: impl Into<Value>) -> Self {
        Self::new(
            Source::Environment,
            EventBody::ConversationStateUpdateEvent(ConversationStateUpdateEvent {
                key: key.to_owned(),
                value: value.into(),
            }),
        )
    }

    /// The event that this becomes at `timestamp` after `parent_id`.
    #[must_use]
    pub fn at(self, timestamp: EventTime, parent_id: Option<EventId>) -> Event {
        Event {
            id: self.id,
            timestamp,
            source: self.source,
            parent_id,
            body: self.body,
        }
    }
}

impl EventBody {
    /// The class name that is sent as `kind`.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::SystemPromptEvent(_) => "SystemPromptEvent",
            Self::MessageEvent(_) => "MessageEvent",
            Self::ActionEvent(_) => "ActionEvent",
            Self::ObservationEvent(_) => "ObservationEvent",
            Self::UserRejectObservation(_) => "UserRejectObservation",
            Self::AgentErrorEvent(_) => "AgentErrorEvent",
            Self::ConversationErrorEvent(_) => "ConversationErrorEvent",
            Self::ServerErrorEvent(_) => "ServerErrorEvent",
            Self::ConversationStateUpdateEvent(_) => "ConversationStateUpdateEvent",
            Self::PauseEvent(_) => "PauseEvent",
            Self::InterruptEvent(_) => "InterruptEvent",
            Self::CondensationRequest(_) => "CondensationRequest",
            Self::Condensation(_) => "Condensation",
            Self::SecurityAnalysisEvent(_) => "SecurityAnalysisEvent",
            Self::StreamingDeltaEvent(_) => "StreamingDeltaEvent",
            Self::Unknown(fields) => fields.get("kind").and_then(Value::as_str).unwrap_or(""),
        }
    }
}

impl Event {
    /// Reads one line of a log. An unknown kind, or a known one with unknown fields, becomes
    /// [`EventBody::Unknown`].
    ///
    /// # Errors
    /// When the line is not a JSON object with an id, a timestamp, a source and a kind.
    pub fn from_slice(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The event's one line, without the line break.
    ///
    /// # Errors
    /// Never for events this crate can build; the serializer's signature keeps the case open.
    pub fn to_vec(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            id: &'a EventId,
            timestamp: EventTime,
            source: Source,
            #[serde(skip_serializing_if = "Option::is_none")]
            parent_id: Option<&'a EventId>,
            #[serde(flatten)]
            body: &'a EventBody,
        }
        Wire {
            id: &self.id,
            timestamp: self.timestamp,
            source: self.source,
            parent_id: self.parent_id.as_ref(),
            body: &self.body,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            id: EventId,
            timestamp: EventTime,
            source: Source,
            #[serde(default)]
            parent_id: Option<EventId>,
            #[serde(flatten)]
            rest: Map<String, Value>,
        }
        let Wire {
            id,
            timestamp,
            source,
            parent_id,
            rest,
        } = Wire::deserialize(deserializer)?;
        if !rest.get("kind").is_some_and(Value::is_string) {
            return Err(serde::de::Error::missing_field("kind"));
        }
        let body = EventBody::deserialize(Value::Object(rest)).map_err(serde::de::Error::custom)?;
        Ok(Self {
            id,
            timestamp,
            source,
            parent_id,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn round_trip(value: &Value) -> Event {
        let event = Event::from_slice(value.to_string().as_bytes()).unwrap();
        let again: Value = serde_json::from_slice(&event.to_vec().unwrap()).unwrap();
        assert_eq!(&again, value);
        event
    }

    #[test]
    fn a_message_keeps_its_shape() {
        let event = round_trip(&json!({
            "id": "c9aecf55-91d2-4e3c-b878-fac3156a43c7",
            "timestamp": "2026-11-22T19:39:09.869486",
            "source": "user",
            "llm_message": {
                "role": "user",
                "content": [{"type": "text", "cache_prompt": false, "text": "hi"}],
                "thinking_blocks": [],
            },
            "activated_skills": [],
            "extended_content": [],
            "kind": "MessageEvent",
        }));
        assert_eq!(event.body.kind(), "MessageEvent");
    }

    #[test]
    fn an_observation_keeps_fields_this_crate_does_not_name() {
        let event = round_trip(&json!({
            "id": "1", "timestamp": "2026-11-22T19:39:09.869486", "source": "environment",
            "parent_id": "0", "tool_name": "terminal", "tool_call_id": "c", "action_id": "a",
            "observation": {
                "content": [], "is_error": false, "command": null, "exit_code": 0,
                "kind": "TerminalObservation",
            },
            "extended_content": [], "kind": "ObservationEvent",
        }));
        assert!(matches!(event.body, EventBody::ObservationEvent(_)));
    }

    #[test]
    fn an_unknown_kind_and_a_known_one_with_new_fields_stay_whole() {
        for value in [
            json!({"id": "1", "timestamp": "2026-11-22T19:39:09.869486", "source": "agent",
                   "kind": "NewEvent", "x": {"y": [1, null]}}),
            json!({"id": "1", "timestamp": "2026-11-22T19:39:09.869486", "source": "user",
                   "kind": "PauseEvent", "why": "new field"}),
        ] {
            let event = round_trip(&value);
            assert_eq!(event.body.kind(), value["kind"]);
        }
    }

    #[test]
    fn a_null_state_value_is_absent() {
        let draft = Draft::state("security_analyzer", Value::Null);
        let line = draft
            .at("2026-11-22".parse().unwrap(), None)
            .to_vec()
            .unwrap();
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value.get("value"), None);
        assert_eq!(value["key"], "security_analyzer");
    }
}
