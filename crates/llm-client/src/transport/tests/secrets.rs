use core_model::{LlmSettings, secrets::MASK};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{KEY, ask, failure, model, raw_server, serving, settings};
use crate::openai_chat::OpenAiChat;
use crate::transport::{HttpModel, exchange::ERROR_BODY_LIMIT};

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
        let model = format!("{:?}", model(&settings));
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
        let ids: Vec<&str> = answer.calls().map(|call| call.id.as_str()).collect();
        assert!(ids[0].starts_with("call_"), "{answer:?}");
        assert_eq!(ids[1], "c-2");
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
    let error = HttpModel::new(&broken, &OpenAiChat).expect_err("a refusal");
    assert!(!error.to_string().contains("broken"), "{error}");
}
