//! One conversation and two that want to write it.

use std::sync::Arc;

use agent_runtime::{Conversation, NewConversation, Runtime, RuntimeError};
use core_model::{Content, ConversationId, ExecutionStatus, port::Holder};
use store_fs::FsStore;
use tokio::time::timeout;

use crate::{frail::frail, harness::*};

fn text(text: &str) -> Vec<Content> {
    vec![Content::text(text)]
}

fn holder() -> Holder {
    Holder {
        server: "other".to_owned(),
        address: Some("http://other:8000".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_to_a_conversation_of_another_server_is_refused_until_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![Line::Say("done")]);
    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let id = runtime
        .create(untitled(NewConversation::default()))
        .await
        .unwrap()
        .info
        .id;
    let conversation = runtime.open(id).await.unwrap();
    *store.theirs.lock().unwrap() = Some(holder());
    for _ in 0..3 {
        let refused = conversation.send_message(text("go"), true).await;
        let Err(RuntimeError::OwnedElsewhere { holder: told }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(told, Some(holder()));
    }
    // It can be read all the same.
    assert_eq!(events(&conversation).await.len(), 0);
    assert_eq!(conversation.info().execution_status, ExecutionStatus::Idle);
    *store.theirs.lock().unwrap() = None;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_claim_is_lost_ends_and_what_waits_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Arc::new(FsStore::open(&folder.path().join("conversations"), Default::default()).unwrap());
    let (one, two) = (
        Puppet::new(vec![Line::Gate, Line::Say("lost"), Line::Say("back")]),
        Puppet::new(vec![Line::Say("taken over")]),
    );
    let first = start_with(config(&folder, &one), store.clone()).await;
    let second = start_with(config(&folder, &two), store.clone()).await;
    let id = first
        .create(untitled(NewConversation::default()))
        .await
        .unwrap()
        .info
        .id;
    let here = first.open(id).await.unwrap();
    say(&here, "go").await;
    one.reached.notified().await;

    // A read takes nothing away.
    let there = second.open(id).await.unwrap();
    assert_eq!(there.info().execution_status, ExecutionStatus::Running);
    say(&there, "mine now").await;
    until(&there, ExecutionStatus::Finished).await;
    let outline_there = outline(&there).await;
    assert!(
        outline_there.contains(&"paused".to_owned()),
        "{outline_there:?}"
    );
    one.open.notify_one();

    // The first one sees what the second one made of it, and gets it back with its next command.
    let here = seeing(&first, id, &outline_there).await;
    say(&here, "again").await;
    until(&here, ExecutionStatus::Finished).await;
    let outline_here = outline(&here).await;
    assert!(outline_here.starts_with(&outline_there), "{outline_here:?}");
    assert!(outline_here.len() > outline_there.len());
    // Nobody is left with a length that is not the log's.
    let there = seeing(&second, id, &outline_here).await;
    insist(&there, "to both").await;
    insist(&here, "and back").await;
    seeing(&second, id, &outline(&here).await).await;
}

/// Sends a message as a client does that repeats what is answered "owned elsewhere": an actor that is
/// about to leave answers so.
async fn insist(conversation: &Conversation, said: &str) {
    let sent = async {
        loop {
            match conversation.send_message(text(said), false).await {
                Err(RuntimeError::OwnedElsewhere { .. }) => tokio::task::yield_now().await,
                sent => return sent,
            }
        }
    };
    timeout(GIVE_UP, sent).await.unwrap().unwrap();
}

/// The conversation, once it is seen like this.
async fn seeing(runtime: &Runtime, id: ConversationId, expected: &[String]) -> Conversation {
    let seen = async {
        loop {
            let conversation = runtime.open(id).await.unwrap();
            if outline(&conversation).await == expected {
                return conversation;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(GIVE_UP, seen).await.unwrap()
}
