use core_model::message::Provenance;
use serde_json::{Map, Value, json};

use crate::adjustments::{ContentBesideCalls, ReasoningText};
use crate::message::{calls_of, reasoning_of, text_of};
use crate::{AssistantMessage, Block, Part, provider::Route};

/// The field by which most servers tell thoughts, and take them back.
pub(super) const REASONING_TEXT: &str = "reasoning_content";
/// OpenRouter's form of thoughts.
pub(super) const REASONING_DETAILS: &str = "reasoning_details";
/// Where Gemini's signatures stand.
pub(super) const EXTRA_CONTENT: &str = "extra_content";

/// Stands for the signature of a call that this model did not make: Gemini 3 refuses calls without one.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// An earlier reply as its provider takes it back.
pub(super) fn message(said: &AssistantMessage, route: &Route) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value| fields.insert(name.to_owned(), value);
    set("role", json!("assistant"));
    let text = text_of(&said.blocks);
    let calls = calls(said, route);
    if !text.is_empty() || calls.is_empty() {
        set("content", json!(text));
    } else {
        match route.adjustments.content_beside_calls {
            ContentBesideCalls::Absent => {}
            ContentBesideCalls::Empty => drop(set("content", json!(""))),
            ContentBesideCalls::Null => drop(set("content", Value::Null)),
        }
    }
    if let Some(reasoning) = reasoning_text(said, route, !calls.is_empty()) {
        set(REASONING_TEXT, json!(reasoning));
    }
    for block in &said.blocks {
        let state = said.state_for(&route.made_by, block);
        let of_message = match &block.part {
            Part::Reasoning(_) => REASONING_DETAILS,
            Part::Text(_) => EXTRA_CONTENT,
            Part::Call(_) => continue,
        };
        if let Some(value) = state.and_then(|state| state.get(of_message)) {
            set(of_message, value.clone());
        }
    }
    if !calls.is_empty() {
        set("tool_calls", Value::Array(calls));
    }
    Value::Object(fields)
}

fn calls(said: &AssistantMessage, route: &Route) -> Vec<Value> {
    let extra = |block: &Block| {
        let state = said.state_for(&route.made_by, block)?;
        state.get(EXTRA_CONTENT).cloned()
    };
    let is_call = |block: &&Block| matches!(block.part, Part::Call(_));
    let mut extras: Vec<Option<Value>> = said.blocks.iter().filter(is_call).map(extra).collect();
    // Of parallel calls only the first is signed.
    if wants_signatures(route)
        && extras.iter().all(Option::is_none)
        && let Some(first) = extras.first_mut()
    {
        *first = Some(json!({"google": {"thought_signature": UNSIGNED}}));
    }
    let calls = calls_of(&said.blocks).zip(extras).map(|(call, extra)| {
        let mut value = json!({
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        });
        if let Some(extra) = extra {
            value[EXTRA_CONTENT] = extra;
        }
        value
    });
    calls.collect()
}

fn reasoning_text(said: &AssistantMessage, route: &Route, has_calls: bool) -> Option<String> {
    let own = said.made_by.as_ref().is_none_or(|it| *it == route.made_by);
    let text = reasoning_of(&said.blocks);
    match route.adjustments.reasoning_text {
        ReasoningText::Never => None,
        ReasoningText::Always => Some(text.filter(|_| own).unwrap_or_default()),
        ReasoningText::AsItCame => {
            let came = came_as_text(said, &route.made_by) && has_calls;
            text.filter(|_| came || route.capabilities.reasoning_text_back)
        }
    }
}

fn came_as_text(said: &AssistantMessage, asked: &Provenance) -> bool {
    said.blocks.iter().any(|block| {
        let state = said.state_for(asked, block);
        state.is_some_and(|state| state["field"] == REASONING_TEXT)
    })
}

/// Gemini 3 and later, and models that said so.
fn wants_signatures(route: &Route) -> bool {
    let generation = route.model.split_once("gemini-").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok()
    });
    route.adjustments.marks_unsigned_calls || generation.is_some_and(|number| number >= 3)
}
