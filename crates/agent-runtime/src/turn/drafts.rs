//! Events that several stages propose.

use core_model::{
    Draft, EventBody, Message, Source,
    event::{AgentErrorEvent, ErrorClassification, MessageEvent},
};
use llm_client::Fallback;
use serde_json::json;

pub(super) fn agent_error(
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

/// Tells clients that another model answered.
pub(super) fn fallback_notice(fallback: &Fallback) -> Draft {
    let value = json!({"from": fallback.from, "to": fallback.to, "code": fallback.code});
    Draft::state("model_fallback", value)
}

pub(super) fn environment_message(text: &str) -> Draft {
    let message = MessageEvent::new(Message::user(text));
    Draft::new(Source::Environment, EventBody::MessageEvent(message))
}
