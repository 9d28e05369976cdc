use core_model::{
    Content, EventId, Message, MessageToolCall, Role,
    event::{ActionEvent, Observation, ObservationEvent},
};
use serde_json::{Map, Value};

use crate::turn::context::message::ContextMessage;

/// Longer tool texts are cut for the model.
const TOOL_TEXT_CHARS: usize = 50_000;
const ERROR_HEADER: &str = "[An error occurred during execution.]\n";

/// The tool calls of one model reply.
pub(super) struct CallGroup {
    pub(super) response_id: String,
    thought: Vec<Content>,
    reasoning: Option<String>,
    thinking_blocks: Vec<Value>,
    pub(super) calls: Vec<Call>,
}

pub(super) struct Call {
    pub(super) action_id: EventId,
    pub(super) call: MessageToolCall,
    /// None when it was not understood.
    pub(super) action: Option<Map<String, Value>>,
    /// The event that answers it, and what that says.
    pub(super) answer: Option<(EventId, Vec<Content>)>,
}

impl Call {
    pub(super) fn new(action_id: EventId, action: &ActionEvent) -> Self {
        Self {
            action_id,
            call: action.tool_call.clone(),
            action: action.action.clone(),
            answer: None,
        }
    }
}

impl CallGroup {
    pub(super) fn new(action: &ActionEvent, first: Call) -> Self {
        Self {
            response_id: action.llm_response_id.clone(),
            thought: action.thought.iter().cloned().map(Content::from).collect(),
            reasoning: action.reasoning_content.clone(),
            thinking_blocks: action.thinking_blocks.clone(),
            calls: vec![first],
        }
    }

    /// An assistant message with the calls that have an answer, and the answers. Providers refuse
    /// calls without one.
    pub(super) fn render(&self, messages: &mut Vec<ContextMessage>) {
        let answered: Vec<(&Call, &(EventId, Vec<Content>))> = self
            .calls
            .iter()
            .filter_map(|call| Some((call, call.answer.as_ref()?)))
            .collect();
        let mut assistant = Message::new(Role::Assistant, self.thought.clone());
        assistant
            .content
            .retain(|part| part.as_text().is_none_or(|text| !text.is_empty()));
        if answered.is_empty() {
            if !assistant.content.is_empty() {
                messages.push(self.message(assistant));
            }
            return;
        }
        assistant.reasoning_content.clone_from(&self.reasoning);
        assistant.thinking_blocks.clone_from(&self.thinking_blocks);
        assistant.tool_calls = Some(answered.iter().map(|(call, _)| call.call.clone()).collect());
        messages.push(self.message(assistant));
        for (call, (event, content)) in answered {
            let message = Message::tool_result(&call.call.id, &call.call.name, content.clone());
            messages.push(ContextMessage {
                events: vec![event.clone()],
                message,
            });
        }
    }

    fn message(&self, message: Message) -> ContextMessage {
        let events = self.calls.iter().map(|call| call.action_id.clone());
        ContextMessage {
            events: events.collect(),
            message,
        }
    }
}

pub(super) fn observation_content(seen: &ObservationEvent) -> Vec<Content> {
    let Observation {
        content, is_error, ..
    } = &seen.observation;
    let text = agent_tools::model_text(&seen.observation);
    let mut parts = match text {
        Some(text) => vec![Content::text(text)],
        None => content.clone(),
    };
    parts.extend(seen.extended_content.iter().cloned().map(Content::from));
    for part in &mut parts {
        if let Content::Text { text, .. } = part
            && let Some((cut, _)) = text.char_indices().nth(TOOL_TEXT_CHARS)
        {
            text.truncate(cut);
            text.push_str("\n[cut: the rest was too long]");
        }
    }
    if *is_error {
        parts.insert(0, Content::text(ERROR_HEADER));
    }
    parts
}
