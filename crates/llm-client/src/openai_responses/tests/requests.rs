use core_model::{Content, LlmSettings};
use serde_json::{Value, json};

use super::{body, body_of, call, image, result, result_of, said, settings, user};
use crate::{Block, ModelMessage, ModelRequest, ToolSpec};

#[test]
fn a_request_has_the_shape_of_responses() {
    let system = vec![Content::text("be good"), Content::text("today")];
    let request = ModelRequest {
        tools: vec![ToolSpec {
            name: "think".to_owned(),
            description: "d".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        cache_key: Some("key".to_owned()),
        ..ModelRequest::of(vec![
            ModelMessage::System(system),
            user("hello"),
            said(vec![
                Block::reasoning("private"),
                Block::text("aloud"),
                Block::call(call("c1")),
                Block::call(call("c2")),
            ]),
            result("c1"),
            result_of("c2", vec![Content::text("[error]"), Content::text("no")]),
        ])
    };
    let called = |id: &str| json!({"type": "function_call", "call_id": id, "name": "think", "arguments": "{}"});
    assert_eq!(
        body_of(&settings("openai/gpt-5.6"), &request),
        json!({
            "model": "gpt-5.6",
            "instructions": "be good\n\ntoday",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
                {"type": "message", "role": "assistant", "content": "aloud"},
                called("c1"),
                called("c2"),
                {"type": "function_call_output", "call_id": "c1", "output": "logged"},
                {"type": "function_call_output", "call_id": "c2", "output": "[error]\nno"},
            ],
            "tools": [{"type": "function", "name": "think", "description": "d",
                       "parameters": {"type": "object"}, "strict": false}],
            "store": false,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "high"},
            "prompt_cache_key": "key",
            "prompt_cache_retention": "24h",
        })
    );
}

#[test]
fn settings_become_parameters() {
    let chosen = LlmSettings {
        temperature: Some(0.5),
        top_p: Some(0.25),
        top_k: Some(3.0),
        seed: Some(7),
        max_output_tokens: Some(100),
        stream: true,
        reasoning_effort: Some("low".to_owned()),
        reasoning_summary: Some("auto".to_owned()),
        enable_encrypted_reasoning: false,
        litellm_extra_body: serde_json::Map::from_iter([("user".to_owned(), json!("u"))]),
        ..settings("gpt-5-mini")
    };
    let expected = json!({
        "model": "gpt-5-mini",
        "input": [],
        "store": false,
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 100,
        "stream": true,
        "user": "u",
    });
    assert_eq!(body(&chosen, Vec::new()), expected);

    let sampled = LlmSettings {
        reasoning_effort: None,
        ..chosen
    };
    let body = body(
        &LlmSettings {
            model: "gpt-4o".to_owned(),
            ..sampled
        },
        Vec::new(),
    );
    assert_eq!(
        (&body["temperature"], &body["top_p"]),
        (&json!(0.5), &json!(0.25))
    );
    assert_eq!(body["reasoning"], json!({"summary": "auto"}));
}

#[test]
fn only_openai_itself_is_asked_to_keep_prompts_longer() {
    let retention = |change: &dyn Fn(&mut LlmSettings)| {
        let mut settings = settings("gpt-5.6");
        change(&mut settings);
        body(&settings, Vec::new())["prompt_cache_retention"].clone()
    };
    assert_eq!(retention(&|_| {}), "24h");
    let azure = "https://us.openai.azure.com/openai/v1".to_owned();
    assert_eq!(
        retention(&|s| s.base_url = Some(azure.clone())),
        Value::Null
    );
    assert_eq!(
        retention(&|s| s.model = "gpt-5.4-mini".to_owned()),
        Value::Null
    );
    assert_eq!(retention(&|s| s.prompt_cache_retention = None), Value::Null);
    assert_eq!(retention(&|s| s.caching_prompt = false), Value::Null);
}

#[test]
fn a_later_system_message_stays_in_its_place() {
    let later = ModelMessage::System(vec![Content::text("and be quick")]);
    let body = body(&settings("gpt-5.6"), vec![user("hello"), later]);
    assert_eq!(body.get("instructions"), None);
    assert_eq!(
        body["input"][1],
        json!({"role": "system", "content": [{"type": "input_text", "text": "and be quick"}]})
    );
}

#[test]
fn images_go_with_users_and_with_tool_results() {
    let shown = |url: &str| json!({"type": "input_image", "image_url": url, "detail": "auto"});
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let messages = vec![
        ModelMessage::User(vec![
            Content::text("see"),
            image("data:1"),
            Content::text(" "),
        ]),
        said(vec![Block::call(call("c1"))]),
        result_of("c1", vec![Content::text("a picture"), image("data:2")]),
    ];
    let with = body(&settings("gpt-5.6"), messages.clone());
    assert_eq!(
        with["input"][0]["content"],
        json!([text("see"), shown("data:1")])
    );
    assert_eq!(
        with["input"][2]["output"],
        json!([text("a picture"), shown("data:2")])
    );

    let blind = LlmSettings {
        disable_vision: Some(true),
        ..settings("gpt-5.6")
    };
    let without = body(&blind, messages);
    let note = "[An image was left out: vision is disabled.]";
    assert_eq!(
        without["input"][0]["content"],
        json!([text("see"), text(note)])
    );
    assert_eq!(
        without["input"][2]["output"],
        json!(format!("a picture\n{note}"))
    );
}

#[test]
fn ids_and_names_of_other_providers_become_legal() {
    let long = format!("call_1|fc_{}", "x".repeat(450));
    let invented = core_model::MessageToolCall {
        name: "functions.think".to_owned(),
        ..call(&long)
    };
    let messages = vec![
        user("hello"),
        said(vec![Block::call(invented), Block::call(call("call_1"))]),
        result(&long),
        result("call_1"),
        // The provider counts its calls from the start in every reply.
        said(vec![Block::call(call("call_1"))]),
        result("call_1"),
    ];
    let body = body(&settings("gpt-5.6"), messages);
    let ids: Vec<&str> = body["input"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["call_id"].as_str())
        .collect();
    let [
        first,
        second,
        first_result,
        second_result,
        third,
        third_result,
    ] = ids[..]
    else {
        panic!("{ids:?}");
    };
    assert_eq!(
        (first, second, third),
        (first_result, second_result, third_result)
    );
    assert_eq!(second, "call_1");
    assert!(
        first != second && second != third && first != third,
        "{ids:?}"
    );
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(
        ids.iter().all(|id| id.len() <= 64 && id.chars().all(legal)),
        "{ids:?}"
    );
    assert_eq!(body["input"][1]["name"], "functions_think");
}

#[test]
fn blank_texts_are_left_out() {
    let blank = vec![Block::text(" "), Block::call(call("c"))];
    let body = body(
        &settings("gpt-5.6"),
        vec![ModelMessage::User(vec![Content::text(" ")]), said(blank)],
    );
    assert_eq!(
        body["input"][0]["content"],
        json!([{"type": "input_text", "text": " "}])
    );
    assert_eq!(body["input"][1]["type"], "function_call");
}

#[test]
fn no_call_is_without_a_result_and_no_result_without_a_call() {
    let messages = vec![
        user("hello"),
        result("forgotten"),
        said(vec![Block::call(call("c1"))]),
        said(vec![Block::text("on")]),
        said(vec![Block::call(call("c2"))]),
    ];
    let body = body(&settings("gpt-5.6"), messages);
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let unanswered = |id: &str| {
        json!({"type": "function_call_output", "call_id": id,
               "output": "[No result of this call was recorded.]"})
    };
    assert_eq!(
        body["input"][1],
        json!({"role": "user", "content": [text("[A result of the tool think:]"), text("logged")]})
    );
    assert_eq!(body["input"][3], unanswered("c1"));
    assert_eq!(body["input"][6], unanswered("c2"));
}
