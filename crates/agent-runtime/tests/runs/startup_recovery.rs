//! What a runtime does with what it finds, and what does not wait for that.

use std::{path::Path, sync::Arc, sync::atomic::Ordering::SeqCst};

use agent_runtime::{Conversation, ConversationQuery, NewConversation, Runtime};
use core_model::{Content, ConversationId, ExecutionStatus};
use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    frail::{Frail, Shut, copy, forget_list, frail},
    harness::*,
};

async fn written_to(world: &World) -> Conversation {
    let conversation = world.conversation(NewConversation::default()).await;
    let content = vec![Content::text("hello")];
    conversation.send_message(content, false).await.unwrap();
    conversation
}

/// What a kill leaves of a world, without its list.
fn killed(world: &World) -> (TempDir, Arc<Frail>) {
    let left = tempfile::tempdir().unwrap();
    let conversations = |folder: &Path| folder.join("conversations");
    copy(
        &conversations(world.folder.path()),
        &conversations(left.path()),
    );
    forget_list(left.path());
    let store = frail(left.path());
    (left, store)
}

async fn listed(runtime: &Runtime) -> Vec<(ConversationId, bool)> {
    let page = runtime.search(&ConversationQuery::default()).await.unwrap();
    let told = page.items.into_iter().map(|item| item.info().unwrap());
    told.map(|info| (info.id, info.last_user_message_id.is_some()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_one_conversation_do_not_wait_until_all_are_listed() {
    let world = World::new(vec![]).await;
    let id = written_to(&world).await.id();
    let (left, store) = killed(&world);
    store.holds_check.send_replace(true);
    let runtime = Runtime::start(config(&left, &world.puppet), store.clone());

    let info = runtime.info(id).await.unwrap();
    assert!(info.last_user_message_id.is_some());
    let conversation = runtime.open(id).await.unwrap();
    let before = events(&conversation).await.len();
    let content = vec![Content::text("again")];
    conversation.send_message(content, false).await.unwrap();
    assert!(events(&conversation).await.len() > before);
    assert!(!runtime.is_recovered());
    assert!(runtime.count(None).now_or_never().is_none());
    let query = ConversationQuery::default();
    assert!(runtime.search(&query).now_or_never().is_none());

    store.holds_check.send_replace(false);
    timeout(GIVE_UP, runtime.until_recovered()).await.unwrap();
    assert_eq!(listed(&runtime).await, [(id, true)]);
    assert_eq!(runtime.count(None).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_do_not_wait_until_all_are_mended() {
    let world = World::new(vec![]).await;
    let late = written_to(&world).await.id();
    let (left, store) = killed(&world);
    store.shut.lock().unwrap().insert(late, Shut::Late);
    let runtime = Runtime::start(config(&left, &world.puppet), store.clone());
    // As the stored state has it, which knows of no message.
    let early = timeout(GIVE_UP, listed(&runtime)).await.unwrap();
    assert_eq!(early, [(late, false)]);
    assert_eq!(runtime.count(Some(ExecutionStatus::Idle)).await.unwrap(), 1);
    assert!(!runtime.is_recovered());

    store.shut.lock().unwrap().clear();
    store.may_open.notify_waiters();
    store.may_open.notify_one();
    timeout(GIVE_UP, runtime.until_recovered()).await.unwrap();
    assert_eq!(listed(&runtime).await, [(late, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_rest_is_listed_without_being_opened_or_changed() {
    let world = World::new(vec![Line::Say("done")]).await;
    let idle = written_to(&world).await.id();
    let finished = {
        let finished = world.conversation(NewConversation::default()).await;
        say(&finished, "go").await;
        until(&finished, ExecutionStatus::Finished).await;
        finished.id()
    };
    let World {
        runtime,
        folder,
        puppet,
        ..
    } = world;
    runtime.shut_down(GIVE_UP).await;
    drop(runtime);
    forget_list(folder.path());
    let file = |id: ConversationId, name: &str| {
        let folder = folder.path().join("conversations").join(id.to_string());
        folder.join(name)
    };
    let mut stored = Vec::new();
    for id in [idle, finished] {
        std::fs::remove_file(file(id, "events.idx")).unwrap();
        let modified = std::fs::metadata(file(id, "metadata.json")).unwrap();
        stored.push(modified.modified().unwrap());
    }

    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let mut told = listed(&runtime).await;
    told.sort();
    let mut expected = [(idle, true), (finished, true)];
    expected.sort();
    assert_eq!(told, expected);
    for status in [ExecutionStatus::Idle, ExecutionStatus::Finished] {
        assert_eq!(runtime.count(Some(status)).await.unwrap(), 1);
    }
    assert_eq!(store.opened.load(SeqCst), 0);
    for (id, before) in [idle, finished].into_iter().zip(stored) {
        assert!(!file(id, "events.idx").exists());
        let now = std::fs::metadata(file(id, "metadata.json")).unwrap();
        assert_eq!(now.modified().unwrap(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_stop_paused_resumes_though_the_list_was_lost() {
    let world = World::new(vec![Line::Gate, Line::Say("done")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    world.puppet.reached.notified().await;
    let id = conversation.id();
    drop(conversation);
    let World {
        runtime,
        folder,
        puppet,
        ..
    } = world;
    runtime.shut_down(GIVE_UP).await;
    drop(runtime);
    forget_list(folder.path());
    let mut config = config(&folder, &puppet);
    config.resume_runs = true;
    let runtime = start_with(config, frail(folder.path())).await;
    let conversation = runtime.open(id).await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_read_does_not_hide_the_others() {
    let world = World::new(vec![]).await;
    let bad = written_to(&world).await.id();
    let good = written_to(&world).await.id();
    let (left, store) = killed(&world);
    store.shut.lock().unwrap().insert(bad, Shut::Failing);
    let runtime = start_with(config(&left, &world.puppet), store.clone()).await;
    assert_eq!(listed(&runtime).await, [(good, true)]);
    // It is back as soon as it can be read.
    store.shut.lock().unwrap().clear();
    let mut told = listed(&runtime).await;
    told.sort();
    let mut expected = [(bad, true), (good, true)];
    expected.sort();
    assert_eq!(told, expected);
}
