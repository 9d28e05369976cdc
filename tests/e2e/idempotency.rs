//! Requests that come twice.

use std::num::NonZeroUsize;

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use test_support::TestServer;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some()
    }
}

async fn post(server: &TestServer, path: &str, key: &str, body: &Value) -> Answer {
    let request = server
        .request(Method::POST, path)
        .header("Idempotency-Key", key)
        .body(body.to_string());
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.json().await.unwrap(),
    }
}

async fn messages(server: &TestServer, id: &str) -> usize {
    let path = format!("/conversations/{id}/events/count?kind=MessageEvent&source=user");
    usize::try_from(server.get(&path).await.1.as_u64().unwrap()).unwrap()
}

/// How often a run began.
async fn runs(server: &TestServer, id: &str) -> usize {
    let began = |event: &&Value| event["key"] == "execution_status" && event["value"] == "running";
    server.events(id).await.iter().filter(began).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_sent_again_makes_one_conversation_also_across_a_restart() {
    let server = TestServer::start().await;
    let body = json!({"initial_message": "$ echo once"});
    let first = post(&server, "/conversations", "key 1", &body).await;
    assert_eq!((first.status, first.replayed()), (201, false));
    let id = first.body["id"].as_str().unwrap().to_owned();
    server.wait_for(&id, "finished").await;
    let count = server.events(&id).await.len();
    let again = post(&server, "/conversations", "\"key 1\"", &body).await;
    assert_eq!((again.status, again.replayed()), (201, true));
    assert_eq!(again.body, first.body);
    let server = server.restart().await;
    let again = post(&server, "/conversations", "key 1", &body).await;
    assert_eq!((again.status, again.replayed()), (201, true));
    assert_eq!(again.body, first.body);
    assert_eq!(server.get("/conversations/count").await.1, 1);
    assert_eq!(server.events(&id).await.len(), count);

    let other = post(&server, "/conversations", "key 1", &json!({})).await;
    assert_eq!(other.status, 409);
    assert_eq!(other.headers["x-error-code"], "idempotency_key_reused");
    let new = post(&server, "/conversations", "key 2", &body).await;
    assert_ne!(new.body["id"], first.body["id"]);
    // Also when it is gone.
    server.delete(&format!("/conversations/{id}")).await;
    let again = post(&server, "/conversations", "key 1", &body).await;
    assert_eq!((again.status, again.replayed()), (201, true));
    assert_eq!(server.get(&format!("/conversations/{id}")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_many_times_at_once_is_there_once() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let body = json!({"role": "user", "content": "hello", "run": false});
    let path = format!("/conversations/{id}/events");
    let tries = (0..8).map(|_| post(&server, &path, "k", &body));
    let answers = futures_util::future::join_all(tries).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(
        answers.iter().filter(|answer| !answer.replayed()).count(),
        1
    );
    assert_eq!(messages(&server, id).await, 1);
    let in_the_other_dialect = post(&server, &format!("/api{path}"), "k", &body).await;
    assert!(in_the_other_dialect.replayed());
    // The key belongs to this conversation's messages.
    let (_, other) = server.post("/conversations", &json!({})).await;
    let elsewhere = format!("/conversations/{}/events", other["id"].as_str().unwrap());
    assert!(!post(&server, &elsewhere, "k", &body).await.replayed());
    let run = post(
        &server,
        &format!("/conversations/{id}/run"),
        "k",
        &json!({}),
    )
    .await;
    assert_eq!((run.status, run.replayed()), (200, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_run_request_starts_no_second_run_and_is_no_conflict() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let message = json!({"role": "user", "content": "$ sleep 1; echo done", "run": false});
    server
        .post(&format!("/conversations/{id}/events"), &message)
        .await;
    let path = format!("/conversations/{id}/run");
    assert_eq!(post(&server, &path, "r", &json!({})).await.status, 200);
    let again = post(&server, &path, "r", &json!({})).await;
    assert_eq!((again.status, again.replayed()), (200, true));
    assert_eq!(server.post(&path, &json!({})).await.0, 409);
    server.wait_for(id, "finished").await;
    let again = post(&server, &path, "r", &json!({})).await;
    assert_eq!((again.status, again.replayed()), (200, true));
    assert_eq!(runs(&server, id).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_and_not_answered_is_made_up_for() {
    // As a crash leaves it between the effect and its answer: the receipts end with the beginning.
    let server = TestServer::start().await;
    let body = json!({"initial_message": "$ echo once"});
    let first = post(&server, "/conversations", "c", &body).await;
    let id = first.body["id"].as_str().unwrap().to_owned();
    server.wait_for(&id, "finished").await;
    let message = json!({"role": "user", "content": "hello", "run": false});
    let path = format!("/conversations/{id}/events");
    post(&server, &path, "m", &message).await;
    let receipts = server.folder(".receipts");
    let before = server.events(&id).await;
    let left = server.stop().await;
    let mut kept = 0;
    // One file, or two when an hour has just passed.
    for file in std::fs::read_dir(&receipts).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let begun: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("answer"))
            .collect();
        kept += begun.len();
        let lines = begun.iter().map(|line| format!("{line}\n"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
    }
    assert_eq!(kept, 2);

    let server = TestServer::start_in(left).await;
    let again = post(&server, "/conversations", "c", &body).await;
    assert_eq!((again.status, &again.body["id"]), (201, &first.body["id"]));
    assert_eq!(post(&server, &path, "m", &message).await.status, 200);
    assert_eq!(server.events(&id).await, before);
    // Now it is answered.
    assert!(post(&server, &path, "m", &message).await.replayed());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_not_kept_and_bad_keys_are_refused() {
    let server = TestServer::start().await;
    let missing = "/conversations/00000000-0000-4000-8000-000000000000/run";
    for _ in 0..2 {
        let answer = post(&server, missing, "k", &json!({})).await;
        assert_eq!((answer.status, answer.replayed()), (404, false));
    }
    // It left nothing behind, so the key is free for another body.
    let path = "/conversations/00000000-0000-4000-8000-000000000000/events";
    for text in ["a", "b"] {
        let answer = post(&server, path, "k", &json!({"content": text})).await;
        assert_eq!(answer.status, 404);
    }
    for key in ["", "\"\"", "a\tb", &"k".repeat(256)] {
        let answer = post(&server, "/conversations", key, &json!({})).await;
        assert_eq!(answer.status, 422, "{key}");
    }
    assert_eq!(server.get("/conversations/count").await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_run_was_refused_is_run_when_it_is_sent_again() {
    let server =
        TestServer::with(|settings| settings.max_concurrent_runs = NonZeroUsize::MIN).await;
    let busy = server.create_running("$ sleep 600").await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let path = format!("/conversations/{id}/events");
    let body = json!({"role": "user", "content": "$ echo once", "run": true});
    for _ in 0..2 {
        let answer = post(&server, &path, "k", &body).await;
        assert_eq!(answer.status, 429, "{}", answer.body);
        assert_eq!(messages(&server, id).await, 1);
    }
    // Whatever was appended since.
    let more = json!({"role": "user", "content": "and more", "run": false});
    server.post(&path, &more).await;
    server
        .post(&format!("/conversations/{busy}/interrupt"), &json!({}))
        .await;
    assert_eq!(post(&server, &path, "k", &body).await.status, 200);
    server.wait_for(id, "finished").await;
    assert!(post(&server, &path, "k", &body).await.replayed());
    assert_eq!(messages(&server, id).await, 2);
    assert_eq!(runs(&server, id).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_under_a_chosen_id_continues_where_it_was_cut_off() {
    let id = "4ed7564a-c465-4319-ba19-ee162b106852";
    let server = TestServer::start().await;
    let body = json!({"conversation_id": id, "initial_message": "$ echo once"});
    assert_eq!(
        post(&server, "/conversations", "c", &body).await.status,
        201
    );
    server.wait_for(id, "finished").await;
    let receipts = server.folder(".receipts");
    let log = server.folder(id).join("events.jsonl");
    let left = server.stop().await;
    // As a crash leaves it after the message and before its run and its answer.
    for file in std::fs::read_dir(&receipts).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let begun = text.lines().filter(|line| !line.contains("answer"));
        let begun: String = begun.map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, begun).unwrap();
    }
    let text = std::fs::read_to_string(&log).unwrap();
    let message = text
        .lines()
        .position(|line| line.contains("MessageEvent"))
        .unwrap();
    let kept = text.lines().take(message + 1);
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    std::fs::write(&log, kept).unwrap();

    let server = TestServer::start_in(left).await;
    let again = post(&server, "/conversations", "c", &body).await;
    assert!(matches!(again.status, 200 | 201), "{}", again.body);
    server.wait_for(id, "finished").await;
    assert_eq!(messages(&server, id).await, 1);
    assert_eq!(runs(&server, id).await, 1);
}
