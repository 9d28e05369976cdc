use std::sync::Mutex;
use std::time::Duration;

use core_model::LlmSettings;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{
    KEY, SAID, STOPPED, ask, bodies, model, raw_server, reply, request, serving, settings,
    stream_of,
};
use crate::transport::exchange::REPLY_LIMIT;
use crate::{Delta, Model};

#[tokio::test]
async fn a_question_is_answered_and_accounted_for() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", format!("Bearer {KEY}")))
        .and(header("x-team", "blue"))
        .respond_with(reply("hi"))
        .expect(1)
        .mount(&server)
        .await;
    let settings = LlmSettings {
        extra_headers: Some([("X-Team".to_owned(), "blue".to_owned())].into()),
        ..settings(&format!("{}/v1", server.uri()))
    };
    let answer = ask(&settings).await.expect("a reply");
    assert_eq!((answer.text().as_str(), answer.cost), ("hi", Some(0.5)));
    assert_eq!(answer.usage.model, "openai/fake");

    let priced = LlmSettings {
        input_cost_per_token: Some(0.001),
        output_cost_per_token: Some(0.01),
        ..settings
    };
    server.reset().await;
    Mock::given(method("POST"))
        .respond_with(reply("hi"))
        .mount(&server)
        .await;
    assert_eq!(ask(&priced).await.expect("a reply").cost, Some(2.0));
}

#[tokio::test]
async fn without_a_key_none_is_sent_and_hosted_providers_are_not_asked() {
    let server = serving(reply("hi")).await;
    let keyless = LlmSettings {
        api_key: None,
        ..settings(&server.uri())
    };
    ask(&keyless).await.expect("a reply");
    let received = server.received_requests().await.expect("recorded requests");
    assert_eq!(received[0].headers.get("authorization"), None);

    let hosted = LlmSettings {
        base_url: None,
        ..keyless
    };
    let refused = ask(&hosted).await.expect_err("no key");
    assert_eq!(refused.code(), "LLMAuthenticationError");
    assert!(refused.to_string().contains("llm.api_key"));
}

#[tokio::test]
async fn azure_is_given_its_key_in_a_header_of_its_own_and_copilot_who_asks() {
    let server = serving(reply("hi")).await;
    let azure = LlmSettings {
        model: "azure/blue".to_owned(),
        api_version: Some("2025-04-01-preview".to_owned()),
        ..settings(&server.uri())
    };
    ask(&azure).await.expect("a reply");
    let copilot = LlmSettings {
        model: "github_copilot/m".to_owned(),
        ..settings(&server.uri())
    };
    ask(&copilot).await.expect("a reply");
    let received = server.received_requests().await.expect("recorded requests");
    let header = |at: usize, name: &str| {
        received[at]
            .headers
            .get(name)
            .and_then(|it| it.to_str().ok())
    };
    assert_eq!(header(0, "api-key"), Some(KEY));
    assert_eq!(header(0, "authorization"), None);
    let path = "/openai/deployments/blue/chat/completions";
    assert_eq!(received[0].url.path(), path);
    assert_eq!(
        received[0].url.query(),
        Some("api-version=2025-04-01-preview")
    );
    assert_eq!(
        header(1, "authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(header(1, "copilot-integration-id"), Some("vscode-chat"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = MockServer::start().await;
    let elsewhere = ResponseTemplate::new(307).insert_header("location", "/elsewhere");
    Mock::given(path("/v1/chat/completions"))
        .respond_with(elsewhere)
        .mount(&server)
        .await;
    let error = ask(&settings(&format!("{}/v1", server.uri())))
        .await
        .expect_err("a failure");
    assert_eq!(error.code(), "LLMBadRequestError");
    assert_eq!(bodies(&server).await.len(), 1);
}

#[tokio::test]
async fn a_slow_provider_is_a_timeout() {
    let server = serving(reply("late").set_delay(Duration::from_secs(60))).await;
    let hasty = LlmSettings {
        timeout: Some(1),
        ..settings(&server.uri())
    };
    let error = ask(&hasty).await.expect_err("a timeout");
    assert_eq!(error.code(), "LLMTimeoutError");
}

#[tokio::test]
async fn a_server_that_ignores_streaming_is_understood() {
    let server = serving(reply("hi")).await;
    let streaming = LlmSettings {
        stream: true,
        ..settings(&server.uri())
    };
    let heard = Mutex::new(Vec::new());
    let model = model(&streaming);
    let hear = |delta| heard.lock().unwrap().push(delta);
    let answer = model.reply(&request(), &hear).await.expect("a reply");
    assert_eq!(answer.text(), "hi");
    assert_eq!(heard.into_inner().unwrap(), [Delta::Text("hi".to_owned())]);
}

#[tokio::test]
async fn a_stream_that_stops_short_is_unavailable_and_one_that_stalls_a_timeout() {
    let streaming = |base_url: &str, idle| LlmSettings {
        stream: true,
        stream_idle_timeout: Some(idle),
        ..settings(base_url)
    };
    let cut = streaming(&raw_server(stream_of(SAID), true).await, 300.0);
    let error = ask(&cut).await.expect_err("a cut");
    assert_eq!(error.code(), "LLMServiceUnavailableError");
    let stalled = streaming(&raw_server(stream_of(SAID), false).await, 0.2);
    let error = ask(&stalled).await.expect_err("a stall");
    assert_eq!(error.code(), "LLMTimeoutError");
    // Only the token count is missing here.
    let uncounted = stream_of(&format!("{SAID}{STOPPED}"));
    let whole = streaming(&raw_server(uncounted, false).await, 0.2);
    assert_eq!(ask(&whole).await.expect("a reply").text(), "hi");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let filler = format!(": {}\n", "x".repeat(1022)).repeat(16 * 1024 + 1);
    let stream = stream_of(&format!("{SAID}{filler}"));
    let body = format!("\"{}\"", "x".repeat(REPLY_LIMIT));
    let length = body.len();
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
    for (answer, streams) in [(stream, true), (whole, false)] {
        let settings = LlmSettings {
            stream: streams,
            ..settings(&raw_server(answer, false).await)
        };
        let error = ask(&settings).await.expect_err("too much");
        assert!(error.to_string().contains("exceeds"), "{error}");
    }
}

#[tokio::test]
async fn a_web_page_says_that_the_address_is_wrong() {
    let page = ResponseTemplate::new(200).set_body_raw("<html>hello</html>", "Text/HTML");
    let server = serving(page).await;
    let patient = LlmSettings {
        num_retries: 3,
        ..settings(&server.uri())
    };
    let error = ask(&patient).await.expect_err("no model");
    assert!(error.to_string().contains("`base_url`"), "{error}");
    assert_eq!(bodies(&server).await.len(), 1);
}

#[tokio::test]
async fn a_content_type_may_be_written_in_capitals() {
    let stream = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream\r\n\r\n{SAID}{STOPPED}data: [DONE]\n\n"
    );
    let streaming = LlmSettings {
        stream: true,
        ..settings(&raw_server(stream, true).await)
    };
    assert_eq!(ask(&streaming).await.expect("a reply").text(), "hi");
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_quoted() {
    let text = ResponseTemplate::new(200).set_body_raw("<html>nope</html>", "application/json");
    let server = serving(text).await;
    let error = ask(&settings(&server.uri())).await.expect_err("no reply");
    assert_eq!(error.code(), "LLMNoResponseError");
    assert!(error.to_string().contains("<html>"), "{error}");
}
