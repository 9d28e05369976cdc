use std::{sync::Arc, time::Duration};

use agent_runtime::{Conversation, NewConversation, Runtime};
use core_model::ExecutionStatus;
use serde_json::{Value, json};
use store_fs::FsStore;
use tokio::time::{sleep, timeout};

use crate::harness::*;

const STEADY: &str = "while :; do echo tick; sleep 0.05; done";

fn call(arguments: Value) -> Line {
    Line::Call("terminal", arguments)
}

fn interrupt() -> Line {
    call(json!({"command": "C-c", "is_input": true}))
}

async fn observations(conversation: &Conversation) -> Vec<Value> {
    let mut events = events(conversation).await;
    events.retain(|event| event["kind"] == "ObservationEvent");
    events
        .into_iter()
        .map(|mut event| event["observation"].take())
        .collect()
}

/// Waits until the agent's first action has been logged.
async fn acting(conversation: &Conversation) {
    let logged = async {
        while !outline(conversation).await.contains(&"Action".to_owned()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(GIVE_UP, logged).await.expect("the agent acts");
}

async fn world(lines: Vec<Line>, longest: Duration) -> (tempfile::TempDir, Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, &Puppet::new(lines));
    config.max_foreground_terminal_timeout = longest;
    let store = FsStore::open(&folder.path().join("conversations"), Default::default()).unwrap();
    let runtime = start_with(config, Arc::new(store)).await;
    (folder, runtime)
}

async fn opened(runtime: &Runtime, new: NewConversation) -> Conversation {
    let id = runtime.create(untitled(new)).await.unwrap().info.id;
    runtime.open(id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_silent_command_is_not_being_stuck() {
    let mut lines = vec![call(json!({"command": "sleep 1000", "timeout": 0.05}))];
    lines.extend((0..12).map(|_| call(json!({"command": "", "timeout": 0.05}))));
    lines.extend([interrupt(), Line::Say("done")]);
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
    let seen = observations(&conversation).await;
    assert_eq!(seen.len(), 14);
    assert_eq!(seen[13]["exit_code"], 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_waiting_and_leaves_the_command_running() {
    let lines = vec![
        call(json!({ "command": STEADY })),
        interrupt(),
        Line::Say("done"),
    ];
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    acting(&conversation).await;
    conversation.pause().await.unwrap();
    until(&conversation, ExecutionStatus::Paused).await;
    let seen = observations(&conversation).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["timeout"], true);
    let said = seen[0]["metadata"]["suffix"].as_str().unwrap();
    assert!(said.contains("the conversation was paused"), "{said}");

    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    let last = observations(&conversation).await.pop().unwrap();
    assert_eq!(last["exit_code"], 130, "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_writes_all_the_time_is_answered_after_the_longest_time() {
    let lines = vec![
        call(json!({ "command": STEADY })),
        interrupt(),
        // On a busy machine the interrupt, too, takes longer than the longest time.
        call(json!({"command": ""})),
        Line::Say("done"),
    ];
    let (_folder, runtime) = world(lines, Duration::from_millis(300)).await;
    let conversation = opened(&runtime, NewConversation::default()).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
    let seen = observations(&conversation).await;
    let said = seen[0]["metadata"]["suffix"].as_str().unwrap();
    assert!(said.contains("No call waits longer than 0.3 s"), "{said}");
    let ended = seen.iter().filter(|seen| seen["exit_code"] == 130);
    assert_eq!(ended.count(), 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sets_the_longest_time_and_a_wrong_one_is_refused() {
    let agent = |seconds: Value| {
        let params = json!({"max_foreground_terminal_timeout_seconds": seconds});
        let agent = json!({
            "kind": "Agent", "llm": {"model": "scripted"},
            "tools": [{"name": "terminal", "params": params}],
        });
        NewConversation {
            agent: Some(serde_json::from_value(agent).unwrap()),
            ..NewConversation::default()
        }
    };
    let lines = vec![
        call(json!({ "command": STEADY })),
        interrupt(),
        Line::Say("done"),
    ];
    let (_folder, runtime) = world(lines, Duration::from_secs(600)).await;
    let conversation = opened(&runtime, agent(json!(0.25))).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
    let seen = observations(&conversation).await;
    let said = seen[0]["metadata"]["suffix"].as_str().unwrap();
    assert!(said.contains("No call waits longer than 0.25 s"), "{said}");

    let conversation = opened(&runtime, agent(json!("ten"))).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Error).await;
    let events = events(&conversation).await;
    let error = events
        .iter()
        .find(|event| event["kind"] == "ConversationErrorEvent")
        .unwrap();
    assert_eq!(error["code"], "ValueError");
    let detail = error["detail"].as_str().unwrap();
    assert!(
        detail.contains("params.max_foreground_terminal_timeout_seconds"),
        "{detail}"
    );
}
