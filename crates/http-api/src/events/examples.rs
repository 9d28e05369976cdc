//! What answers look like. They show the conversation of the examples of conversations.

use serde_json::{Value, json};

const EVENT: &str = "f30c3b24-005f-4dd2-8dc2-7a5d6046f7e1";
const LAST_EVENT: &str = "9b89a0db-6f8b-4778-9269-ffb92f679faa";

pub(super) fn page() -> Value {
    json!({"items": [message(), action()], "next_page_id": LAST_EVENT})
}

pub(super) fn message() -> Value {
    json!({
        "id": EVENT,
        "timestamp": "2026-01-31T12:00:00.103836",
        "source": "user",
        "parent_id": "e5f96322-5f65-42ba-b47b-86735d09b424",
        "kind": "MessageEvent",
        "llm_message": {
            "role": "user",
            "content": [{"type": "text", "cache_prompt": false, "text": "List the files here."}],
            "thinking_blocks": []
        },
        "activated_skills": [],
        "extended_content": []
    })
}

fn action() -> Value {
    json!({
        "id": "7f107fa9-6e1c-4eb4-8771-4de3ab28b1d2",
        "timestamp": "2026-01-31T12:00:02.112620",
        "source": "agent",
        "parent_id": EVENT,
        "kind": "ActionEvent",
        "thought": [],
        "thinking_blocks": [],
        "action": {"command": "ls", "is_input": false, "reset": false, "kind": "TerminalAction"},
        "tool_name": "terminal",
        "tool_call_id": "call_1",
        "tool_call": {
            "id": "call_1", "name": "terminal", "arguments": "{\"command\":\"ls\"}",
            "origin": "completion"
        },
        "llm_response_id": "chatcmpl-1",
        "security_risk": "UNKNOWN",
        "summary": "List the files"
    })
}

#[cfg(test)]
mod tests;
