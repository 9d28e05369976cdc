//! Who decides what is carried out: policies, analyzers, decisions on single actions, approved commands.

use serde_json::{Value, json};
use test_support::{
    TestServer,
    model_server::{ModelServer, Reply},
};

fn calls(commands: &[&str]) -> Reply {
    let call = |command: &&str| ("terminal".to_owned(), json!({"command": command}));
    Reply::ToolCalls(commands.iter().map(call).collect())
}

async fn start(server: &TestServer, model: &ModelServer, more: Value) -> String {
    let mut body = json!({
        "agent": {"llm": {"model": "openai/test", "base_url": model.base_url, "api_key": "sk-test"},
                  "tools": [{"name": "terminal"}]},
        "initial_message": "go",
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let (status, made) = server.post("/conversations", &body).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

fn actions(events: &[Value]) -> Vec<String> {
    let actions = events.iter().filter(|event| event["kind"] == "ActionEvent");
    let ids = actions.map(|event| event["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_is_decided_on_by_itself() {
    let server = TestServer::start().await;
    let model = ModelServer::start([
        calls(&["echo a > a.txt", "echo b > b.txt", "echo c > c.txt"]),
        Reply::finish("done"),
    ]);
    let policy = json!({"confirmation_policy": {"kind": "AlwaysConfirm"}});
    let id = start(&server, &model, policy).await;
    server.wait_for(&id, "waiting_for_confirmation").await;
    let ids = actions(&server.events(&id).await);
    let respond = format!("/api/conversations/{id}/events/respond_to_confirmation");
    let foreign = json!({"accept": true, "decisions": [{"action_id": "nope", "accept": true}]});
    assert_eq!(server.post(&respond, &foreign).await.0, 409);
    let twice = json!({"accept": true, "decisions": [
        {"action_id": ids[0], "accept": true}, {"action_id": ids[0], "accept": false}]});
    assert_eq!(server.post(&respond, &twice).await.0, 409);
    assert_eq!(server.status(&id).await, "waiting_for_confirmation");
    let decided = json!({"accept": true, "decisions": [
        {"action_id": ids[1], "accept": false, "reason": "not b"}]});
    assert_eq!(server.post(&respond, &decided).await.0, 200);
    server
        .wait_for_event(&id, |event| event["tool_name"] == "finish")
        .await;
    let files = ["a.txt", "b.txt", "c.txt"].map(|file| server.workspace().join(file).exists());
    assert_eq!(files, [true, false, true]);
    let events = server.events(&id).await;
    for action in &ids {
        let answers = events
            .iter()
            .filter(|event| event["action_id"] == json!(action));
        assert_eq!(answers.count(), 1, "{action}");
    }
    let rejected = events
        .iter()
        .find(|event| event["kind"] == "UserRejectObservation");
    assert_eq!(rejected.unwrap()["rejection_reason"], "not b");
    let told = events
        .iter()
        .find(|event| event["key"] == "confirmation")
        .unwrap();
    assert_eq!(told["value"]["accepted"], json!([ids[0], ids[2]]));
    assert_eq!(told["value"]["rejected"], json!([ids[1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_approved_for_good_is_not_asked_about_again() {
    let server = TestServer::start().await;
    let model = ModelServer::start([
        calls(&["echo one"]),
        calls(&["echo 'one'"]),
        calls(&["echo one; echo $HOME"]),
        Reply::finish("done"),
    ]);
    let policy = json!({"confirmation_policy": {"kind": "AlwaysConfirm"}});
    let id = start(&server, &model, policy).await;
    server.wait_for(&id, "waiting_for_confirmation").await;
    let ids = actions(&server.events(&id).await);
    let respond = format!("/conversations/{id}/events/respond_to_confirmation");
    let wrong = json!({"accept": true, "decisions": [
        {"action_id": ids[0], "accept": false, "remember": true}]});
    assert_eq!(server.post(&respond, &wrong).await.0, 422);
    let remember = |action: &str| {
        json!({"accept": true, "decisions": [
        {"action_id": action, "accept": true, "remember": true}]})
    };
    assert_eq!(server.post(&respond, &remember(&ids[0])).await.0, 200);
    server
        .wait_for_event(&id, |event| {
            event["action"]["command"] == "echo one; echo $HOME"
        })
        .await;
    server.wait_for(&id, "waiting_for_confirmation").await;
    let events = server.events(&id).await;
    let seen = events
        .iter()
        .filter(|event| event["kind"] == "ObservationEvent");
    assert_eq!(seen.count(), 2);
    let analysis = events
        .iter()
        .find(|event| event["kind"] == "SecurityAnalysisEvent");
    assert_eq!(analysis.unwrap()["analyzer"], "ApprovedCommands");
    let last = actions(&events).pop().unwrap();
    let (status, refused) = server.post(&respond, &remember(&last)).await;
    assert_eq!(status, 422, "{refused}");
    assert_eq!(server.status(&id).await, "waiting_for_confirmation");
    let server = server.restart().await;
    let path = format!("/conversations/{id}/approved_commands");
    let (_, list) = server.get(&path).await;
    assert_eq!(list["items"][0]["programs"], json!([["echo", "one"]]));
    let rule = list["items"][0]["id"].as_str().unwrap();
    for (body, copied) in [(json!({}), 1), (json!({"from_event_id": ids[0]}), 0)] {
        let (status, copy) = server
            .post(&format!("/conversations/{id}/fork"), &body)
            .await;
        assert_eq!(status, 201, "{copy}");
        let copy = copy["id"].as_str().unwrap();
        let (_, list) = server
            .get(&format!("/conversations/{copy}/approved_commands"))
            .await;
        assert_eq!(list["items"].as_array().unwrap().len(), copied, "{body}");
    }
    let forget = format!("{path}/{rule}");
    assert_eq!(server.delete(&forget).await.0, 200);
    assert_eq!(server.delete(&forget).await.0, 404);
    assert_eq!(server.get(&path).await.1["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyzer_says_why_it_asks() {
    let server = TestServer::start().await;
    let model = ModelServer::start([
        calls(&["echo fine"]),
        calls(&["true; env X=1 rm -rf ./nothing"]),
        Reply::finish("done"),
    ]);
    let more = json!({
        "confirmation_policy": {"kind": "ConfirmRisky"},
        "security_analyzer": {"kind": "EnsembleSecurityAnalyzer", "analyzers": [
            {"kind": "PatternSecurityAnalyzer"}, {"kind": "PolicyRailSecurityAnalyzer"}]},
    });
    let id = start(&server, &model, more).await;
    server.wait_for(&id, "waiting_for_confirmation").await;
    let events = server.events(&id).await;
    let said = events
        .iter()
        .filter(|event| event["kind"] == "SecurityAnalysisEvent");
    let said: Vec<&Value> = said.collect();
    let ids = actions(&events);
    assert_eq!(said[0]["risks"][&ids[0]], "LOW");
    assert_eq!(said[0]["details"][&ids[0]]["needs_confirmation"], false);
    assert_eq!(said[1]["risks"][&ids[1]], "HIGH");
    let details = &said[1]["details"][&ids[1]];
    assert_eq!(details["findings"][0]["rule"], "command.delete-by-force");
    assert_eq!(details["findings"][0]["excerpt"], "rm -rf ./nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_and_analyzer_can_be_changed() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    for (route, body, status) in [
        (
            "confirmation_policy",
            json!({"policy": {"kind": "AlwaysConfirm"}}),
            200,
        ),
        (
            "confirmation_policy",
            json!({"kind": "ConfirmRisky", "threshold": "MEDIUM"}),
            200,
        ),
        (
            "confirmation_policy",
            json!({"kind": "ConfirmRisky", "threshold": "UNKNOWN"}),
            422,
        ),
        ("confirmation_policy", json!({"kind": "Sometimes"}), 422),
        ("confirmation_policy", json!({}), 422),
        ("security_analyzer", json!({"security_analyzer": null}), 200),
        (
            "security_analyzer",
            json!({"security_analyzer": {"kind": "LLMSecurityAnalyzer"}}),
            200,
        ),
        (
            "security_analyzer",
            json!({"kind": "PatternSecurityAnalyzer"}),
            200,
        ),
        (
            "security_analyzer",
            json!({"security_analyzer": {"kind": "GraySwanAnalyzer"}}),
            422,
        ),
        ("security_analyzer", json!({}), 422),
    ] {
        let path = format!("/api/conversations/{id}/{route}");
        let (got, answer) = server.post(&path, &body).await;
        assert_eq!(got, status, "{route} {body} {answer}");
    }
    let (_, info) = server.get(&format!("/conversations/{id}")).await;
    assert_eq!(info["confirmation_policy"]["threshold"], "MEDIUM");
    assert_eq!(info["security_analyzer"]["kind"], "PatternSecurityAnalyzer");
    let unknown = json!({"security_analyzer": {"kind": "ToolShieldLLMSecurityAnalyzer"}});
    assert_eq!(server.post("/conversations", &unknown).await.0, 422);
}
