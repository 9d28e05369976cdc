use core_model::{Content, Message, MessageToolCall, Role};
use serde_json::Value;

/// One message of a request: what a model is shown of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelMessage {
    System(Vec<Content>),
    User(Vec<Content>),
    /// An earlier reply.
    Assistant(Vec<Block>),
    /// The answer to one tool call.
    ToolResult {
        call_id: String,
        tool: String,
        content: Vec<Content>,
    },
}

/// A part of what a model said.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Text(String),
    Reasoning(Reasoning),
    Call(MessageToolCall),
}

/// What a model thought before it spoke or called a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// Empty when the provider keeps it to itself.
    pub text: String,
    pub state: Option<ProviderState>,
}

/// Reasoning in its provider's own form, signed or encrypted. It means nothing to us and is bound to
/// the model that made it: it goes back to that model unchanged, and to no other.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderState {
    /// Anthropic's `thinking` and `redacted_thinking` blocks, in their order.
    ThinkingBlocks(Vec<Value>),
    /// One `reasoning` item of OpenAI Responses.
    ReasoningItem(Value),
}

impl ModelMessage {
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::System(_) => Role::System,
            Self::User(_) => Role::User,
            Self::Assistant(_) => Role::Assistant,
            Self::ToolResult { .. } => Role::Tool,
        }
    }

    /// All texts, joined by line breaks.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::System(content) | Self::User(content) | Self::ToolResult { content, .. } => {
                let texts: Vec<&str> = content.iter().filter_map(Content::as_text).collect();
                texts.join("\n")
            }
            Self::Assistant(blocks) => text_of(blocks),
        }
    }

    /// The tool calls, if it is an earlier reply.
    pub fn calls(&self) -> impl Iterator<Item = &MessageToolCall> {
        let blocks = match self {
            Self::Assistant(blocks) => blocks.as_slice(),
            Self::System(_) | Self::User(_) | Self::ToolResult { .. } => &[],
        };
        calls_of(blocks)
    }
}

impl From<Message> for ModelMessage {
    fn from(message: Message) -> Self {
        match message.role {
            Role::System => Self::System(message.content),
            Role::User => Self::User(message.content),
            Role::Assistant => Self::Assistant(blocks_of(message)),
            Role::Tool => Self::ToolResult {
                call_id: message.tool_call_id.unwrap_or_default(),
                tool: message.name.unwrap_or_default(),
                content: message.content,
            },
        }
    }
}

/// What a model said, in blocks: the inverse of [`said`], and the calls.
fn blocks_of(message: Message) -> Vec<Block> {
    let thinking = Some(message.thinking_blocks).filter(|blocks| !blocks.is_empty());
    let states = [
        thinking.map(ProviderState::ThinkingBlocks),
        message
            .responses_reasoning_item
            .map(ProviderState::ReasoningItem),
    ];
    let mut reasoning: Vec<Reasoning> = states
        .into_iter()
        .flatten()
        .map(|state| Reasoning {
            text: String::new(),
            state: Some(state),
        })
        .collect();
    if let Some(text) = message.reasoning_content {
        match reasoning.first_mut() {
            Some(first) => first.text = text,
            None => reasoning.push(Reasoning { text, state: None }),
        }
    }
    let texts = message.content.into_iter().map(|part| match part {
        Content::Text { text, .. } => text,
        Content::Image { .. } => "[An image was left out.]".to_owned(),
    });
    let calls = message.tool_calls.into_iter().flatten();
    let reasoning = reasoning.into_iter().map(Block::Reasoning);
    reasoning
        .chain(texts.map(Block::Text))
        .chain(calls.map(Block::Call))
        .collect()
}

/// What blocks say, without their calls, in the form that events store.
pub(crate) fn said(blocks: &[Block]) -> Message {
    let text = text_of(blocks);
    let mut message = Message::new(Role::Assistant, Vec::new());
    if !text.trim().is_empty() {
        message.content.push(Content::text(text));
    }
    message.reasoning_content = reasoning_of(blocks).filter(|text| !text.is_empty());
    let states = blocks.iter().filter_map(|block| match block {
        Block::Reasoning(reasoning) => reasoning.state.as_ref(),
        Block::Text(_) | Block::Call(_) => None,
    });
    for state in states {
        match state {
            ProviderState::ThinkingBlocks(blocks) => {
                message.thinking_blocks.extend(blocks.iter().cloned());
            }
            ProviderState::ReasoningItem(item) => {
                message.responses_reasoning_item = Some(item.clone());
            }
        }
    }
    message
}

pub(crate) fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match block {
        Block::Text(text) => Some(text.as_str()),
        Block::Reasoning(_) | Block::Call(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

pub(crate) fn reasoning_of(blocks: &[Block]) -> Option<String> {
    let texts = blocks.iter().filter_map(|block| match block {
        Block::Reasoning(reasoning) => Some(reasoning.text.as_str()),
        Block::Text(_) | Block::Call(_) => None,
    });
    let texts: Vec<&str> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

pub(crate) fn calls_of(blocks: &[Block]) -> impl Iterator<Item = &MessageToolCall> {
    blocks.iter().filter_map(|block| match block {
        Block::Call(call) => Some(call),
        Block::Text(_) | Block::Reasoning(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use core_model::message::CallOrigin;
    use serde_json::json;

    use super::*;

    fn reasoning(text: &str, state: ProviderState) -> Block {
        Block::Reasoning(Reasoning {
            text: text.to_owned(),
            state: Some(state),
        })
    }

    #[test]
    fn what_a_provider_wants_back_goes_through_events_unchanged() {
        let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let hidden = json!({"type": "redacted_thinking", "data": "d"});
        let item = json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "e"});
        for state in [
            ProviderState::ThinkingBlocks(vec![thinking, hidden]),
            ProviderState::ReasoningItem(item),
        ] {
            let blocks = vec![reasoning("hm", state), Block::Text("aloud".to_owned())];
            let stored = serde_json::to_value(said(&blocks)).expect("JSON");
            let read: Message = serde_json::from_value(stored).expect("a message");
            assert_eq!(ModelMessage::from(read), ModelMessage::Assistant(blocks));
        }
    }

    #[test]
    fn an_earlier_reply_keeps_its_calls_behind_what_was_said() {
        let call = MessageToolCall {
            id: "c".to_owned(),
            responses_item_id: Some("fc_1".to_owned()),
            name: "think".to_owned(),
            arguments: "{}".to_owned(),
            origin: CallOrigin::Responses,
        };
        let message = Message {
            tool_calls: Some(vec![call.clone()]),
            reasoning_content: Some("private".to_owned()),
            ..Message::new(Role::Assistant, vec![Content::text("aloud")])
        };
        let blocks = vec![
            Block::Reasoning(Reasoning {
                text: "private".to_owned(),
                state: None,
            }),
            Block::Text("aloud".to_owned()),
            Block::Call(call),
        ];
        assert_eq!(ModelMessage::from(message), ModelMessage::Assistant(blocks));
    }
}
