use serde_json::json;
use test_support::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_sockets_with_1001_and_pauses_the_run() {
    let server = TestServer::start().await;
    let id = server.create_running("$ sleep 300\n$ echo after").await;
    server
        .wait_for_event(&id, |e| e["action"]["command"] == "sleep 300")
        .await;
    let mut socket = server.follow(&id).await;
    socket.json().await;
    let before = server.events(&id).await;
    let folder = server.folder(&id);
    let (kept, code) = tokio::join!(server.stop(), socket.close_code());
    assert_eq!(code, 1001);
    let log = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
    let after: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.last().unwrap()["value"], "paused");
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_listed_readable_and_continues_after_a_restart() {
    let server = TestServer::start().await;
    let (_, idle) = server
        .post("/conversations", &json!({"tags": {"a": "b"}}))
        .await;
    let done = server.create_running("$ echo done").await;
    server.wait_for(&done, "finished").await;
    let running = server.create_running("$ sleep 300\n$ echo after").await;
    server
        .wait_for_event(&running, |e| e["action"]["command"] == "sleep 300")
        .await;
    let before = server.events(&running).await;

    let server = server.restart().await;
    let (_, page) = server
        .get("/conversations/search?sort_order=CREATED_AT")
        .await;
    let listed: Vec<(&str, &str)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            (
                c["id"].as_str().unwrap(),
                c["execution_status"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (idle["id"].as_str().unwrap(), "idle"),
        (&done, "finished"),
        (&running, "paused"),
    ];
    assert_eq!(listed, expected);
    assert_eq!(page["items"][0]["tags"], json!({"a": "b"}));

    assert_eq!(server.events(&running).await[..before.len()], before);
    let error = server
        .wait_for_event(&running, |e| e["kind"] == "AgentErrorEvent")
        .await;
    assert!(
        error["error"].as_str().unwrap().contains("server stopped"),
        "{error}"
    );
    assert_eq!(
        server
            .post(&format!("/conversations/{running}/run"), &json!({}))
            .await
            .0,
        200
    );
    server.wait_for(&running, "finished").await;
    let events = server.events(&running).await;
    assert!(
        events
            .iter()
            .any(|e| e["observation"]["content"][0]["text"] == "after")
    );
}
