//! Replies in the form that events store, and back.

use core_model::{
    Content, Message, MessageToolCall, Role,
    message::{Provenance, ProviderBlock, ProviderState},
};
use serde_json::{Value, json};

use super::AssistantMessage;
use super::block::{Block, Part, reasoning_of, text_of};

/// What blocks say, without their calls. `provider_state` is set when the provider wants something
/// back of any block, calls included.
pub(crate) fn said(blocks: &[Block], made_by: Option<&Provenance>) -> Message {
    let text = text_of(blocks);
    let mut message = Message::new(Role::Assistant, Vec::new());
    if !text.trim().is_empty() {
        message.content.push(Content::text(text));
    }
    message.reasoning_content = reasoning_of(blocks).filter(|text| !text.is_empty());
    for state in blocks.iter().filter_map(|block| block.state.as_ref()) {
        // The fields in which the public clients look for these two kinds.
        match state["type"].as_str() {
            Some("thinking" | "redacted_thinking") => message.thinking_blocks.push(state.clone()),
            Some("reasoning") if message.responses_reasoning_item.is_none() => {
                message.responses_reasoning_item = Some(public_reasoning_item(state));
            }
            Some(_) | None => {}
        }
    }
    let wanted_back = blocks.iter().any(|block| block.state.is_some());
    message.provider_state = made_by
        .filter(|_| wanted_back)
        .map(|made_by| ProviderState {
            made_by: made_by.clone(),
            blocks: blocks.iter().map(stored).collect(),
        });
    message
}

/// A reasoning item of Responses as the public clients read it: its texts are strings there.
fn public_reasoning_item(item: &Value) -> Value {
    let texts = |list: &Value| -> Option<Vec<String>> {
        let parts = list.as_array()?.iter();
        Some(
            parts
                .filter_map(|part| Some(part["text"].as_str()?.to_owned()))
                .collect(),
        )
    };
    json!({
        "id": item["id"],
        "summary": texts(&item["summary"]).unwrap_or_default(),
        "content": texts(&item["content"]),
        "encrypted_content": item["encrypted_content"],
        "status": item["status"],
    })
}

fn stored(block: &Block) -> ProviderBlock {
    let state = block.state.clone();
    match &block.part {
        Part::Text(text) => ProviderBlock::Text {
            text: text.clone(),
            state,
        },
        Part::Reasoning(text) => ProviderBlock::Reasoning {
            text: text.clone(),
            state,
        },
        Part::Call(call) => ProviderBlock::Call {
            id: call.id.clone(),
            state,
        },
    }
}

/// An earlier reply: the inverse of [`said`], with the message's calls.
pub(super) fn read(message: Message) -> AssistantMessage {
    match message.provider_state {
        Some(state) => {
            let calls = message.tool_calls.unwrap_or_default();
            AssistantMessage {
                blocks: read_blocks(state.blocks, calls),
                made_by: Some(state.made_by),
            }
        }
        None => AssistantMessage {
            blocks: read_fields(message),
            made_by: None,
        },
    }
}

/// The parts in the provider's order. Calls without an answer are not among `calls` and are left out;
/// those that the provider state does not know follow at the end.
fn read_blocks(stored: Vec<ProviderBlock>, mut calls: Vec<MessageToolCall>) -> Vec<Block> {
    let mut blocks = Vec::with_capacity(stored.len());
    for block in stored {
        match block {
            ProviderBlock::Text { text, state } => {
                blocks.push(Block::text(text).with_state(state));
            }
            ProviderBlock::Reasoning { text, state } => {
                blocks.push(Block::reasoning(text).with_state(state));
            }
            ProviderBlock::Call { id, state } => {
                if let Some(at) = calls.iter().position(|call| call.id == id) {
                    blocks.push(Block::call(calls.remove(at)).with_state(state));
                }
            }
        }
    }
    blocks.extend(calls.into_iter().map(Block::call));
    blocks
}

/// The parts of a message that has only the fields which the public clients know.
fn read_fields(message: Message) -> Vec<Block> {
    let items = message.thinking_blocks.into_iter();
    let items = items.chain(message.responses_reasoning_item);
    let mut blocks: Vec<Block> = items.map(reasoning_block).collect();
    if let Some(text) = message.reasoning_content {
        match blocks.first_mut() {
            Some(first) => first.part = Part::Reasoning(text),
            None => blocks.push(Block::reasoning(text)),
        }
    }
    blocks.extend(message.content.into_iter().map(|part| match part {
        Content::Text { text, .. } => Block::text(text),
        Content::Image { .. } => Block::text("[An image was left out.]"),
    }));
    blocks.extend(message.tool_calls.into_iter().flatten().map(Block::call));
    blocks
}

fn reasoning_block(item: Value) -> Block {
    Block::reasoning("").with_state(Some(item))
}
