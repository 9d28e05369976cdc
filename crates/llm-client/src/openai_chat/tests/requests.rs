use core_model::{Content, LlmSettings, MessageToolCall};
use serde_json::{Value, json};

use super::super::OpenAiChat;
use crate::format::Format;
use crate::{AssistantMessage, Block, ModelMessage, ModelRequest, ToolSpec, provider::route};

fn settings(model: &str) -> LlmSettings {
    LlmSettings {
        model: model.to_owned(),
        base_url: Some("http://localhost:1/v1".to_owned()),
        ..LlmSettings::default()
    }
}

fn body(settings: &LlmSettings, messages: Vec<ModelMessage>) -> Value {
    let request = ModelRequest::of(messages);
    body_of(settings, &request)
}

fn body_of(settings: &LlmSettings, request: &ModelRequest) -> Value {
    let route = route(settings, &OpenAiChat).expect("a route");
    Value::Object(OpenAiChat.body(settings, &route, request))
}

fn system(parts: &[&str]) -> ModelMessage {
    ModelMessage::System(parts.iter().map(|text| Content::text(*text)).collect())
}

fn user(text: &str) -> ModelMessage {
    ModelMessage::User(vec![Content::text(text)])
}

fn calling(text: &str, id: &str) -> ModelMessage {
    let call = MessageToolCall::new(id, "think", r#"{"thought":"q"}"#);
    ModelMessage::Assistant(AssistantMessage {
        blocks: vec![
            Block::reasoning("private"),
            Block::text(text),
            Block::call(call),
        ],
        made_by: None,
    })
}

fn result(id: &str, content: Vec<Content>) -> ModelMessage {
    ModelMessage::ToolResult {
        call_id: id.to_owned(),
        tool: "think".to_owned(),
        content,
    }
}

fn image(url: &str) -> Content {
    Content::Image {
        cache_prompt: false,
        image_urls: vec![url.to_owned()],
    }
}

#[test]
fn a_request_has_the_shape_of_chat_completions() {
    let settings = settings("openai/fake");
    let messages = vec![
        system(&["be good", "today"]),
        user("hello"),
        calling("", "c1"),
        result("c1", vec![Content::text("logged")]),
        calling("aloud", "c2"),
        result("c2", vec![Content::text("[error]"), Content::text("no")]),
    ];
    let request = ModelRequest {
        tools: vec![ToolSpec {
            name: "think".to_owned(),
            description: "d".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        cache_key: Some("key".to_owned()),
        ..ModelRequest::of(messages)
    };
    let body = body_of(&settings, &request);
    let call = |id: &str| {
        json!([{"id": id, "type": "function",
                "function": {"name": "think", "arguments": r#"{"thought":"q"}"#}}])
    };
    let text = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(
        body,
        json!({
            "model": "fake",
            "messages": [
                {"role": "system", "content": [text("be good"), text("today")]},
                {"role": "user", "content": [text("hello")]},
                {"role": "assistant", "tool_calls": call("c1")},
                {"role": "tool", "content": "logged", "tool_call_id": "c1", "name": "think"},
                {"role": "assistant", "content": "aloud", "tool_calls": call("c2")},
                {"role": "tool", "content": [text("[error]"), text("no")],
                 "tool_call_id": "c2", "name": "think"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "think", "description": "d", "parameters": {"type": "object"}}}],
            "prompt_cache_key": "key",
        })
    );
}

#[test]
fn settings_become_parameters() {
    let settings = LlmSettings {
        temperature: Some(0.5),
        top_p: Some(0.25),
        seed: Some(7),
        max_output_tokens: Some(100),
        stream: true,
        litellm_extra_body: serde_json::Map::from_iter([("user".to_owned(), json!("u"))]),
        ..settings("openai/gpt-5")
    };
    assert_eq!(
        body(&settings, Vec::new()),
        json!({
            "model": "gpt-5",
            "messages": [],
            "reasoning_effort": "high",
            "temperature": 0.5,
            "top_p": 0.25,
            "seed": 7,
            "max_completion_tokens": 100,
            "stream": true,
            "stream_options": {"include_usage": true},
            "user": "u",
        })
    );
}

#[test]
fn reasoning_effort_goes_to_models_that_take_it_or_when_asked_for() {
    let effort = |model: &str, effort: &str| {
        let settings = LlmSettings {
            reasoning_effort: Some(effort.to_owned()),
            ..settings(model)
        };
        body(&settings, Vec::new())["reasoning_effort"].clone()
    };
    for model in [
        "gpt-5.6",
        "openai/o3",
        "o4-mini",
        "x/gpt-oss:20b",
        "gpt-5-mini-2025-08-07",
    ] {
        assert_eq!(effort(model, "high"), "high", "{model}");
    }
    for model in [
        "fake",
        "gpt-4o",
        "o1-mini",
        "gpt-5-chat-latest",
        "o30",
        "gpt-50",
    ] {
        assert_eq!(effort(model, "high"), Value::Null, "{model}");
    }
    assert_eq!(effort("fake", "low"), "low");
}

#[test]
fn claude_models_get_cache_markers() {
    let marker = json!({"type": "ephemeral"});
    let mut messages = vec![system(&["be good", "today"]), user("hello")];
    let first = body(&settings("openai/claude-sonnet-4-5"), messages.clone());
    assert_eq!(first["messages"][0]["content"][0]["cache_control"], marker);
    assert_eq!(
        first["messages"][0]["content"][1].get("cache_control"),
        None
    );
    assert_eq!(first["messages"][1]["content"][0]["cache_control"], marker);

    messages.extend([
        calling("", "c1"),
        result("c1", vec![Content::text("logged")]),
    ]);
    let second = body(&settings("openai/claude-sonnet-4-5"), messages.clone());
    assert_eq!(
        second["messages"][1]["content"][0].get("cache_control"),
        None
    );
    assert_eq!(second["messages"][3]["cache_control"], marker);

    let off = LlmSettings {
        caching_prompt: false,
        ..settings("openai/claude-sonnet-4-5")
    };
    for unmarked in [
        body(&off, messages.clone()),
        body(&settings("gpt-5"), messages),
    ] {
        assert!(!unmarked.to_string().contains("cache_control"));
    }
}

#[test]
fn some_models_want_plain_strings() {
    let forced = LlmSettings {
        force_string_serializer: Some(true),
        ..settings("m")
    };
    let auto = settings("openai/deepseek-v3");
    for settings in [forced, auto] {
        let body = body(
            &settings,
            vec![
                system(&["a", "b"]),
                user("c"),
                calling("", "c1"),
                result("c1", vec![Content::text("d"), Content::text("e")]),
            ],
        );
        let contents = body["messages"].as_array().unwrap().iter();
        let contents: Vec<Value> = contents.map(|message| message["content"].clone()).collect();
        assert_eq!(
            contents,
            [json!("a\nb"), json!("c"), Value::Null, json!("d\ne")]
        );
    }
    let lists = LlmSettings {
        force_string_serializer: Some(false),
        ..settings("openai/deepseek-v3")
    };
    let body = body(&lists, vec![user("c")]);
    assert!(body["messages"][0]["content"].is_array());
}

#[test]
fn images_go_with_users_and_follow_tools() {
    let shown = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let messages = vec![
        ModelMessage::User(vec![Content::text("see"), image("data:1")]),
        calling("", "c1"),
        result("c1", vec![image("data:2")]),
        user("next"),
    ];
    let body_of = |vision_off| {
        let settings = LlmSettings {
            disable_vision: vision_off,
            ..settings("gpt-4o")
        };
        body(&settings, messages.clone())
    };
    let with = body_of(None);
    assert_eq!(with["messages"][0]["content"][1], shown("data:1"));
    assert!(with["messages"][2]["content"].is_string());
    assert_eq!(with["messages"][3]["role"], "user");
    assert_eq!(with["messages"][3]["content"][1], shown("data:2"));
    assert_eq!(with["messages"][4]["content"][0]["text"], "next");
    let without = body_of(Some(true));
    assert_eq!(without["messages"].as_array().map(Vec::len), Some(4));
    assert!(!without.to_string().contains("data:"));
}

#[test]
fn empty_parts_are_left_out() {
    let parts = vec![Content::text(""), Content::text("x")];
    let body = body(
        &settings("m"),
        vec![ModelMessage::User(parts), calling("", "c")],
    );
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"type": "text", "text": "x"}])
    );
}

#[test]
fn reasoning_is_returned_only_to_models_that_want_it() {
    let reasoning = |model: &str| {
        let body = body(&settings(model), vec![calling("", "c")]);
        body["messages"][0]["reasoning_content"].clone()
    };
    assert_eq!(reasoning("openai/deepseek-reasoner"), "private");
    assert_eq!(reasoning("openai/fake"), Value::Null);
}

#[test]
fn each_provider_is_asked_for_reasoning_and_caching_in_its_own_words() {
    let fields = |model: &str, effort: &str| {
        let settings = LlmSettings {
            model: model.to_owned(),
            reasoning_effort: Some(effort.to_owned()),
            ..LlmSettings::default()
        };
        let request = ModelRequest {
            cache_key: Some("c".to_owned()),
            ..ModelRequest::default()
        };
        let mut body = body_of(&settings, &request);
        let body = body.as_object_mut().expect("an object");
        body.retain(|name, _| name != "model" && name != "messages");
        Value::Object(std::mem::take(body))
    };
    let table = [
        (
            "openai/gpt-6-sol",
            "high",
            json!({"prompt_cache_key": "c", "reasoning_effort": "high"}),
        ),
        ("openai/gpt-4o", "high", json!({"prompt_cache_key": "c"})),
        (
            "openrouter/anthropic/claude-opus-4.5",
            "high",
            json!({"session_id": "c", "reasoning": {"effort": "high"}}),
        ),
        (
            "openrouter/meta-llama/nothing-known",
            "high",
            json!({"session_id": "c"}),
        ),
        (
            "openrouter/meta-llama/nothing-known",
            "low",
            json!({"session_id": "c", "reasoning": {"effort": "low"}}),
        ),
        (
            "zai/glm-5.3",
            "high",
            json!({"thinking": {"type": "enabled"}}),
        ),
        (
            "zai/glm-5.3",
            "none",
            json!({"thinking": {"type": "disabled"}}),
        ),
        (
            "deepseek/deepseek-v4-pro",
            "high",
            json!({"thinking": {"type": "enabled"}}),
        ),
        (
            "deepseek/deepseek-v4-pro",
            "max",
            json!({"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ),
        (
            "moonshot/kimi-k3",
            "high",
            json!({"prompt_cache_key": "c", "reasoning_effort": "high"}),
        ),
        ("xai/grok-4.6", "high", json!({"prompt_cache_key": "c"})),
        (
            "gemini/gemini-3.8-flash",
            "high",
            json!({"reasoning_effort": "high"}),
        ),
        ("mistral/codestral-2508", "high", json!({})),
        (
            "dashscope/qwen-plus",
            "none",
            json!({"enable_thinking": false}),
        ),
    ];
    for (model, effort, expected) in table {
        assert_eq!(fields(model, effort), expected, "{model}");
    }
}

#[test]
fn sampling_stays_away_from_models_that_refuse_it() {
    let sampled = |model: &str| {
        let settings = LlmSettings {
            model: model.to_owned(),
            temperature: Some(0.0),
            top_p: Some(0.5),
            top_k: Some(3.0),
            ..LlmSettings::default()
        };
        let body = body(&settings, Vec::new());
        ["temperature", "top_p", "top_k"].map(|name| !body[name].is_null())
    };
    assert_eq!(sampled("openrouter/anthropic/claude-opus-4.8"), [false; 3]);
    assert_eq!(sampled("openrouter/anthropic/claude-opus-4.5"), [true; 3]);
    assert_eq!(sampled("openai/gpt-4o"), [true, true, false]);
}
