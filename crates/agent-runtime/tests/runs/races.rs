//! Commands that meet: in one batch, at the end of a turn, or with their client gone.
//!
//! On the single thread of these tests, commands sent by one `join!` are taken as one batch.

use agent_runtime::{NewConversation, RuntimeError};
use core_model::{
    ConfirmationPolicy, Content, ConversationId, ConversationSettings, ExecutionStatus,
};
use llm_client::ModelMessage;
use std::time::Duration;
use tokio::{join, time::timeout};

use crate::harness::*;

#[tokio::test]
async fn a_pause_right_behind_a_run_holds() {
    let world = World::new(vec![Line::Say("done")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    let (run, pause) = join!(conversation.run(), conversation.pause());
    run.unwrap();
    pause.unwrap();
    until(&conversation, ExecutionStatus::Paused).await;
    assert!(world.puppet.requests.lock().unwrap().is_empty());
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test]
async fn an_interrupt_right_behind_a_run_ends_it() {
    let world = World::new(vec![Line::Gate, Line::Say("done")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    let (run, interrupt) = join!(conversation.run(), conversation.interrupt());
    run.unwrap();
    interrupt.unwrap();
    let stopped = outline(&conversation).await;
    assert_eq!(stopped[stopped.len() - 2..], ["paused", "Interrupt"]);
    world.puppet.open.notify_one();
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test]
async fn a_stop_right_behind_a_run_pauses_it() {
    let world = World::new(vec![Line::Gate]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    let (run, ()) = join!(conversation.run(), world.runtime.shut_down(GIVE_UP));
    run.unwrap();
    assert_eq!(
        conversation.info().execution_status,
        ExecutionStatus::Paused
    );
}

#[tokio::test]
async fn commands_behind_an_interrupt_are_taken_in_their_order() {
    let world = World::new(vec![Line::Gate, Line::Say("done")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    world.puppet.reached.notified().await;
    let all = async {
        join!(
            conversation.interrupt(),
            conversation.run(),
            conversation.run(),
            conversation.interrupt(),
            conversation.run(),
        )
    };
    let (first, run, again, second, last) = timeout(GIVE_UP, all).await.unwrap();
    first.unwrap();
    run.unwrap();
    assert!(matches!(again, Err(RuntimeError::AlreadyRunning)));
    second.unwrap();
    last.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    let outline = outline(&conversation).await;
    assert_eq!(outline.iter().filter(|l| *l == "Interrupt").count(), 2);
    assert_eq!(outline.iter().filter(|l| *l == "running").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlasts_the_end_that_a_new_message_puts_off() {
    let world = World::new(vec![Line::Gate, Line::Say("first"), Line::Say("second")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "one").await;
    world.puppet.reached.notified().await;
    say(&conversation, "two").await;
    conversation.pause().await.unwrap();
    world.puppet.open.notify_one();
    until(&conversation, ExecutionStatus::Paused).await;
    assert_eq!(conversation.final_response().await.unwrap(), "first");
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    assert_eq!(conversation.final_response().await.unwrap(), "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_supersedes_without_a_slot_leaves_nothing_waiting() {
    let lines = vec![
        Line::Call("terminal", terminal("echo no > no.txt")),
        Line::Gate,
    ];
    let world = World::with_runs(lines, 1).await;
    let asking = world
        .conversation(NewConversation {
            settings: ConversationSettings {
                confirmation_policy: ConfirmationPolicy::AlwaysConfirm {},
                ..ConversationSettings::default()
            },
            ..Default::default()
        })
        .await;
    say(&asking, "go").await;
    until(&asking, ExecutionStatus::WaitingForConfirmation).await;
    let busy = world.conversation(NewConversation::default()).await;
    timeout(GIVE_UP, async {
        let go = || busy.send_message(vec![Content::text("go")], true);
        while go().await.is_err() {}
    })
    .await
    .unwrap();
    world.puppet.reached.notified().await;
    let refused = asking.send_message(vec![Content::text("no")], true).await;
    assert!(matches!(
        refused,
        Err(RuntimeError::RunLimit {
            message_saved: true,
            ..
        })
    ));
    assert_eq!(asking.info().execution_status, ExecutionStatus::Idle);
}

#[tokio::test]
async fn two_creations_for_one_slot_make_one_conversation() {
    let world = World::with_runs(vec![Line::Gate], 1).await;
    let new = || NewConversation {
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let (a, b) = join!(
        world.runtime.create(untitled(new())),
        world.runtime.create(untitled(new()))
    );
    let refused = [&a, &b]
        .into_iter()
        .filter(|made| {
            matches!(
                made,
                Err(RuntimeError::RunLimit {
                    message_saved: false,
                    ..
                })
            )
        })
        .count();
    assert_eq!(refused, 1, "{a:?} {b:?}");
    assert_eq!(world.runtime.count(None).await.unwrap(), 1);
}

#[tokio::test]
async fn one_id_created_twice_at_once_is_one_conversation_with_one_message() {
    let world = World::new(vec![Line::Say("done")]).await;
    let id = ConversationId::random();
    let new = || NewConversation {
        id: Some(id),
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let (a, b) = join!(
        world.runtime.create(untitled(new())),
        world.runtime.create(untitled(new()))
    );
    assert_ne!(a.unwrap().existed, b.unwrap().existed);
    let conversation = world.runtime.open(id).await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    let messages = outline(&conversation).await;
    assert_eq!(messages.iter().filter(|l| *l == "running").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_client_went_away_is_carried_out() {
    let world = World::new(vec![Line::Gate]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    world.puppet.reached.notified().await;
    let gone = timeout(Duration::ZERO, world.runtime.delete(conversation.id())).await;
    assert!(gone.is_err(), "the client was too slow to leave");
    timeout(GIVE_UP, async {
        while world.runtime.info(conversation.id()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(world.runtime.count(None).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_client_went_away_keeps_its_message() {
    let world = World::new(vec![Line::Say("done")]).await;
    let new = NewConversation {
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let gone = timeout(Duration::ZERO, world.runtime.create(untitled(new))).await;
    assert!(gone.is_err(), "the client was too slow to leave");
    timeout(GIVE_UP, async {
        while world
            .runtime
            .count(Some(ExecutionStatus::Finished))
            .await
            .unwrap()
            == 0
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_message_has_the_system_prompt_at_least() {
    let world = World::new(vec![Line::Say("done")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    assert_eq!(
        outline(&conversation).await[..2],
        ["SystemPrompt", "running"]
    );
    let requests = world.puppet.requests.lock().unwrap();
    assert_eq!(requests[0].messages.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_share_an_id_stay_apart() {
    let think = || Line::Call("think", serde_json::json!({"thought": "hm"}));
    let world = World::new(vec![think(), think(), Line::Say("done")]).await;
    *world.puppet.same_id.lock().unwrap() = Some("reply");
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::Finished).await;
    use core_model::Role::{Assistant, System, Tool, User};
    let requests = world.puppet.requests.lock().unwrap();
    let roles: Vec<_> = requests[2]
        .messages
        .iter()
        .map(ModelMessage::role)
        .collect();
    assert_eq!(roles, [System, User, Assistant, Tool, Assistant, Tool]);
}
