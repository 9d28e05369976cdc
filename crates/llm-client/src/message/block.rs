use core_model::MessageToolCall;
use serde_json::Value;

/// A part of what a model said, and what its provider wants back with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub part: Part,
    /// The provider's own form of the part, or what it adds to it: signed or encrypted reasoning, a
    /// signature of a call. It means nothing to us and goes back unchanged, and only to the model that
    /// made it.
    pub state: Option<Value>,
}

/// What is said in a [`Block`].
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    /// What a model thought before it spoke or called a tool. Empty when the provider keeps it to
    /// itself.
    Reasoning(String),
    Call(MessageToolCall),
}

impl Block {
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { part, state: None }
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Part::Text(text.into()))
    }

    pub fn reasoning(text: impl Into<String>) -> Self {
        Self::new(Part::Reasoning(text.into()))
    }

    #[must_use]
    pub fn call(call: MessageToolCall) -> Self {
        Self::new(Part::Call(call))
    }

    /// The same block with what its provider wants back.
    #[must_use]
    pub fn with_state(self, state: Option<Value>) -> Self {
        Self { state, ..self }
    }
}

/// All texts, joined by line breaks.
pub(crate) fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match &block.part {
        Part::Text(text) => Some(text.as_str()),
        Part::Reasoning(_) | Part::Call(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// All thoughts, joined by line breaks; None when there is no block of them.
pub(crate) fn reasoning_of(blocks: &[Block]) -> Option<String> {
    let texts = blocks.iter().filter_map(|block| match &block.part {
        Part::Reasoning(text) => Some(text.as_str()),
        Part::Text(_) | Part::Call(_) => None,
    });
    let texts: Vec<&str> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

pub(crate) fn calls_of(blocks: &[Block]) -> impl Iterator<Item = &MessageToolCall> {
    blocks.iter().filter_map(|block| match &block.part {
        Part::Call(call) => Some(call),
        Part::Text(_) | Part::Reasoning(_) => None,
    })
}
