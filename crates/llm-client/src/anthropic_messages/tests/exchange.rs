use std::sync::Mutex;

use core_model::LlmSettings;
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{ADAPTIVE, ALWAYS, BUDGET, reply, result, signed, text, thought, tool, user};
use crate::{Block, Delta, Model, ModelError, ModelMessage, ModelReply, ModelRequest, connect};

const KEY: &str = "sk-ant-very-secret";

fn settings(model: &str, server: &MockServer) -> LlmSettings {
    LlmSettings {
        base_url: Some(server.uri()),
        api_key: Some(KEY.to_owned()),
        num_retries: 0,
        ..super::settings(model)
    }
}

fn answer(content: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "id": "msg_1", "type": "message", "role": "assistant", "content": content,
        "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}))
}

fn request(messages: Vec<ModelMessage>) -> ModelRequest {
    ModelRequest {
        tools: vec![tool("think")],
        ..ModelRequest::of(messages)
    }
}

async fn ask(model: &dyn Model, messages: Vec<ModelMessage>) -> Result<ModelReply, ModelError> {
    model.reply(&request(messages), &|_| {}).await
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let received = server.received_requests().await.expect("recorded requests");
    let bodies = received.iter().map(|request| request.body_json());
    bodies.collect::<Result<_, _>>().expect("JSON bodies")
}

#[tokio::test]
async fn two_steps_of_a_turn_streamed_and_not() {
    for stream in [false, true] {
        let server = MockServer::start().await;
        let first = json!([signed("hm"), {"type": "tool_use", "id": "toolu_1", "name": "think",
                                          "input": {"thought": "q"}}]);
        let template = if stream {
            streamed(&first)
        } else {
            answer(&first)
        };
        Mock::given(method("POST"))
            .and(path("/v1/messages"))
            .and(header("x-api-key", KEY))
            .and(header("anthropic-version", "2023-06-01"))
            .and(body_partial_json(json!({"messages": [{"role": "user"}]})))
            .respond_with(template)
            .up_to_n_times(1)
            .mount(&server)
            .await;
        Mock::given(method("POST"))
            .and(path("/v1/messages"))
            .respond_with(answer(&json!([text("done")])))
            .mount(&server)
            .await;
        let settings = LlmSettings {
            stream,
            ..settings(ALWAYS, &server)
        };
        let model = connect(&settings).expect("a model");
        let heard = Mutex::new(Vec::new());
        let hear = |delta| heard.lock().unwrap().push(delta);
        let made = model
            .reply(&request(vec![user("hello")]), &hear)
            .await
            .expect("a reply");
        let thoughts = if stream {
            vec![Delta::Reasoning("hm".to_owned())]
        } else {
            vec![]
        };
        assert_eq!(heard.into_inner().unwrap(), thoughts);

        // As it is stored and read again.
        let mut stored = made.said();
        stored.tool_calls = Some(made.calls().cloned().collect());
        let again = vec![user("hello"), stored.into(), result("toolu_1", "ok")];
        let last = ask(&*model, again).await.expect("a reply");
        assert_eq!(last.text(), "done");
        let sent = bodies(&server).await;
        assert_eq!(
            sent[1]["messages"][1],
            json!({"role": "assistant", "content": first})
        );
        assert_eq!(
            sent[1]["messages"][2]["content"][0]["tool_use_id"],
            "toolu_1"
        );
    }
}

/// The same blocks as events.
fn streamed(blocks: &Value) -> ResponseTemplate {
    let mut events = vec![json!({"type": "message_start", "message": {"id": "msg_1"}})];
    for (index, block) in blocks.as_array().unwrap().iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"},
                       "usage": {"output_tokens": 1}}),
    );
    events.push(json!({"type": "message_stop"}));
    let body: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    ResponseTemplate::new(200).set_body_raw(body, "text/event-stream")
}

#[tokio::test]
async fn keys_go_in_the_header_that_the_provider_reads() {
    let header = |model: &str, base_url: Option<&str>| {
        let settings = LlmSettings {
            base_url: base_url.map(str::to_owned),
            ..super::settings(model)
        };
        let format = &super::AnthropicMessages;
        let route = crate::provider::route(&settings, format).expect(model);
        crate::format::Format::key_header(format, &route, "k")
    };
    let own = ("x-api-key", "k".to_owned());
    let bearer = ("authorization", "Bearer k".to_owned());
    assert_eq!(header(ALWAYS, None), own);
    assert_eq!(header(ALWAYS, Some("http://h:1")), own);
    assert_eq!(header("openrouter/anthropic/claude-x", None), bearer);
    for amazon in [
        "https://bedrock-runtime.us-east-1.amazonaws.com/anthropic",
        "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages",
    ] {
        assert_eq!(
            header("anthropic.claude-opus-4-7", Some(amazon)),
            bearer,
            "{amazon}"
        );
    }
}

#[tokio::test]
async fn a_hosted_provider_is_not_asked_without_a_key_in_either_header() {
    let keyless = super::settings(ALWAYS);
    let model = connect(&keyless).expect("a model");
    let refused = ask(&*model, vec![user("a")]).await.expect_err("no key");
    assert_eq!(refused.code(), "LLMAuthenticationError");
}

/// At an address of its own: what refusals teach is remembered for it.
fn own_settings(model: &str, server: &MockServer) -> LlmSettings {
    LlmSettings {
        base_url: Some(format!("{}/{}", server.uri(), uuid::Uuid::new_v4())),
        ..settings(model, server)
    }
}

fn refusal(message: &str) -> ResponseTemplate {
    let error = json!({"type": "invalid_request_error", "message": message});
    ResponseTemplate::new(400).set_body_json(json!({"type": "error", "error": error}))
}

/// A conversation in which a thought does not fit goes on without it, and the ones after it go back.
#[tokio::test]
async fn refused_thoughts_are_left_out_and_later_ones_are_not() {
    let server = MockServer::start().await;
    let broken = json!({"type": "thinking", "thinking": "hm", "signature": "broken"});
    Mock::given(body_partial_json(
        json!({"messages": [{}, {"content": [broken]}]}),
    ))
    .respond_with(refusal(
        "messages.1.content.0: `thinking` or `redacted_thinking` blocks cannot be modified",
    ))
    .expect(1)
    .mount(&server)
    .await;
    Mock::given(method("POST"))
        .respond_with(answer(&json!([text("done")])))
        .mount(&server)
        .await;
    let model = connect(&own_settings(ALWAYS, &server)).expect("a model");
    let said = |state: Value, said: &str| reply(ALWAYS, vec![thought(state), Block::text(said)]);
    let mut messages = vec![user("a"), said(broken, "x"), user("b")];
    ask(&*model, messages.clone()).await.expect("a reply");
    messages.extend([said(signed("new"), "y"), user("c")]);
    ask(&*model, messages).await.expect("a reply");
    let sent = bodies(&server).await;
    let replies: Vec<Value> = sent
        .iter()
        .map(|body| body["messages"][1]["content"].clone())
        .collect();
    assert_eq!(replies[1..], [json!([text("x")]), json!([text("x")])]);
    assert_eq!(
        sent[2]["messages"][3]["content"],
        json!([signed("new"), text("y")])
    );
}

#[tokio::test]
async fn a_refusal_that_stays_is_an_error() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(refusal("Invalid `signature` in `thinking` block"))
        .expect(2)
        .mount(&server)
        .await;
    let model = connect(&own_settings(ALWAYS, &server)).expect("a model");
    let messages = vec![
        user("a"),
        reply(ALWAYS, vec![thought(signed("x")), Block::text("y")]),
    ];
    let error = ask(&*model, messages).await.expect_err("a refusal");
    assert_eq!(error.code(), "LLMBadRequestError");
}

#[tokio::test]
async fn refused_fields_are_named_by_what_they_hold_too() {
    let table = [
        (
            "This model does not support the effort parameter.",
            "output_config",
        ),
        (
            "\"thinking.type.enabled\" is not supported for this model.",
            "thinking",
        ),
        ("budget_tokens: Extra inputs are not permitted", "thinking"),
    ];
    for (message, field) in table {
        let server = MockServer::start().await;
        let model = if message.contains("effort") {
            ADAPTIVE
        } else {
            BUDGET
        };
        Mock::given(method("POST"))
            .respond_with(refusal(message))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        Mock::given(method("POST"))
            .respond_with(answer(&json!([text("done")])))
            .mount(&server)
            .await;
        let model = connect(&own_settings(model, &server)).expect("a model");
        ask(&*model, vec![user("a")]).await.expect("a reply");
        let sent = bodies(&server).await;
        let has: Vec<bool> = sent.iter().map(|body| body.get(field).is_some()).collect();
        assert_eq!(has, [true, false], "{message}");
    }
}
