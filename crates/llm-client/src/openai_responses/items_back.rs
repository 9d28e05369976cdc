use core_model::message::Provenance;
use serde_json::{Map, Value, json};

use super::item::ItemState;
use crate::call_ids::CallIds;
use crate::wire_names::legal_name;
use crate::{AssistantMessage, Block, Part};

/// The items that an earlier reply goes back as. Reasoning goes back only to the model that made it,
/// and only directly before the item it led to. Where an item cannot go back, those that follow from it
/// are sent without the ids that would ask for it.
pub(super) fn items(said: &AssistantMessage, asked: &Provenance, ids: &mut CallIds) -> Vec<Value> {
    let blocks = said.blocks.iter().filter(|block| !is_blank(block));
    let blocks: Vec<Known> = blocks
        .map(|block| Known {
            part: &block.part,
            state: said.state_for(asked, block),
        })
        .collect();
    let mut items = Vec::new();
    let mut rest = blocks.as_slice();
    while !rest.is_empty() {
        let thoughts = rest.iter().take_while(|block| block.is_reasoning());
        let (thoughts, after) = rest.split_at(thoughts.count());
        let led_to = after.iter().take_while(|block| !block.is_reasoning());
        let (led_to, next) = after.split_at(led_to.count());
        let thoughts = thoughts_back(thoughts, led_to);
        let complete = thoughts.is_some();
        items.extend(thoughts.into_iter().flatten().cloned());
        for (at, block) in led_to.iter().enumerate() {
            let state = block.item_state();
            let with_id = complete && (at == 0 || state.after.is_none());
            items.extend(block.item(state, with_id, ids));
        }
        rest = next;
    }
    items
}

fn is_blank(block: &Block) -> bool {
    matches!(&block.part, Part::Text(text) if text.trim().is_empty())
}

/// The reasoning items to send before `led_to`, which may be none; None when the two do not belong
/// together as they are.
fn thoughts_back<'a>(thoughts: &[Known<'a>], led_to: &[Known<'a>]) -> Option<Vec<&'a Value>> {
    let items: Option<Vec<&Value>> = thoughts.iter().map(Known::reasoning_item).collect();
    let items = items?;
    let last = items
        .last()
        .map(|item| item["id"].as_str().unwrap_or_default());
    let wanted = led_to.first()?.item_state().after;
    (last == wanted.as_deref()).then_some(items)
}

/// A block, and what this provider wants back of it.
struct Known<'a> {
    part: &'a Part,
    state: Option<&'a Value>,
}

impl<'a> Known<'a> {
    fn is_reasoning(&self) -> bool {
        matches!(self.part, Part::Reasoning(_))
    }

    /// The item of a reasoning block if it says something without the provider's memory.
    fn reasoning_item(&self) -> Option<&'a Value> {
        self.state.filter(|item| {
            let encrypted = item["encrypted_content"].as_str();
            let shown = item["content"].as_array();
            let of_use = encrypted.is_some_and(|text| !text.is_empty())
                || shown.is_some_and(|parts| !parts.is_empty());
            item["type"] == "reasoning" && of_use
        })
    }

    fn item_state(&self) -> ItemState {
        let state = self.state.cloned().unwrap_or_default();
        serde_json::from_value(state).unwrap_or_default()
    }

    fn item(&self, state: ItemState, with_id: bool, ids: &mut CallIds) -> Option<Value> {
        let id = state.id.filter(|_| with_id);
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        match self.part {
            Part::Reasoning(_) => return None,
            Part::Text(text) => {
                set("type", json!("message"));
                set("role", json!("assistant"));
                if id.is_some() {
                    let part = json!({"type": "output_text", "text": text, "annotations": []});
                    set("content", json!([part]));
                    set("status", json!("completed"));
                } else {
                    set("content", json!(text));
                }
                if let Some(phase) = state.phase {
                    set("phase", json!(phase));
                }
            }
            Part::Call(call) => {
                set("type", json!("function_call"));
                set("call_id", json!(ids.call(&call.id)));
                set("name", json!(legal_name(&call.name)));
                set("arguments", json!(call.arguments));
            }
        }
        if let Some(id) = id {
            set("id", json!(id));
        }
        Some(Value::Object(fields))
    }
}
