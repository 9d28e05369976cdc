use std::sync::Mutex;
use std::time::Duration;

use core_model::{LlmSettings, Message, secrets::MASK};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::{ERROR_BODY_LIMIT, OpenAiChat};
use crate::{Delta, Model, ModelError, ModelReply, ModelRequest};

const KEY: &str = "sk-very-secret";

fn settings(base_url: &str) -> LlmSettings {
    LlmSettings {
        model: "openai/fake".to_owned(),
        base_url: Some(base_url.to_owned()),
        api_key: Some(KEY.to_owned()),
        num_retries: 0,
        retry_min_wait: 0,
        retry_max_wait: 0,
        ..LlmSettings::default()
    }
}

fn request() -> ModelRequest {
    ModelRequest {
        messages: vec![Message::user("hello")],
        tools: Vec::new(),
        cache_key: Some("key".to_owned()),
    }
}

async fn ask(settings: &LlmSettings) -> Result<ModelReply, ModelError> {
    let model = OpenAiChat::new(settings).expect("a model");
    model.reply(&request(), &|_| {}).await
}

fn reply(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "id": "r", "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "cost": 0.5},
    }))
}

fn failure(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": {"message": message}}))
}

async fn serving(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let received = server.received_requests().await.expect("recorded requests");
    received
        .iter()
        .map(|request| request.body_json().expect("a JSON body"))
        .collect()
}

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
    assert_eq!((answer.text.as_str(), answer.cost), ("hi", Some(0.5)));
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
async fn a_provider_s_failures_keep_their_words_but_no_secret() {
    let table = [
        (400, "LLMBadRequestError"),
        (401, "LLMAuthenticationError"),
        (404, "LLMBadRequestError"),
        (429, "LLMRateLimitError"),
        (500, "LLMServiceUnavailableError"),
    ];
    for (status, code) in table {
        let server = serving(failure(status, &format!("because {KEY} and hunter2"))).await;
        let settings = LlmSettings {
            extra_headers: Some([("x-pass".to_owned(), "hunter2".to_owned())].into()),
            ..settings(&format!("{}/?token=hunter2", server.uri()))
        };
        let error = ask(&settings).await.expect_err("a failure");
        let shown = format!("{error} {error:?}");
        assert_eq!(error.code(), code, "{status}");
        assert!(
            !shown.contains(KEY) && !shown.contains("hunter2"),
            "{shown}"
        );
        assert_eq!(shown.contains("because"), status != 401, "{shown}");
        let model = format!("{:?}", OpenAiChat::new(&settings).expect("a model"));
        assert!(
            !model.contains(KEY) && !model.contains("hunter2"),
            "{model}"
        );
    }
}

#[tokio::test]
async fn secrets_stay_out_of_errors_in_good_answers_and_bad_addresses() {
    let echo = json!({"error": {"message": format!("bad key {KEY}"), "code": 400}});
    let server = serving(ResponseTemplate::new(200).set_body_json(echo)).await;
    let error = ask(&settings(&server.uri())).await.expect_err("a failure");
    assert!(
        !error.to_string().contains(KEY) && error.to_string().contains("bad key"),
        "{error}"
    );

    let closed = settings("http://127.0.0.1:1/v1?token=hunter2");
    let error = ask(&closed).await.expect_err("nobody listens");
    assert_eq!(error.code(), "LLMServiceUnavailableError");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

/// Providers and the proxies before them repeat what they got, in forms of their own.
#[tokio::test]
async fn no_form_of_a_secret_gets_into_an_error() {
    const HARD: &str = "sk/or+v1=Zz\"9-secret";
    let base64 = "c2svb3IrdjE9WnoiOS1zZWNyZXQ";
    let forms = [
        // JSON that escapes more than it must.
        r#"sk\/or\u002Bv1\u003dZz\"9-secret"#.to_owned(),
        r#"\u0073k/or+v1=Zz\u00229-\u0073ecret"#.to_owned(),
        // JSON in JSON.
        r#"sk\\/or\\u002Bv1=Zz\\\"9-secret"#.to_owned(),
        r#"/x?key=sk%2For%2bv1%3DZz%229-secret"#.to_owned(),
        "sk&#x2F;or&#43;v1=Zz&quot;9-secret".to_owned(),
        base64.to_owned(),
    ];
    for form in forms {
        let object = format!(r#"{{"error": {{"message": "bad: {form}", "code": 400}}}}"#);
        let unusual = format!(r#"{{"why": ["{form}"]}}"#);
        let stream = format!("data: {object}\n\n");
        let cut = format!("{{\"x\": \"{}", "y".repeat(180)) + &form;
        for (status, kind, body) in [
            (400, "application/json", &object),
            (500, "application/json", &unusual),
            (502, "text/plain", &form),
            (200, "application/json", &object),
            (200, "application/json", &form),
            // The quotation of an answer that is no JSON ends in the key.
            (200, "application/json", &cut),
            (200, "text/event-stream", &stream),
        ] {
            let template = ResponseTemplate::new(status).set_body_raw(body.as_bytes(), kind);
            let server = serving(template).await;
            let settings = LlmSettings {
                api_key: Some(HARD.to_owned()),
                ..settings(&server.uri())
            };
            let error = ask(&settings).await.expect_err("a failure").to_string();
            let leaks = ["ecret", "sk/or", "sk%2", "Zz", "c2svb3"];
            let leak = leaks.iter().find(|part| error.contains(*part));
            assert_eq!(leak, None, "{status} {kind} {body} gave {error}");
        }
    }
}

#[tokio::test]
async fn a_long_error_is_cut_behind_what_is_hidden() {
    let server = serving(failure(400, &format!("{}{KEY}", "x".repeat(1_990)))).await;
    let error = ask(&settings(&server.uri()))
        .await
        .expect_err("a failure")
        .to_string();
    assert!(!error.contains("sk-"), "{error}");
    assert!(error.contains("x***"), "{error}");
}

/// Masks of neighbouring secrets become one, so that even the end of a long body is shown.
#[tokio::test]
async fn no_part_of_a_secret_is_left_where_a_long_answer_is_cut() {
    const HARD: &str = "sk-T3st/kEy+Zq9&x\"1=mW7~pé€";
    let in_json = serde_json::to_string(HARD).expect("JSON");
    let in_json = in_json.trim_matches('"');
    // Moves the place in a secret that the cut falls on.
    for form in [HARD, in_json] {
        for offset in [0, 8, 17] {
            let many = form.repeat(ERROR_BODY_LIMIT / form.len() + 2);
            let plain = format!("{}{many}", "e".repeat(offset));
            let object = format!(r#"{{"error": {{"message": "{plain}", "code": 400}}}}"#);
            let quoted = "e".repeat(offset) + &form.repeat(17 * 1024 / form.len());
            for (status, body) in [
                (400, &plain),
                (400, &object),
                (200, &object),
                (200, &quoted),
            ] {
                let error = failing_with(HARD, status, body).await;
                let shown = error.replace(MASK, "");
                let leaks = ["sk", "T3", "Zq", "mW"];
                let leak = leaks.iter().find(|part| shown.contains(*part));
                assert_eq!(leak, None, "{status} {offset} {form} gave {error}");
            }
        }
    }
}

async fn failing_with(key: &str, status: u16, body: &str) -> String {
    let body = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let settings = LlmSettings {
        api_key: Some(key.to_owned()),
        ..settings(&raw_server(body, true).await)
    };
    ask(&settings).await.expect_err("a failure").to_string()
}

#[tokio::test]
async fn secrets_anywhere_in_the_settings_stay_out_of_errors() {
    let body = json!({
        "api_key": "body-key-1",
        "metadata": [{"token": "Bearer body-token-2"}, {"headers": {"x": "body-header-3"}}],
        "callback_url": "http://me:body-pass-4@h/x?sig=body-query-5",
    });
    let Value::Object(extra) = body.clone() else {
        panic!("an object");
    };
    let server = serving(failure(400, &format!("because {body} or body-token-2"))).await;
    let settings = LlmSettings {
        litellm_extra_body: extra,
        aws_secret_access_key: Some("body-aws-6".to_owned()),
        ..settings(&server.uri())
    };
    let error = ask(&settings).await.expect_err("a failure").to_string();
    assert!(error.contains("because"), "{error}");
    assert!(!error.contains("body-"), "{error}");
}

#[tokio::test]
async fn an_id_with_a_secret_is_replaced() {
    let call = |id: &str| json!({"id": id, "function": {"name": "run", "arguments": "{}"}});
    let whole = json!({
        "id": format!("r-{KEY}-1"),
        "choices": [{"message": {"tool_calls": [call(&format!("c-{KEY}")), call("c-2")]},
                     "finish_reason": "tool_calls"}],
    });
    let stream = format!("data: {whole}\n\n");
    for (body, kind) in [
        (whole.to_string(), "application/json"),
        (stream, "text/event-stream"),
    ] {
        let server = serving(ResponseTemplate::new(200).set_body_raw(body, kind)).await;
        let answer = ask(&settings(&server.uri())).await.expect("a reply");
        assert!(!format!("{answer:?}").contains(KEY), "{answer:?}");
        assert!(answer.id.starts_with("chatcmpl-"), "{answer:?}");
        assert_eq!(answer.usage.response_id, answer.id);
        assert!(answer.tool_calls[0].id.starts_with("call_"), "{answer:?}");
        assert_eq!(answer.tool_calls[1].id, "c-2");
    }
}

#[tokio::test]
async fn the_password_in_an_address_is_hidden_alone_and_in_its_header() {
    // The second is the header that such an address makes: `me:p@ss-word`.
    for echo in [
        "p@ss-word",
        "Basic bWU6cEBzcy13b3Jk",
        "me:p%40ss-word",
        "p%40ss-word",
    ] {
        let server = serving(failure(400, &format!("because {echo}"))).await;
        let address = server.uri().replace("http://", "http://me:p%40ss-word@");
        let settings = LlmSettings {
            api_key: None,
            ..settings(&address)
        };
        let error = ask(&settings).await.expect_err("a failure").to_string();
        let bare = echo.trim_start_matches("Basic ");
        assert!(
            error.contains("because") && !error.contains(bare),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_key_that_fits_in_no_header_is_refused_unseen() {
    let broken = LlmSettings {
        api_key: Some("sk-broken\nkey".to_owned()),
        ..settings("http://localhost:1")
    };
    let error = OpenAiChat::new(&broken).expect_err("a refusal");
    assert!(!error.to_string().contains("broken"), "{error}");
}

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
    assert_eq!(ask(&patient).await.expect("a reply").text, "hi");
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
        ..settings(&server.uri())
    };
    let model = OpenAiChat::new(&warm).expect("a model");
    for _ in 0..2 {
        let answer = model.reply(&request(), &|_| {}).await.expect("a reply");
        assert_eq!(answer.text, "hi");
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
    let model = OpenAiChat::new(&streaming).expect("a model");
    let hear = |delta| heard.lock().unwrap().push(delta);
    let answer = model.reply(&request(), &hear).await.expect("a reply");
    assert_eq!(answer.text, "hi");
    assert_eq!(heard.into_inner().unwrap(), [Delta::Text("hi".to_owned())]);
}

/// Answers every connection with these bytes; then hangs up, or keeps silent.
async fn raw_server(answer: String, hang_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = socket.read(&mut request).await.expect("a request");
            assert!(read > 0, "an empty request");
            socket.write_all(answer.as_bytes()).await.expect("a reader");
            if !hang_up {
                open.push(socket);
            }
        }
    });
    format!("http://{address}/v1")
}

fn stream_of(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}")
}

const SAID: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const STOPPED: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

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
    assert_eq!(ask(&whole).await.expect("a reply").text, "hi");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let filler = format!(": {}\n", "x".repeat(1022)).repeat(16 * 1024 + 1);
    let stream = stream_of(&format!("{SAID}{filler}"));
    let body = format!("\"{}\"", "x".repeat(super::super::REPLY_LIMIT));
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
    assert_eq!(ask(&streaming).await.expect("a reply").text, "hi");
}

#[tokio::test]
async fn pieces_of_a_try_that_failed_are_discarded_before_the_next() {
    let piece = |text: &str| {
        let chunk = json!({"id": "r", "choices": [{"delta": {"content": text}}]});
        format!("data: {chunk}\n\n")
    };
    let nameless = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c"}]},
                                       "finish_reason": "tool_calls"}]});
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
        (
            "a call lacks its name",
            piece("a") + &format!("data: {nameless}\n\n"),
        ),
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
        let model = OpenAiChat::new(&settings).expect("a model");
        let reply = model.reply(&request(), &hear).await.expect("a reply");
        assert_eq!(reply.text, "b", "{name}");
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
        let model = OpenAiChat::new(&settings).expect("a model");
        let failed = model.reply(&request(), &hear).await.unwrap_err();
        assert_eq!(failed.code(), "LLMServiceUnavailableError");
        assert_eq!(heard.into_inner().unwrap(), expected);
    }
}
