use std::time::Duration;

use async_trait::async_trait;
use core_model::{Message, MessageToolCall, message::Provenance, usage::TokenUsage};
use serde_json::Value;

use crate::ModelError;
use crate::message::{AssistantMessage, Block, ModelMessage, Part, calls_of, said, text_of};

/// What a model is asked: the whole conversation so far and the tools it may call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelRequest {
    /// System message first; every tool call is answered by a tool result before the next user or
    /// assistant message.
    pub messages: Vec<ModelMessage>,
    pub tools: Vec<ToolSpec>,
    /// Requests with the same key share a prompt prefix that the provider may cache.
    pub cache_key: Option<String>,
}

/// A tool as a model sees it: a name, what it does, and a JSON Schema of its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    pub parameters: Value,
}

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelReply {
    /// The provider's response id, or one that was generated here when it sent none.
    pub id: String,
    /// In the order the model made them.
    pub blocks: Vec<Block>,
    pub stop: StopReason,
    pub usage: TokenUsage,
    /// US dollars, when the price is known.
    pub cost: Option<f64>,
    /// From the request that was answered to the end of the reply; tries before it do not count.
    pub latency: Duration,
    /// None when nothing of the reply has to go back unchanged.
    pub made_by: Option<Provenance>,
    /// What the user should know of how it came about.
    pub notices: Vec<Notice>,
    /// Set when another model than the first answered.
    pub fallback: Option<Fallback>,
}

/// That a model failed and another one answered in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The name of the model that failed.
    pub from: String,
    /// The name of the model that answered.
    pub to: String,
    /// How it failed: [`ModelError::code`].
    pub code: &'static str,
}

/// Something about a model that works less well than it could, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// A stable name: `images_left_out` or `prompt_truncated`.
    pub code: &'static str,
    pub detail: String,
}

/// Why a model stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StopReason {
    /// It said all it wanted, or called tools.
    #[default]
    Done,
    /// The limit on a reply's length cut it.
    Length,
    /// Prompt and reply fill the context window.
    ContextWindow,
    /// The provider's filter withheld the rest.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider paused a long reply; the same conversation asked again continues it.
    Pause,
    /// A reason that this build does not know, in the provider's words.
    Other(String),
}

impl ModelReply {
    /// All texts, joined by line breaks.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.blocks)
    }

    /// The tool calls, in the order the model made them.
    pub fn calls(&self) -> impl Iterator<Item = &MessageToolCall> {
        calls_of(&self.blocks)
    }

    /// What it says beside its calls, in the form that events store: text, reasoning, and what the
    /// provider wants back of it.
    #[must_use]
    pub fn said(&self) -> Message {
        said(&self.blocks, self.made_by.as_ref())
    }

    /// Whether it neither says nor calls anything: thoughts are not an answer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| match &block.part {
            Part::Text(text) => text.trim().is_empty(),
            Part::Reasoning(_) => true,
            Part::Call(_) => false,
        })
    }
}

impl From<ModelReply> for ModelMessage {
    fn from(reply: ModelReply) -> Self {
        Self::Assistant(AssistantMessage {
            blocks: reply.blocks,
            made_by: reply.made_by,
        })
    }
}

/// A piece of a reply that is still being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    Text(String),
    Reasoning(String),
    /// The pieces so far are void: the call failed after they came. If it is tried again, the reply
    /// starts from the beginning.
    Discarded,
}

/// What the pieces of a reply are given to, in order.
pub(crate) type OnDelta<'a> = &'a (dyn Fn(Delta) + Send + Sync);

/// How much a model can read and write, in tokens; None where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelLimits {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

/// Something that answers. One value serves one conversation's settings; calls may overlap.
#[async_trait]
pub trait Model: Send + Sync {
    /// The model's name as the settings give it, provider prefix included.
    fn name(&self) -> &str;

    /// What is known of its window.
    fn limits(&self) -> ModelLimits {
        ModelLimits::default()
    }

    /// Whether the cost of its replies can be known. False is certain; a provider that states costs may
    /// leave one out.
    fn has_price(&self) -> bool {
        true
    }

    /// Whether it can be asked for a text beside the conversation, such as a title. The scripted model
    /// cannot: it does what a message tells it to.
    fn writes_texts(&self) -> bool {
        true
    }

    /// Asks once, retrying what is worth retrying. `on_delta` is given the pieces of a streamed reply,
    /// in order. When a try fails after some, it is given [`Delta::Discarded`] before the pieces of
    /// the next.
    ///
    /// # Errors
    /// A [`ModelError`] that says whose fault it was and whether trying later can help.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; the provider may still charge for the call.
    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError>;
}
