use serde_json::{Value, json};

use super::super::render::{Answer, named_event};
use super::super::rule::{list, text};
use super::super::said::{Said, Stop, pieces};
use super::output::output;

pub(super) fn answer(said: &Said, asked: &Value) -> Answer {
    let include = list(&asked["include"]).iter();
    let encrypted = include
        .clone()
        .any(|what| what == "reasoning.encrypted_content");
    let items = output(said, encrypted);
    let whole = response(said, asked, &items, status(said));
    Answer {
        events: events(said, asked, &items, &whole),
        whole,
        items,
    }
}

fn status(said: &Said) -> &'static str {
    match said.stop {
        Stop::Done => "completed",
        Stop::Length | Stop::Filtered => "incomplete",
    }
}

fn response(said: &Said, asked: &Value, items: &[Value], status: &str) -> Value {
    let ended = status != "in_progress";
    let why = match said.stop {
        Stop::Length if ended => json!({"reason": "max_output_tokens"}),
        Stop::Filtered if ended => json!({"reason": "content_filter"}),
        Stop::Done | Stop::Length | Stop::Filtered => Value::Null,
    };
    let used = said.usage;
    let usage = ended.then(|| {
        let prompt = used.prompt;
        json!({"input_tokens": prompt.input,
               "input_tokens_details": {"cached_tokens": prompt.cache_read, "cache_write_tokens": 0},
               "output_tokens": used.output,
               "output_tokens_details": {"reasoning_tokens": used.reasoning},
               "total_tokens": prompt.input + used.output})
    });
    json!({"id": format!("resp_{:032}", said.number), "object": "response", "created_at": 1_700_000_000,
           "status": status, "error": null, "incomplete_details": why,
           "instructions": asked["instructions"], "max_output_tokens": asked["max_output_tokens"],
           "metadata": {}, "model": said.model, "output": items, "parallel_tool_calls": true,
           "previous_response_id": null, "store": false, "temperature": null, "tool_choice": "auto",
           "tools": list(&asked["tools"]), "top_p": null, "truncation": "disabled", "usage": usage})
}

fn events(said: &Said, asked: &Value, items: &[Value], whole: &Value) -> Vec<String> {
    let begun = response(said, asked, &[], "in_progress");
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    for (at, item) in items.iter().enumerate() {
        let place = json!({"output_index": at, "item_id": item["id"]});
        let added = json!({"type": "response.output_item.added", "output_index": at,
                           "item": before_it_is_said(item)});
        events.push(added);
        events.extend(item_events(item, &place));
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    let end = format!("response.{}", text(&whole["status"]));
    events.push(json!({"type": end, "response": whole}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events.iter().map(named_event).collect()
}

fn before_it_is_said(item: &Value) -> Value {
    let mut begun = item.clone();
    match text(&item["type"]) {
        "message" => begun["content"] = json!([]),
        "reasoning" => {
            begun["summary"] = json!([]);
            // Whole it is when the item is done.
            if let Some(encrypted) = item["encrypted_content"].as_str() {
                begun["encrypted_content"] = json!(encrypted[..encrypted.len() / 2]);
            }
            return begun;
        }
        _ => begun["arguments"] = json!(""),
    }
    begun["status"] = json!("in_progress");
    begun
}

/// What is said of an item, piece by piece.
fn item_events(item: &Value, place: &Value) -> Vec<Value> {
    let event = |kind: &str, fields: Value| {
        let mut event = place.clone();
        event["type"] = json!(format!("response.{kind}"));
        for (name, value) in fields.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event
    };
    let mut events = Vec::new();
    match text(&item["type"]) {
        "message" => {
            let part = &item["content"][0];
            let said = text(&part["text"]);
            let empty =
                json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
            events.push(event(
                "content_part.added",
                json!({"content_index": 0, "part": empty}),
            ));
            events.extend(pieces(said).into_iter().map(|piece| {
                let delta = json!({"content_index": 0, "delta": piece, "logprobs": []});
                event("output_text.delta", delta)
            }));
            let done = json!({"content_index": 0, "text": said, "logprobs": []});
            events.push(event("output_text.done", done));
            events.push(event(
                "content_part.done",
                json!({"content_index": 0, "part": part}),
            ));
        }
        "reasoning" => {
            for (at, part) in list(&item["summary"]).iter().enumerate() {
                let thought = text(&part["text"]);
                let empty = json!({"type": "summary_text", "text": ""});
                let at = |fields: Value| {
                    let mut fields = fields;
                    fields["summary_index"] = json!(at);
                    fields
                };
                events.push(event(
                    "reasoning_summary_part.added",
                    at(json!({"part": empty})),
                ));
                events.extend(pieces(thought).into_iter().map(|piece| {
                    event("reasoning_summary_text.delta", at(json!({"delta": piece})))
                }));
                events.push(event(
                    "reasoning_summary_text.done",
                    at(json!({"text": thought})),
                ));
                events.push(event(
                    "reasoning_summary_part.done",
                    at(json!({"part": part})),
                ));
            }
        }
        _ => {
            let arguments = text(&item["arguments"]);
            events.extend(
                pieces(arguments)
                    .into_iter()
                    .map(|piece| event("function_call_arguments.delta", json!({"delta": piece}))),
            );
            let done = json!({"arguments": arguments, "name": item["name"]});
            events.push(event("function_call_arguments.done", done));
        }
    }
    events
}
