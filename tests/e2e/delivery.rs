//! Messages to an agent that works, over REST.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use test_support::{
    TestServer, answer,
    model_server::{ModelServer, Reply},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_for_the_next_turn_and_can_be_changed_until_then() {
    let slow = Reply::finish("first done").after(Duration::from_millis(1500));
    let model = ModelServer::start([slow, Reply::finish("second done")]);
    let server = TestServer::start().await;
    let send = async |method: Method, path: &str, body: Value| {
        let request = server.request(method, path).json(&body);
        answer(request.send().await.unwrap()).await
    };
    let body = json!({"agent": {"llm": model.llm_settings()}, "autotitle": false});
    let (_, created) = send(Method::POST, "/conversations", body).await;
    let path = format!("/conversations/{}", created["id"].as_str().unwrap());
    let events = format!("{path}/events");
    let queue = format!("{path}/queue");
    send(
        Method::POST,
        &events,
        json!({"content": "first", "run": true}),
    )
    .await;
    model.asked(1).await;
    for words in ["second", "third"] {
        let body = json!({"content": words, "delivery": "queue"});
        assert_eq!(send(Method::POST, &events, body).await.0, 200);
    }
    let (_, queued) = send(Method::GET, &queue, Value::Null).await;
    let id = |at: usize| queued["items"][at]["id"].as_str().unwrap().to_owned();
    let second = format!("{queue}/{}", id(0));
    let third = format!("{queue}/{}", id(1));
    let (status, _) = send(Method::PUT, &second, json!({"content": "other"})).await;
    assert_eq!(status, 200);
    assert_eq!(send(Method::DELETE, &third, Value::Null).await.0, 200);
    let (status, gone) = send(Method::DELETE, &third, Value::Null).await;
    assert_eq!(
        (status, &gone["detail"].is_string()),
        (404, &true),
        "{gone}"
    );
    model.asked(2).await;
    let requests = model.requests();
    let last = requests[1]["messages"].as_array().unwrap().last().unwrap();
    assert!(last.to_string().contains("other"), "{last}");
    assert_eq!(model.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_itself_or_is_unknown_is_refused() {
    let server = TestServer::start().await;
    let create = server
        .request(Method::POST, "/conversations")
        .json(&json!({}));
    let (_, created) = answer(create.send().await.unwrap()).await;
    let path = format!("/conversations/{}/events", created["id"].as_str().unwrap());
    for (body, place) in [
        (
            json!({"content": "a", "delivery": "queue", "run": false}),
            "run",
        ),
        (json!({"content": "a", "delivery": "later"}), "delivery"),
    ] {
        let request = server.request(Method::POST, &path).json(&body);
        let (status, refused) = answer(request.send().await.unwrap()).await;
        assert_eq!(
            (status, &refused["detail"][0]["loc"][1]),
            (422, &json!(place)),
            "{refused}"
        );
    }
}
