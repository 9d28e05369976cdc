use core_model::{
    Content, EventId, Message, MessageToolCall, Role,
    event::{ActionEvent, Observation, ObservationEvent},
};
use llm_client::ModelMessage;
use serde_json::{Map, Value};

use crate::turn::context::{
    message::ContextMessage,
    size::{clip, tokens_of_chars, tokens_of_content},
};

/// Longer tool texts are cut for the model.
const TOOL_TEXT_CHARS: usize = 50_000;
const ERROR_HEADER: &str = "[An error occurred during execution.]\n";

/// The tool calls of one model reply.
pub(super) struct CallGroup {
    pub(super) response_id: String,
    /// What the reply said beside its calls, as the event of its first call stores it.
    pub(super) said: Message,
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

    /// An estimate, with the answer.
    pub(super) fn tokens(&self) -> u64 {
        let called = self.call.name.len() + self.call.arguments.len();
        let answer = self.answer.as_ref();
        tokens_of_chars(called) + answer.map_or(0, |(_, content)| tokens_of_content(content))
    }
}

impl CallGroup {
    pub(super) fn new(action: &ActionEvent, first: Call) -> Self {
        Self {
            response_id: action.llm_response_id.clone(),
            said: said(action),
            calls: vec![first],
        }
    }

    /// An assistant message with the calls that have an answer, and the answers. Providers refuse
    /// calls without one.
    ///
    /// `longest`: the longest text of an answer that is shown, in characters.
    pub(super) fn render(&self, longest: Option<usize>, messages: &mut Vec<ContextMessage>) {
        let answered: Vec<(&Call, &(EventId, Vec<Content>))> = self
            .calls
            .iter()
            .filter_map(|call| Some((call, call.answer.as_ref()?)))
            .collect();
        if answered.is_empty() {
            let thought = self.said.content.clone();
            if !thought.is_empty() {
                messages.push(self.message(Message::new(Role::Assistant, thought)));
            }
            return;
        }
        let mut assistant = self.said.clone();
        assistant.tool_calls = Some(answered.iter().map(|(call, _)| call.call.clone()).collect());
        messages.push(self.message(assistant));
        for (call, (event, content)) in answered {
            let message = ModelMessage::ToolResult {
                call_id: call.call.id.clone(),
                tool: call.call.name.clone(),
                content: shortened(content, longest),
            };
            messages.push(ContextMessage::new(vec![event.clone()], message));
        }
    }

    fn message(&self, message: Message) -> ContextMessage {
        let events = self.calls.iter().map(|call| call.action_id.clone());
        ContextMessage::new(events.collect(), message.into())
    }

    /// Calls and answers, each call before its answer.
    pub(super) fn events(&self) -> Vec<EventId> {
        let events = self.calls.iter().flat_map(|call| {
            let answer = call.answer.as_ref().map(|(event, _)| event.clone());
            std::iter::once(call.action_id.clone()).chain(answer)
        });
        events.collect()
    }

    /// An estimate.
    pub(super) fn tokens(&self) -> u64 {
        let said = tokens_of_content(&self.said.content);
        said + self.calls.iter().map(Call::tokens).sum::<u64>()
    }

    /// What stood before this reply is not what it was.
    pub(super) fn forget_provider_state(&mut self) {
        self.said.provider_state = None;
        self.said.thinking_blocks.clear();
        self.said.responses_reasoning_item = None;
    }
}

fn shortened(content: &[Content], longest: Option<usize>) -> Vec<Content> {
    let mut content = content.to_vec();
    for part in &mut content {
        if let (Some(longest), Content::Text { text, .. }) = (longest, part) {
            *text = clip(text, longest);
        }
    }
    content
}

/// What a model said beside a call.
fn said(action: &ActionEvent) -> Message {
    let thought = action.thought.iter().filter(|part| !part.text.is_empty());
    Message {
        reasoning_content: action.reasoning_content.clone(),
        thinking_blocks: action.thinking_blocks.clone(),
        responses_reasoning_item: action.responses_reasoning_item.clone(),
        provider_state: action.tool_call.provider_state.clone(),
        ..Message::new(
            Role::Assistant,
            thought.cloned().map(Content::from).collect(),
        )
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
        if let Content::Text { text, .. } = part {
            *text = clip(text, TOOL_TEXT_CHARS);
        }
    }
    if *is_error {
        parts.insert(0, Content::text(ERROR_HEADER));
    }
    parts
}
