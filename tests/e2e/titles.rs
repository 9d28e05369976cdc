//! Titles: made by a model or of the first message, told, and asked for.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::{
    TestServer, answer,
    model_server::{ModelServer, Reply},
};

async fn title(server: &TestServer, id: &str) -> Value {
    let is_title = |event: &Value| event["key"] == "title";
    server.wait_for_event(id, is_title).await["value"].clone()
}

#[tokio::test]
async fn the_first_message_gives_a_title() {
    let server = TestServer::start().await;
    let body = json!({"initial_message": "$ echo hello\n$ echo again", "autotitle": true});
    let (status, made) = server.post("/conversations", &body).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    assert_eq!(title(&server, id).await, "$ echo hello");
    server.wait_for(id, "finished").await;
    let (_, info) = server.get(&format!("/conversations/{id}")).await;
    assert_eq!(info["title"], "$ echo hello");
    // The built-in model was asked for nothing but the steps.
    let totals = &info["stats"]["usage_to_metrics"]["default"]["token_usages"];
    assert_eq!(totals.as_array().unwrap().len(), 3, "{totals}");

    let path = format!("/conversations/{id}/generate_title");
    let generated = server.post(&path, &json!({"max_length": 6})).await;
    assert_eq!(generated, (200, json!({"title": "$ ech…"})));
    let without_body = server.request(Method::POST, &path).send().await.unwrap();
    let generated = answer(without_body).await;
    assert_eq!(generated, (200, json!({"title": "$ echo hello"})));
    for wrong in [
        json!({"max_length": 0}),
        json!({"max_length": 201}),
        json!({"llm": {}}),
    ] {
        assert_eq!(server.post(&path, &wrong).await.0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_model_writes_the_title_and_its_cost_is_counted() {
    let model = ModelServer::start([Reply::text("<think>?</think>**Title: A greeting**")]);
    let server = TestServer::start().await;
    let llm = json!({"model": "openai/gpt-4o", "base_url": model.base_url, "api_key": "sk-x"});
    let body = json!({"agent": {"llm": llm}, "autotitle": true});
    let (status, made) = server.post("/conversations", &body).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    let path = format!("/conversations/{id}/events");
    let message = json!({"content": "Say hello to everybody.", "run": false});
    assert_eq!(server.post(&path, &message).await.0, 200);
    assert_eq!(title(&server, id).await, "A greeting");
    let (_, info) = server.get(&format!("/conversations/{id}")).await;
    let totals = &info["stats"]["usage_to_metrics"]["default"]["token_usages"];
    assert_eq!(totals.as_array().unwrap().len(), 1, "{totals}");
    assert_eq!(model.violations(), Vec::<String>::new());

    let own = |title: &str| {
        let patch = server.request(Method::PATCH, &format!("/conversations/{id}"));
        patch.json(&json!({ "title": title })).send()
    };
    for wrong in ["a\nb", "a\0b", "\u{1b}[2J"] {
        assert_eq!(own(wrong).await.unwrap().status(), 422, "{wrong:?}");
    }
    assert_eq!(own("My own").await.unwrap().status(), 200);
    assert_eq!(server.post(&path, &message).await.0, 200);
    let (_, info) = server.get(&format!("/conversations/{id}")).await;
    assert_eq!(info["title"], "My own");
    let (_, none) = server.post("/conversations", &json!({})).await;
    let path = format!(
        "/conversations/{}/generate_title",
        none["id"].as_str().unwrap()
    );
    assert_eq!(server.post(&path, &json!({})).await.0, 422);
}
