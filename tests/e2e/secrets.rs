//! Where secrets of a conversation may not be read.

use serde_json::json;
use test_support::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn addresses_with_secrets_in_them_are_sealed_and_not_shown() {
    let server = TestServer::start().await;
    let body = json!({
        "agent": {
            "llm": {"model": "openai/x", "base_url": "http://me:hush-hush@127.0.0.1:1/v1?key=hush-hush",
                    "num_retries": 0},
            "mcp_config": {"mcpServers": {"s": {"url": "http://127.0.0.1:1/?token=hush-hush"}}},
        },
        "secrets": {"LOOKED_UP": {"kind": "LookupSecret", "url": "http://h.example/?token=hush-hush"}},
        "initial_message": "hello",
    });
    let (status, made) = server.post("/conversations", &body).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    // Nobody listens at that address, which is still the one that is asked.
    server.wait_for(id, "error").await;
    let error = server
        .wait_for_event(id, |event| event["kind"] == "ConversationErrorEvent")
        .await;
    assert_eq!(error["code"], "LLMServiceUnavailableError", "{error}");
    let (_, details) = server.get(&format!("/conversations/{id}")).await;
    let (_, list) = server.get("/conversations/search").await;
    let snapshot = server.follow(id).await.json().await;
    for answer in [&made, &details, &list, &snapshot] {
        assert!(!answer.to_string().contains("hush"), "{answer}");
    }
    assert_eq!(details["agent"]["llm"]["base_url"], json!(null));
    assert_eq!(snapshot["value"]["agent"]["llm"]["base_url"], "**********");
    for file in ["metadata.json", "events.jsonl"] {
        let text = std::fs::read_to_string(server.folder(id).join(file)).unwrap();
        assert!(!text.contains("hush"), "{file}: {text}");
    }
}
