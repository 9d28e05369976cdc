use serde_json::{Value, json};
use test_support::TestServer;

async fn finished(server: &TestServer, message: &str) -> String {
    let id = server.create_running(message).await;
    server.wait_for(&id, "finished").await;
    id
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_walk_the_log_both_ways() {
    let server = TestServer::start().await;
    let id = finished(&server, "$ echo alpha\n$ echo beta").await;
    let all: Vec<String> = server
        .events(&id)
        .await
        .iter()
        .map(|e| e["id"].as_str().unwrap().to_owned())
        .collect();
    let mut backwards = all.clone();
    backwards.reverse();
    for (order, expected) in [("TIMESTAMP", &all), ("TIMESTAMP_DESC", &backwards)] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path =
                format!("/conversations/{id}/events/search?limit=3&sort_order={order}{cursor}");
            let (status, page) = server.get(&path).await;
            assert_eq!(status, 200);
            seen.extend(ids(&page));
            match page["next_page_id"].as_str() {
                Some(next) => cursor = format!("&page_id={next}"),
                None => break,
            }
        }
        assert_eq!(&seen, expected, "{order}");
    }
    let (_, count) = server
        .get(&format!("/conversations/{id}/events/count"))
        .await;
    assert_eq!(count, json!(all.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_agree_between_search_and_count() {
    let server = TestServer::start().await;
    let id = finished(&server, "$ echo alpha\n$ echo beta").await;
    let all = server.events(&id).await;
    let middle = all[all.len() / 2]["timestamp"].as_str().unwrap();
    let is = |key: &'static str, value: &'static str| move |e: &&Value| e[key] == value;
    let actions = all.iter().filter(is("kind", "ActionEvent")).count();
    let from_user = all.iter().filter(is("source", "user")).count();
    let late = all
        .iter()
        .filter(|e| e["timestamp"].as_str().unwrap() >= middle)
        .count();
    for (filter, expected) in [
        ("kind=ActionEvent".to_owned(), actions),
        (
            "kind=openhands.sdk.event.llm_convertible.action.ActionEvent".to_owned(),
            actions,
        ),
        ("kind=Bogus".to_owned(), 0),
        ("source=user".to_owned(), from_user),
        ("source=bogus".to_owned(), 0),
        ("body=ECHO%20ALPHA".to_owned(), 1),
        ("body=nowhere".to_owned(), 0),
        (format!("timestamp__gte={middle}"), late),
        (format!("timestamp__gte={middle}Z"), late),
        (format!("timestamp__lt={middle}"), all.len() - late),
    ] {
        let (_, page) = server
            .get(&format!("/conversations/{id}/events/search?{filter}"))
            .await;
        let (_, count) = server
            .get(&format!("/conversations/{id}/events/count?{filter}"))
            .await;
        assert_eq!(ids(&page).len(), expected, "{filter}");
        assert_eq!(count, json!(expected), "{filter}");
    }
    assert!(actions >= 3 && from_user == 1 && late < all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn single_and_batch_give_the_log_lines() {
    let server = TestServer::start().await;
    let id = finished(&server, "hello").await;
    let all = server.events(&id).await;
    let log = std::fs::read_to_string(server.folder(&id).join("events.jsonl")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, all, "the log is what is served");

    let first = all[0]["id"].as_str().unwrap();
    let last = all[all.len() - 1]["id"].as_str().unwrap();
    let (_, one) = server
        .get(&format!("/conversations/{id}/events/{first}"))
        .await;
    assert_eq!(one, all[0]);
    let missing = server
        .get(&format!("/conversations/{id}/events/nope"))
        .await;
    assert_eq!(missing, (404, json!({"detail": "Not Found"})));

    let expected = json!([all[all.len() - 1], null, all[0]]);
    for path in ["/conversations", "/api/conversations"] {
        let path = format!("{path}/{id}/events");
        let (_, by_body) = server
            .get_with_body(&path, &json!([last, "nope", first]).to_string())
            .await;
        assert_eq!(by_body, expected);
        let (_, by_query) = server
            .get(&format!(
                "{path}?event_ids={last}&event_ids=nope&event_ids={first}"
            ))
            .await;
        assert_eq!(by_query, expected);
        let (_, page) = server.get(&format!("{path}?limit=1")).await;
        assert_eq!(page["items"], json!([all[0]]));
        assert_eq!(
            server.get_with_body(&path, "{\"event_ids\": []}").await.0,
            422
        );
        assert_eq!(server.get_with_body(&path, "{bad").await.0, 422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_message_forms_run_by_default_here_and_not_under_api() {
    let server = TestServer::start().await;
    for body in [
        json!({"type": "message", "content": "hello"}),
        json!({"role": "user", "content": [{"type": "text", "text": "hello"}]}),
    ] {
        let (_, made) = server.post("/conversations", &json!({})).await;
        let id = made["id"].as_str().unwrap();
        let (status, answer) = server
            .post(&format!("/conversations/{id}/events"), &body)
            .await;
        assert_eq!((status, answer), (200, json!({"success": true})));
        server.wait_for(id, "finished").await;
    }
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let body = json!({"role": "user", "content": [{"type": "text", "text": "hello"}]});
    let (status, _) = server
        .post(&format!("/api/conversations/{id}/events"), &body)
        .await;
    assert_eq!(status, 200);
    let kinds: Vec<Value> = server
        .events(id)
        .await
        .iter()
        .map(|e| e["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "SystemPromptEvent",
            "MessageEvent",
            "ConversationStateUpdateEvent"
        ]
    );
    let (_, info) = server.get(&format!("/api/conversations/{id}")).await;
    assert_eq!(info["execution_status"], "idle");
    assert_eq!(
        info["last_user_message_id"],
        server.events(id).await[1]["id"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_increase_strictly_and_parents_chain_all_but_state_updates() {
    let server = TestServer::start().await;
    let id = finished(&server, "$ echo a\n$ echo b").await;
    let all = server.events(&id).await;
    let times: Vec<&str> = all
        .iter()
        .map(|e| e["timestamp"].as_str().unwrap())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    assert!(
        times
            .iter()
            .all(|time| time.len() == 26 && !time.ends_with('Z'))
    );
    let mut head = Value::Null;
    for event in &all {
        let parent = event.get("parent_id").cloned().unwrap_or(Value::Null);
        assert_eq!(parent, head, "{event}");
        if event["kind"] != "ConversationStateUpdateEvent" {
            head = event["id"].clone();
        }
    }
}
