use core_model::{Content, LlmSettings};
use serde_json::{Value, json};

use super::{
    ADAPTIVE, ALWAYS, BUDGET, PIXEL, UNKNOWN, body, body_of, calling, image, result, settings,
    system, text, tool, tool_result, tool_use, user,
};
use crate::{ModelMessage, ModelRequest, ToolSpec};

#[test]
fn a_request_has_the_shape_of_messages() {
    let request = ModelRequest {
        tools: vec![tool("think")],
        cache_key: Some("key".to_owned()),
        ..ModelRequest::of(vec![
            system(&["be good", "today"]),
            user("hello"),
            calling(&["c1", "c2"]),
            result("c1", "one"),
            result("c2", "two"),
            user("and now?"),
        ])
    };
    let expected = json!({
        "model": "m",
        "max_tokens": 8192,
        "tools": [{"name": "think", "description": "d", "input_schema": {"type": "object"}}],
        "system": [text("be good"), text("today")],
        "messages": [
            {"role": "user", "content": [text("hello")]},
            {"role": "assistant", "content": [tool_use("c1"), tool_use("c2")]},
            {"role": "user", "content": [
                tool_result("c1", "one"), tool_result("c2", "two"), text("and now?")]},
        ],
    });
    assert_eq!(body_of(&settings(UNKNOWN), &request), expected);
}

#[test]
fn settings_become_parameters() {
    let sampled = LlmSettings {
        temperature: Some(0.5),
        top_p: Some(0.25),
        top_k: Some(40.0),
        seed: Some(7),
        max_output_tokens: Some(100),
        stream: true,
        litellm_extra_body: serde_json::Map::from_iter([(
            "service_tier".to_owned(),
            json!("auto"),
        )]),
        ..settings(UNKNOWN)
    };
    let expected = json!({
        "model": "m",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": [text("hello")]}],
        "temperature": 0.5,
        "top_k": 40,
        "stream": true,
        "service_tier": "auto",
    });
    assert_eq!(body(&sampled, vec![user("hello")]), expected);

    let top_p = LlmSettings {
        temperature: None,
        ..sampled.clone()
    };
    assert_eq!(body(&top_p, Vec::new())["top_p"], 0.25);
}

#[test]
fn sampling_parameters_go_where_they_are_taken() {
    let sent = |model: &str, effort: &str| {
        let sampled = LlmSettings {
            temperature: Some(0.5),
            reasoning_effort: Some(effort.to_owned()),
            ..settings(model)
        };
        body(&sampled, Vec::new()).get("temperature").is_some()
    };
    assert!(sent("anthropic/claude-3-5-haiku", "high"));
    for thinking_off in [BUDGET, ADAPTIVE] {
        assert!(sent(thinking_off, "none"), "{thinking_off}");
        assert!(!sent(thinking_off, "high"), "{thinking_off}");
    }
    for refused in [ALWAYS, "anthropic/claude-opus-4-7", "claude-sonnet-5"] {
        assert!(!sent(refused, "none"), "{refused}");
    }
}

#[test]
fn a_reply_may_be_as_long_as_the_model_can_make_it() {
    let limit = |model: &str| body(&settings(model), Vec::new())["max_tokens"].clone();
    assert_eq!(limit("claude-opus-4-1"), 32_000);
    assert_eq!(limit(ALWAYS), 128_000);
    assert_eq!(limit(UNKNOWN), 8_192);
}

#[test]
fn schemas_are_of_objects_without_alternatives() {
    let sent = |parameters: Value| {
        let spec = ToolSpec {
            name: "t".to_owned(),
            description: " ".to_owned(),
            parameters,
        };
        let request = ModelRequest {
            tools: vec![spec],
            ..ModelRequest::default()
        };
        body_of(&settings(UNKNOWN), &request)["tools"][0].clone()
    };
    let bare = json!({"name": "t", "input_schema": {"type": "object"}});
    assert_eq!(sent(Value::Null), bare);
    let inner = json!({"anyOf": [{"type": "string"}]});
    assert_eq!(
        sent(json!({"properties": {"a": inner}, "oneOf": [{}], "anyOf": [{}], "allOf": [{}]})),
        json!({"name": "t", "input_schema": {"properties": {"a": inner}, "type": "object"}})
    );
}

#[test]
fn tools_that_were_called_are_there_when_none_are_offered() {
    let messages = vec![
        user("a"),
        calling(&["c", "d"]),
        result("c", "b"),
        result("d", "b"),
    ];
    let body = body(&settings(UNKNOWN), messages);
    assert_eq!(
        body["tools"],
        json!([{"name": "think", "input_schema": {"type": "object"}}])
    );
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

#[test]
fn four_prefixes_of_claude_models_are_cached() {
    let marked = |model: &str, caching_prompt, messages: &[ModelMessage]| {
        let settings = LlmSettings {
            caching_prompt,
            ..settings(model)
        };
        let request = ModelRequest {
            tools: vec![tool("a"), tool("b")],
            ..ModelRequest::of(messages.to_vec())
        };
        let mut paths = Vec::new();
        find_marks(&body_of(&settings, &request), "", &mut paths);
        paths
    };
    let mut messages = vec![system(&["be good", "today"]), user("hello")];
    assert_eq!(
        marked(ALWAYS, true, &messages),
        ["/tools/1", "/system/0", "/messages/0/content/0"]
    );
    messages.extend([calling(&["c", "d"]), result("c", "x"), result("d", "x")]);
    assert_eq!(
        marked(ALWAYS, true, &messages),
        [
            "/tools/1",
            "/system/0",
            "/messages/0/content/0",
            "/messages/2/content/1"
        ]
    );
    messages.extend([calling(&["e"]), result("e", "x"), user("stop")]);
    assert_eq!(
        marked(ALWAYS, true, &messages),
        [
            "/tools/1",
            "/system/0",
            "/messages/2/content/1",
            "/messages/4/content/1"
        ]
    );
    assert_eq!(marked(ALWAYS, false, &messages), [""; 0]);
    assert_eq!(marked(UNKNOWN, true, &messages), [""; 0]);
}

fn find_marks(value: &Value, path: &str, found: &mut Vec<String>) {
    if value["cache_control"] == json!({"type": "ephemeral"}) {
        found.push(path.to_owned());
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                find_marks(field, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                find_marks(item, &format!("{path}/{at}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn images_go_as_they_are_taken_and_others_leave_a_note() {
    let base64 =
        |kind: &str, data: &str| Some(json!({"type": "base64", "media_type": kind, "data": data}));
    let png = |data: &str| format!("data:image/png;base64,{data}");
    let too_long = format!("iVBORw0KGgo{}", "A".repeat(5 * 1024 * 1024));
    let table = [
        (png(PIXEL), base64("image/png", PIXEL)),
        // What it is, not what it is called.
        (
            format!("DATA:image/jpeg;base64,{PIXEL}"),
            base64("image/png", PIXEL),
        ),
        (png("/9j/4AAQ\nSkZ"), base64("image/jpeg", "/9j/4AAQSkZ=")),
        (
            png("R0lGODlhAQABAAAAACw="),
            base64("image/gif", "R0lGODlhAQABAAAAACw="),
        ),
        (
            png("UklGRiIAAABXRUJQVlA4"),
            base64("image/webp", "UklGRiIAAABXRUJQVlA4"),
        ),
        (png("UklGRiIAAABBVkkgTElT"), None),
        (
            "https://h/a.png".to_owned(),
            Some(json!({"type": "url", "url": "https://h/a.png"})),
        ),
        ("http://h/a.png".to_owned(), None),
        (
            "data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=".to_owned(),
            None,
        ),
        (png(&too_long), None),
        ("nonsense".to_owned(), None),
    ];
    for (url, source) in table {
        let said = ModelMessage::User(vec![Content::text("see"), image(&url)]);
        let body = body(&settings(UNKNOWN), vec![said]);
        let sent = &body["messages"][0]["content"][1];
        let shown: String = url.chars().take(80).collect();
        match source {
            Some(source) => {
                assert_eq!(*sent, json!({"type": "image", "source": source}), "{shown}")
            }
            None => assert!(
                sent["text"].as_str().unwrap().contains("left out"),
                "{shown}"
            ),
        }
    }
}

#[test]
fn images_are_in_the_results_of_tools() {
    let messages = vec![
        user("look"),
        calling(&["c"]),
        ModelMessage::ToolResult {
            call_id: "c".to_owned(),
            tool: "think".to_owned(),
            content: vec![Content::text("a page"), image("https://h/a.png")],
        },
    ];
    let with = body(&settings(UNKNOWN), messages.clone());
    assert_eq!(
        with["messages"][2]["content"],
        json!([{"type": "tool_result", "tool_use_id": "c", "content": [
            text("a page"),
            {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}}]}])
    );
    let blind = LlmSettings {
        disable_vision: Some(true),
        ..settings(UNKNOWN)
    };
    let without = body(&blind, messages).to_string();
    assert!(without.contains("vision is disabled") && !without.contains("https://h/"));
}

#[test]
fn of_too_many_images_the_oldest_are_left_out() {
    let shown = |count: usize| {
        let messages = (0..count).map(|_| ModelMessage::User(vec![image("https://h/a.png")]));
        let body = body(&settings(UNKNOWN), messages.collect());
        let content = body["messages"][0]["content"].as_array().unwrap().clone();
        let first = content.iter().position(|block| block["type"] == "image");
        (first, content.len())
    };
    assert_eq!(shown(100), (Some(0), 100));
    assert_eq!(shown(101), (Some(50), 101));
    assert_eq!(shown(150), (Some(50), 150));
    assert_eq!(shown(151), (Some(100), 151));
}
