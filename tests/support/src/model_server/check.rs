use std::collections::BTreeSet;

use serde_json::Value;

/// What in a Chat Completions request breaks the format's rules, as a strict provider sees it;
/// empty when nothing does.
#[must_use]
pub fn violations_of(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if !non_empty(&body["model"]) {
        found.push("`model` is not a name".to_owned());
    }
    if body["stream_options"].is_object() && body["stream"] != true {
        found.push("`stream_options` without `stream`".to_owned());
    }
    match body["messages"].as_array().map(Vec::as_slice) {
        None | Some([]) => found.push("`messages` is not a list of messages".to_owned()),
        Some(messages) => check_messages(messages, &mut found),
    }
    if !body["tools"].is_null() {
        match body["tools"].as_array().map(Vec::as_slice) {
            None | Some([]) => found.push("`tools` is not a list of tools".to_owned()),
            Some(tools) => check_tools(tools, &mut found),
        }
    }
    found
}

fn check_messages(messages: &[Value], found: &mut Vec<String>) {
    // The calls of the latest assistant message that no tool message has answered yet.
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        let mut wrong = |reason: &str| found.push(format!("message {at} ({role}) {reason}"));
        if role != "tool" && !open.is_empty() {
            wrong(&format!("comes before the answers to {open:?}"));
            open.clear();
        }
        match role {
            "system" if at > 0 => wrong("is not the first"),
            "system" => check_content(&message["content"], false, &mut wrong),
            "user" => check_content(&message["content"], true, &mut wrong),
            "assistant" => open = check_assistant(message, &mut wrong),
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                if !open.remove(id) {
                    wrong(&format!("answers {id:?}, which is no open call"));
                }
                if message["content"] != "" {
                    check_content(&message["content"], false, &mut wrong);
                }
            }
            _ => wrong("has an unknown role"),
        }
    }
    if !open.is_empty() {
        found.push(format!("the calls {open:?} are not answered"));
    }
}

/// The ids of the calls it makes.
fn check_assistant<'a>(message: &'a Value, wrong: &mut dyn FnMut(&str)) -> BTreeSet<&'a str> {
    let mut ids = BTreeSet::new();
    let content = &message["content"];
    let calls = &message["tool_calls"];
    if calls.is_null() && !content.is_string() && !content.is_array() {
        wrong("has neither content nor calls");
    }
    if !content.is_null() && content != "" {
        check_content(content, false, wrong);
    }
    if !calls.is_null() && calls.as_array().is_none_or(Vec::is_empty) {
        wrong("has `tool_calls` that are not a list of calls");
    }
    for call in calls.as_array().into_iter().flatten() {
        let function = &call["function"];
        if call["type"] != "function" || !is_tool_name(&function["name"]) {
            wrong("has a call that is no named function");
        }
        let arguments = function["arguments"]
            .as_str()
            .map(serde_json::from_str::<Value>);
        if !matches!(arguments, Some(Ok(Value::Object(_)))) {
            wrong("has a call whose arguments are not the text of a JSON object");
        }
        match call["id"].as_str() {
            None | Some("") => wrong("has a call without id"),
            Some(id) if !ids.insert(id) => wrong(&format!("uses the call id {id:?} twice")),
            Some(_) => {}
        }
    }
    ids
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

fn check_tools(tools: &[Value], found: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for (at, tool) in tools.iter().enumerate() {
        let function = &tool["function"];
        let mut wrong = |reason: &str| found.push(format!("tool {at} {reason}"));
        if tool["type"] != "function" || !is_tool_name(&function["name"]) {
            wrong("is no named function");
        }
        if !names.insert(function["name"].as_str().unwrap_or_default()) {
            wrong("has another's name");
        }
        if !non_empty(&function["description"]) {
            wrong("has no description");
        }
        if function["parameters"]["type"] != "object" {
            wrong("has parameters that are not of type object");
        }
    }
}

/// Letters, digits, `_` and `-`, 64 at most.
fn is_tool_name(value: &Value) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = value.as_str().unwrap_or_default();
    !name.is_empty() && name.len() <= 64 && name.chars().all(allowed)
}

fn non_empty(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "be good"}]},
                {"role": "user", "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:1"}}]},
                {"role": "assistant", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "x", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "y", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "b", "content": ""},
                {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "1"}]},
                {"role": "assistant", "content": ""},
            ],
            "tools": [{"type": "function", "function": {
                "name": "x", "description": "d", "parameters": {"type": "object"}}}],
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    }

    #[test]
    fn a_good_request_has_no_violations() {
        assert_eq!(violations_of(&good()), [""; 0]);
    }

    #[test]
    fn each_broken_rule_is_named() {
        let set = |pointer: &'static str, value: Value, told: &'static str| (pointer, value, told);
        let table = [
            set("/model", json!(""), "`model`"),
            set("/stream", json!(false), "`stream_options`"),
            set("/messages", json!([]), "`messages`"),
            set("/messages/0/role", json!("robot"), "unknown role"),
            set("/messages/1/role", json!("system"), "not the first"),
            set("/messages/1/content", json!([]), "empty list"),
            set("/messages/1/content", json!(""), "is empty"),
            set("/messages/1/content", json!(1), "neither text nor a list"),
            set("/messages/1/content/0/text", json!(""), "without text"),
            set("/messages/1/content/0/type", json!("x"), "unknown type"),
            set(
                "/messages/1/content/1/image_url",
                json!({}),
                "without address",
            ),
            set("/messages/2/tool_calls", json!([]), "not a list of calls"),
            set("/messages/2/tool_calls/0/id", json!("b"), "twice"),
            set("/messages/2/tool_calls/0/id", json!(null), "without id"),
            set(
                "/messages/2/tool_calls/0/type",
                json!("x"),
                "no named function",
            ),
            set(
                "/messages/2/tool_calls/0/function/name",
                json!("a b"),
                "no named function",
            ),
            set(
                "/messages/2/tool_calls/0/function/arguments",
                json!({}),
                "JSON object",
            ),
            set(
                "/messages/2/tool_calls/0/function/arguments",
                json!("[]"),
                "JSON object",
            ),
            set("/messages/3/tool_call_id", json!("a"), "no open call"),
            set("/messages/3/role", json!("user"), "before the answers"),
            set(
                "/messages/4/content/0/type",
                json!("image_url"),
                "may not hold images",
            ),
            set(
                "/messages/5/content",
                json!(null),
                "neither content nor calls",
            ),
            set("/tools", json!([]), "`tools`"),
            set("/tools/0/function/name", json!(null), "no named function"),
            set("/tools/0/function/description", json!(""), "no description"),
            set("/tools/0/function/parameters", json!({}), "type object"),
        ];
        for (pointer, value, told) in table {
            let mut body = good();
            *body.pointer_mut(pointer).expect(pointer) = value;
            let found = violations_of(&body).join("; ");
            assert!(found.contains(told), "{pointer}: {found}");
        }
    }

    #[test]
    fn calls_left_unanswered_at_the_end_are_named() {
        let mut body = good();
        body["messages"].as_array_mut().expect("a list").truncate(4);
        assert_eq!(
            violations_of(&body),
            [r#"the calls {"a"} are not answered"#]
        );
    }
}
