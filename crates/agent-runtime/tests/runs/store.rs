//! A store that fails, lags, or was left by a killed server.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use agent_runtime::{ConversationQuery, End, Frame, NewConversation, Runtime, RuntimeError, Start};
use core_model::{Content, ConversationId, ConversationInfo, EventId, ExecutionStatus};
use futures_util::FutureExt;
use tokio::time::{sleep, timeout};

use crate::{
    frail::{copy, frail},
    harness::*,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_fails_in_mid_run_ends_it_and_the_log_is_mended_when_next_opened() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![Line::Gate, Line::Say("lost"), Line::Say("done")]);
    let store = frail(folder.path());
    let mut config = config(&folder, &puppet);
    config.idle_ttl = Duration::from_millis(100);
    let runtime = start_with(config, store.clone()).await;
    let new = NewConversation {
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let id = runtime.create(untitled(new)).await.unwrap().info.id;
    let conversation = runtime.open(id).await.unwrap();
    puppet.reached.notified().await;

    store.broken.store(true, SeqCst);
    puppet.open.notify_one();
    until(&conversation, ExecutionStatus::Error).await;
    assert!(conversation.run().await.is_err());

    store.broken.store(false, SeqCst);
    drop(conversation);
    timeout(GIVE_UP, async {
        loop {
            // Long enough for it to leave memory.
            sleep(Duration::from_millis(500)).await;
            if runtime.info(id).await.unwrap().execution_status == ExecutionStatus::Paused {
                break;
            }
        }
    })
    .await
    .unwrap();
    let conversation = runtime.open(id).await.unwrap();
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_that_cannot_be_written_is_not_called_done() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![Line::Gate]);
    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let new = NewConversation {
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let id = runtime.create(untitled(new)).await.unwrap().info.id;
    let conversation = runtime.open(id).await.unwrap();
    puppet.reached.notified().await;
    store.broken.store(true, SeqCst);
    assert!(conversation.interrupt().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_opened_while_it_is_deleted_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![]);
    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let id = runtime
        .create(untitled(NewConversation::default()))
        .await
        .unwrap()
        .info
        .id;
    store.holds_deletions.store(true, SeqCst);
    let deletion = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.delete(id).await }
    });
    store.deleting.notified().await;
    runtime.open(id).await.ok();
    store.may_delete.notify_one();
    deletion.await.unwrap().unwrap();
    assert!(matches!(
        runtime.open(id).await.map(|found| found.id()),
        Err(RuntimeError::NotFound(_))
    ));
    assert_eq!(runtime.count(None).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_left_at_rest_is_listed() {
    let world = World::new(vec![]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    conversation
        .send_message(vec![Content::text("later")], false)
        .await
        .unwrap();
    let left = tempfile::tempdir().unwrap();
    copy(
        &world.folder.path().join("conversations"),
        &left.path().join("conversations"),
    );
    let runtime = start(&left, &world.puppet, 1).await;
    let infos = search(&runtime, &ConversationQuery::default()).await;
    let ids: Vec<_> = infos.iter().map(|info| info.id).collect();
    assert_eq!(ids, [conversation.id()]);
    assert!(infos[0].last_user_message_id.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_conversation_does_not_hide_the_others() {
    let world = World::new(vec![]).await;
    let bad = world.conversation(NewConversation::default()).await.id();
    let good = world.conversation(NewConversation::default()).await.id();
    let world = world.restart().await;
    let metadata = world
        .folder
        .path()
        .join(format!("conversations/{bad}/metadata.json"));
    std::fs::write(metadata, "{").unwrap();
    // With the skills, for which the metadata is read.
    let query = ConversationQuery {
        include_skills: true,
        ..ConversationQuery::default()
    };
    let infos = search(&world.runtime, &query).await;
    let ids: Vec<_> = infos.iter().map(|info| info.id).collect();
    assert_eq!(ids, [good]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_lost_is_answered_before_the_next_one_begins() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let waits = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let puppet = Puppet::new(vec![Line::Call("terminal", terminal(&waits))]);
    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let new = NewConversation {
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let id = runtime.create(untitled(new)).await.unwrap().info.id;
    let conversation = runtime.open(id).await.unwrap();
    let mut follower = conversation.follow(&Start::Live).await.unwrap();
    while !outline(&conversation).await.contains(&"Action".to_owned()) {
        follower.next().await.unwrap();
    }
    store.broken.store(true, SeqCst);
    std::fs::write(&go, "").unwrap();
    until(&conversation, ExecutionStatus::Error).await;

    store.broken.store(false, SeqCst);
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    let outline = outline(&conversation).await;
    let action = outline.iter().position(|line| line == "Action").unwrap();
    assert_eq!(
        outline[action + 1..action + 5],
        ["run_cut_off", "AgentError", "paused", "running"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_hear_of_a_deletion_when_it_is_done_and_not_of_one_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![]);
    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let made = runtime
        .create(untitled(NewConversation::default()))
        .await
        .unwrap();
    let id = made.info.id;
    let conversation = runtime.open(id).await.unwrap();
    let mut follower = conversation.follow(&Start::Live).await.unwrap();
    follower.next().await.unwrap();

    store.fails_deletions.store(true, SeqCst);
    assert!(matches!(
        runtime.delete(id).await,
        Err(RuntimeError::Store(_))
    ));
    let content = || vec![Content::text("still here")];
    conversation.send_message(content(), false).await.unwrap();
    while !matches!(follower.next().await.unwrap(), Frame::Event(..)) {}
    assert_eq!(runtime.open(id).await.unwrap().id(), id);

    store.fails_deletions.store(false, SeqCst);
    store.holds_deletions.store(true, SeqCst);
    let deletion = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.delete(id).await }
    });
    store.deleting.notified().await;
    assert!(matches!(
        conversation.send_message(content(), false).await,
        Err(RuntimeError::NotFound(_))
    ));
    let mut end = None;
    while let (None, Some(next)) = (end, follower.next().now_or_never()) {
        end = next.err();
    }
    assert_eq!(end, None);
    store.may_delete.notify_one();
    deletion.await.unwrap().unwrap();
    let end = async {
        loop {
            if let Err(end) = follower.next().await {
                return end;
            }
        }
    };
    assert_eq!(timeout(GIVE_UP, end).await.unwrap(), End::Deleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_can_be_deleted() {
    let world = World::new(vec![]).await;
    let id = world.conversation(NewConversation::default()).await.id();
    let world = world.restart().await;
    let folder = world.folder.path().join(format!("conversations/{id}"));
    std::fs::write(folder.join("metadata.json"), "{").unwrap();
    assert!(world.runtime.open(id).await.is_err());
    world.runtime.delete(id).await.unwrap();
    assert!(!folder.exists());
    assert_eq!(world.runtime.count(None).await.unwrap(), 0);
    for gone in [id, ConversationId::random()] {
        assert!(matches!(
            world.runtime.delete(gone).await,
            Err(RuntimeError::NotFound(_))
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_found_however_far_apart_and_page_by_page() {
    let world = World::new(vec![]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    for number in 0..150 {
        let text = if number % 70 == 0 { "Needle" } else { "hay" };
        let content = vec![Content::text(format!("{text} {number}"))];
        conversation.send_message(content, false).await.unwrap();
    }
    for descending in [false, true] {
        let mut query = agent_runtime::EventQuery {
            limit: 1,
            descending,
            ..Default::default()
        };
        query.filter.body = Some("needle".to_owned());
        let mut found = Vec::new();
        loop {
            let page = conversation.search_events(&query).await.unwrap();
            found.extend(page.items);
            query.page_id = page.next_page_id;
            if query.page_id.is_none() {
                break;
            }
        }
        let mut texts: Vec<String> = found
            .iter()
            .map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap())
            .map(|event| event["llm_message"]["content"][0]["text"].to_string())
            .collect();
        if descending {
            texts.reverse();
        }
        assert_eq!(texts, ["\"Needle 0\"", "\"Needle 70\"", "\"Needle 140\""]);
        assert_eq!(conversation.count_events(&query.filter).await.unwrap(), 3);
    }
    let missing = EventId("none".to_owned());
    assert_eq!(conversation.event(&missing).await.unwrap(), None);
}

async fn search(runtime: &Runtime, query: &ConversationQuery) -> Vec<ConversationInfo> {
    let page = runtime.search(query).await.unwrap();
    page.items
        .into_iter()
        .map(|item| item.info().unwrap())
        .collect()
}
