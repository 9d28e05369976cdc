use std::sync::Arc;

use agent_runtime::{Conversation, Frame, NewConversation, Start};
use async_trait::async_trait;
use core_model::{ExecutionStatus, Seq};
use llm_client::{Block, Delta, Model, ModelError, ModelReply, ModelRequest};
use serde_json::Value;
use store_fs::FsStore;
use tokio::time::timeout;

use crate::harness::*;

/// A model that replies in so many pieces.
struct Chatterbox(usize);

#[async_trait]
impl Model for Chatterbox {
    fn name(&self) -> &str {
        "chatterbox"
    }

    async fn reply(
        &self,
        _: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let pieces = (0..self.0).map(|piece| format!("{piece} "));
        let text = pieces.inspect(|text| on_delta(Delta::Text(text.clone())));
        Ok(ModelReply {
            id: uuid::Uuid::new_v4().to_string(),
            blocks: vec![Block::text(text.collect::<String>())],
            ..Default::default()
        })
    }
}

/// `delta TEXT`, or `void`.
fn transient(json: &[u8]) -> String {
    let event: Value = serde_json::from_slice(json).unwrap();
    assert!(event.get("parent_id").is_none());
    match event["content"].as_str() {
        Some(text) => format!("delta {text}"),
        None => {
            let expected = (
                "ConversationStateUpdateEvent",
                "streaming_reply",
                "discarded",
            );
            let field = |name: &str| event[name].as_str().unwrap();
            assert_eq!((field("kind"), field("key"), field("value")), expected);
            "void".to_owned()
        }
    }
}

/// What a follower is told of a run that was over before it looked, from the beginning of the log to its
/// end: `event N`, `delta TEXT`, in order.
async fn told(pieces: usize) -> (Vec<String>, Conversation, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(&folder.path().join("conversations"), Default::default()).unwrap();
    let mut config = config(&folder, &Puppet::new(vec![]));
    config.connect = Arc::new(move |_| Ok(Arc::new(Chatterbox(pieces)) as Arc<dyn Model>));
    let runtime = start_with(config, Arc::new(store)).await;
    let made = runtime
        .create(untitled(NewConversation::default()))
        .await
        .unwrap();
    let conversation = runtime.open(made.info.id).await.unwrap();
    let mut follower = conversation.follow(&Start::From(Seq(0))).await.unwrap();
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
    let last = events(&conversation).await.len() as u64 - 1;
    let mut told = Vec::new();
    let reading = async {
        loop {
            match follower.next().await.unwrap() {
                Frame::Event(seq, _) => {
                    told.push(format!("event {seq}"));
                    if seq.0 == last {
                        break;
                    }
                }
                Frame::Snapshot(_) => {}
                Frame::Delta(json) => told.push(transient(&json)),
            }
        }
    };
    timeout(GIVE_UP, reading).await.unwrap();
    (told, conversation, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_a_reply_come_between_the_events_they_came_between() {
    let (told, conversation, _folder) = told(3).await;
    let events = events(&conversation).await;
    let place = |line: &str| told.iter().position(|told| told == line).unwrap();
    let place_of = |source: &str| {
        let fits = |event: &Value| event["source"] == source && event["kind"] == "MessageEvent";
        place(&format!("event {}", events.iter().position(fits).unwrap()))
    };
    let begin = place("delta 0 ");
    assert_eq!(told[begin..begin + 3], ["delta 0 ", "delta 1 ", "delta 2 "]);
    assert!(place_of("user") < begin, "{told:?}");
    assert!(begin + 2 < place_of("agent"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_slow_for_the_pieces_gets_the_events_all_the_same() {
    // More than wait for anybody.
    let (told, conversation, _folder) = told(5_000).await;
    let all = events(&conversation).await.len();
    assert!(all > 2);
    let expected: Vec<String> = (0..all).map(|seq| format!("event {seq}")).collect();
    assert_eq!(told, expected);
}

/// What a client that came before the run is told while the model goes through these lines: pieces, that
/// they are void, and the agent's messages as `said TEXT`.
async fn shown(lines: Vec<Line>, ends: ExecutionStatus) -> Vec<String> {
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    let mut follower = conversation.follow(&Start::Live).await.unwrap();
    say(&conversation, "go").await;
    if ends == ExecutionStatus::Paused {
        world.puppet.reached.notified().await;
        conversation.interrupt().await.unwrap();
    }
    until(&conversation, ends).await;
    let last = events(&conversation).await.len() as u64 - 1;
    let mut shown = Vec::new();
    let reading = async {
        loop {
            match follower.next().await.unwrap() {
                Frame::Event(seq, json) => {
                    let event: Value = serde_json::from_slice(&json).unwrap();
                    if event["kind"] == "MessageEvent" && event["source"] == "agent" {
                        let text = event["llm_message"]["content"][0]["text"].as_str();
                        shown.push(format!("said {}", text.unwrap_or_default()));
                    }
                    if seq.0 == last {
                        break;
                    }
                }
                Frame::Snapshot(_) => {}
                Frame::Delta(json) => shown.push(transient(&json)),
            }
        }
    };
    timeout(GIVE_UP, reading).await.unwrap();
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_no_event_comes_of_are_void() {
    let failed = || ModelError::Timeout("gone".to_owned());
    for (lines, ends, expected) in [
        // The call is made again.
        (
            vec![Line::Piece("a"), Line::Discard, Line::Say("b")],
            ExecutionStatus::Finished,
            vec!["delta a", "void", "delta b", "said b"],
        ),
        // Nothing was sent: nothing is void.
        (
            vec![Line::Discard, Line::Say("b")],
            ExecutionStatus::Finished,
            vec!["delta b", "said b"],
        ),
        // It is given up, with or without a word from the model.
        (
            vec![Line::Piece("a"), Line::Fail(failed())],
            ExecutionStatus::Error,
            vec!["delta a", "void"],
        ),
        (
            vec![Line::Piece("a"), Line::Discard, Line::Fail(failed())],
            ExecutionStatus::Error,
            vec!["delta a", "void"],
        ),
        // The run is interrupted.
        (
            vec![Line::Piece("a"), Line::Gate],
            ExecutionStatus::Paused,
            vec!["delta a", "void"],
        ),
        // Not in the middle of a reply.
        (vec![Line::Gate], ExecutionStatus::Paused, vec![]),
    ] {
        assert_eq!(shown(lines, ends).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_slow_for_the_pieces_is_told_that_they_are_void_all_the_same() {
    // What tells it, and then more pieces than wait for anybody.
    for behind in [0, 1, 200] {
        let mut lines = vec![Line::Piece("old"), Line::Gate, Line::Discard];
        lines.extend((0..behind).map(|_| Line::Piece("new")));
        lines.push(Line::Gate);
        let world = World::new(lines).await;
        let conversation = world.conversation(NewConversation::default()).await;
        let mut follower = conversation.follow(&Start::Live).await.unwrap();
        say(&conversation, "go").await;
        world.puppet.reached.notified().await;
        let mut next = async || {
            let next = async {
                loop {
                    if let Frame::Delta(json) = follower.next().await.unwrap() {
                        break transient(&json);
                    }
                }
            };
            timeout(GIVE_UP, next).await.unwrap()
        };
        assert_eq!(next().await, "delta old");
        world.puppet.open.notify_one();
        world.puppet.reached.notified().await;
        assert_eq!(next().await, "void", "{behind} pieces behind it");
        if behind == 1 {
            assert_eq!(next().await, "delta new");
        }
        conversation.interrupt().await.unwrap();
    }
}
