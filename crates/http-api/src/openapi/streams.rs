//! Event streams, which are no JSON and so nothing that paperclip knows. The schema of one is that of each
//! event in it, by the names of its fields.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use serde_json::{Value, json};

/// The content of the operation's answer, if that is an event stream.
pub(super) fn content(operation: &str) -> Option<Value> {
    let (about_id, id, data, example) = match operation {
        "stream_events" => (
            "The position in the log of the last logged event; −1 before the first one.",
            json!({"pattern": "^(-1|[0-9]+)$"}),
            json!({"$ref": "#/components/schemas/Event"}),
            json!({"id": "6", "data": "{\"kind\": \"MessageEvent\"}"}),
        ),
        "stream_all_events" => (
            "The cursor to go on from.",
            json!({}),
            frame_of_all(),
            json!({
                "id": "fbc8cce390264cf0-0-0",
                "data": "{\"type\": \"sync\", \"cursor\": \"fbc8cce390264cf0-0-0\"}"
            }),
        ),
        _ => return None,
    };
    let mut id = id;
    id["type"] = json!("string");
    id["description"] = json!(about_id);
    let schema = json!({
        "type": "object",
        "description": "One event of the stream. Comments, which keep the connection alive, are none.",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "string",
                "description": "JSON in one line.",
                "contentMediaType": "application/json",
                "contentSchema": {"anyOf": [data, end()]}
            },
            "event": {
                "type": "string",
                "enum": ["message", "end"],
                "default": "message",
                "description": "`end`: nothing more comes, and `data` says why."
            },
            "id": id,
            "retry": {
                "type": "integer",
                "description": "Milliseconds after which a client that lost the stream comes back."
            }
        }
    });
    Some(json!({"text/event-stream": {"schema": schema, "example": example}}))
}

/// Why nothing more comes.
fn end() -> Value {
    json!({
        "type": "object",
        "required": ["code", "reason"],
        "properties": {
            "code": {"type": "integer", "description": "As the close codes of sockets."},
            "reason": {"type": "string"}
        }
    })
}

fn frame_of_all() -> Value {
    json!({
        "type": "object",
        "required": ["type", "cursor"],
        "properties": {
            "type": {
                "type": "string",
                "enum": ["sync", "created", "durable", "skipped", "deleted"]
            },
            "cursor": {"type": "string"},
            "conversation_id": {"type": "string", "format": "uuid"},
            "seq": {"type": "integer"},
            "event": {"$ref": "#/components/schemas/Event"},
            "from_seq": {"type": "integer"},
            "to_seq": {"type": "integer", "description": "Exclusive."}
        }
    })
}
