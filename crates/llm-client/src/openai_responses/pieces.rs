use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::item::BETWEEN_THOUGHTS;
use crate::Delta;
use crate::answer::text_in;

/// A reply's items as far as they came, each in the provider's form.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    items: BTreeMap<u64, Value>,
    /// The item whose text was told last.
    told_text: Option<u64>,
    /// The item and the part of it whose thoughts were told last.
    told_thoughts: Option<(u64, u64)>,
}

impl Pieces {
    /// Takes an event, whose kind is given without `response.`; what it adds to the reply. Events that
    /// add nothing are ignored, as are those of unknown kinds.
    pub(super) fn add(&mut self, kind: &str, event: &Value) -> Option<Delta> {
        let item = event["output_index"]
            .as_u64()
            .unwrap_or_else(|| self.last_item());
        let delta = text_in(&event["delta"]);
        match kind {
            "output_item.added" => {
                let mut begun = event["item"].clone();
                // It may be cut here; whole it is when the item is done.
                if let Value::Object(fields) = &mut begun {
                    fields.remove("encrypted_content");
                }
                self.items.insert(item, begun);
                None
            }
            "output_item.done" => {
                self.items.insert(item, event["item"].clone());
                None
            }
            "content_part.added" | "content_part.done" => {
                let part = self.part(item, "message", "content", &event["content_index"]);
                *part = event["part"].clone();
                None
            }
            "reasoning_summary_part.added" | "reasoning_summary_part.done" => {
                let part = self.part(item, "reasoning", "summary", &event["summary_index"]);
                *part = event["part"].clone();
                None
            }
            "output_text.delta" => {
                let part = self.part(item, "message", "content", &event["content_index"]);
                append(part, "output_text", "text", &delta);
                self.text(item, delta)
            }
            "refusal.delta" => {
                let part = self.part(item, "message", "content", &event["content_index"]);
                append(part, "refusal", "refusal", &delta);
                self.text(item, delta)
            }
            "reasoning_summary_text.delta" => {
                let part = self.part(item, "reasoning", "summary", &event["summary_index"]);
                append(part, "summary_text", "text", &delta);
                self.thoughts(item, &event["summary_index"], delta)
            }
            "reasoning_text.delta" => {
                let part = self.part(item, "reasoning", "content", &event["content_index"]);
                append(part, "reasoning_text", "text", &delta);
                self.thoughts(item, &event["content_index"], delta)
            }
            "function_call_arguments.delta" => {
                append(
                    self.item(item, "function_call"),
                    "function_call",
                    "arguments",
                    &delta,
                );
                None
            }
            "function_call_arguments.done" => {
                if event["arguments"].is_string() {
                    self.item(item, "function_call")["arguments"] = event["arguments"].clone();
                }
                None
            }
            _ => None,
        }
    }

    pub(super) fn into_items(self) -> Vec<Value> {
        self.items.into_values().collect()
    }

    fn last_item(&self) -> u64 {
        self.items.keys().next_back().copied().unwrap_or(0)
    }

    fn item(&mut self, at: u64, kind: &str) -> &mut Value {
        let item = self.items.entry(at).or_insert(Value::Null);
        if !item.is_object() {
            *item = json!({ "type": kind });
        }
        item
    }

    /// A part of an item; one whose place is unknown follows those there are.
    fn part(&mut self, item: u64, kind: &str, list: &str, at: &Value) -> &mut Value {
        let item = self.item(item, kind);
        if !item[list].is_array() {
            item[list] = json!([]);
        }
        let count = item[list].as_array().map_or(0, Vec::len);
        let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
        let at = at.unwrap_or(0).min(count);
        if let Some(parts) = item[list].as_array_mut().filter(|_| at == count) {
            parts.push(json!({}));
        }
        &mut item[list][at]
    }

    /// Texts of different items are told on lines of their own.
    fn text(&mut self, item: u64, delta: String) -> Option<Delta> {
        if delta.is_empty() {
            return None;
        }
        let follows = self
            .told_text
            .replace(item)
            .is_some_and(|told| told != item);
        let between = if follows { "\n" } else { "" };
        Some(Delta::Text(format!("{between}{delta}")))
    }

    fn thoughts(&mut self, item: u64, part: &Value, delta: String) -> Option<Delta> {
        if delta.is_empty() {
            return None;
        }
        let place = (item, part.as_u64().unwrap_or(0));
        let between = match self.told_thoughts.replace(place) {
            Some((told, _)) if told != item => "\n",
            Some(told) if told != place => BETWEEN_THOUGHTS,
            Some(_) | None => "",
        };
        Some(Delta::Reasoning(format!("{between}{delta}")))
    }
}

/// Adds to a text of `value`, which is of this type if it does not say so itself.
fn append(value: &mut Value, kind: &str, field: &str, delta: &str) {
    if !value.is_object() {
        *value = json!({});
    }
    if value["type"].is_null() {
        value["type"] = json!(kind);
    }
    if let Value::String(text) = &mut value[field] {
        text.push_str(delta);
    } else {
        value[field] = json!(delta);
    }
}
