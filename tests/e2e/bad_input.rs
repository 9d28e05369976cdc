use reqwest::{Body, Method};
use serde_json::{Value, json};
use test_support::{Received, Socket, TestServer, answer};
use tokio_tungstenite::tungstenite::Message;

const UNKNOWN_ID: &str = "00000000-0000-0000-0000-000000000001";

fn first_error(body: &Value) -> (&str, &Value) {
    (
        body["detail"][0]["type"].as_str().unwrap(),
        &body["detail"][0]["loc"],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_mistyped_bodies_are_422_and_say_where() {
    let server = TestServer::start().await;
    let post = async |path: &str, body: &str| {
        let request = server
            .request(Method::POST, path)
            .header("content-type", "application/json");
        answer(request.body(body.to_owned()).send().await.unwrap()).await
    };
    let (status, body) = post("/conversations", "{bad").await;
    assert_eq!((status, first_error(&body).0), (422, "json_invalid"));
    for (body, place) in [
        (
            json!({"max_iterations": 0}),
            json!(["body", "max_iterations"]),
        ),
        (
            json!({"max_iterations": "many"}),
            json!(["body", "max_iterations"]),
        ),
        (json!({"agent": {"kind": "Nope"}}), json!(["body", "agent"])),
        (
            json!({"agent": {"llm": {"num_retries": -1}}}),
            json!(["body", "agent", "llm", "num_retries"]),
        ),
        (
            json!({"agent": {"llm": []}}),
            json!(["body", "agent", "llm"]),
        ),
        (
            json!({"agent": {"llm": {"model": ""}}}),
            json!(["body", "agent", "llm", "model"]),
        ),
        (
            json!({"agent": {"llm": {"model": "openai/gpt\u{0}"}}}),
            json!(["body", "agent", "llm", "model"]),
        ),
        (
            json!({"agent_settings": {"llm": {"retry_multiplier": -1}}}),
            json!(["body", "agent_settings", "llm", "retry_multiplier"]),
        ),
        (
            json!({"agent": {"llm": {"extra_headers": {"a b": "c"}}}}),
            json!(["body", "agent", "llm", "extra_headers", "a b"]),
        ),
        (
            json!({"agent": {"llm": {}, "tool_concurrency_limit": -1}}),
            json!(["body", "agent", "tool_concurrency_limit"]),
        ),
        (
            json!({"conversation_id": "xyz"}),
            json!(["body", "conversation_id"]),
        ),
        (json!({"tags": {"Bad": "x"}}), json!(["body", "tags"])),
        (
            json!({"workspace": {"kind": "RemoteWorkspace", "working_dir": "/x", "host": "h"}}),
            json!(["body", "workspace"]),
        ),
        (
            json!({"confirmation_policy": {"kind": "Perhaps"}}),
            json!(["body", "confirmation_policy"]),
        ),
        (json!([]), json!(["body"])),
    ] {
        let (status, answer) = post("/conversations", &body.to_string()).await;
        assert_eq!(status, 422, "{body} gave {answer}");
        let place_start = place.as_array().unwrap();
        let found = first_error(&answer).1.as_array().unwrap();
        assert_eq!(
            &found[..place_start.len()],
            &place_start[..],
            "{body} gave {answer}"
        );
    }
    let secret = json!({"agent": {"llm": {"api_key": "sk-secret", "num_retries": "x"}}});
    let (status, answer) = post("/conversations", &secret.to_string()).await;
    assert_eq!(status, 422);
    assert!(!answer.to_string().contains("sk-secret"));

    for body in [json!({}), json!({"workspace": {"working_dir": "/tmp"}})] {
        let (status, answer) = post("/api/conversations", &body.to_string()).await;
        assert_eq!(status, 422, "the other dialect requires both: {answer}");
    }
    let (_, page) = server.get("/conversations/search").await;
    assert_eq!(page["items"], json!([]), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_impossible_ids_are_404_and_422() {
    let server = TestServer::start().await;
    let not_found = (404, json!({"detail": "Not Found"}));
    assert_eq!(
        server.get(&format!("/conversations/{UNKNOWN_ID}")).await,
        not_found
    );
    assert_eq!(
        server.delete(&format!("/conversations/{UNKNOWN_ID}")).await,
        not_found
    );
    for action in ["run", "pause", "interrupt"] {
        let path = format!("/conversations/{UNKNOWN_ID}/{action}");
        assert_eq!(server.post(&path, &json!({})).await, not_found, "{action}");
    }
    let named = json!({"detail": format!("Conversation not found: {UNKNOWN_ID}")});
    for path in ["events", "events/search", "events/count", "events/x"] {
        let path = format!("/conversations/{UNKNOWN_ID}/{path}");
        assert_eq!(server.get(&path).await, (404, named.clone()), "{path}");
    }
    for path in ["/conversations/xyz", "/conversations/xyz/events/search"] {
        let (status, body) = server.get(path).await;
        assert_eq!((status, first_error(&body).0), (422, "uuid_parsing"));
        assert_eq!(first_error(&body).1, &json!(["path", "conversation_id"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_422() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let events = format!(
        "/conversations/{}/events/search",
        made["id"].as_str().unwrap()
    );
    for (path, kind) in [
        (format!("{events}?limit=0"), "greater_than"),
        (format!("{events}?limit=101"), "less_than_equal"),
        (format!("{events}?limit=x"), "int_parsing"),
        (format!("{events}?sort_order=X"), "enum"),
        (
            format!("{events}?timestamp__gte=bad"),
            "datetime_from_date_parsing",
        ),
        ("/conversations/search?limit=0".to_owned(), "greater_than"),
        ("/conversations/search?status=bogus".to_owned(), "enum"),
        ("/conversations/search?sort_order=X".to_owned(), "enum"),
    ] {
        let (status, body) = server.get(&path).await;
        assert_eq!(
            (status, first_error(&body).0),
            (422, kind),
            "{path}: {body}"
        );
    }
    let wrong_method = server
        .request(Method::PUT, "/conversations")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong_method.status(), 405);
    assert!(wrong_method.headers().contains_key("allow"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_other_roles_and_shapes_are_422() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let path = format!("/conversations/{}/events", made["id"].as_str().unwrap());
    for body in [
        json!({"role": "assistant", "content": []}),
        json!({"role": "nobody", "content": []}),
        json!({"role": "user", "content": [{"type": "video"}]}),
        json!({"role": "user", "content": 7}),
        json!({"type": "message"}),
        json!({"type": "dance", "content": "x"}),
        json!("text"),
    ] {
        let (status, answer) = server.post(&path, &body).await;
        assert_eq!(status, 422, "{body} gave {answer}");
    }
    assert_eq!(server.events(made["id"].as_str().unwrap()).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_body_is_413_and_the_server_lives() {
    let server = TestServer::start().await;
    // Sent in pieces, so that no length announces it.
    let piece = bytes_of(1 << 20);
    let pieces =
        futures_util::stream::iter((0..100).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let request = server
        .request(Method::POST, "/conversations")
        .body(Body::wrap_stream(pieces));
    // The server may answer and close while we still send: either is fine, a 5xx or a hang is not.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
    }
    let announced = server
        .request(Method::POST, "/conversations")
        .body(vec![b' '; 100 << 20]);
    if let Ok(response) = announced.send().await {
        assert_eq!(response.status(), 413);
    }
    assert_eq!(server.get("/health").await.0, 200);
}

fn bytes_of(len: usize) -> Vec<u8> {
    vec![b' '; len]
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_wrong_are_answered_and_binary_ones_close() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let mut socket = server.follow(id).await;
    socket.json().await;
    for (frame, code) in [
        (json!({"foo": 1}).to_string(), "ValidationError"),
        ("[1]".to_owned(), "ValidationError"),
        ("not json".to_owned(), "JSONDecodeError"),
        (
            json!({"role": "assistant", "content": []}).to_string(),
            "AssertionError",
        ),
    ] {
        socket.send_text(&frame).await;
        let error = socket.json().await;
        assert_eq!(
            (&error["kind"], &error["code"]),
            (&json!("ServerErrorEvent"), &json!(code))
        );
    }
    assert_eq!(server.events(id).await.len(), 0);
    socket
        .send(&json!({"type": "message", "content": "still here"}))
        .await;
    socket.until_snapshot("finished").await;

    let mut binary = server.follow(id).await;
    binary.json().await;
    binary
        .send_raw(Message::binary(vec![1, 2, 3]))
        .await
        .unwrap();
    assert_eq!(binary.close_code().await, 1003);

    let mut big = server.follow(id).await;
    big.json().await;
    big.send_raw(Message::text("x".repeat(64 << 20)))
        .await
        .unwrap();
    let error = big.json().await;
    assert_eq!(
        (&error["kind"], &error["code"]),
        (&json!("ServerErrorEvent"), &json!("body_too_large"))
    );
    assert_eq!(server.get("/health").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_on_nothing_close_with_a_reason() {
    let server = TestServer::start().await;
    for path in [
        format!("/conversations/{UNKNOWN_ID}/events/socket"),
        format!("/sockets/events/{UNKNOWN_ID}"),
    ] {
        let mut socket = Socket::connect(&server.socket_url(&path), &[]).await;
        assert!(
            matches!(socket.receive().await, Received::Closed(4004, _)),
            "{path}"
        );
    }
    let bad = server.socket_url("/sockets/events/xyz");
    assert!(Socket::try_connect(&bad, &[]).await.is_err());
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let bogus = server.socket_url(&format!("/sockets/events/{id}?resend_mode=bogus"));
    assert!(Socket::try_connect(&bogus, &[]).await.is_err());
    // A snapshot is not in the log, so there is nothing after it.
    let snapshot = server.follow(id).await.json().await;
    for cursor in ["nope", snapshot["id"].as_str().unwrap()] {
        let mut lost = server
            .follow_with(id, &format!("?after_event_id={cursor}"))
            .await;
        assert_eq!(lost.close_code().await, 4400, "{cursor}");
    }
}

/// A run would fail over them, as models refuse them.
#[tokio::test(flavor = "multi_thread")]
async fn empty_messages_and_images_without_an_address_are_refused_on_every_way_in() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let nothing = [
        json!([]),
        json!(""),
        json!(" \n"),
        json!([{"type": "text", "text": ""}]),
        json!([{"type": "text", "text": " "}, {"type": "text", "text": "\t"}]),
        json!([{"type": "image", "image_urls": []}]),
        json!([{"type": "text", "text": "look"}, {"type": "image", "image_urls": [""]}]),
        json!([{"type": "image", "image_urls": ["file:///etc/passwd"]}]),
        json!([{"type": "image", "image_urls": ["data:image/png;base64,?"]}]),
        json!([{"type": "audio", "audio_urls": ["https://h/a"]}]),
    ];
    let mut socket = server.follow(id).await;
    socket.json().await;
    let session = server.socket_url(&format!("/sockets/session/{id}"));
    let mut session = Socket::connect(&session, &[]).await;
    // `sync`, then the state.
    session.json().await;
    session.json().await;
    for content in &nothing {
        let message = json!({"role": "user", "content": content, "run": true});
        for path in ["/conversations", "/api/conversations"] {
            let (status, answer) = server.post(&format!("{path}/{id}/events"), &message).await;
            assert_eq!(status, 422, "{message} gave {answer}");
            let loc = first_error(&answer).1.as_array().unwrap();
            assert_eq!(loc[..2], [json!("body"), json!("content")], "{message}");
        }
        let start = json!({"initial_message": message});
        let (status, answer) = server.post("/conversations", &start).await;
        assert_eq!(status, 422, "{start} gave {answer}");
        socket.send(&message).await;
        let error = socket.json().await;
        assert_eq!(error["kind"], "ServerErrorEvent", "{message} gave {error}");
        assert_eq!(error["code"], "ValidationError", "{message} gave {error}");
        session.send(&message).await;
        let error = session.json().await;
        assert_eq!(error["type"], "error", "{message} gave {error}");
    }
    let (status, _) = server
        .post("/conversations", &json!({"initial_message": " "}))
        .await;
    assert_eq!(status, 422);
    assert_eq!(server.events(id).await.len(), 0);
    assert_eq!(server.get("/conversations/count").await.1, json!(1));

    let image = "data:image/png;base64,iVBORw0KGgo=";
    let message = json!({"role": "user", "run": false, "content": [
        {"type": "text", "text": ""}, {"type": "image", "image_urls": [image]}]});
    let path = format!("/conversations/{id}/events");
    assert_eq!(server.post(&path, &message).await.0, 200);
}

/// Lists show what is kept with conversations, and it is in memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_with_a_conversation_is_limited() {
    let server = TestServer::start().await;
    let tags: serde_json::Map<String, Value> = (0..100_000)
        .map(|n| (format!("tag{n}"), json!("v")))
        .collect();
    for body in [
        json!({ "tags": tags }),
        json!({"tags": {"k".repeat(1 << 20): "v"}}),
        json!({"hook_config": "x".repeat(1 << 20)}),
    ] {
        let (status, answer) = server.post("/conversations", &body).await;
        assert_eq!(status, 422);
        assert!(answer.to_string().len() < 1000, "{answer}");
    }
    assert_eq!(server.get("/conversations/count").await.1, json!(0));

    let small = TestServer::with(|settings| {
        settings.max_metadata_bytes = std::num::NonZeroUsize::new(100).unwrap();
    })
    .await;
    let (status, answer) = small
        .post("/conversations", &json!({"hook_config": "x".repeat(100)}))
        .await;
    assert_eq!(
        (status, first_error(&answer).0),
        (422, "metadata_too_large")
    );
    assert_eq!(small.post("/conversations", &json!({})).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_that_names_no_reachable_model_is_refused_at_creation() {
    let server = TestServer::start().await;
    let create = async |fallback: Value| {
        let llm = json!({"model": "scripted", "fallback_strategy": {"fallback_llms": [fallback]}});
        let request = server.request(Method::POST, "/conversations");
        let body = json!({"agent": {"llm": llm}});
        answer(request.json(&body).send().await.unwrap()).await
    };
    for (fallback, told) in [
        (json!("nobody/knows"), "`nobody/` is not a provider"),
        (
            json!({"model": "m", "base_url": "no address"}),
            "is not a URL",
        ),
    ] {
        let (status, body) = create(fallback).await;
        assert_eq!(status, 422, "{body}");
        assert!(body.to_string().contains(told), "{body}");
    }
    assert_eq!(create(json!("openai/gpt-5.6")).await.0, 201);
}
