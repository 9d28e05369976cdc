//! When a message reaches an agent that works, and what is told while it waits for a person.

use agent_runtime::{Conversation, Delivery, Fork, NewConversation, RuntimeError, Start};
use core_model::{ConfirmationPolicy, Content, ConversationSettings, EventId, ExecutionStatus};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::*;

fn text(words: &str) -> Vec<Content> {
    vec![Content::text(words)]
}

async fn queue(conversation: &Conversation, words: &str) {
    let delivered = conversation.deliver(text(words), Delivery::Queue).await;
    delivered.unwrap();
}

/// What users said, in the order of the log.
async fn said_by_users(conversation: &Conversation) -> Vec<String> {
    let events = events(conversation).await;
    let of_users = events.iter().filter(|event| event["source"] == "user");
    let texts = of_users.filter_map(|event| event["llm_message"]["content"][0]["text"].as_str());
    texts.map(str::to_owned).collect()
}

/// The values of a state key, in the order of the log.
async fn told(conversation: &Conversation, key: &str) -> Vec<Value> {
    let events = events(conversation).await;
    let of_key = events.into_iter().filter(|event| event["key"] == key);
    of_key.map(|mut event| event["value"].take()).collect()
}

async fn asking(world: &World) -> Conversation {
    let settings = ConversationSettings {
        confirmation_policy: ConfirmationPolicy::AlwaysConfirm {},
        ..ConversationSettings::default()
    };
    let new = NewConversation {
        settings,
        ..NewConversation::default()
    };
    world.conversation(new).await
}

/// Waits until the log has so many events of which this is true.
async fn until_logged(conversation: &Conversation, count: usize, fits: impl Fn(&Value) -> bool) {
    let logged = async {
        let mut follower = conversation.follow(&Start::Live).await.unwrap();
        while events(conversation)
            .await
            .iter()
            .filter(|event| fits(event))
            .count()
            < count
        {
            follower.next().await.unwrap();
        }
    };
    let logged = timeout(GIVE_UP, logged).await;
    logged.expect("the events are logged before the test gives up");
}

async fn until_said(conversation: &Conversation, count: usize) {
    let says = |event: &Value| event["source"] == "agent" && event["kind"] == "MessageEvent";
    until_logged(conversation, count, says).await;
}

fn act() -> Line {
    Line::Call("terminal", json!({"command": "true"}))
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_messages_get_a_turn_each_when_the_one_before_has_finished() {
    let lines = vec![
        Line::Gate,
        Line::Say("one"),
        Line::Say("two"),
        Line::Say("three"),
    ];
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "first").await;
    world.puppet.reached.notified().await;
    queue(&conversation, "second").await;
    queue(&conversation, "third").await;
    let waiting = conversation.queued_messages();
    assert_eq!(waiting.len(), 2);
    assert_eq!(said_by_users(&conversation).await, ["first"]);
    world.puppet.open.notify_one();
    until(&conversation, ExecutionStatus::Finished).await;
    until_said(&conversation, 3).await;
    assert_eq!(
        said_by_users(&conversation).await,
        ["first", "second", "third"]
    );
    assert!(conversation.queued_messages().is_empty());
    let statuses = told(&conversation, "execution_status").await;
    let turn = ["running", "finished"];
    assert_eq!(statuses, [turn, turn, turn].concat());
    // The event has the id that the message had while it waited.
    let events = events(&conversation).await;
    assert!(events.iter().any(|event| event["id"] == waiting[0].id.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_can_be_changed_and_taken_back() {
    let world = World::new(vec![Line::Gate, Line::Say("one"), Line::Say("two")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "first").await;
    world.puppet.reached.notified().await;
    queue(&conversation, "second").await;
    queue(&conversation, "third").await;
    let ids: Vec<EventId> = conversation
        .queued_messages()
        .into_iter()
        .map(|message| message.id)
        .collect();
    let changed = conversation.change_queued(ids[0].clone(), text("other"));
    changed.await.unwrap();
    conversation.take_back_queued(ids[1].clone()).await.unwrap();
    let again = conversation.take_back_queued(ids[1].clone()).await;
    assert!(matches!(again, Err(RuntimeError::NotQueued(_))));
    let empty = conversation.change_queued(ids[0].clone(), Vec::new()).await;
    assert!(matches!(empty, Err(RuntimeError::Invalid(_))));
    world.puppet.open.notify_one();
    until_said(&conversation, 2).await;
    assert_eq!(said_by_users(&conversation).await, ["first", "other"]);
    let late = conversation
        .change_queued(ids[0].clone(), text("late"))
        .await;
    assert!(matches!(late, Err(RuntimeError::NotQueued(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_outlives_a_restart_and_goes_on_with_the_next_run() {
    let world = World::new(vec![Line::Gate]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    let id = conversation.id();
    say(&conversation, "first").await;
    world.puppet.reached.notified().await;
    queue(&conversation, "second").await;
    drop(conversation);
    let world = world.restart().await;
    world.puppet.clear();
    let conversation = world.runtime.open(id).await.unwrap();
    assert_eq!(conversation.queued_messages().len(), 1);
    conversation.run().await.unwrap();
    until_said(&conversation, 2).await;
    until(&conversation, ExecutionStatus::Finished).await;
    assert_eq!(said_by_users(&conversation).await, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_message_starts_a_turn_when_none_is_active_and_leaves_an_approval_alone() {
    let world = World::new(vec![
        Line::Say("one"),
        act(),
        Line::Say("two"),
        Line::Say("three"),
    ]);
    let world = world.await;
    let conversation = asking(&world).await;
    queue(&conversation, "first").await;
    until(&conversation, ExecutionStatus::Finished).await;
    say(&conversation, "act").await;
    until(&conversation, ExecutionStatus::WaitingForConfirmation).await;
    queue(&conversation, "later").await;
    let status = conversation.info().execution_status;
    assert_eq!(status, ExecutionStatus::WaitingForConfirmation);
    conversation
        .respond_to_confirmation(true, "")
        .await
        .unwrap();
    until_said(&conversation, 3).await;
    let kind = |event: &Value| event["source"] == "user" && event["kind"] == "MessageEvent";
    let last = events(&conversation).await.iter().rposition(kind).unwrap();
    let observed = events(&conversation)
        .await
        .iter()
        .position(|it| it["kind"] == "ObservationEvent");
    assert!(observed.unwrap() < last);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupting_message_takes_the_place_of_what_runs() {
    let world = World::new(vec![
        Line::Call("terminal", json!({"command": "sleep 1000"})),
        Line::Say("other"),
    ]);
    let world = world.await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "sleep").await;
    until_logged(&conversation, 1, |event| event["kind"] == "ActionEvent").await;
    let instead = conversation.deliver(text("instead"), Delivery::Interrupt);
    instead.await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
    let all = outline(&conversation).await;
    let at = |kind: &str| all.iter().rposition(|it| it == kind).unwrap();
    assert_eq!(said_by_users(&conversation).await, ["sleep", "instead"]);
    assert!(at("AgentError") < at("Interrupt"), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_messages_than_a_queue_holds_are_refused() {
    let world = World::new(vec![Line::Gate]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "first").await;
    world.puppet.reached.notified().await;
    for _ in 0..32 {
        queue(&conversation, "more").await;
    }
    let refused = conversation.deliver(text("more"), Delivery::Queue).await;
    assert!(matches!(
        refused,
        Err(RuntimeError::QueueFull { limit: 32 })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_person_is_told_once_and_so_is_its_end() {
    let failing = Line::Fail(llm_client::ModelError::Quota("empty".to_owned()));
    let world = World::new(vec![act(), failing, Line::Say("done")]).await;
    let conversation = asking(&world).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::WaitingForConfirmation).await;
    let waiting = told(&conversation, "waiting").await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["for"], "approval");
    assert_eq!(waiting[0]["actions"].as_array().unwrap().len(), 1);
    assert!(waiting[0]["since"].as_str().unwrap().ends_with('Z'));
    conversation
        .respond_to_confirmation(true, "")
        .await
        .unwrap();
    until(&conversation, ExecutionStatus::Error).await;
    let waiting = told(&conversation, "waiting").await;
    let what_for: Vec<&Value> = waiting.iter().map(|told| &told["for"]).collect();
    assert_eq!(
        what_for,
        [&json!("approval"), &Value::Null, &json!("error")]
    );
    say(&conversation, "again").await;
    until(&conversation, ExecutionStatus::Finished).await;
    assert_eq!(told(&conversation, "waiting").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_neither_the_queue_nor_the_waiting_of_its_original() {
    let world = World::new(vec![act()]).await;
    let conversation = asking(&world).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::WaitingForConfirmation).await;
    queue(&conversation, "later").await;
    let copy = world.runtime.fork(conversation.id(), Fork::default());
    let copy = world.runtime.open(copy.await.unwrap().id).await.unwrap();
    assert!(copy.queued_messages().is_empty());
    assert_eq!(told(&copy, "waiting").await.last(), Some(&Value::Null));
    assert_eq!(conversation.queued_messages().len(), 1);
    say(&copy, "and now").await;
    until(&copy, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_on_is_no_consent() {
    let world = World::new(vec![act(), Line::Say("done")]).await;
    let conversation = asking(&world).await;
    say(&conversation, "go").await;
    until(&conversation, ExecutionStatus::WaitingForConfirmation).await;
    conversation.go_on().await.unwrap();
    let status = conversation.info().execution_status;
    assert_eq!(status, ExecutionStatus::WaitingForConfirmation);
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}
