use std::sync::Mutex;
use std::time::Duration;

use core_model::LlmSettings;
use serde_json::json;
use wiremock::matchers::{body_partial_json, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{ask, bodies, failure, model, own_settings, reply, request, serving, settings};
use crate::{Delta, Model, ModelError};

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = MockServer::start().await;
    for status in [500, 429] {
        Mock::given(method("POST"))
            .respond_with(failure(status, "later"))
            .up_to_n_times(1)
            .mount(&server)
            .await;
    }
    Mock::given(method("POST"))
        .respond_with(reply("hi"))
        .mount(&server)
        .await;
    let patient = LlmSettings {
        num_retries: 2,
        ..settings(&server.uri())
    };
    assert_eq!(ask(&patient).await.expect("a reply").text(), "hi");
    assert_eq!(bodies(&server).await.len(), 3);
}

#[tokio::test]
async fn the_wait_a_provider_asks_for_is_told() {
    let slow = failure(429, "slow").insert_header("retry-after", "7");
    let exact = failure(503, "slow").insert_header("retry-after-ms", "1500");
    for (template, wait) in [(slow, 7_000), (exact, 1_500)] {
        let server = serving(template).await;
        let error = ask(&settings(&server.uri())).await.expect_err("a failure");
        let (ModelError::RateLimit { retry_after, .. }
        | ModelError::Unavailable { retry_after, .. }) = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(retry_after, Some(Duration::from_millis(wait)));
    }
}

#[tokio::test]
async fn fields_a_provider_does_not_know_are_dropped_for_good() {
    let server = MockServer::start().await;
    let told = "Unsupported parameter: 'temperature' is not supported with this model.";
    Mock::given(body_partial_json(json!({"temperature": 0.5})))
        .respond_with(failure(400, told))
        .mount(&server)
        .await;
    let detail =
        json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "prompt_cache_key"]}]});
    Mock::given(body_partial_json(json!({"prompt_cache_key": "key"})))
        .respond_with(ResponseTemplate::new(422).set_body_json(detail))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(reply("hi"))
        .mount(&server)
        .await;
    let warm = LlmSettings {
        temperature: Some(0.5),
        seed: Some(1),
        ..own_settings(&server.uri())
    };
    let model = model(&warm);
    for _ in 0..2 {
        let answer = model.reply(&request(), &|_| {}).await.expect("a reply");
        assert_eq!(answer.text(), "hi");
    }
    let sent = bodies(&server).await;
    let fields = ["temperature", "prompt_cache_key", "seed"];
    let kept: Vec<_> = sent
        .iter()
        .map(|body| fields.map(|name| body.get(name).is_some()))
        .collect();
    let last = [false, false, true];
    assert_eq!(kept, [[true, true, true], [false, true, true], last, last]);

    let strict = LlmSettings {
        drop_params: false,
        ..warm
    };
    let error = ask(&strict).await.expect_err("a failure");
    assert_eq!(error.code(), "LLMBadRequestError");
}

#[tokio::test]
async fn a_refused_value_is_not_a_refused_field() {
    let server = serving(failure(400, "temperature must be between 0 and 2")).await;
    let hot = LlmSettings {
        temperature: Some(9.0),
        ..settings(&server.uri())
    };
    ask(&hot).await.expect_err("a failure");
    assert_eq!(bodies(&server).await.len(), 1);
}

#[tokio::test]
async fn pieces_of_a_try_that_failed_are_discarded_before_the_next() {
    let piece = |text: &str| {
        let chunk = json!({"id": "r", "choices": [{"delta": {"content": text}}]});
        format!("data: {chunk}\n\n")
    };
    let error = |code: u16, message: &str| {
        let body = json!({"error": {"code": code, "message": message}});
        format!("data: {body}\n\n")
    };
    let text = |text: &str| Delta::Text(text.to_owned());
    for (name, first) in [
        ("the stream broke", piece("a")),
        (
            "the limit came in the middle",
            piece("a") + &error(429, "slow down"),
        ),
        (
            "the server failed in the middle",
            piece("a") + &error(500, "oops"),
        ),
        ("a chunk is no JSON", piece("a") + "data: {\n\n"),
    ] {
        let server = MockServer::start().await;
        let stream =
            |body: String| ResponseTemplate::new(200).set_body_raw(body, "text/event-stream");
        Mock::given(method("POST"))
            .respond_with(stream(first))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        Mock::given(method("POST"))
            .respond_with(stream(piece("b") + "data: [DONE]\n\n"))
            .mount(&server)
            .await;
        let settings = LlmSettings {
            stream: true,
            num_retries: 1,
            ..settings(&server.uri())
        };
        let heard = Mutex::new(Vec::new());
        let hear = |delta| heard.lock().unwrap().push(delta);
        let model = model(&settings);
        let reply = model.reply(&request(), &hear).await.expect("a reply");
        assert_eq!(reply.text(), "b", "{name}");
        let heard = heard.into_inner().unwrap();
        assert_eq!(heard, [text("a"), Delta::Discarded, text("b")], "{name}");
    }
}

#[tokio::test]
async fn pieces_of_the_last_try_are_discarded_and_none_where_there_were_none() {
    let piece = "data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\n";
    for (template, expected) in [
        (
            ResponseTemplate::new(200).set_body_raw(piece, "text/event-stream"),
            vec![Delta::Text("a".to_owned()), Delta::Discarded],
        ),
        (failure(503, "busy"), vec![]),
    ] {
        let server = serving(template).await;
        let settings = LlmSettings {
            stream: true,
            ..settings(&server.uri())
        };
        let heard = Mutex::new(Vec::new());
        let hear = |delta| heard.lock().unwrap().push(delta);
        let model = model(&settings);
        let failed = model.reply(&request(), &hear).await.unwrap_err();
        assert_eq!(failed.code(), "LLMServiceUnavailableError");
        assert_eq!(heard.into_inner().unwrap(), expected);
    }
}
