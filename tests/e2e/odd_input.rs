//! Requests that no client library would send: a 4xx with a reason, never past the key, never a 5xx.

use serde_json::{Value, json};
use test_support::TestServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
const UNKNOWN_ID: &str = "00000000-0000-0000-0000-000000000001";

async fn locked() -> TestServer {
    TestServer::with(|settings| settings.session_api_key = Some("key".to_owned().into())).await
}

/// Sends bytes as they are and reads until the server closes.
async fn raw(server: &TestServer, request: &[u8]) -> String {
    let address = server.url("").replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(TIMEOUT, stream.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Status and body of a request for a path that is sent as it is.
async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = raw(server, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_gets_past_the_key() {
    let server = locked().await;
    let unauthorized = (401, json!({"detail": "Unauthorized"}));
    for path in [
        "/conversations",
        "/conversations/",
        "/conversations/search",
        "/conversations/search/",
        "/conversations//search",
        "/conversations/../conversations/search",
        "/conversations/search?x=/docs",
        "/conversations/search#/health",
        "/conversations/%ff%fe",
        "/%63onversations/search",
        "http://localhost/conversations/search",
        "/api",
        "/api//conversations/search",
        "/api/conversations/%2e%2e/search",
        "/v1",
        "/sockets",
        &format!("/conversations/{UNKNOWN_ID}%2fevents/socket"),
        &format!("/conversations/{UNKNOWN_ID}/events/socket/"),
    ] {
        assert_eq!(get(&server, path).await, unauthorized, "{path}");
    }
    let (status, _) = get(&server, "http://x/conversations/search").await;
    assert_eq!(status, 421, "what the request line names is not ours");
    let not_found = (404, json!({"detail": "Not Found"}));
    for path in [
        "//conversations/search",
        "/./conversations/search",
        "/health/../conversations/search",
        "/docs/../conversations/search",
        "/docs/%2e%2e%2fconversations",
        "/conversations%2fsearch",
        "/Conversations/search",
        "/conversations;x/search",
        "/conversations\\search",
        "/conversations%00",
    ] {
        assert_eq!(get(&server, path).await, not_found, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_refused_before_the_body_is_there() {
    let server = locked().await;
    let head = "POST /conversations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Length: 1000000\r\n\r\n";
    let answer = raw(&server, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_socket_opens_nothing_else() {
    let server = locked().await;
    let upgrade = async |method: &str, path: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n\
             Upgrade: websocket\r\n\r\n"
        );
        raw(&server, request.as_bytes()).await
    };
    let socket = format!("/conversations/{UNKNOWN_ID}/events/socket");
    for (method, path) in [
        ("GET", "/conversations/search"),
        ("POST", "/conversations"),
        ("POST", socket.as_str()),
        ("GET", "/sockets/nope"),
    ] {
        let answer = upgrade(method, path).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{method} {path}");
    }
    // Half a handshake.
    let answer = upgrade("GET", &socket).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_parameters_are_read_or_refused() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let search = "/conversations/search";
    let events = format!("/conversations/{id}/events");
    for (path, status) in [
        // Of several, the last one holds.
        (format!("{search}?limit=0&limit=2"), 200),
        (format!("{search}?limit=2&limit=0"), 422),
        (format!("{search}?limit="), 422),
        (format!("{search}?limit=%ff"), 422),
        (format!("{search}?limit=99999999999999999999"), 422),
        (format!("{search}?status="), 422),
        (format!("{search}?%zz=1&=&&%"), 200),
        (format!("{search}?page_id=%00"), 200),
        (format!("{search}?{}", "&".repeat(60_000)), 200),
        (format!("{events}?timestamp__gte="), 422),
        (
            format!("{events}?timestamp__gte=9999-12-31T23:59:59-23:59"),
            200,
        ),
        (format!("{events}?body=%ff&kind=&source="), 200),
        (format!("{events}?event_ids=,,"), 200),
        (format!("{events}/%2e%2e"), 404),
        (format!("{events}/..%2fmetadata.json"), 404),
        (format!("{events}/%00"), 404),
        (format!("{events}/{}", "a".repeat(8000)), 404),
        ("/conversations/%2e%2e".to_owned(), 422),
        ("/conversations/%".to_owned(), 422),
        (format!("/conversations/{}", "%ff".repeat(36)), 422),
        (format!("/conversations/{{{id}}}"), 422),
        (format!("/conversations/{id}%0d%0aX-Injected:%201"), 422),
        (format!("/conversations/{}", id.to_uppercase()), 200),
        ("/conversations/\u{e9}".to_owned(), 400),
    ] {
        assert_eq!(get(&server, &path).await.0, status, "{path}");
    }
    assert_eq!(server.get("/health").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_odd_json_is_422() {
    let server = TestServer::start().await;
    for body in [
        "[".repeat(100_000) + &"]".repeat(100_000),
        r#"{"agent":"#.repeat(100_000),
        format!(r#"{{"tags":{}"#, "[".repeat(5_000_000)),
        r#"{"max_iterations":1e400}"#.to_owned(),
        r#"{"initial_message":"\ud800"}"#.to_owned(),
        r#"{"workspace":{"working_dir":"/tmp/\u0000"}}"#.to_owned(),
        "\u{feff}{}".to_owned(),
    ] {
        let post = server.request(reqwest::Method::POST, "/conversations");
        let answer = post.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{:.40}", body);
    }
    let (_, made) = server.post("/conversations", &json!({})).await;
    let mut socket = server.follow(made["id"].as_str().unwrap()).await;
    socket.json().await;
    socket.send_text(&"[".repeat(200_000)).await;
    assert_eq!(socket.json().await["code"], "JSONDecodeError");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_answers_as_get_does_without_the_body() {
    let server = TestServer::start().await;
    for path in [
        "/health",
        "/server_info",
        "/docs",
        "/openapi.json",
        "/conversations/search",
    ] {
        // Were there a body, the second answer would not begin right after the first one's head. Asked
        // for only then: actix forgets that it answers a HEAD when it has read on.
        let head =
            format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
        let next = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answers = one_after_the_other(&server, &head, next).await;
        let (first, rest) = answers.split_once("\r\n\r\n").unwrap();
        assert!(first.starts_with("HTTP/1.1 200 "), "{path}: {first}");
        assert!(rest.starts_with("HTTP/1.1 200 "), "{path}: {rest:.80}");
    }
}

/// All answers, the second request being sent when the first one's head has come.
async fn one_after_the_other(server: &TestServer, first: &str, second: &str) -> String {
    let mut stream = TcpStream::connect(server.url("").replace("http://", ""))
        .await
        .unwrap();
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    while !answers.windows(4).any(|end| end == b"\r\n\r\n") {
        answers.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(second.as_bytes()).await.unwrap();
    stream.read_to_end(&mut answers).await.unwrap();
    String::from_utf8_lossy(&answers).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nowhere_and_what_is_not_done_say_so_in_json() {
    let server = TestServer::start().await;
    let not_found = (404, json!({"detail": "Not Found"}));
    for path in ["/nowhere", "/health/x", "/nowhere/at/all?x=1", "//"] {
        assert_eq!(get(&server, path).await, not_found, "{path}");
    }
    let answer = server
        .request(reqwest::Method::POST, "/nowhere")
        .header("Origin", "http://localhost:3000")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["x-error-code"], "not_found");
    assert_eq!(
        answer.headers()["access-control-allow-origin"],
        "http://localhost:3000"
    );
    for path in ["/docs", "/openapi.json", "/health"] {
        let answer = server.request(reqwest::Method::PUT, path);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(answer.headers()["allow"], "GET, HEAD", "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({"detail": "Method Not Allowed"}), "{path}");
    }
}
