use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Received, Socket, TestServer, answer};

const UNAUTHORIZED: &str = r#"{"detail":"Unauthorized"}"#;

async fn locked() -> TestServer {
    TestServer::with(|settings| {
        settings.session_api_keys = vec![
            "first".to_owned().into(),
            "second".to_owned().into(),
            String::new().into(),
        ];
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_opens_in_each_header_and_nothing_else_does() {
    let server = locked().await;
    for path in ["/conversations/search", "/api/conversations/search"] {
        for key in ["first", "second"] {
            let bearer = server
                .request(Method::GET, path)
                .bearer_auth(key)
                .send()
                .await
                .unwrap();
            assert_eq!(bearer.status(), 200);
            let header = server
                .request(Method::GET, path)
                .header("X-Session-API-Key", key);
            assert_eq!(header.send().await.unwrap().status(), 200);
        }
        for wrong in ["", "firs", "first ", "FIRST", "firstt"] {
            let header = server
                .request(Method::GET, path)
                .header("X-Session-API-Key", wrong);
            let response = header.send().await.unwrap();
            // A header's outer spaces are no part of its value.
            let expected = if wrong == "first " { 200 } else { 401 };
            assert_eq!(response.status(), expected, "{wrong:?}");
        }
        let in_query = server.request(Method::GET, &format!("{path}?session_api_key=first"));
        assert_eq!(in_query.send().await.unwrap().status(), 401);
        let basic = server
            .request(Method::GET, path)
            .basic_auth("first", Some("first"));
        assert_eq!(basic.send().await.unwrap().status(), 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_takes_its_key_in_the_url() {
    let server = locked().await;
    let created = server
        .request(Method::POST, "/conversations")
        .bearer_auth("first")
        .json(&json!({}));
    let (status, made) = answer(created.send().await.unwrap()).await;
    assert_eq!(status, 201);
    let id = made["id"].as_str().unwrap();
    for prefix in ["", "/api"] {
        let one = format!("{prefix}/conversations/{id}/events/stream");
        let all = format!("{prefix}/events/stream");
        for path in [one, all] {
            for (query, status) in [
                ("?session_api_key=second", 200),
                ("?after_seq=-1&session_api_key=first", 200),
                ("?session_api_key=wrong", 401),
                ("?session_api_key=", 401),
                ("", 401),
            ] {
                let request = server.request(Method::GET, &format!("{path}{query}"));
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), status, "{path}{query}");
            }
        }
        // No other route does.
        let other = format!("{prefix}/conversations/{id}/events?session_api_key=first");
        let other = server.request(Method::GET, &other);
        assert_eq!(other.send().await.unwrap().status(), 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_asked_for_before_routes_and_bodies() {
    let server = locked().await;
    for path in [
        "/conversations/nope/nope",
        "/api/nope",
        "/v1/nope",
        "/conversations/not-a-uuid",
        "/conversations/00000000-0000-0000-0000-000000000001/events/socket",
        "/sockets/events/00000000-0000-0000-0000-000000000001",
    ] {
        let response = server.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
        assert_eq!(response.text().await.unwrap(), UNAUTHORIZED, "{path}");
    }
    for body in ["{bad", "{}"] {
        let post = server.request(Method::POST, "/conversations").body(body);
        assert_eq!(
            answer(post.send().await.unwrap()).await,
            (401, json!({"detail": "Unauthorized"}))
        );
    }
    let (status, body) = server.get("/api/nope").await;
    assert_eq!((status, body), (404, json!({"detail": "Not Found"})));
    for open in [
        "/health",
        "/alive",
        "/ready",
        "/server_info",
        "/",
        "/docs",
        "/openapi.json",
    ] {
        let response = server.request(Method::GET, open).send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{open}: {}",
            response.status()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_take_the_key_in_headers_the_query_or_the_first_frame() {
    let server = locked().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    for path in [
        format!("/conversations/{id}/events/socket"),
        format!("/sockets/events/{id}"),
    ] {
        let url = server.socket_url(&path);
        let auth = json!({"type": "auth", "session_api_key": "second"});
        let mut sockets = vec![
            Socket::connect(&url, &[("authorization", "Bearer first")]).await,
            Socket::connect(&url, &[("x-session-api-key", "first")]).await,
            Socket::connect(&format!("{url}?session_api_key=first"), &[]).await,
            Socket::connect(&url, &[]).await,
        ];
        sockets[3].send(&auth).await;
        for socket in &mut sockets {
            assert_eq!(socket.json().await["key"], "full_state");
        }
        // Another one later is ignored.
        sockets[0].send(&auth).await;
        sockets[0]
            .send(&json!({"type": "message", "content": "hello"}))
            .await;
        sockets[0].until_snapshot("finished").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_close_4001_for_anything_but_a_key() {
    let server = locked().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let url = server.socket_url(&format!("/conversations/{id}/events/socket"));
    let refused = Received::Closed(4001, "Authentication failed".to_owned());
    for first in [
        json!({"type": "auth", "session_api_key": "bad"}),
        json!({"type": "auth"}),
        json!({"role": "user", "content": []}),
        Value::Null,
    ] {
        let mut socket = Socket::connect(&url, &[]).await;
        socket.send(&first).await;
        assert_eq!(socket.receive().await, refused, "{first}");
    }
    let mut in_query = Socket::connect(&format!("{url}?session_api_key=bad"), &[]).await;
    assert_eq!(in_query.receive().await, refused);
    let mut in_header = Socket::connect(&url, &[("authorization", "Bearer bad")]).await;
    assert_eq!(in_header.receive().await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_keys_leave_the_server_open() {
    let server = TestServer::with(|settings| {
        settings.session_api_key = Some(String::new().into());
    })
    .await;
    assert_eq!(server.get("/conversations/search").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_white_space_does_not_open_the_server_but_stop_its_start() {
    for key in [" ", "\t\n"] {
        let refused = TestServer::refused(|settings| {
            settings.session_api_key = Some(key.to_owned().into());
        })
        .await;
        assert!(
            refused.contains("white space protects nothing"),
            "{refused}"
        );
    }
}
