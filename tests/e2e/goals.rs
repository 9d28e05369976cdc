//! Goals over REST and sockets, with the built-in model.

use serde_json::{Value, json};
use test_support::TestServer;

use crate::streams::conversation;

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_is_tried_out_with_the_built_in_model() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    let mut socket = server.follow(&id).await;
    assert_eq!(socket.json().await["key"], "full_state");
    let path = format!("/conversations/{id}/goal");
    // Fails in the first round.
    let objective = "Make it pass.\n$ test -f done.txt || { touch done.txt; false; }";
    let started = server.post(&path, &json!({"objective": objective})).await;
    assert_eq!(started, (200, json!({"success": true})));
    let again = json!({"objective": "Another."});
    let mut told: Vec<Value> = Vec::new();
    while told.last().is_none_or(|goal| goal["active"] == true) {
        let event = socket.json().await;
        if event["key"] == "goal" {
            told.push(event["value"].clone());
        }
    }
    let rounds: Vec<_> = told
        .iter()
        .map(|goal| (goal["status"].as_str().unwrap(), goal["iteration"].clone()))
        .collect();
    assert_eq!(
        rounds,
        [
            ("running", json!(0)),
            ("running", json!(1)),
            ("complete", json!(2))
        ]
    );
    assert_eq!(told[0]["max_iterations"], 10);
    assert_eq!(
        told[1]["verdict"]["missing"],
        "The last command ended with exit code 1."
    );
    server.wait_for(&id, "finished").await;
    let resumed = server.post(&format!("{path}/resume"), &json!({})).await;
    assert_eq!(resumed.0, 400);
    let stopped = server.post(&format!("{path}/stop"), &json!({})).await;
    assert_eq!(stopped.0, 200);

    for wrong in [
        json!({"objective": " "}),
        json!({"objective": "x", "max_iterations": 0}),
        json!({"max_iterations": 3}),
    ] {
        assert_eq!(server.post(&path, &wrong).await.0, 422, "{wrong}");
    }
    let busy = json!({"objective": "Wait.\n$ sleep 300"});
    let api = format!("/api{path}");
    assert_eq!(server.post(&api, &busy).await.0, 200);
    let refused = server.post(&api, &again).await;
    assert_eq!(refused.0, 409);
    assert_eq!(
        refused.1["detail"],
        "Conversation run or goal loop already running."
    );

    let server = server.restart().await;
    server.wait_for(&id, "paused").await;
    let events = server.events(&id).await;
    let last = events.iter().rev().find(|event| event["key"] == "goal");
    assert_eq!(last.unwrap()["value"]["status"], "interrupted");
    assert_eq!(
        server.post(&format!("{api}/resume"), &json!({})).await.0,
        200
    );
    let deleted = server.delete(&format!("/conversations/{id}")).await;
    assert_eq!(deleted.0, 200);
}
