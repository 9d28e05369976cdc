//! Copies of a conversation, and going back in one.

use agent_runtime::{Conversation, Fork, NewConversation, RuntimeError};
use core_model::{
    ConfirmationPolicy, ConversationSettings, EventId,
    ExecutionStatus::{Finished, Idle, WaitingForConfirmation},
};
use llm_client::ModelMessage;
use serde_json::{Value, json};

use crate::harness::*;

fn said(request: &llm_client::ModelRequest) -> Vec<String> {
    let messages = request.messages.iter();
    let messages = messages.filter(|message| !matches!(message, ModelMessage::System(_)));
    messages.map(ModelMessage::text).collect()
}

fn id_of(events: &[Value], text: &str) -> EventId {
    let found = events.iter().find(|event| {
        event["kind"] == "MessageEvent" && event["llm_message"].to_string().contains(text)
    });
    EventId(found.unwrap()["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_copy_goes_on_by_itself() {
    let world = World::new(vec![Line::Say("one"), Line::Say("two"), Line::Say("three")]).await;
    let original = world.conversation(NewConversation::default()).await;
    say(&original, "hi").await;
    until(&original, Finished).await;
    let fork = Fork {
        title: Some("Copy".to_owned()),
        ..Fork::default()
    };
    let info = world.runtime.fork(original.id(), fork).await.unwrap();
    assert_eq!(info.execution_status, Idle);
    assert_eq!(info.forked_from_conversation_id, Some(original.id()));
    assert_eq!(info.title.as_deref(), Some("Copy"));
    assert!(info.stats.usage_to_metrics.is_empty());

    let copy = world.runtime.open(info.id).await.unwrap();
    assert_eq!(copy.budgets().1, core_model::budget::Spent::default());
    say(&copy, "and then?").await;
    until(&copy, Finished).await;
    say(&original, "go on").await;
    until(&original, Finished).await;
    let requests = world.puppet.requests.lock().unwrap().clone();
    assert_eq!(said(&requests[1]), ["hi", "one", "and then?"]);
    assert_eq!(said(&requests[2]), ["hi", "one", "go on"]);
    let ids = |events: Vec<Value>| -> Vec<Value> {
        let heads = events
            .iter()
            .filter(|event| event["kind"] == "MessageEvent");
        heads.map(|event| event["id"].clone()).take(2).collect()
    };
    assert_eq!(ids(events(&copy).await), ids(events(&original).await));
}

#[tokio::test]
async fn a_copy_up_to_an_event_has_only_what_led_to_it() {
    let world = World::new(vec![Line::Say("one"), Line::Say("two"), Line::Say("three")]).await;
    let original = world.conversation(NewConversation::default()).await;
    for text in ["first", "second"] {
        say(&original, text).await;
        until(&original, Finished).await;
    }
    let from = id_of(&events(&original).await, "one");
    let fork = Fork {
        from: Some(from),
        keep_metrics: true,
        ..Fork::default()
    };
    let info = world.runtime.fork(original.id(), fork).await.unwrap();
    assert!(!info.stats.usage_to_metrics.is_empty());
    let copy = world.runtime.open(info.id).await.unwrap();
    say(&copy, "another").await;
    until(&copy, Finished).await;
    let requests = world.puppet.requests.lock().unwrap().clone();
    assert_eq!(said(&requests[2]), ["first", "one", "another"]);
}

#[tokio::test]
async fn a_copy_of_a_conversation_that_waits_makes_none_of_its_calls() {
    let world = World::new(vec![
        Line::Call("terminal", terminal("echo hi")),
        Line::Say("two"),
    ])
    .await;
    let new = NewConversation {
        settings: ConversationSettings {
            confirmation_policy: ConfirmationPolicy::AlwaysConfirm {},
            ..ConversationSettings::default()
        },
        ..NewConversation::default()
    };
    let original = world.conversation(new).await;
    say(&original, "hi").await;
    until(&original, WaitingForConfirmation).await;
    let info = world
        .runtime
        .fork(original.id(), Fork::default())
        .await
        .unwrap();
    assert_eq!(info.execution_status, Idle);
    let copy = world.runtime.open(info.id).await.unwrap();
    say(&copy, "well?").await;
    until(&copy, Finished).await;
    let kinds = outline(&copy).await;
    assert!(!kinds.contains(&"Observation".to_owned()), "{kinds:?}");
}

fn plan(title: &str) -> Line {
    let tasks = json!([{"title": title, "status": "todo"}]);
    Line::Call(
        "task_tracker",
        json!({"command": "plan", "task_list": tasks}),
    )
}

fn log_of(world: &World, conversation: &Conversation) -> Vec<u8> {
    let id = conversation.id().to_string();
    let folder = world.folder.path().join("conversations").join(id);
    std::fs::read(folder.join("events.jsonl")).unwrap()
}

#[tokio::test]
async fn a_whole_copy_begins_with_the_same_bytes_and_ends_with_what_is_its_own() {
    let lines = ["one", "two", "three"].map(Line::Say);
    let world = World::new(lines.into()).await;
    let original = world.conversation(NewConversation::default()).await;
    say(&original, "hi").await;
    until(&original, Finished).await;
    let tags = |name: &str| Some([("name".to_owned(), name.to_owned())].into());
    original
        .change_details(Some("Theirs".to_owned()), tags("theirs"))
        .await
        .unwrap();
    let spent = original.budgets().1;
    let before = log_of(&world, &original);
    let fork = Fork {
        tags: tags("ours"),
        ..Fork::default()
    };
    let ours = world.runtime.fork(original.id(), fork).await.unwrap();
    let kept = Fork {
        title: Some("Theirs".to_owned()),
        keep_metrics: true,
        ..Fork::default()
    };
    let kept = world.runtime.fork(original.id(), kept).await.unwrap();
    assert_eq!(log_of(&world, &original), before);
    for (info, title, name, spends) in [
        (&ours, None, "ours", false),
        (&kept, Some("Theirs"), "theirs", true),
    ] {
        let copy = world.runtime.open(info.id).await.unwrap();
        assert!(log_of(&world, &copy).starts_with(&before));
        assert_eq!(
            (info.title.as_deref(), info.tags["name"].as_str()),
            (title, name)
        );
        assert_eq!(info.stats.usage_to_metrics.is_empty(), !spends);
        let expected = if spends { spent } else { Default::default() };
        assert_eq!(copy.budgets().1, expected);
        // The log alone tells the same: of the last update of a key.
        let told = events(&copy).await;
        let last = |key: &str| {
            let of = told.iter().rev().find(|event| event["key"] == key);
            of.unwrap()["value"].clone()
        };
        assert_eq!(last("title"), json!(title));
        assert_eq!(last("tags"), json!({"name": name}));
        assert_eq!(last("stats")["usage_to_metrics"] == json!({}), !spends);
    }
    let (ours, kept) = (ours.id, kept.id);
    drop(original);
    let world = world.restart().await;
    for (id, spends) in [(ours, false), (kept, true)] {
        let copy = world.runtime.open(id).await.unwrap();
        assert_eq!(copy.info().execution_status, Idle);
        let expected = if spends { spent } else { Default::default() };
        assert_eq!(copy.budgets().1, expected);
        say(&copy, "and then?").await;
        until(&copy, Finished).await;
        assert_eq!(copy.budgets().1.model_calls, expected.model_calls + 1);
    }
}

#[tokio::test]
async fn a_copy_has_the_task_list_of_its_last_event() {
    let lines = vec![
        plan("early"),
        Line::Say("planned early"),
        plan("late"),
        Line::Say("planned late"),
    ];
    let world = World::new(lines).await;
    let original = world.conversation(NewConversation::default()).await;
    for text in ["first", "second"] {
        say(&original, text).await;
        until(&original, Finished).await;
    }
    let told = events(&original).await;
    for (from, title) in [
        (None, "late"),
        (Some(id_of(&told, "planned early")), "early"),
    ] {
        let fork = Fork {
            from,
            ..Fork::default()
        };
        let info = world.runtime.fork(original.id(), fork).await.unwrap();
        let folder = world
            .folder
            .path()
            .join("conversations")
            .join(info.id.to_string());
        let file = folder.join("TASKS.json");
        let tasks = || -> Value { serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap() };
        assert_eq!(tasks()[0]["title"], title);
        // As a crash right after the copy leaves it.
        std::fs::remove_file(&file).unwrap();
        world.puppet.clear();
        let view = Line::Call("task_tracker", json!({"command": "view"}));
        world.puppet.say([view, Line::Say("seen")].into_iter());
        let copy = world.runtime.open(info.id).await.unwrap();
        say(&copy, "what is to be done?").await;
        until(&copy, Finished).await;
        let viewed = events(&copy).await;
        let viewed = viewed
            .iter()
            .rev()
            .find(|event| event["kind"] == "ObservationEvent");
        assert_eq!(
            viewed.unwrap()["observation"]["task_list"][0]["title"],
            title
        );
    }
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused() {
    let world = World::new(vec![]).await;
    let original = world.conversation(NewConversation::default()).await;
    let taken = Fork {
        id: Some(original.id()),
        ..Fork::default()
    };
    let refused = world.runtime.fork(original.id(), taken).await.unwrap_err();
    assert!(matches!(refused, RuntimeError::IdTaken(_)), "{refused}");
    let unknown = Fork {
        from: Some(EventId("nothing".to_owned())),
        ..Fork::default()
    };
    let refused = world
        .runtime
        .fork(original.id(), unknown)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, RuntimeError::UnknownEvent(_)),
        "{refused}"
    );
}

#[tokio::test]
async fn going_back_leaves_a_branch_that_the_model_does_not_see() {
    let lines = ["one", "two", "three", "four"].map(Line::Say);
    let world = World::new(lines.into()).await;
    let conversation = world.conversation(NewConversation::default()).await;
    for text in ["first", "second"] {
        say(&conversation, text).await;
        until(&conversation, Finished).await;
    }
    let told = events(&conversation).await;
    let one = id_of(&told, "one");
    conversation.navigate(Some(one.clone())).await.unwrap();
    assert_eq!(conversation.info().execution_status, Idle);
    assert_eq!(conversation.info().leaf_event_id, Some(one.clone()));
    say(&conversation, "instead").await;
    until(&conversation, Finished).await;
    // And after a restart.
    let id = conversation.id();
    drop(conversation);
    let world = world.restart().await;
    let conversation = world.runtime.open(id).await.unwrap();
    say(&conversation, "more").await;
    until(&conversation, Finished).await;
    let requests = world.puppet.requests.lock().unwrap().clone();
    assert_eq!(said(&requests[2]), ["first", "one", "instead"]);
    assert_eq!(
        said(&requests[3]),
        ["first", "one", "instead", "three", "more"]
    );

    let state = events(&conversation).await;
    let update = state
        .iter()
        .find(|event| event["key"] == "leaf_event_id")
        .unwrap();
    assert_eq!(update["value"], json!(one.0));
    for wrong in [
        EventId("nothing".to_owned()),
        EventId(update["id"].as_str().unwrap().to_owned()),
    ] {
        let refused = conversation.navigate(Some(wrong)).await.unwrap_err();
        assert!(
            matches!(refused, RuntimeError::UnknownEvent(_)),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_conversation_can_begin_again() {
    let world = World::new(vec![Line::Say("one"), Line::Say("two")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "first").await;
    until(&conversation, Finished).await;
    conversation.navigate(None).await.unwrap();
    say(&conversation, "anew").await;
    until(&conversation, Finished).await;
    let requests = world.puppet.requests.lock().unwrap().clone();
    assert_eq!(said(&requests[1]), ["anew"]);
    let systems = requests[1].messages.iter();
    let systems = systems.filter(|message| matches!(message, ModelMessage::System(_)));
    assert_eq!(systems.count(), 1);
}
