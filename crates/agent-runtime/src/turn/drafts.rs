//! The events a turn proposes.

use agent_tools::ToolError;
use bytes::Bytes;
use core_model::{
    ConversationState, Draft, EventBody, EventId, EventTime, Message, MessageToolCall, Role,
    Source, TextContent,
    event::{
        ActionEvent, AgentErrorEvent, ErrorClassification, MessageEvent, SecurityAnalysisEvent,
        SecurityRisk, StreamingDeltaEvent,
    },
};
use llm_client::ModelReply;
use serde_json::{Map, json};

pub(crate) fn action_event(
    reply: &ModelReply,
    call: &MessageToolCall,
    name: &str,
    first: bool,
) -> ActionEvent {
    let said = if first {
        reply.said()
    } else {
        Message::new(Role::Assistant, Vec::new())
    };
    let thought = said.text();
    ActionEvent {
        thought: if thought.is_empty() {
            vec![]
        } else {
            vec![TextContent::new(thought.trim())]
        },
        reasoning_content: said.reasoning_content,
        thinking_blocks: said.thinking_blocks,
        responses_reasoning_item: said.responses_reasoning_item,
        action: None,
        tool_name: name.to_owned(),
        tool_call_id: call.id.clone(),
        tool_call: call.clone(),
        llm_response_id: reply.id.clone(),
        security_risk: SecurityRisk::Unknown,
        critic_result: None,
        summary: None,
    }
}

/// What stands in for arguments that are no JSON object: providers refuse to be sent those again.
pub(crate) fn malformed(error: &ToolError) -> String {
    json!({"_openhands_malformed_tool_call": true, "error": error.to_string()}).to_string()
}

pub(crate) fn agent_error(
    tool: &str,
    call_id: &str,
    error: String,
    classification: ErrorClassification,
) -> Draft {
    Draft::new(
        Source::Agent,
        EventBody::AgentErrorEvent(AgentErrorEvent {
            tool_name: tool.to_owned(),
            tool_call_id: call_id.to_owned(),
            error,
            classification: Some(classification),
        }),
    )
}

pub(crate) fn agent_message(reply: &ModelReply) -> Draft {
    let mut event = MessageEvent::new(reply.said());
    event.llm_response_id = Some(reply.id.clone());
    Draft::new(Source::Agent, EventBody::MessageEvent(event))
}

pub(crate) fn environment_message(text: &str) -> Draft {
    let message = MessageEvent::new(Message::user(text));
    Draft::new(Source::Environment, EventBody::MessageEvent(message))
}

pub(crate) fn analysis(
    state: &ConversationState,
    risks: &[(EventId, SecurityRisk)],
) -> Option<Draft> {
    let analyzer = state
        .security_analyzer
        .as_ref()?
        .get("kind")?
        .as_str()?
        .to_owned();
    let policy = json!(state.confirmation_policy);
    let event = SecurityAnalysisEvent {
        analyzer,
        policy: policy["kind"].as_str().unwrap_or_default().to_owned(),
        risks: risks
            .iter()
            .map(|(id, risk)| (id.0.clone(), *risk))
            .collect(),
        details: Map::new(),
    };
    Some(Draft::new(
        Source::Environment,
        EventBody::SecurityAnalysisEvent(event),
    ))
}

/// A piece of a streamed reply, as listeners are told it.
pub(crate) fn piece_frame(content: Option<String>, reasoning_content: Option<String>) -> Bytes {
    let event = StreamingDeltaEvent {
        content,
        reasoning_content,
    };
    transient(Draft::new(
        Source::Agent,
        EventBody::StreamingDeltaEvent(event),
    ))
}

/// That the pieces of a streamed reply are void. Clients refuse kinds that they do not know, and pass
/// over a state update whose key they do not know.
pub(crate) fn discarded_frame() -> Bytes {
    transient(Draft::state("streaming_reply", json!("discarded")))
}

fn transient(draft: Draft) -> Bytes {
    let event = draft.at(EventTime::now(), None);
    event.to_vec().unwrap_or_default().into()
}
