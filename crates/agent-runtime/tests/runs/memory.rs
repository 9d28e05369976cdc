//! What stays in memory, and what leaves it to make room.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use agent_runtime::{EventFilter, NewConversation, Start};
use core_model::Content;
use tokio::time::{sleep, timeout};

use crate::{frail::frail, harness::*};

const KEPT: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_unused_conversations_stay_and_none_that_is_in_use_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![Line::Gate]);
    let store = frail(folder.path());
    let mut config = config(&folder, &puppet);
    config.max_idle_conversations = KEPT;
    let runtime = start_with(config, store.clone()).await;
    let make = async || {
        let made = runtime
            .create(untitled(NewConversation::default()))
            .await
            .unwrap();
        runtime.open(made.info.id).await.unwrap()
    };
    let content = || vec![Content::text("hello")];

    // One is followed, one runs; each of the others was written to.
    let mut follower = make().await.follow(&Start::Live).await.unwrap();
    let followed = store.open.load(SeqCst);
    assert_eq!(followed, 1);
    let running = make().await;
    running.send_message(content(), true).await.unwrap();
    puppet.reached.notified().await;
    let running = running.id();
    let mut others = Vec::new();
    for _ in 0..5 * KEPT {
        let other = make().await;
        other.send_message(content(), false).await.unwrap();
        others.push(other.id());
    }
    // Actors that had nothing to do store their state before they leave.
    let few = async || {
        let left = async {
            while store.open.load(SeqCst) > KEPT + 2 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(GIVE_UP, left).await.unwrap();
    };
    few().await;

    follower.next().await.unwrap();
    puppet.open.notify_one();
    let running = runtime.open(running).await.unwrap();
    until(&running, core_model::ExecutionStatus::Finished).await;
    for id in others {
        let other = runtime.open(id).await.unwrap();
        let messages = EventFilter {
            kind: Some("MessageEvent".to_owned()),
            ..EventFilter::default()
        };
        assert_eq!(other.count_events(&messages).await.unwrap(), 1);
    }
    few().await;
}
