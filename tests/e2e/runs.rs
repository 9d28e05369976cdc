use serde_json::{Value, json};
use test_support::{
    TestServer,
    model_server::{ModelServer, Reply},
};

const SUCCESS: (u16, fn() -> Value) = (200, || json!({"success": true}));

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_with_terminal_and_editor_really_works_in_the_workspace() {
    let server = TestServer::start().await;
    let file = server.workspace().join("notes/hello.txt");
    let steps = json!([
        {"tool": "terminal", "args": {"command": "mkdir notes && cd notes"}},
        {"tool": "file_editor", "args": {"command": "create", "path": file, "file_text": "one\ntwo\n"}},
        {"tool": "file_editor", "args": {"command": "str_replace", "path": file,
                                         "old_str": "two", "new_str": "TWO"}},
        {"tool": "terminal", "args": {"command": "cat hello.txt; false"}},
    ]);
    let id = server
        .create_running(&format!("Do this:\n```json\n{steps}\n```"))
        .await;
    server.wait_for(&id, "finished").await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\nTWO\n");
    let events = server.events(&id).await;
    let observations: Vec<&Value> = events
        .iter()
        .filter(|e| e["kind"] == "ObservationEvent")
        .map(|e| &e["observation"])
        .collect();
    assert_eq!(observations[2]["old_content"], "one\ntwo\n");
    assert_eq!(observations[3]["content"][0]["text"], "one\nTWO");
    assert_eq!(observations[3]["exit_code"], 1);
    assert!(
        observations[3]["metadata"]["working_dir"]
            .as_str()
            .unwrap()
            .ends_with("/notes")
    );
    let stats = events.iter().rev().find(|e| e["key"] == "stats").unwrap();
    let usage = &stats["value"]["usage_to_metrics"]["default"]["accumulated_token_usage"];
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 0);
    let (_, info) = server.get(&format!("/conversations/{id}")).await;
    let metrics = &info["stats"]["usage_to_metrics"]["default"];
    assert!(metrics["token_usages"].as_array().unwrap().len() >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupt_ends_a_sleeping_command_and_the_run_continues_later() {
    let server = TestServer::start().await;
    let id = server.create_running("$ sleep 300\n$ echo after").await;
    server
        .wait_for_event(&id, |e| e["action"]["command"] == "sleep 300")
        .await;
    let mut socket = server.follow(&id).await;
    socket.json().await;
    let path = format!("/conversations/{id}/interrupt");
    assert_eq!(
        server.post(&path, &json!({})).await,
        (SUCCESS.0, SUCCESS.1())
    );
    let frames = socket.until_snapshot("paused").await;
    let told: Vec<&Value> = frames
        .iter()
        .map(|f| {
            if f["key"].is_null() {
                &f["kind"]
            } else {
                &f["key"]
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "AgentErrorEvent",
            "execution_status",
            "InterruptEvent",
            "full_state"
        ]
    );
    assert_eq!(
        frames[0]["error"],
        "Tool call interrupted before completion. The conversation was paused."
    );

    let run = format!("/conversations/{id}/run");
    assert_eq!(
        server.post(&run, &json!({})).await,
        (SUCCESS.0, SUCCESS.1())
    );
    server.wait_for(&id, "finished").await;
    let events = server.events(&id).await;
    assert!(
        events
            .iter()
            .any(|e| e["observation"]["content"][0]["text"] == "after")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_comes_when_nothing_more_is_appended() {
    let server = TestServer::start().await;
    let id = server.create_running("$ sleep 1\n$ echo after").await;
    server
        .wait_for_event(&id, |e| e["action"]["command"] == "sleep 1")
        .await;
    let path = format!("/conversations/{id}/pause");
    assert_eq!(
        server.post(&path, &json!({})).await,
        (SUCCESS.0, SUCCESS.1())
    );
    let run = format!("/conversations/{id}/run");
    server.wait_for(&id, "paused").await;
    let before = server.events(&id).await;
    let tail: Vec<&Value> = before[before.len() - 3..]
        .iter()
        .map(|e| &e["kind"])
        .collect();
    assert_eq!(
        tail,
        [
            "ObservationEvent",
            "ConversationStateUpdateEvent",
            "PauseEvent"
        ]
    );
    assert_eq!(server.post(&run, &json!({})).await.0, 200);
    server.wait_for(&id, "finished").await;
    assert_eq!(server.events(&id).await[..before.len()], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_is_refused_and_a_run_too_many_says_what_was_saved() {
    let server = TestServer::with(|settings| {
        settings.max_concurrent_runs = 1.try_into().unwrap();
    })
    .await;
    let id = server.create_running("$ sleep 300").await;
    let (status, body) = server
        .post(&format!("/conversations/{id}/run"), &json!({}))
        .await;
    assert_eq!(status, 409);
    assert_eq!(
        body["detail"],
        "Conversation already running. Wait for completion or pause first."
    );
    let (_, other) = server.post("/conversations", &json!({})).await;
    let other = other["id"].as_str().unwrap();
    let (status, body) = server
        .post(&format!("/conversations/{other}/run"), &json!({}))
        .await;
    assert_eq!(status, 429);
    assert_eq!(
        body["detail"],
        "Conversation run limit reached. Retry the request later."
    );
    let message = json!({"type": "message", "content": "kept"});
    let (status, body) = server
        .post(&format!("/conversations/{other}/events"), &message)
        .await;
    assert_eq!(status, 429);
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .starts_with("Message saved"),
        "{body}"
    );
    assert!(
        server
            .events(other)
            .await
            .iter()
            .any(|e| e["kind"] == "MessageEvent")
    );
    let (status, _) = server
        .post("/conversations", &json!({"initial_message": "hi"}))
        .await;
    assert_eq!(status, 429);
    let (_, page) = server.get("/conversations/search").await;
    assert_eq!(
        page["items"].as_array().unwrap().len(),
        2,
        "nothing was made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_wait_for_confirmation_over_the_wire() {
    let server = TestServer::start().await;
    let body = json!({
        "confirmation_policy": {"kind": "AlwaysConfirm"},
        "initial_message": "$ echo yes > yes.txt\n$ echo no > no.txt",
    });
    let (_, made) = server.post("/conversations", &body).await;
    let id = made["id"].as_str().unwrap();
    let respond = format!("/api/conversations/{id}/events/respond_to_confirmation");
    server.wait_for(id, "waiting_for_confirmation").await;
    assert!(!server.workspace().join("yes.txt").exists());
    assert_eq!(server.post(&respond, &json!({"accept": true})).await.0, 200);
    server
        .wait_for_event(id, |e| e["action"]["command"] == "echo no > no.txt")
        .await;
    server.wait_for(id, "waiting_for_confirmation").await;
    assert!(server.workspace().join("yes.txt").exists());
    let (status, _) = server
        .post(&respond, &json!({"accept": false, "reason": "no"}))
        .await;
    assert_eq!((status, server.status(id).await.as_str()), (200, "idle"));
    assert!(!server.workspace().join("no.txt").exists());
    assert_eq!(
        server.events(id).await.last().unwrap()["rejection_reason"],
        "no"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_reached_is_an_error_with_its_code() {
    let server = TestServer::start().await;
    let model = ModelServer::start([]);
    for (reply, code) in [
        (401, "LLMAuthenticationError"),
        (429, "LLMRateLimitError"),
        (500, "LLMServiceUnavailableError"),
    ] {
        model.push(Reply::Error(reply, "no".to_owned()));
        let body = json!({
            "agent": {"llm": {"model": "openai/test", "base_url": model.base_url,
                              "api_key": "sk-test", "num_retries": 0}},
            "initial_message": "hello",
        });
        let (_, made) = server.post("/conversations", &body).await;
        let id = made["id"].as_str().unwrap();
        server.wait_for(id, "error").await;
        let events = server.events(id).await;
        let error = events
            .iter()
            .find(|e| e["kind"] == "ConversationErrorEvent")
            .unwrap();
        assert_eq!(error["code"], code);
        assert!(!json!(events).to_string().contains("sk-test"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_is_sent_keeps_the_wire_formats_rules() {
    let server = TestServer::start().await;
    let model = ModelServer::start([
        Reply::ToolCalls(vec![
            ("terminal".to_owned(), json!({"command": "echo one"})),
            ("nope".to_owned(), json!({})),
            ("terminal".to_owned(), json!("{not json")),
            ("think".to_owned(), json!({"thought": "hm"})),
        ]),
        Reply::text(""),
        Reply::call("terminal", json!({"command": "sleep 300"})),
        Reply::text("first answer"),
        Reply::finish("second answer"),
    ]);
    let body = json!({
        "agent": {"llm": model.llm_settings(), "tools": [{"name": "terminal"}]},
        "initial_message": "go",
    });
    let (_, made) = server.post("/conversations", &body).await;
    let id = made["id"].as_str().unwrap();
    server
        .wait_for_event(id, |e| e["action"]["command"] == "sleep 300")
        .await;
    server
        .post(&format!("/conversations/{id}/interrupt"), &json!({}))
        .await;
    let message = json!({"type": "message", "content": "and now?"});
    server
        .post(&format!("/conversations/{id}/events"), &message)
        .await;
    server.wait_for(id, "finished").await;
    server
        .post(&format!("/conversations/{id}/events"), &message)
        .await;
    server
        .wait_for_event(id, |e| e["action"]["message"] == "second answer")
        .await;
    server.wait_for(id, "finished").await;
    assert_eq!(model.violations(), Vec::<String>::new());
    assert_eq!(model.requests().len(), 5);
    let tools = model.requests()[0]["tools"].as_array().unwrap().len();
    assert_eq!(tools, 3, "terminal, finish, think");
}
