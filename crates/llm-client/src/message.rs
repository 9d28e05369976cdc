mod block;
mod stored;
#[cfg(test)]
mod tests;

use core_model::{Content, Message, MessageToolCall, Role, message::Provenance};
use serde_json::Value;

pub use block::{Block, Part};
pub(crate) use block::{calls_of, reasoning_of, text_of};
pub(crate) use stored::said;

/// One message of a request: what a model is shown of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelMessage {
    System(Vec<Content>),
    User(Vec<Content>),
    /// An earlier reply.
    Assistant(AssistantMessage),
    /// The answer to one tool call.
    ToolResult {
        call_id: String,
        tool: String,
        content: Vec<Content>,
    },
}

/// An earlier reply of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssistantMessage {
    pub blocks: Vec<Block>,
    /// Which model made it; None when that was not recorded.
    pub made_by: Option<Provenance>,
}

impl AssistantMessage {
    /// What this provider wants back of a block: None when another model made the reply.
    pub(crate) fn state_for<'a>(&self, asked: &Provenance, block: &'a Block) -> Option<&'a Value> {
        let own = self.made_by.as_ref().is_none_or(|made_by| made_by == asked);
        block.state.as_ref().filter(|_| own)
    }

    /// Removes what its provider wants back: the conversation before it is not what it was.
    pub fn forget_provider_state(&mut self) {
        for block in &mut self.blocks {
            block.state = None;
        }
    }
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
            Self::Assistant(said) => text_of(&said.blocks),
        }
    }

    /// The addresses of its images.
    pub(crate) fn images(&self) -> impl Iterator<Item = &String> {
        let content = match self {
            Self::System(content) | Self::User(content) | Self::ToolResult { content, .. } => {
                content.as_slice()
            }
            Self::Assistant(_) => &[],
        };
        content.iter().flat_map(|part| match part {
            Content::Text { .. } => &[],
            Content::Image { image_urls, .. } => image_urls.as_slice(),
        })
    }

    /// The tool calls, if it is an earlier reply.
    pub fn calls(&self) -> impl Iterator<Item = &MessageToolCall> {
        let blocks = match self {
            Self::Assistant(said) => said.blocks.as_slice(),
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
            Role::Assistant => Self::Assistant(stored::read(message)),
            Role::Tool => Self::ToolResult {
                call_id: message.tool_call_id.unwrap_or_default(),
                tool: message.name.unwrap_or_default(),
                content: message.content,
            },
        }
    }
}
