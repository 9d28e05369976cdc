mod content_check;
mod provider_state;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use content_check::{ContentFault, check_content};
pub use provider_state::{Provenance, ProviderBlock, ProviderState};

/// Who wrote a message to or from a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    System,
    Assistant,
    Tool,
}

/// One piece of text; `cache_prompt` marks a prompt-caching boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextContent {
    #[serde(default)]
    pub cache_prompt: bool,
    #[serde(default, rename = "type")]
    pub tag: TextTag,
    pub text: String,
}

/// The constant `"text"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextTag {
    #[default]
    Text,
}

impl TextContent {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            cache_prompt: false,
            tag: TextTag::Text,
            text: text.into(),
        }
    }
}

/// Text or images, distinguished by `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Content {
    Text {
        #[serde(default)]
        cache_prompt: bool,
        text: String,
    },
    Image {
        #[serde(default)]
        cache_prompt: bool,
        image_urls: Vec<String>,
    },
}

impl Content {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text {
            cache_prompt: false,
            text: text.into(),
        }
    }

    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::Image { .. } => None,
        }
    }
}

impl From<TextContent> for Content {
    fn from(part: TextContent) -> Self {
        Self::Text {
            cache_prompt: part.cache_prompt,
            text: part.text,
        }
    }
}

/// The model protocol of a tool call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallOrigin {
    #[default]
    Completion,
    Responses,
}

/// A tool call as the model made it; `arguments` is JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageToolCall {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses_item_id: Option<String>,
    pub name: String,
    pub arguments: String,
    pub origin: CallOrigin,
    /// What the provider wants back of the whole reply; on the first of its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_state: Option<ProviderState>,
}

impl MessageToolCall {
    /// A call of Chat Completions; `arguments` is JSON text.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            responses_item_id: None,
            name: name.into(),
            arguments: arguments.into(),
            origin: CallOrigin::Completion,
            provider_state: None,
        }
    }
}

/// One message to or from a model, in the shape that events carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    pub role: Role,
    /// A plain string is read as one text part.
    #[serde(default, deserialize_with = "parts_or_text")]
    pub content: Vec<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<MessageToolCall>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    #[serde(default)]
    pub thinking_blocks: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses_reasoning_item: Option<Value>,
    /// What the provider wants back of a reply without calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_state: Option<ProviderState>,
}

impl Message {
    #[must_use]
    pub fn new(role: Role, content: Vec<Content>) -> Self {
        Self {
            role,
            content,
            tool_calls: None,
            tool_call_id: None,
            name: None,
            reasoning_content: None,
            thinking_blocks: Vec::new(),
            responses_reasoning_item: None,
            provider_state: None,
        }
    }

    /// A person's message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, vec![Content::text(text)])
    }

    /// All text parts, joined by line breaks.
    #[must_use]
    pub fn text(&self) -> String {
        let parts: Vec<&str> = self.content.iter().filter_map(Content::as_text).collect();
        parts.join("\n")
    }
}

/// Reads message content given as a list of parts or as one plain string.
///
/// # Errors
/// When it is neither.
pub fn parts_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Content>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "content is a string or a list of {type: text|image} parts"
    )]
    enum Either {
        Text(String),
        Parts(Vec<Content>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Text(text) => vec![Content::text(text)],
        Either::Parts(parts) => parts,
    })
}
