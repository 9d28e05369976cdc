use serde_json::{Value, json};

use super::super::render::{Answer, named_event};
use super::super::said::{Item, Said, SaidPart, Stop, Usage, pieces};

pub(super) fn answer(said: &Said) -> Answer {
    let blocks: Vec<Value> = said.items.iter().map(block).collect();
    Answer {
        whole: whole(said, &blocks),
        events: events(said),
        items: blocks,
    }
}

fn whole(said: &Said, blocks: &[Value]) -> Value {
    let mut message = begun(said);
    message["content"] = json!(blocks);
    message["stop_reason"] = json!(stop_reason(said));
    message["usage"] = usage(said.usage, said.usage.output);
    message
}

/// The message before anything is said.
fn begun(said: &Said) -> Value {
    json!({"id": format!("msg_{}", said.number), "type": "message", "role": "assistant",
           "model": said.model, "content": [], "stop_reason": null, "stop_sequence": null,
           "usage": usage(said.usage, 1)})
}

fn usage(usage: Usage, output: usize) -> Value {
    let prompt = usage.prompt;
    let uncached = prompt.input - prompt.cache_read - prompt.cache_write;
    json!({"input_tokens": uncached, "output_tokens": output,
           "cache_creation_input_tokens": prompt.cache_write,
           "cache_read_input_tokens": prompt.cache_read, "service_tier": "standard"})
}

fn stop_reason(said: &Said) -> &'static str {
    match said.stop {
        Stop::Length => "max_tokens",
        Stop::Filtered => "refusal",
        Stop::Done if said.has_calls() => "tool_use",
        Stop::Done => "end_turn",
    }
}

/// An item as a block. Nothing is left of the input of a call that was cut.
fn block(item: &Item) -> Value {
    match &item.part {
        SaidPart::Text(text) => json!({"type": "text", "text": text, "citations": null}),
        SaidPart::Reasoning(text) => {
            let signature = match item.cut {
                true => String::new(),
                false => signature(item),
            };
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        SaidPart::HiddenReasoning => redacted(item),
        SaidPart::Call { tool, arguments } => {
            let input = match item.cut {
                true => json!({}),
                false => serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments)),
            };
            json!({"type": "tool_use", "id": call_id(item), "name": tool, "input": input})
        }
    }
}

fn signature(item: &Item) -> String {
    format!("EqQBCkYIBRgCKkA{:04}+/==", item.number)
}

fn redacted(item: &Item) -> Value {
    json!({"type": "redacted_thinking", "data": format!("EmwKAhgBEgy{:04}==", item.number)})
}

fn call_id(item: &Item) -> String {
    format!("toolu_{:020}", item.number)
}

fn events(said: &Said) -> Vec<String> {
    let mut events = vec![
        json!({"type": "message_start", "message": begun(said)}),
        json!({"type": "ping"}),
    ];
    for (index, item) in said.items.iter().enumerate() {
        let (begun, deltas) = streamed(item);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        events.extend(
            deltas.into_iter().map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": stop_reason(said), "stop_sequence": null});
    let used = json!({"output_tokens": said.usage.output});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": used}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(named_event).collect()
}

/// A block as it begins, and what is added to it.
fn streamed(item: &Item) -> (Value, Vec<Value>) {
    let deltas = |kind: &str, field: &str, text: &str| -> Vec<Value> {
        let pieces = pieces(text).into_iter();
        pieces
            .map(|piece| json!({"type": kind, field: piece}))
            .collect()
    };
    match &item.part {
        SaidPart::Text(text) => (
            json!({"type": "text", "text": ""}),
            deltas("text_delta", "text", text),
        ),
        SaidPart::Reasoning(text) => {
            let mut added = deltas("thinking_delta", "thinking", text);
            if !item.cut {
                added.push(json!({"type": "signature_delta", "signature": signature(item)}));
            }
            let begun = json!({"type": "thinking", "thinking": "", "signature": ""});
            (begun, added)
        }
        SaidPart::HiddenReasoning => (redacted(item), Vec::new()),
        SaidPart::Call { tool, arguments } => {
            let begun = json!({"type": "tool_use", "id": call_id(item), "name": tool, "input": {}});
            (begun, deltas("input_json_delta", "partial_json", arguments))
        }
    }
}
