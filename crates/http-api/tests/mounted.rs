//! The API mounted into an app, without a network.
#![expect(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse,
    body::MessageBody,
    http::{Method, header},
    test, web,
};
use agent_runtime::{Runtime, RuntimeConfig};
use core_model::LlmSettings;
use http_api::{Api, ApiConfig, ERROR_CODE_HEADER, Limits, Surface};
use secrecy::SecretString;
use serde_json::{Value, json};
use store_fs::{FsStore, Options};
use tempfile::TempDir;

/// Requests with a `Host`, as clients send them.
struct TestRequest;

impl TestRequest {
    fn default() -> test::TestRequest {
        test::TestRequest::default().insert_header((header::HOST, "localhost"))
    }

    fn get() -> test::TestRequest {
        Self::default().method(Method::GET)
    }

    fn post() -> test::TestRequest {
        Self::default().method(Method::POST)
    }

    fn put() -> test::TestRequest {
        Self::default().method(Method::PUT)
    }

    fn delete() -> test::TestRequest {
        Self::default().method(Method::DELETE)
    }
}

async fn api(config: ApiConfig) -> (Api, TempDir) {
    let (runtime, folder) = runtime().await;
    (Api::new(runtime, config).unwrap(), folder)
}

async fn runtime() -> (Runtime, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(&folder.path().join("conversations"), Options::default()).unwrap();
    let llm = LlmSettings {
        model: "scripted".to_owned(),
        ..LlmSettings::default()
    };
    let runtime = RuntimeConfig::new([7; 32], llm, folder.path().join("project"), store.root());
    let runtime = Runtime::start(runtime, Arc::new(store));
    (runtime, folder)
}

fn keyed() -> ApiConfig {
    ApiConfig {
        keys: vec![SecretString::from("sekrit")],
        ..ApiConfig::default()
    }
}

/// An app with the API at its root and a host's default service beside it.
macro_rules! app {
    ($api:expr) => {{
        let api = $api.clone();
        test::init_service(
            App::new()
                .configure(move |cfg| api.configure(cfg))
                .route("/hosts/own", web::get().to(|| async { "host" }))
                .default_service(web::to(|| async {
                    HttpResponse::NotFound().body("host's 404")
                })),
        )
        .await
    }};
}

/// Status and body of the answer to a request.
macro_rules! call {
    ($app:expr, $request:expr) => {{
        let response = test::call_service($app, $request.to_request()).await;
        let status = response.status().as_u16();
        let body = test::read_body(response).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }};
}

fn detail(text: &str) -> String {
    json!({ "detail": text }).to_string()
}

#[actix_web::test]
async fn every_documented_path_is_served() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    let document = api.openapi().unwrap();
    let mut seen = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let uri = path
                .replace("{conversation_id}", "no-id")
                .replace("{event_id}", "e")
                .replace("{name}", "n")
                .replace("{delivery_id}", "d");
            let verb: Method = method.to_uppercase().parse().unwrap();
            let request = TestRequest::default().method(verb).uri(&uri).to_request();
            let response = test::call_service(&app, request).await;
            let code = response.headers().get(ERROR_CODE_HEADER);
            let code = code.and_then(|code| code.to_str().ok());
            let unserved = matches!(code, Some("not_found" | "method_not_allowed"));
            assert!(!unserved, "{method} {path}: {code:?}");
            seen.insert(format!("{method} {path}"));
        }
    }
    assert!(seen.contains("get /conversations/{conversation_id}/events/socket"));
    assert!(seen.contains("get /sockets/events/{conversation_id}"));
    assert!(seen.contains("post /api/webhooks/{name}/rewind"));
}

#[actix_web::test]
async fn without_a_key_nothing_below_the_api_answers() {
    let (api, _folder) = api(keyed()).await;
    let app = app!(api);
    let id = "00000000-0000-0000-0000-000000000001";
    for (method, uri) in [
        (Method::GET, "/conversations/search".to_owned()),
        (Method::GET, "/conversations/nowhere/at/all".to_owned()),
        (Method::POST, "/conversations".to_owned()),
        (Method::PUT, "/conversations".to_owned()),
        (Method::GET, "/api/nope".to_owned()),
        (Method::GET, "/webhooks".to_owned()),
        (Method::GET, "/webhooks/nowhere/at/all".to_owned()),
        (Method::POST, "/api/webhooks/x/test".to_owned()),
        (Method::GET, "/v1/models".to_owned()),
        (Method::GET, format!("/conversations/{id}/events/socket")),
        (Method::GET, format!("/sockets/events/{id}")),
        (Method::GET, "/sockets/nope".to_owned()),
    ] {
        for key in [None, Some("wrong")] {
            let mut request = TestRequest::default().method(method.clone()).uri(&uri);
            if let Some(key) = key {
                request = request.insert_header(("x-session-api-key", key));
            }
            assert_eq!(
                call!(&app, request),
                (401, detail("Unauthorized")),
                "{method} {uri}"
            );
        }
    }
    for open in [
        "/health",
        "/alive",
        "/ready",
        "/server_info",
        "/",
        "/docs",
        "/openapi.json",
    ] {
        assert_eq!(call!(&app, TestRequest::get().uri(open)).0, 200, "{open}");
    }
}

#[actix_web::test]
async fn only_sockets_may_bring_their_key_later() {
    let (api, _folder) = api(keyed()).await;
    let app = app!(api);
    for uri in [
        "/conversations/search",
        "/conversations/x/events/search",
        "/sockets/nope",
    ] {
        let request = TestRequest::get()
            .uri(uri)
            .insert_header((header::UPGRADE, "websocket"))
            .insert_header((header::CONNECTION, "Upgrade"));
        assert_eq!(call!(&app, request), (401, detail("Unauthorized")), "{uri}");
    }
}

#[actix_web::test]
async fn each_form_of_key_opens() {
    let (api, _folder) = api(keyed()).await;
    let app = app!(api);
    for header in [
        ("Authorization", "Bearer sekrit"),
        ("X-Session-API-Key", "sekrit"),
    ] {
        for uri in ["/conversations/count", "/api/conversations/count"] {
            let request = TestRequest::get().uri(uri).insert_header(header);
            assert_eq!(call!(&app, request), (200, "0".to_owned()), "{uri}");
        }
    }
    let in_query = TestRequest::get().uri("/conversations/count?session_api_key=sekrit");
    assert_eq!(call!(&app, in_query).0, 401);
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    assert_eq!(
        call!(&app, TestRequest::get().uri("/api/nope")),
        (404, detail("Not Found"))
    );
    let request = TestRequest::put().uri("/conversations").to_request();
    let response = test::call_service(&app, request).await;
    assert_eq!(response.status(), 405);
    assert_eq!(
        response.headers().get(header::ALLOW).unwrap(),
        "POST, GET, HEAD"
    );
    assert_eq!(
        response.headers().get(ERROR_CODE_HEADER).unwrap(),
        "method_not_allowed"
    );
    let plain = TestRequest::get().uri("/sockets/events/00000000-0000-0000-0000-000000000001");
    assert_eq!(call!(&app, plain).0, 426);
}

#[actix_web::test]
async fn the_hosts_own_routes_stay_the_hosts() {
    let (api, _folder) = api(keyed()).await;
    let app = app!(api);
    assert_eq!(
        call!(&app, TestRequest::get().uri("/hosts/own")),
        (200, "host".to_owned())
    );
    for uri in ["/nowhere", "/conversationsx", "/webhooksx", "/healthy"] {
        assert_eq!(
            call!(&app, TestRequest::get().uri(uri)),
            (404, "host's 404".to_owned())
        );
    }
}

#[actix_web::test]
async fn a_missing_conversation_is_missed_as_recorded() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    let id = "c19f8284-b44a-40fe-b3b6-957841fc14cd";
    for at in ["/conversations", "/api/conversations"] {
        for (method, rest) in [
            (Method::GET, ""),
            (Method::DELETE, ""),
            (Method::POST, "/run"),
            (Method::POST, "/pause"),
        ] {
            let request = TestRequest::default()
                .method(method)
                .uri(&format!("{at}/{id}{rest}"));
            assert_eq!(call!(&app, request), (404, detail("Not Found")), "{rest}");
        }
        let missing = detail(&format!("Conversation not found: {id}"));
        for rest in ["", "/search", "/count", "/some-event"] {
            let request = TestRequest::get().uri(&format!("{at}/{id}/events{rest}"));
            assert_eq!(call!(&app, request), (404, missing.clone()), "{rest}");
        }
    }
}

#[actix_web::test]
async fn a_conversation_goes_through_its_life() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    let body = json!({"conversation_id": "c19f8284b44a40feb3b6957841fc14cd", "autotitle": false});
    let create = || TestRequest::post().uri("/conversations").set_json(&body);
    let (status, made) = call!(&app, create());
    assert_eq!(status, 201, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["runtime_info"], Value::Null);
    let id = made["id"].as_str().unwrap();
    assert_eq!(id, "c19f8284-b44a-40fe-b3b6-957841fc14cd");
    assert_eq!(call!(&app, create()).0, 200);

    let (_, shown) = call!(
        &app,
        TestRequest::get().uri(&format!("/conversations/{id}"))
    );
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["runtime_info"]["runtime_status"], "available");

    let send = TestRequest::post().uri(&format!("/api/conversations/{id}/events"));
    let (status, body) = call!(&app, send.set_json(json!({"content": "hello"})));
    assert_eq!((status, body.as_str()), (200, r#"{"success":true}"#));

    let find = format!("/conversations/{id}/events/search?kind=MessageEvent");
    let (_, page) = call!(&app, TestRequest::get().uri(&find));
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(
        page["items"][0]["llm_message"]["content"][0]["text"],
        "hello"
    );
    let event = page["items"][0]["id"].as_str().unwrap();

    let batch = format!("/api/conversations/{id}/events?event_ids={event},nope");
    let (_, batch) = call!(&app, TestRequest::get().uri(&batch));
    assert_eq!(
        serde_json::from_str::<Value>(&batch).unwrap(),
        json!([page["items"][0], null])
    );
    let in_body = TestRequest::get()
        .uri(&format!("/conversations/{id}/events"))
        .set_payload(json!([event]).to_string());
    let (status, batch) = call!(&app, in_body);
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&batch).unwrap(),
        json!([page["items"][0]])
    );
    let other = TestRequest::get()
        .uri(&format!("/conversations/{id}/events"))
        .set_payload(r#"{"event_ids":[]}"#);
    assert_eq!(call!(&app, other).0, 422);

    let both = format!("/api/conversations?ids={id},00000000-0000-0000-0000-000000000001");
    let (_, both) = call!(&app, TestRequest::get().uri(&both));
    let both: Value = serde_json::from_str(&both).unwrap();
    assert_eq!((both[0]["id"].as_str(), &both[1]), (Some(id), &Value::Null));

    let delete = || TestRequest::delete().uri(&format!("/conversations/{id}"));
    assert_eq!(
        call!(&app, delete()),
        (200, r#"{"success":true}"#.to_owned())
    );
    assert_eq!(call!(&app, delete()).0, 404);
}

#[actix_web::test]
async fn a_body_over_the_limit_is_a_413() {
    let limits = Limits {
        body_bytes: 100,
        ..Limits::default()
    };
    let (api, _folder) = api(ApiConfig {
        limits,
        ..ApiConfig::default()
    })
    .await;
    let app = app!(api);
    let request = TestRequest::post()
        .uri("/conversations")
        .set_payload(vec![b' '; 101]);
    let (status, body) = call!(&app, request);
    assert_eq!(
        (status, body),
        (413, detail("The request body is larger than 100 bytes"))
    );
}

#[actix_web::test]
async fn pages_of_localhost_may_ask_and_others_may_not() {
    let (api, _folder) = api(keyed()).await;
    let app = app!(api);
    let preflight = |origin: &'static str| {
        TestRequest::default()
            .method(Method::OPTIONS)
            .uri("/api/conversations")
            .insert_header((header::ORIGIN, origin))
            .insert_header((header::ACCESS_CONTROL_REQUEST_METHOD, "POST"))
            .insert_header((
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                "content-type,x-session-api-key",
            ))
            .to_request()
    };
    let allowed = test::call_service(&app, preflight("http://localhost:3000")).await;
    assert_eq!(allowed.status(), 200);
    let header = |name| {
        allowed
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert_eq!(
        header(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        Some("http://localhost:3000")
    );
    assert_eq!(
        header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS),
        Some("true")
    );
    let refused = test::call_service(&app, preflight("https://evil.example")).await;
    assert_eq!(refused.status(), 400);

    let get = |uri: &'static str, origin: &'static str| {
        TestRequest::get()
            .uri(uri)
            .insert_header((header::ORIGIN, origin))
            .to_request()
    };
    let unauthorized = test::call_service(
        &app,
        get("/api/conversations/count", "http://localhost:3000"),
    )
    .await;
    assert_eq!(unauthorized.status(), 401);
    assert!(
        unauthorized
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    let foreign = test::call_service(&app, get("/alive", "https://evil.example")).await;
    assert!(
        !foreign
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
}

#[actix_web::test]
async fn large_answers_are_compressed_and_small_ones_are_not() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    for (uri, encoding) in [("/openapi.json", Some("gzip")), ("/health", None)] {
        let request = TestRequest::get()
            .uri(uri)
            .insert_header((header::ACCEPT_ENCODING, "gzip"));
        let response = test::call_service(&app, request.to_request()).await;
        let found = response.headers().get(header::CONTENT_ENCODING);
        assert_eq!(
            found.and_then(|value| value.to_str().ok()),
            encoding,
            "{uri}"
        );
    }
}

#[actix_web::test]
async fn encodings_of_which_none_will_do_are_refused_in_words() {
    let (api, _folder) = api(keyed()).await;
    let app = app!(api);
    let get = |uri: &str, accepts: &str| {
        TestRequest::get()
            .uri(uri)
            .insert_header(("x-session-api-key", "sekrit"))
            .insert_header((header::ACCEPT_ENCODING, accepts))
            .to_request()
    };
    for uri in ["/conversations/count", "/health", "/docs", "/openapi.json"] {
        for accepts in ["identity;q=0", "*;q=0"] {
            let response = test::call_service(&app, get(uri, accepts)).await;
            assert_eq!(response.status(), 406, "{uri}");
            let code = response.headers().get(ERROR_CODE_HEADER).unwrap();
            assert_eq!(code, "not_acceptable");
            let body: Value = test::read_body_json(response).await;
            assert!(body["detail"].is_string(), "{body}");
        }
        // Something will do, if only the least of it.
        for accepts in ["identity;q=0, gzip", "identity;q=0, *", "br", "gzip;q=0"] {
            let response = test::call_service(&app, get(uri, accepts)).await;
            assert_eq!(response.status(), 200, "{uri} with {accepts}");
        }
    }
    // The key comes first.
    let stranger = TestRequest::get()
        .uri("/conversations/count")
        .insert_header((header::ACCEPT_ENCODING, "identity;q=0"));
    assert_eq!(call!(&app, stranger).0, 401);
}

#[actix_web::test]
async fn documents_are_compressed_once_and_shared() {
    let (api, _folder) = api(keyed()).await;
    let app = app!(api);
    for uri in ["/openapi.json", "/docs/swagger-ui-bundle.js"] {
        for accepts in ["gzip", "identity"] {
            let mut pieces = Vec::new();
            for _ in 0..2 {
                let request = TestRequest::get()
                    .uri(uri)
                    .insert_header((header::ACCEPT_ENCODING, accepts));
                let response = test::call_service(&app, request.to_request()).await;
                let mut body = std::pin::pin!(response.into_body());
                let next = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await;
                let piece = next.unwrap().unwrap();
                assert!(piece.len() <= 16 << 10, "{uri}: {}", piece.len());
                pieces.push(piece);
            }
            // The same memory, not the same bytes alone.
            assert_eq!(pieces[0].as_ptr(), pieces[1].as_ptr(), "{uri}, {accepts}");
        }
    }
}

#[actix_web::test]
async fn what_the_host_switches_off_is_the_hosts() {
    let surface = Surface {
        health: false,
        docs: false,
        root: false,
    };
    let (api, _folder) = api(ApiConfig {
        surface,
        ..ApiConfig::default()
    })
    .await;
    let app = app!(api);
    for uri in ["/", "/health", "/docs", "/openapi.json"] {
        assert_eq!(
            call!(&app, TestRequest::get().uri(uri)),
            (404, "host's 404".to_owned())
        );
    }
    assert_eq!(
        call!(&app, TestRequest::get().uri("/conversations/count")).0,
        200
    );
}

#[actix_web::test]
async fn the_server_says_what_it_is() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    let (_, info) = call!(&app, TestRequest::get().uri("/server_info"));
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["title"], "OpenHands Agent Server");
    assert_eq!(info["version"], "1.58.0");
    assert_eq!(info["docs"], "/docs");
    assert_eq!(info["max_foreground_terminal_timeout_seconds"], 600.0);
    assert_eq!(
        info["usable_tools"],
        json!(agent_runtime::tool_names().collect::<Vec<_>>())
    );
}

#[actix_web::test]
async fn known_models_are_listed_in_both_dialects() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    let get = async |uri: &str| {
        let (status, body) = call!(&app, TestRequest::get().uri(uri));
        assert_eq!(status, 200, "{uri}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let has = |list: &Value, name: &str| list.as_array().unwrap().iter().any(|it| it == name);
    for prefix in ["", "/api"] {
        let providers = get(&format!("{prefix}/llm/providers")).await;
        assert!(has(&providers["providers"], "openrouter"));
        let all = get(&format!("{prefix}/llm/models")).await;
        assert!(has(&all["models"], "anthropic/claude-opus-5-5"));
        let own = get(&format!("{prefix}/llm/models?provider=openai")).await;
        assert!(has(&own["models"], "openai/gpt-5.6"));
        assert!(!has(&own["models"], "anthropic/claude-opus-5-5"));
        let fit = get(&format!("{prefix}/llm/models/verified")).await;
        assert!(has(&fit["models"]["anthropic"], "claude-opus-5-5"));
    }
    let described = get("/llm/models/described?provider=anthropic").await;
    let models = described["models"].as_array().unwrap();
    let opus = models
        .iter()
        .find(|it| it["name"] == "anthropic/claude-opus-4-5");
    let expected = json!({
        "name": "anthropic/claude-opus-4-5", "provider": "anthropic", "format": "messages",
        "context_window": 200_000, "max_output_tokens": 64_000,
        "price": {"input": 5.0, "output": 25.0, "cache_read": 0.5, "cache_write": 6.25},
        "vision": true, "tools": true, "reasoning": true, "effort_levels": ["low", "medium", "high"],
    });
    assert_eq!(opus, Some(&expected));
    let local = get("/llm/models/described?provider=ollama").await;
    assert_eq!(local["models"][0]["price"], Value::Null);
}

#[actix_web::test]
async fn who_is_not_ready_says_why_and_is_alive() {
    let (runtime, _folder) = runtime().await;
    let api = Api::new(runtime.clone(), ApiConfig::default()).unwrap();
    let app = app!(api);
    let ask = |uri: &str| TestRequest::get().uri(uri);
    assert_eq!(call!(&app, ask("/ready")).0, 200);
    runtime.shut_down(Duration::from_secs(5)).await;
    let (status, body) = call!(&app, ask("/ready"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["status"]), (503, &json!("not ready")));
    assert_eq!(body["reason"], "the server is stopping");
    assert_eq!(call!(&app, ask("/alive")).0, 200);
    let create = TestRequest::post().uri("/conversations").set_payload("{}");
    assert_eq!(
        call!(&app, create),
        (503, detail("The server is stopping."))
    );
}

/// Each may be asked for many times, and all would be in memory at once.
#[actix_web::test]
async fn a_batch_that_would_be_huge_is_refused() {
    let (api, _folder) = api(ApiConfig::default()).await;
    let app = app!(api);
    let create = TestRequest::post().uri("/conversations");
    let (_, made) = call!(&app, create.set_payload("{}"));
    let made: Value = serde_json::from_str(&made).unwrap();
    let events = format!("/conversations/{}/events", made["id"].as_str().unwrap());
    let large = json!({"content": "x".repeat(4 << 20), "run": false});
    let send = TestRequest::post().uri(&events);
    assert_eq!(call!(&app, send.set_payload(large.to_string())).0, 200);
    let find = format!("{events}/search?kind=MessageEvent");
    let (_, page) = call!(&app, TestRequest::get().uri(&find));
    let page: Value = serde_json::from_str(&page).unwrap();
    let id = &page["items"][0]["id"];
    for (times, status) in [(2, 200), (20, 422)] {
        let ids = json!(vec![id; times]);
        let ask = TestRequest::get().uri(&events);
        let (found, body) = call!(&app, ask.set_payload(ids.to_string()));
        assert_eq!(found, status, "{times} times: {:.100}", body);
    }
}
