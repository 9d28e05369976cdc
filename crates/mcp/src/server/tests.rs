//! Servers behind HTTP addresses.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::tempdir;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::method};

use super::*;

fn server_at(url: String, files: &std::path::Path) -> Server {
    let headers = BTreeMap::from([("x-api-key".to_owned(), "hush-hush".to_owned())]);
    let config = McpServer {
        name: "far".to_owned(),
        transport: McpTransport::Http { url, headers },
        timeout: None,
    };
    let settings = McpSettings {
        start_timeout: Duration::from_secs(20),
        ..McpSettings::default()
    };
    let workspace = Workspace::new(files, workspace::Processes::default());
    Server::new(config, settings, workspace, ToolFiles::new(files))
}

/// Answers as a server does; `session` names the session that it knows.
fn answer(request: &Request, session: &str) -> ResponseTemplate {
    let Ok(asked) = serde_json::from_slice::<Value>(&request.body) else {
        return ResponseTemplate::new(405);
    };
    let sent = request.headers.get("mcp-session-id");
    let is_known = sent.is_none_or(|sent| sent == session);
    if !is_known {
        return ResponseTemplate::new(404);
    }
    let result = match asked["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "far", "version": "1"},
        }),
        Some("tools/list") => {
            json!({"tools": [{"name": "add", "inputSchema": {"type": "object"}}]})
        }
        Some("tools/call") => json!({"content": [{"type": "text", "text": session}]}),
        Some(_) | None => return ResponseTemplate::new(202),
    };
    ResponseTemplate::new(200)
        .insert_header("mcp-session-id", session)
        .set_body_json(json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}))
}

#[tokio::test]
async fn headers_go_with_each_request_and_a_forgotten_session_is_begun_again() {
    let far = MockServer::start().await;
    let first = |request: &Request| answer(request, "first");
    Mock::given(method("POST"))
        .respond_with(first)
        .mount(&far)
        .await;
    let folder = tempdir().unwrap();
    let server = server_at(far.uri(), folder.path());
    server.connect().await;
    assert_eq!(
        server.view().status,
        Status::Connected,
        "{:?}",
        server.view()
    );
    let requests = far.received_requests().await.unwrap();
    let posts: Vec<_> = requests
        .iter()
        .filter(|it| it.method.as_str() == "POST")
        .collect();
    assert!(
        posts
            .iter()
            .all(|it| it.headers["x-api-key"] == "hush-hush")
    );

    far.reset().await;
    let second = |request: &Request| answer(request, "second");
    Mock::given(method("POST"))
        .respond_with(second)
        .mount(&far)
        .await;
    let cancel = CancellationToken::new();
    let called = server
        .call("add", JsonObject::new(), &cancel)
        .await
        .unwrap();
    let text = serde_json::to_value(&called.content).unwrap();
    assert_eq!(text[0]["text"], "second");
    server.close().await;
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let stranger = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&stranger)
        .await;
    let far = MockServer::start().await;
    let there = ResponseTemplate::new(307).insert_header("location", stranger.uri());
    Mock::given(wiremock::matchers::any())
        .respond_with(there)
        .mount(&far)
        .await;
    let folder = tempdir().unwrap();
    let server = server_at(far.uri(), folder.path());
    server.connect().await;
    let view = server.view();
    assert_eq!(view.status, Status::Failed);
    assert!(
        stranger.received_requests().await.unwrap().is_empty(),
        "{view:?}"
    );
    assert!(!view.error.unwrap().contains("hush"));
}

#[tokio::test]
async fn a_refused_key_is_said_and_the_third_try_waits() {
    let far = MockServer::start().await;
    let refused = ResponseTemplate::new(401).insert_header("www-authenticate", "Bearer");
    Mock::given(wiremock::matchers::any())
        .respond_with(refused)
        .mount(&far)
        .await;
    let folder = tempdir().unwrap();
    let server = server_at(far.uri(), folder.path());
    for tries in [1, 2, 2] {
        server.connect().await;
        assert_eq!(far.received_requests().await.unwrap().len(), tries);
    }
    let error = server.view().error.unwrap();
    assert_eq!(
        error,
        "the server wants other credentials (HTTP 401 or 403)"
    );
    let cancel = CancellationToken::new();
    let called = server.call("add", JsonObject::new(), &cancel).await;
    let Err(CallError::Failed(text)) = called else {
        panic!("{called:?}");
    };
    assert!(text.contains("The next try is possible in"), "{text}");
}
