//! The content of event streams in the OpenAPI document. It is not JSON, so paperclip cannot describe it:
//! the schema is that of each event in the stream, by the names of its fields.

use serde_json::{Value, json};

pub(super) fn conversation() -> Value {
    content(
        json!({
            "type": "string",
            "pattern": "^(-1|[0-9]+)$",
            "description": "The position in the log of the last logged event; −1 before the first one."
        }),
        json!({"$ref": "#/components/schemas/Event"}),
        json!({"id": "6", "data": "{\"kind\": \"MessageEvent\"}"}),
    )
}

pub(super) fn all_conversations() -> Value {
    content(
        json!({"type": "string", "description": "The cursor to continue from."}),
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
        }),
        json!({
            "id": "fbc8cce390264cf0-0-0",
            "data": "{\"type\": \"sync\", \"cursor\": \"fbc8cce390264cf0-0-0\"}"
        }),
    )
}

fn content(id: Value, data: Value, example: Value) -> Value {
    let schema = json!({
        "type": "object",
        "description": "One event of the stream. Comments, which keep the connection alive, are not events.",
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
                "description": "Milliseconds after which a client that lost the stream reconnects."
            }
        }
    });
    json!({"text/event-stream": {"schema": schema, "example": example}})
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
