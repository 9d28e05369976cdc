use std::collections::BTreeSet;

use serde_json::Value;

use super::super::rule::{Asked, is_identifier, list, non_empty, text};

/// What is wrong with single messages.
pub(super) fn broken(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]);
    if messages.is_empty() {
        return vec!["`messages` is not a list of messages".to_owned()];
    }
    let mut found = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = text(&message["role"]);
        let mut wrong = |reason: &str| found.push(format!("message {at} ({role}) {reason}"));
        let content = &message["content"];
        match role {
            "system" if at > 0 => wrong("is not the first"),
            "system" => check_content(content, false, &mut wrong),
            "user" => check_content(content, true, &mut wrong),
            "assistant" => check_assistant(message, &mut wrong),
            "tool" if content == "" => {}
            "tool" => check_content(content, false, &mut wrong),
            _ => wrong("has an unknown role"),
        }
    }
    found
}

fn check_assistant(message: &Value, wrong: &mut dyn FnMut(&str)) {
    let content = &message["content"];
    let calls = &message["tool_calls"];
    if calls.is_null() && !content.is_string() && !content.is_array() {
        wrong("has neither content nor calls");
    }
    if !content.is_null() && content != "" {
        check_content(content, false, wrong);
    }
    if !calls.is_null() && list(calls).is_empty() {
        wrong("has `tool_calls` that are not a list of calls");
    }
    for call in list(calls) {
        let function = &call["function"];
        if call["type"] != "function" || !is_identifier(&function["name"], 64) {
            wrong("has a call that is no named function");
        }
        let arguments = function["arguments"]
            .as_str()
            .map(serde_json::from_str::<Value>);
        if !matches!(arguments, Some(Ok(Value::Object(_)))) {
            wrong("has a call whose arguments are not the text of a JSON object");
        }
    }
}

fn check_content(content: &Value, images: bool, wrong: &mut dyn FnMut(&str)) {
    if content.is_string() {
        if !non_empty(content) {
            wrong("is empty");
        }
        return;
    }
    let parts = match content.as_array().map(Vec::as_slice) {
        None => return wrong("has content that is neither text nor a list"),
        Some([]) => return wrong("has an empty list for content"),
        Some(parts) => parts,
    };
    for part in parts {
        match part["type"].as_str() {
            Some("text") if non_empty(&part["text"]) => {}
            Some("text") => wrong("has a part without text"),
            Some("image_url") if images && non_empty(&part["image_url"]["url"]) => {}
            Some("image_url") if images => wrong("has an image without address"),
            Some("image_url") => wrong("may not hold images"),
            _ => wrong("has a part of unknown type"),
        }
    }
}

/// Calls without an answer, and answers to no call.
pub(super) fn unanswered(asked: &Asked<'_>) -> Vec<String> {
    // The calls of the latest assistant message that no tool message has answered yet.
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, message) in list(&asked.body["messages"]).iter().enumerate() {
        let role = text(&message["role"]);
        let mut wrong = |reason: &str| found.push(format!("message {at} ({role}) {reason}"));
        if role == "tool" {
            let id = text(&message["tool_call_id"]);
            if !open.remove(id) {
                wrong(&format!("answers {id:?}, which is no open call"));
            }
            continue;
        }
        if !open.is_empty() {
            wrong(&format!("comes before the answers to {open:?}"));
            open.clear();
        }
        for call in list(&message["tool_calls"]) {
            match text(&call["id"]) {
                "" => wrong("has a call without id"),
                id if !open.insert(id) => wrong(&format!("uses the call id {id:?} twice")),
                _ => {}
            }
        }
    }
    if !open.is_empty() {
        found.push(format!("the calls {open:?} are not answered"));
    }
    found
}

/// Ids of calls, and of the calls that results answer, which are not `what`.
pub(super) fn illegal_ids(
    asked: &Asked<'_>,
    what: &str,
    is_legal: fn(&Value) -> bool,
) -> Vec<String> {
    let messages = list(&asked.body["messages"]).iter();
    let ids = messages.flat_map(|message| {
        let calls = list(&message["tool_calls"]).iter().map(|call| &call["id"]);
        let answered = Some(&message["tool_call_id"]).filter(|id| !id.is_null());
        calls.chain(answered)
    });
    let illegal = ids.filter(|id| !is_legal(id));
    illegal
        .map(|id| format!("the call id {id} is not {what}"))
        .collect()
}

pub(super) fn has_images(asked: &Asked<'_>) -> bool {
    let messages = list(&asked.body["messages"]).iter();
    let mut parts = messages.flat_map(|message| list(&message["content"]));
    parts.any(|part| part["type"] == "image_url")
}
