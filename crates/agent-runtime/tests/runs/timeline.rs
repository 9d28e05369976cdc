use agent_runtime::{Frame, NewConversation, RuntimeError, Start};
use core_model::{
    Agent, ConfirmationPolicy, Content, ConversationSettings, ExecutionStatus, LlmSettings, Role,
};
use llm_client::{ModelError, ModelMessage};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_of_a_run_is_the_references() {
    let world = World::new(vec![
        Line::Call("terminal", terminal("echo hi")),
        Line::Call("finish", json!({"message": "all done"})),
    ])
    .await;
    let conversation = world.conversation(NewConversation::default()).await;
    conversation
        .send_message(vec![Content::text("go")], false)
        .await
        .unwrap();
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    assert_eq!(
        outline(&conversation).await,
        [
            "SystemPrompt",
            "Message",
            "last_user_message_id",
            "running",
            "Action",
            "Observation",
            "Action",
            "Observation",
            "finished",
        ]
    );
    assert_eq!(conversation.final_response().await.unwrap(), "all done");
    let seen = events(&conversation).await;
    let observation = seen
        .iter()
        .find(|e| e["kind"] == "ObservationEvent")
        .unwrap();
    assert_eq!(observation["observation"]["exit_code"], 0);
    assert_eq!(observation["observation"]["content"][0]["text"], "hi");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_answered_right_after_its_batch_in_call_order() {
    let world = World::new(vec![
        Line::Calls(vec![
            ("terminal", terminal("echo one")),
            ("nope", json!({"a": 1})),
            ("think", json!({"thought": "two"})),
        ]),
        Line::Raw("terminal", "{not json"),
        Line::Say("bye"),
    ])
    .await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
    let requests = world.puppet.requests.lock().unwrap().clone();
    let roles: Vec<Role> = requests[2]
        .messages
        .iter()
        .map(|message| message.role())
        .collect();
    use Role::{Assistant, System, Tool, User};
    assert_eq!(
        roles,
        [System, User, Assistant, Tool, Tool, Tool, Assistant, Tool]
    );
    let calls: Vec<&str> = requests[2].messages[2]
        .calls()
        .map(|call| call.id.as_str())
        .collect();
    let answers: Vec<&str> = requests[2].messages[3..6]
        .iter()
        .filter_map(|message| {
            let ModelMessage::ToolResult { call_id, .. } = message.as_ref() else {
                return None;
            };
            Some(call_id.as_str())
        })
        .collect();
    assert_eq!(calls, answers);
    assert!(
        requests[2].messages[4]
            .text()
            .starts_with("Tool 'nope' not found. Available: [")
    );
    // What was no JSON is not sent back as it was.
    let resent = &requests[2].messages[6].calls().next().unwrap().arguments;
    assert!(serde_json::from_str::<Value>(resent).is_ok(), "{resent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_during_a_run_is_taken_up_by_it() {
    let world = World::new(vec![Line::Gate, Line::Say("first"), Line::Say("second")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "one").await;
    world.puppet.reached.notified().await;
    say(&conversation, "two").await;
    assert!(matches!(
        conversation.run().await,
        Err(RuntimeError::AlreadyRunning)
    ));
    world.puppet.open.notify_one();
    until(&conversation, ExecutionStatus::Finished).await;
    let outline = outline(&conversation).await;
    assert_eq!(outline.iter().filter(|line| *line == "running").count(), 1);
    assert_eq!(outline.iter().filter(|line| *line == "finished").count(), 1);
    assert_eq!(conversation.final_response().await.unwrap(), "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_before_the_agent_finishes_is_taken_up_too() {
    let finish = || Line::Call("finish", json!({"message": "done"}));
    let world = World::new(vec![Line::Gate, finish(), Line::Say("second")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "one").await;
    world.puppet.reached.notified().await;
    say(&conversation, "two").await;
    world.puppet.open.notify_one();
    until(&conversation, ExecutionStatus::Finished).await;
    assert_eq!(world.puppet.requests.lock().unwrap().len(), 2);
    assert_eq!(conversation.final_response().await.unwrap(), "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beside_each_other_are_logged_in_their_order() {
    let view = |path: &str| ("file_editor", json!({"command": "view", "path": path}));
    let thought = || ("think", json!({"thought": "hm"}));
    let world = World::new(vec![Line::Calls(vec![
        view("/"),
        thought(),
        ("terminal", terminal("echo hi")),
        thought(),
        view("/nowhere"),
    ])])
    .await;
    let mut agent = Agent::with_usual_tools(LlmSettings::default());
    agent.tool_concurrency_limit = 3;
    let conversation = world
        .conversation(NewConversation {
            agent: Some(agent),
            ..NewConversation::default()
        })
        .await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
    let seen = events(&conversation).await;
    let ids = |kind: &str, field: &str| -> Vec<String> {
        let of_kind = seen.iter().filter(|event| event["kind"] == kind);
        let ids = of_kind.map(|event| event[field].as_str().unwrap().to_owned());
        ids.collect()
    };
    assert_eq!(ids("ActionEvent", "id").len(), 5);
    assert_eq!(
        ids("ObservationEvent", "action_id"),
        ids("ActionEvent", "id")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_waits_for_the_reply_and_executes_nothing_more() {
    let world = World::new(vec![
        Line::Gate,
        Line::Call("terminal", terminal("echo late > late.txt")),
        Line::Say("done"),
    ])
    .await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    world.puppet.reached.notified().await;
    conversation.pause().await.unwrap();
    assert_eq!(
        conversation.info().execution_status,
        ExecutionStatus::Running
    );
    world.puppet.open.notify_one();
    until(&conversation, ExecutionStatus::Paused).await;
    let paused = outline(&conversation).await;
    assert_eq!(paused[paused.len() - 3..], ["Action", "paused", "Pause"]);
    assert!(!world.folder.path().join("work/late.txt").exists());

    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    assert!(world.folder.path().join("work/late.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupt_drops_the_model_call_or_kills_the_tool_and_answers_orphans() {
    let world = World::new(vec![
        Line::Gate,
        Line::Call("terminal", terminal("sleep 300")),
        Line::Say("done"),
    ])
    .await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    world.puppet.reached.notified().await;
    conversation.interrupt().await.unwrap();
    let stopped = outline(&conversation).await;
    assert_eq!(stopped[stopped.len() - 2..], ["paused", "Interrupt"]);

    conversation.run().await.unwrap();
    let mut follower = conversation.follow(&Start::Beginning).await.unwrap();
    loop {
        let frame = timeout(GIVE_UP, follower.next()).await.unwrap().unwrap();
        if let Frame::Event(_, line) = frame
            && String::from_utf8_lossy(&line).contains("sleep 300")
        {
            break;
        }
    }
    conversation.interrupt().await.unwrap();
    let stopped = outline(&conversation).await;
    assert_eq!(
        stopped[stopped.len() - 4..],
        ["Action", "AgentError", "paused", "Interrupt"]
    );
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_that_need_consent_wait_and_run_gives_it() {
    let world = World::new(vec![
        Line::Call("terminal", terminal("echo yes > yes.txt")),
        Line::Call("terminal", terminal("echo no > no.txt")),
        Line::Call("terminal", terminal("echo never > never.txt")),
        Line::Say("done"),
    ])
    .await;
    let conversation = world
        .conversation(NewConversation {
            settings: ConversationSettings {
                confirmation_policy: ConfirmationPolicy::AlwaysConfirm {},
                ..ConversationSettings::default()
            },
            ..Default::default()
        })
        .await;
    let made = |name: &str| world.folder.path().join("work").join(name).exists();
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::WaitingForConfirmation).await;
    assert!(!made("yes.txt"));
    conversation.run().await.unwrap();
    timeout(GIVE_UP, async {
        while !made("yes.txt")
            || conversation.info().execution_status != ExecutionStatus::WaitingForConfirmation
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();

    conversation
        .respond_to_confirmation(false, "not like this")
        .await
        .unwrap();
    assert_eq!(conversation.info().execution_status, ExecutionStatus::Idle);
    let seen = events(&conversation).await;
    assert_eq!(seen.last().unwrap()["rejection_reason"], "not like this");

    // Writing instead of consenting does not consent.
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::WaitingForConfirmation).await;
    say(&conversation, "do something else").await;
    until(&conversation, ExecutionStatus::Finished).await;
    assert!(!made("no.txt") && !made("never.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_end_in_error_and_the_next_run_goes_on() {
    let world = World::new(vec![
        Line::Fail(ModelError::Authentication("no".to_owned())),
        Line::Say("back"),
    ])
    .await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Error).await;
    let seen = events(&conversation).await;
    let error = seen.last().unwrap();
    assert_eq!(error["code"], "LLMAuthenticationError");
    assert_eq!(error["classification"]["kind"], "auth");
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn iterations_and_unknown_tools_end_in_errors_with_their_codes() {
    let endless = || Line::Call("think", json!({"thought": "hm"}));
    let world = World::new(vec![endless(), endless(), endless()]).await;
    let conversation = world
        .conversation(NewConversation {
            settings: ConversationSettings {
                max_iterations: 2,
                ..ConversationSettings::default()
            },
            ..Default::default()
        })
        .await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Error).await;
    let seen = events(&conversation).await;
    assert_eq!(seen.last().unwrap()["code"], "MaxIterationsReached");

    let agent: Agent = serde_json::from_value(json!({"tools": [{"name": "nope"}]})).unwrap();
    let conversation = world
        .conversation(NewConversation {
            agent: Some(agent),
            ..Default::default()
        })
        .await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Error).await;
    let seen = events(&conversation).await;
    assert_eq!(seen.last().unwrap()["code"], "KeyError");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_slots_are_counted_over_all_conversations() {
    let world = World::with_runs(vec![Line::Gate, Line::Say("done")], 1).await;
    let first = world.conversation(NewConversation::default()).await;
    let second = world.conversation(NewConversation::default()).await;
    say(&first, "go").await;
    world.puppet.reached.notified().await;
    let refused = second.send_message(vec![Content::text("go")], true).await;
    assert!(matches!(
        refused,
        Err(RuntimeError::RunLimit {
            message_saved: true,
            ..
        })
    ));
    assert!(
        outline(&second).await.contains(&"Message".to_owned()),
        "the message is kept"
    );
    assert!(matches!(
        second.run().await,
        Err(RuntimeError::RunLimit {
            message_saved: false,
            ..
        })
    ));
    world.puppet.open.notify_one();
    until(&first, ExecutionStatus::Finished).await;
    timeout(GIVE_UP, async { while second.run().await.is_err() {} })
        .await
        .unwrap();
    until(&second, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_snapshot_history_and_news_once_each() {
    let world = World::new(vec![Line::Say("hello")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    let mut follower = conversation.follow(&Start::Beginning).await.unwrap();
    let mut seen = Vec::new();
    let mut snapshots = Vec::new();
    // The run may be over before the follower begins.
    while snapshots.last() != Some(&"finished".to_owned())
        || seen.len() < events(&conversation).await.len()
    {
        match timeout(GIVE_UP, follower.next()).await.unwrap().unwrap() {
            Frame::Event(_, line) => {
                let event: Value = serde_json::from_slice(&line).unwrap();
                seen.push(event["id"].clone());
            }
            Frame::Snapshot(frame) => {
                let frame: Value = serde_json::from_slice(&frame).unwrap();
                assert_eq!(frame["key"], "full_state");
                snapshots.push(
                    frame["value"]["execution_status"]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                );
            }
            Frame::Delta(_) => {}
        }
    }
    let logged: Vec<Value> = events(&conversation)
        .await
        .iter()
        .map(|e| e["id"].clone())
        .collect();
    assert_eq!(seen, logged);

    let after = conversation
        .follow(&Start::After(seen[2].as_str().unwrap().into()))
        .await
        .unwrap();
    let rest = drain(after, seen.len() - 3).await;
    assert_eq!(rest, seen[3..]);
    assert!(matches!(
        conversation.follow(&Start::After("nope".into())).await,
        Err(RuntimeError::UnknownEvent(_))
    ));
}

async fn drain(mut follower: agent_runtime::Follower, count: usize) -> Vec<Value> {
    let mut ids = Vec::new();
    while ids.len() < count {
        if let Frame::Event(_, line) = timeout(GIVE_UP, follower.next()).await.unwrap().unwrap() {
            let event: Value = serde_json::from_slice(&line).unwrap();
            ids.push(event["id"].clone());
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_short_run_is_told_again_unless_something_happens() {
    let world = World::new(vec![Line::Say("hello")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    conversation
        .send_message(vec![Content::text("go")], false)
        .await
        .unwrap();
    let mut follower = conversation.follow(&Start::Live).await.unwrap();
    conversation.run().await.unwrap();
    let mut ends = 0;
    timeout(GIVE_UP, async {
        while ends < 4 {
            if let Frame::Snapshot(frame) = follower.next().await.unwrap()
                && String::from_utf8_lossy(&frame).contains(r#""execution_status":"finished""#)
            {
                ends += 1;
            }
        }
    })
    .await
    .expect("the end and its three echoes");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart_and_goes_on() {
    let world = World::new(vec![
        Line::Call("terminal", terminal("sleep 300")),
        Line::Say("done"),
        Line::Say("again"),
    ])
    .await;
    let running = world.conversation(NewConversation::default()).await;
    say(&running, "go").await;
    timeout(GIVE_UP, async {
        while !outline(&running).await.contains(&"Action".to_owned()) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let (id, before) = (running.id(), events(&running).await);
    drop(running);
    let world = world.restart().await;

    let (runtime, mended) = (&world.runtime, world.runtime.open(id).await.unwrap());
    assert_eq!(
        runtime.info(id).await.unwrap().execution_status,
        ExecutionStatus::Paused
    );
    assert_eq!(
        runtime.count(Some(ExecutionStatus::Paused)).await.unwrap(),
        1
    );
    assert_eq!(events(&mended).await[..before.len()], before);
    let outline = outline(&mended).await;
    assert_eq!(
        outline[outline.len() - 3..],
        ["Action", "AgentError", "paused"]
    );
    mended.run().await.unwrap();
    until(&mended, ExecutionStatus::Finished).await;
}
