//! A page whose name was made to lead to this machine (DNS rebinding) has nothing from the server.

use reqwest::Method;
use serde_json::json;
use test_support::{Socket, TestServer, answer};

const REBOUND_HOST: &str = "attacker.example:8000";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_served_by_a_host_that_is_not_ours() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let origin = format!("http://{REBOUND_HOST}");
    for (method, path) in [
        (Method::POST, "/conversations".to_owned()),
        (Method::POST, "/api/conversations".to_owned()),
        (Method::GET, "/conversations/search".to_owned()),
        (Method::OPTIONS, "/conversations".to_owned()),
        (Method::DELETE, format!("/conversations/{id}")),
        (Method::GET, format!("/conversations/{id}/events/stream")),
        (Method::GET, "/events/stream".to_owned()),
        (Method::GET, "/webhooks".to_owned()),
        (Method::GET, "/health".to_owned()),
        (Method::GET, "/".to_owned()),
        (Method::GET, "/docs".to_owned()),
        (Method::GET, "/openapi.json".to_owned()),
        (Method::GET, "/nowhere".to_owned()),
    ] {
        // With the headers of a page, and without: what a page reads from its own host has none.
        for origin in [Some(&origin), None] {
            let mut request = server
                .request(method.clone(), &path)
                .header("host", REBOUND_HOST);
            if let Some(origin) = origin {
                request = request
                    .header("origin", origin)
                    .header("access-control-request-method", "POST");
            }
            let response = request.body("{}").send().await.unwrap();
            assert_eq!(response.headers()["x-error-code"], "foreign_host", "{path}");
            assert!(
                !response
                    .headers()
                    .contains_key("access-control-allow-origin")
            );
            let (status, body) = answer(response).await;
            assert_eq!(status, 421, "{method} {path}");
            let detail = body["detail"].as_str().unwrap();
            assert!(detail.contains("`allowed_hosts`"), "{detail}");
        }
    }
    for path in [
        format!("/conversations/{id}/events/socket"),
        format!("/sockets/session/{id}"),
        "/events/socket".to_owned(),
    ] {
        let url = server.socket_url(&path);
        let headers = [("host", REBOUND_HOST), ("origin", origin.as_str())];
        assert!(Socket::try_connect(&url, &headers).await.is_err(), "{path}");
    }
    assert_eq!(server.get("/conversations/count").await.1, json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_hosts_are_ours_and_allowed_origins_make_none() {
    let server = TestServer::with(|settings| {
        settings.allowed_hosts = vec!["agents.example.com".to_owned()];
        settings.allow_cors_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    for (host, origin, expected) in [
        ("agents.example.com", None, 201),
        // The server's own page behind a proxy that keeps `Host`.
        (
            "agents.example.com",
            Some("https://agents.example.com"),
            201,
        ),
        ("agents.example.com", Some("https://app.example.com"), 201),
        ("agents.example.com", Some("https://evil.example"), 403),
        ("app.example.com", Some("https://app.example.com"), 421),
        ("localhost:1", Some("https://app.example.com"), 201),
        ("[::1]:1", Some("http://[::1]:3000"), 201),
    ] {
        let mut request = server
            .request(Method::POST, "/conversations")
            .header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let status = request.body("{}").send().await.unwrap().status();
        assert_eq!(status, expected, "{host} {origin:?}");
    }
}
