//! Titles that a conversation gets by itself, and what was said on its branch.

use agent_runtime::{Conversation, NewConversation, RuntimeError};
use core_model::{
    ConversationSettings, EventId,
    ExecutionStatus::{Finished, Running},
    budget::{Budget, Budgets},
};
use llm_client::ModelError;
use serde_json::json;
use tokio::time::timeout;

use crate::harness::*;

/// The lines are for the agent and for the titles, whichever asks first.
async fn world(lines: Vec<Line>) -> (World, Conversation) {
    let world = World::new(lines).await;
    let new = NewConversation::default();
    let conversation = world.conversation_as_asked(new).await;
    (world, conversation)
}

async fn titled(conversation: &Conversation) -> String {
    let reached = async {
        loop {
            if let Some(title) = conversation.info().title {
                return title;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(GIVE_UP, reached).await.expect("it gets a title")
}

async fn note(conversation: &Conversation, text: &str) {
    let content = vec![core_model::Content::text(text)];
    conversation.send_message(content, false).await.unwrap();
}

fn failing() -> Line {
    Line::Fail(ModelError::Authentication("no".to_owned()))
}

fn titles(outline: &[String]) -> usize {
    outline.iter().filter(|told| *told == "title").count()
}

#[tokio::test]
async fn the_first_message_gets_a_title_by_the_model_and_its_cost_is_counted() {
    let (world, conversation) = world(vec![Line::Say("\"Say hello\"\n\nIt fits.")]).await;
    note(&conversation, "Please say hello.").await;
    assert_eq!(titled(&conversation).await, "Say hello");
    let requests = world.puppet.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].messages[1].text().contains("Please say hello."));
    let (_, spent) = conversation.budgets();
    assert_eq!((spent.model_calls, spent.tokens), (1, 10));
    // It is told as one event, and the second message changes nothing.
    note(&conversation, "And again.").await;
    assert_eq!(titles(&outline(&conversation).await), 1);
    assert_eq!(world.puppet.requests.lock().unwrap().len(), 1);
    let id = conversation.id();
    drop(conversation);
    let world = world.restart().await;
    let info = world.runtime.open(id).await.unwrap().info();
    assert_eq!(info.title.as_deref(), Some("Say hello"));
}

#[tokio::test]
async fn a_model_that_fails_or_says_nothing_leaves_the_beginning_of_the_message() {
    for line in [failing(), Line::Say("<think>hm</think>")] {
        let (_world, conversation) = world(vec![line]).await;
        note(&conversation, "\nCount the files.\nThen stop.").await;
        assert_eq!(titled(&conversation).await, "Count the files.");
        let outline = outline(&conversation).await;
        assert!(
            !outline.contains(&"ConversationError".to_owned()),
            "{outline:?}"
        );
    }
}

#[tokio::test]
async fn a_title_of_the_user_s_own_stays() {
    let (world, conversation) = world(vec![Line::Gate, Line::Say("By the model")]).await;
    note(&conversation, "hi").await;
    timeout(GIVE_UP, world.puppet.reached.notified())
        .await
        .unwrap();
    let own = Some("My own".to_owned());
    conversation.change_details(own, None).await.unwrap();
    world.puppet.open.notify_one();
    let counted = async {
        while conversation.budgets().1.model_calls == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(GIVE_UP, counted).await.unwrap();
    assert_eq!(conversation.info().title.as_deref(), Some("My own"));
    assert_eq!(titles(&outline(&conversation).await), 1);
}

#[tokio::test]
async fn what_a_title_costs_is_counted_beside_a_running_turn() {
    let (world, conversation) = world(vec![Line::Gate, Line::Gate]).await;
    say(&conversation, "hi").await;
    for _ in 0..2 {
        timeout(GIVE_UP, world.puppet.reached.notified())
            .await
            .unwrap();
        if world.puppet.requests.lock().unwrap().len() == 2 {
            break;
        }
    }
    assert_eq!(conversation.info().execution_status, Running);
    world.puppet.open.notify_one();
    world.puppet.open.notify_one();
    let counted = async {
        while conversation.budgets().1.model_calls < 2 {
            world.puppet.open.notify_one();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(GIVE_UP, counted)
        .await
        .expect("both calls are counted");
    until(&conversation, Finished).await;
    assert_eq!(conversation.budgets().1.tokens, 20);
}

#[tokio::test]
async fn without_a_wish_or_a_budget_no_model_is_asked() {
    let (world, first) = world(vec![]).await;
    let limited = Budgets {
        conversation: Budget {
            max_model_calls: Some(0),
            ..Budget::default()
        },
        ..Budgets::default()
    };
    first.set_budgets(limited).await.unwrap();
    note(&first, "Count the files.").await;
    assert_eq!(titled(&first).await, "Count the files.");
    let second = world.conversation(NewConversation::default()).await;
    note(&second, "Count the files.").await;
    assert_eq!(
        outline(&second).await.last().unwrap(),
        "last_user_message_id"
    );
    assert_eq!(second.info().title, None);
    assert!(world.puppet.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_title_is_generated_on_request_and_not_kept() {
    let world = World::new(vec![Line::Say("Of the model's making"), failing()]).await;
    let new = NewConversation {
        settings: ConversationSettings {
            title_prompt: Some("Short: {max_length}".to_owned()),
            ..ConversationSettings::default()
        },
        ..NewConversation::default()
    };
    let conversation = world.conversation(new).await;
    let none = conversation.generate_title(None, 50).await.unwrap_err();
    assert!(matches!(none, RuntimeError::Invalid(_)), "{none:?}");
    note(&conversation, "Count the files.").await;
    note(&conversation, "Not this.").await;
    let title = conversation.generate_title(None, 10).await.unwrap();
    assert_eq!(title, "Of the mo…");
    let asked = world.puppet.requests.lock().unwrap()[0].messages[1].text();
    assert_eq!(asked, "Short: 10\n\nCount the files.");
    let title = conversation.generate_title(None, 50).await.unwrap();
    assert_eq!(title, "Count the files.");
    assert_eq!(conversation.info().title, None);
    assert_eq!(conversation.budgets().1.model_calls, 1);
}

#[tokio::test]
async fn only_what_leads_to_head_was_said() {
    let world = World::new(vec![
        Line::Say("one"),
        Line::Call("finish", json!({"message": "two"})),
    ])
    .await;
    let conversation = world.conversation(NewConversation::default()).await;
    assert_eq!(conversation.final_response().await.unwrap(), "");
    for text in ["first", "second"] {
        say(&conversation, text).await;
        until(&conversation, Finished).await;
    }
    assert_eq!(conversation.final_response().await.unwrap(), "two");
    let events = events(&conversation).await;
    let second = events.iter().find(|event| {
        event["kind"] == "MessageEvent" && event["llm_message"].to_string().contains("second")
    });
    let head = EventId(second.unwrap()["id"].as_str().unwrap().to_owned());
    conversation.navigate(Some(head)).await.unwrap();
    assert_eq!(conversation.final_response().await.unwrap(), "one");
    conversation.navigate(None).await.unwrap();
    assert_eq!(conversation.final_response().await.unwrap(), "");
}
