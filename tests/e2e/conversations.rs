use serde_json::json;
use test_support::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_body_makes_a_conversation_with_defaults() {
    let server = TestServer::start().await;
    let (status, made) = server.post("/conversations", &json!({})).await;
    assert_eq!(status, 201);
    assert_eq!(made["execution_status"], "idle");
    assert_eq!(made["agent"]["llm"]["model"], "scripted");
    assert_eq!(made["workspace"]["kind"], "LocalWorkspace");
    assert!(
        made["workspace"]["working_dir"]
            .as_str()
            .unwrap()
            .ends_with("project")
    );
    assert_eq!(made["runtime_info"], json!(null));

    let id = made["id"].as_str().unwrap();
    let (status, read) = server.get(&format!("/conversations/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(read["created_at"], made["created_at"]);
    assert_eq!(read["runtime_info"]["runtime_status"], "available");
    // Without dashes is the same conversation.
    let (status, same) = server
        .get(&format!("/api/conversations/{}", id.replace('-', "")))
        .await;
    assert_eq!((status, &same["id"]), (200, &made["id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_exists_is_found_and_nothing_else_happens() {
    let server = TestServer::start().await;
    let body =
        json!({"conversation_id": "ef8707a8-dc1e-4564-aa37-77d111175e40", "tags": {"n": "1"}});
    let (first, made) = server.post("/conversations", &body).await;
    let again = json!({
        "conversation_id": body["conversation_id"], "tags": {"n": "2"}, "initial_message": "ignored",
    });
    let (second, found) = server.post("/conversations", &again).await;
    assert_eq!((first, second), (201, 200));
    assert_eq!(found["tags"], json!({"n": "1"}));
    let id = made["id"].as_str().unwrap();
    assert_eq!(server.events(id).await, Vec::<serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_message_runs_as_text_or_as_an_object() {
    let server = TestServer::start().await;
    for message in [
        json!("$ echo one"),
        json!({"role": "user", "content": [{"type": "text", "text": "$ echo one"}], "run": false}),
    ] {
        let (status, made) = server
            .post("/conversations", &json!({"initial_message": message}))
            .await;
        assert_eq!(status, 201);
        let id = made["id"].as_str().unwrap();
        server.wait_for(id, "finished").await;
        let events = server.events(id).await;
        let kinds: Vec<&str> = events.iter().map(|e| e["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds[..2], ["SystemPromptEvent", "MessageEvent"]);
        assert!(kinds.contains(&"ObservationEvent"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_pages_with_an_inclusive_cursor_in_every_order() {
    let server = TestServer::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        let (_, info) = server.post("/conversations", &json!({})).await;
        made.push(info["id"].as_str().unwrap().to_owned());
    }
    let mut newest_first = made.clone();
    newest_first.reverse();
    for (order, expected) in [("CREATED_AT", &made), ("CREATED_AT_DESC", &newest_first)] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/conversations/search?limit=2&sort_order={order}{cursor}");
            let (status, page) = server.get(&path).await;
            assert_eq!(status, 200);
            let items = page["items"].as_array().unwrap();
            seen.extend(
                items
                    .iter()
                    .map(|item| item["id"].as_str().unwrap().to_owned()),
            );
            match page["next_page_id"].as_str() {
                Some(next) => {
                    assert_eq!(next.len(), 32, "the cursor is hex without dashes");
                    cursor = format!("&page_id={next}");
                }
                None => break,
            }
        }
        assert_eq!(&seen, expected, "{order}");
    }
    // Speaking to the oldest, without a run, makes it the one that changed last.
    let path = format!("/conversations/{}/events", made[0]);
    let message = json!({"type": "message", "content": "hello", "run": false});
    assert_eq!(server.post(&path, &message).await.0, 200);
    assert_eq!(server.status(&made[0]).await, "idle");
    for (order, place) in [("UPDATED_AT", 4), ("UPDATED_AT_DESC", 0)] {
        let (_, page) = server
            .get(&format!("/conversations/search?sort_order={order}"))
            .await;
        assert_eq!(page["items"][place]["id"], made[0].as_str(), "{order}");
    }
    let (_, page) = server
        .get("/conversations/search?page_id=nope&limit=1")
        .await;
    assert_eq!(page["items"][0]["id"], newest_first[0].as_str());
    let (_, idle) = server.get("/conversations/search?status=idle").await;
    let (_, finished) = server.get("/conversations/search?status=finished").await;
    assert_eq!(idle["items"].as_array().unwrap().len(), 5);
    assert_eq!(finished["items"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_neither_shown_nor_stored_in_the_clear() {
    let server = TestServer::start().await;
    let body = json!({
        "agent": {"llm": {"model": "scripted", "api_key": "sk-verysecret",
                          "extra_headers": {"X-Key": "sk-verysecret"}}},
        "secrets": {"TOKEN": "sk-verysecret"},
        "initial_message": "hello",
    });
    let (status, made) = server.post("/conversations", &body).await;
    assert_eq!(status, 201);
    assert_eq!(made["agent"]["llm"]["api_key"], json!(null));
    assert_eq!(
        made["secret_registry"]["secret_sources"]["TOKEN"]["value"],
        json!(null)
    );
    let id = made["id"].as_str().unwrap();
    server.wait_for(id, "finished").await;
    let (_, shown) = server.get(&format!("/conversations/{id}")).await;
    let mut socket = server.follow(id).await;
    let snapshot = socket.json().await;
    assert_eq!(snapshot["value"]["agent"]["llm"]["api_key"], "**********");
    for text in [made.to_string(), shown.to_string(), snapshot.to_string()] {
        assert!(!text.contains("verysecret"), "{text}");
    }
    for file in ["metadata.json", "events.jsonl"] {
        let stored = std::fs::read_to_string(server.folder(id).join(file)).unwrap();
        assert!(!stored.contains("verysecret"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_ends_the_run_and_the_sockets_and_leaves_the_workspace() {
    let server = TestServer::start().await;
    let id = server
        .create_running("$ echo kept > kept.txt\n$ sleep 300")
        .await;
    let mut socket = server.follow(&id).await;
    socket.json().await;
    server
        .wait_for_event(&id, |e| e["action"]["command"] == "sleep 300")
        .await;

    let (status, body) = server.delete(&format!("/conversations/{id}")).await;
    assert_eq!((status, body), (200, json!({"success": true})));
    assert_eq!(socket.close_code().await, 4004);
    assert!(!server.folder(&id).exists());
    assert!(server.workspace().join("kept.txt").exists());
    assert_eq!(server.get(&format!("/conversations/{id}")).await.0, 404);
    assert_eq!(server.delete(&format!("/conversations/{id}")).await.0, 404);
    let (_, page) = server.get("/conversations/search").await;
    assert_eq!(page["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_server_info_answer() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/health").await, (200, json!({"status": "ok"})));
    assert_eq!(server.get("/alive").await, (200, json!({"status": "ok"})));
    let (status, ready) = server.get("/ready").await;
    assert_eq!((status, &ready["status"]), (200, &json!("ready")));
    assert_eq!(ready["details"]["notices"], json!([]));
    for path in ["/server_info", "/"] {
        let (status, info) = server.get(path).await;
        assert_eq!(status, 200);
        assert!(info["uptime"].is_number() && info["idle_time"].is_number());
        assert_eq!(info["docs"], "/docs");
        assert!(
            info["usable_tools"]
                .as_array()
                .unwrap()
                .contains(&json!("terminal"))
        );
    }
}

/// A list is put together from what the store has ready; nobody can tell.
#[tokio::test(flavor = "multi_thread")]
async fn lists_show_byte_for_byte_what_each_conversation_shows() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for body in [
        json!({}),
        json!({
            "tags": {"team": "blue"},
            "secrets": {"TOKEN": {"kind": "StaticSecret", "value": "hidden-token"}},
            "agent": {
                "kind": "Agent",
                "llm": {"model": "scripted", "api_key": "hidden-key"},
                "agent_context": {"skills": [{"name": "one", "content": "a long text", "trigger": null}]},
            },
        }),
        json!({"initial_message": "$ echo one"}),
    ] {
        let (status, made) = server.post("/conversations", &body).await;
        assert_eq!(status, 201, "{made}");
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    server.wait_for(&ids[2], "finished").await;
    let server = server.restart().await;

    let text = async |path: String| {
        let response = server.request(reqwest::Method::GET, &path).send().await;
        response.unwrap().text().await.unwrap()
    };
    for skills in [false, true] {
        let search = format!("/conversations/search?sort_order=CREATED_AT&include_skills={skills}");
        let page = text(search).await;
        let some = format!(
            "/conversations?ids={},00000000-0000-4000-8000-000000000000,{}&include_skills={skills}",
            ids[1], ids[0]
        );
        let some = text(some).await;
        let mut singles = Vec::new();
        for id in &ids {
            singles.push(text(format!("/conversations/{id}?include_skills={skills}")).await);
        }
        let expected = format!(r#"{{"items":[{}],"next_page_id":null}}"#, singles.join(","));
        assert_eq!(page, expected);
        assert_eq!(some, format!("[{},null,{}]", singles[1], singles[0]));
        assert!(!page.contains("hidden"));
        assert_eq!(page.contains("a long text"), skills);
    }
}
