use core_model::{MessageToolCall, message::CallOrigin};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Block;
use crate::answer::text_in;

/// What is kept of a message or a call beside its text. Reasoning is kept as it is.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ItemState {
    /// `message` or `function_call`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Whether a message is said on the way or as the final answer, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) phase: Option<String>,
    /// The id of the item directly before when this one cannot go back with its own id unless that one
    /// goes back too: reasoning, or an item of a kind that is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
}

/// The blocks of a reply's items. Items of kinds that are unknown here are left out: the provider may
/// want an answer to them that nobody gives.
pub(super) fn blocks(output: &[Value]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut after = None;
    for item in output {
        let block = match item["type"].as_str() {
            Some("reasoning") => {
                let text = reasoning_text(item);
                blocks.push(Block::reasoning(text).with_state(Some(kept_reasoning(item))));
                None
            }
            Some("function_call") => Some(Block::call(call(item))),
            Some("message") | None => Some(message_text(item))
                .filter(|text| !text.is_empty())
                .map(Block::text),
            Some(_) => None,
        };
        match block {
            Some(block) => blocks.push(block.with_state(kept(item, after.take()))),
            None => after = Some(text_in(&item["id"])),
        }
    }
    blocks
}

/// Whether the model refuses, in any of a reply's messages.
pub(super) fn is_refusal(output: &[Value]) -> bool {
    parts_of(output, "content").any(|part| part["type"] == "refusal")
}

fn parts_of<'a>(items: &'a [Value], list: &'a str) -> impl Iterator<Item = &'a Value> {
    items
        .iter()
        .filter_map(move |item| item[list].as_array())
        .flatten()
}

/// What a message says; why it refuses is said too.
fn message_text(item: &Value) -> String {
    let parts = parts_of(std::slice::from_ref(item), "content");
    let texts = parts.map(|part| match part["type"].as_str() {
        Some("refusal") => text_in(&part["refusal"]),
        Some(_) | None => text_in(&part["text"]),
    });
    texts.collect()
}

/// The summary of the model's thoughts, or the thoughts themselves where the provider shows them.
fn reasoning_text(item: &Value) -> String {
    let text = |list| {
        let parts = parts_of(std::slice::from_ref(item), list);
        let texts: Vec<String> = parts.map(|part| text_in(&part["text"])).collect();
        texts.join(BETWEEN_THOUGHTS)
    };
    Some(text("summary"))
        .filter(|summary| !summary.is_empty())
        .unwrap_or_else(|| text("content"))
}

fn call(item: &Value) -> MessageToolCall {
    let arguments = &item["arguments"];
    let arguments = match arguments.as_str() {
        Some(text) => text.to_owned(),
        None if arguments.is_null() => String::new(),
        // Some servers send the object itself.
        None => arguments.to_string(),
    };
    MessageToolCall {
        responses_item_id: id(item),
        origin: CallOrigin::Responses,
        ..MessageToolCall::new(text_in(&item["call_id"]), text_in(&item["name"]), arguments)
    }
}

fn kept(item: &Value, after: Option<String>) -> Option<Value> {
    let state = ItemState {
        kind: item["type"].as_str().unwrap_or("message").to_owned(),
        id: id(item),
        phase: item["phase"].as_str().map(str::to_owned),
        after,
    };
    let of_use = state.id.is_some() || state.phase.is_some() || state.after.is_some();
    of_use.then(|| json!(state))
}

/// A reasoning item as requests take it: they refuse null where the answer has it.
fn kept_reasoning(item: &Value) -> Value {
    let mut item = item.clone();
    if let Value::Object(fields) = &mut item {
        fields.retain(|_, value| !value.is_null());
        fields.entry("summary").or_insert_with(|| json!([]));
    }
    item
}

fn id(item: &Value) -> Option<String> {
    let id = item["id"].as_str().filter(|id| !id.is_empty());
    id.map(str::to_owned)
}

/// What stands between two parts of a model's thoughts.
pub(super) const BETWEEN_THOUGHTS: &str = "\n\n";
