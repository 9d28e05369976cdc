//! Whole exchanges, from settings to replies, with a server that speaks Responses.

use core_model::LlmSettings;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{called, response, result, spoken, thought, user};
use crate::{Model, ModelMessage, ModelReply, ModelRequest, connect};

fn settings(server: &MockServer, stream: bool) -> LlmSettings {
    LlmSettings {
        model: "openai/gpt-5.6".to_owned(),
        base_url: Some(format!("{}/v1/responses", server.uri())),
        api_key: Some("sk-key".to_owned()),
        num_retries: 0,
        stream,
        ..LlmSettings::default()
    }
}

async fn ask(model: &dyn Model, messages: Vec<ModelMessage>) -> ModelReply {
    let request = ModelRequest::of(messages);
    model.reply(&request, &|_| {}).await.expect("a reply")
}

/// Answers with each of these in turn.
async fn serve(server: &MockServer, answers: Vec<ResponseTemplate>) {
    for answer in answers {
        Mock::given(method("POST"))
            .and(path("/v1/responses"))
            .and(header("authorization", "Bearer sk-key"))
            .respond_with(answer)
            .up_to_n_times(1)
            .mount(server)
            .await;
    }
}

fn answer(response: &Value, stream: bool) -> ResponseTemplate {
    let template = ResponseTemplate::new(200);
    if !stream {
        return template.set_body_json(response);
    }
    let last = json!({"type": "response.completed", "response": response});
    template.set_body_raw(format!("data: {last}\n\n"), "text/event-stream")
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let received = server.received_requests().await.expect("recorded requests");
    let bodies = received.iter().map(|request| request.body_json());
    bodies.map(|body| body.expect("a JSON body")).collect()
}

#[tokio::test]
async fn a_conversation_is_held_without_state_at_the_provider() {
    for stream in [false, true] {
        let server = MockServer::start().await;
        let calls = response(json!([thought("rs_1"), called("fc_1", "call_1")]));
        let done = response(json!([thought("rs_2"), spoken("msg_1", "done")]));
        serve(&server, vec![answer(&calls, stream), answer(&done, stream)]).await;
        let model = connect(&settings(&server, stream)).expect("a model");

        let first = ask(model.as_ref(), vec![user("hello")]).await;
        let messages = vec![user("hello"), first.into(), result("call_1")];
        let second = ask(model.as_ref(), messages).await;
        assert_eq!(second.text(), "done");

        let bodies = bodies(&server).await;
        assert_eq!(bodies[1]["store"], false);
        assert_eq!(bodies[1]["input"][1], thought("rs_1"));
        assert_eq!(bodies[1]["input"][2], called("fc_1", "call_1"));
        assert_eq!(
            bodies[1]["input"][3],
            json!({"type": "function_call_output", "call_id": "call_1", "output": "logged"})
        );
    }
}

#[tokio::test]
async fn a_field_that_is_refused_is_not_sent_again() {
    let server = MockServer::start().await;
    let refusal = ResponseTemplate::new(400).set_body_json(json!({"error": {
        "message": "Encrypted content is not supported with this model.",
        "type": "invalid_request_error", "param": "include", "code": null}}));
    let done = response(json!([spoken("msg_1", "done")]));
    serve(&server, vec![refusal, answer(&done, false)]).await;
    let model = connect(&settings(&server, false)).expect("a model");
    assert_eq!(
        ask(model.as_ref(), vec![user("hello")]).await.text(),
        "done"
    );
    let bodies = bodies(&server).await;
    assert!(bodies[0].get("include").is_some() && bodies[1].get("include").is_none());
}

#[tokio::test]
async fn a_refusal_has_the_code_that_clients_know() {
    let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
    let table = [
        (
            400,
            error("context_length_exceeded", "too much"),
            "LLMContextWindowExceedError",
        ),
        (400, error("invalid_value", "no"), "LLMBadRequestError"),
        (
            401,
            error("invalid_api_key", "no"),
            "LLMAuthenticationError",
        ),
        (
            429,
            error("rate_limit_exceeded", "slower"),
            "LLMRateLimitError",
        ),
        (
            500,
            error("server_error", "down"),
            "LLMServiceUnavailableError",
        ),
    ];
    for (status, body, code) in table {
        let server = MockServer::start().await;
        serve(
            &server,
            vec![ResponseTemplate::new(status).set_body_json(&body)],
        )
        .await;
        let model = connect(&settings(&server, false)).expect("a model");
        let request = ModelRequest::of(vec![user("hello")]);
        let error = model.reply(&request, &|_| {}).await.expect_err("a refusal");
        assert_eq!(error.code(), code, "{body}");
    }
}
