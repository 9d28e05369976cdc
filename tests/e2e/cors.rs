use reqwest::{Method, Response, header::HeaderMap};
use serde_json::json;
use test_support::{Socket, TestServer};

async fn preflight(server: &TestServer, origin: &str) -> Response {
    server
        .request(Method::OPTIONS, "/conversations")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
        .header(
            "Access-Control-Request-Headers",
            "content-type,x-session-api-key",
        )
        .send()
        .await
        .unwrap()
}

fn allowed(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("access-control-allow-origin")
        .map(|value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn own_machine_and_listed_origins_are_let_in_and_no_others() {
    let server = TestServer::with(|settings| {
        settings.session_api_key = Some("key".to_owned().into());
        settings.allow_cors_origins = vec!["https://your-frontend.com".to_owned()];
        settings.allow_cors_origin_regex = Some(r"https://[a-z]+\.example\.org".to_owned());
    })
    .await;
    for origin in [
        "http://localhost:3000",
        "https://localhost",
        "http://127.0.0.1:5173",
        "https://your-frontend.com",
        "https://app.example.org",
    ] {
        let response = preflight(&server, origin).await;
        assert_eq!(response.status(), 200, "{origin}");
        assert_eq!(allowed(response.headers()), Some(origin));
        assert_eq!(
            response.headers()["access-control-allow-credentials"],
            "true"
        );
        let methods = response.headers()["access-control-allow-methods"]
            .to_str()
            .unwrap();
        assert!(
            methods.contains("POST") && methods.contains("DELETE"),
            "{methods}"
        );

        let simple = server
            .request(Method::GET, "/health")
            .header("Origin", origin);
        assert_eq!(
            allowed(simple.send().await.unwrap().headers()),
            Some(origin)
        );
    }
    for origin in [
        "https://evil.example",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com",
        "https://your-frontend.com.evil.com",
        "https://your-frontend.com:8443",
        "https://app.example.org.evil.com",
        "null",
    ] {
        let response = preflight(&server, origin).await;
        assert!(
            response.status().is_client_error(),
            "{origin}: {}",
            response.status()
        );
        assert_eq!(allowed(response.headers()), None, "{origin}");
        let simple = server
            .request(Method::GET, "/health")
            .header("Origin", origin);
        assert_eq!(
            allowed(simple.send().await.unwrap().headers()),
            None,
            "{origin}"
        );
    }
    // A refused key can be read by the page that sent it.
    let denied = server
        .request(Method::GET, "/conversations/search")
        .header("Origin", "http://localhost:3000");
    let denied = denied.send().await.unwrap();
    assert_eq!(denied.status(), 401);
    assert_eq!(allowed(denied.headers()), Some("http://localhost:3000"));
}

/// Browsers ask nobody before they send a form or open a socket.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_foreign_pages_without_a_preflight_are_refused() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let url = server.socket_url(&format!(
        "/conversations/{}/events/socket",
        made["id"].as_str().unwrap()
    ));
    for (origin, allowed) in [
        ("https://evil.example", false),
        ("null", false),
        ("http://localhost:3000", true),
    ] {
        let socket = Socket::try_connect(&url, &[("origin", origin)]).await;
        assert_eq!(socket.is_ok(), allowed, "{origin}");
        let form = server
            .request(Method::POST, "/conversations")
            .header("Origin", origin)
            .header("Content-Type", "text/plain")
            .body("{}");
        let status = form.send().await.unwrap().status();
        assert_eq!(status, if allowed { 201 } else { 403 }, "{origin}");
    }
    let (_, count) = server.get("/conversations/count").await;
    assert_eq!(count, json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_desktop_programs_and_both_loopback_families_are_let_in() {
    let origins = [
        "tauri://localhost",
        "vscode-webview://*",
        "https://*.example.com",
        "null",
    ];
    let server = TestServer::with(|settings| {
        settings.allow_cors_origins = origins.map(str::to_owned).to_vec();
    })
    .await;
    for (origin, let_in) in [
        ("tauri://localhost", true),
        ("http://tauri.localhost", true),
        ("vscode-webview://1f2e3d4c", true),
        ("https://a.b.example.com", true),
        ("null", true),
        ("http://[::1]:3000", true),
        ("http://127.0.0.2:3000", true),
        ("https://example.com", false),
        ("tauri://localhost.evil", false),
        ("capacitor://localhost", false),
    ] {
        let response = preflight(&server, origin).await;
        let expected = let_in.then_some(origin);
        assert_eq!(allowed(response.headers()), expected, "{origin}");
        let form = server
            .request(Method::POST, "/conversations")
            .header("Origin", origin);
        let response = form.body("{}").send().await.unwrap();
        assert_eq!(
            response.status(),
            if let_in { 201 } else { 403 },
            "{origin}"
        );
        assert_eq!(allowed(response.headers()), expected, "{origin}");
    }
}
