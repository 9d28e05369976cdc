use std::sync::Arc;

use agent_runtime::{EventQuery, NewConversation};
use core_model::{Content, EventId, ExecutionStatus};
use serde_json::{Value, json};
use store_fs::FsStore;
use tokio::time::timeout;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_at_rest_loses_its_shell_and_gets_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let command = |text: &'static str| Line::Call("terminal", json!({"command": text}));
    let puppet = Puppet::new(vec![
        command("X=kept"),
        Line::Say("done"),
        command("X=kept"),
        Line::Say("done"),
        command("echo [$X]"),
        Line::Say("done"),
        command("echo [$X]"),
        Line::Say("done"),
    ]);
    let store = FsStore::open(&folder.path().join("conversations"), Default::default()).unwrap();
    let mut config = config(&folder, &puppet);
    config.max_idle_shells = 1;
    let runtime = start_with(config, Arc::new(store)).await;
    let mut conversations = Vec::new();
    for _ in 0..2 {
        let id = runtime
            .create(untitled(NewConversation::default()))
            .await
            .unwrap()
            .info
            .id;
        conversations.push(runtime.open(id).await.unwrap());
    }
    // The second comes to rest after the first, which then is one too many.
    for conversation in conversations.iter().chain(conversations.iter().rev()) {
        say(conversation, "go").await;
        until(conversation, ExecutionStatus::Finished).await;
    }
    let mut echoed = Vec::new();
    for conversation in &conversations {
        let events = events(conversation).await;
        let last = events
            .iter()
            .rev()
            .find(|e| e["kind"] == "ObservationEvent")
            .unwrap();
        echoed.push(last["observation"]["content"][0]["text"].clone());
    }
    assert_eq!(echoed, ["[]", "[kept]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_events_ends_early_and_the_next_goes_on() {
    let world = World::new(vec![]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    for _ in 0..40 {
        let large = Content::text("x".repeat(1 << 20));
        conversation.send_message(vec![large], false).await.unwrap();
    }
    let mut query = EventQuery::default();
    let (mut ids, mut pages) = (Vec::new(), 0);
    timeout(GIVE_UP, async {
        loop {
            let page = conversation.search_events(&query).await.unwrap();
            let size: usize = page.items.iter().map(|item| item.len()).sum();
            assert!(size < 40 << 20, "{size}");
            pages += 1;
            for item in &page.items {
                let event: Value = serde_json::from_slice(item).unwrap();
                ids.push(EventId(event["id"].as_str().unwrap().to_owned()));
            }
            match page.next_page_id {
                Some(next) => query.page_id = Some(next),
                None => break,
            }
        }
    })
    .await
    .unwrap();
    let all = conversation.count_events(&query.filter).await.unwrap();
    assert_eq!(ids.len() as u64, all);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len() as u64, all, "none comes twice");
    assert!(pages > 1);
}
