//! Budgets that several conversations share: those of an API key, and all of the server.

use std::sync::Arc;

use agent_runtime::{Conversation, NewConversation, Resumed, RuntimeError};
use core_model::{
    ConversationSettings,
    ExecutionStatus::{Finished, Paused},
    shared_budget::{PeriodBudget, SharedBudgets},
};
use serde_json::{Value, json};

use crate::harness::*;

fn calls(most: u64) -> PeriodBudget {
    PeriodBudget {
        max_model_calls: Some(most),
        ..PeriodBudget::default()
    }
}

fn for_server(budget: PeriodBudget) -> Option<SharedBudgets> {
    Some(SharedBudgets {
        server: budget,
        ..SharedBudgets::default()
    })
}

fn for_key(name: &str, budget: PeriodBudget) -> Option<SharedBudgets> {
    Some(SharedBudgets {
        keys: [(name.to_owned(), budget)].into(),
        ..SharedBudgets::default()
    })
}

fn of_key(name: &str) -> NewConversation {
    NewConversation {
        settings: ConversationSettings {
            api_key_name: Some(name.to_owned()),
            ..ConversationSettings::default()
        },
        ..NewConversation::default()
    }
}

fn thinking(times: usize) -> Vec<Line> {
    (0..times)
        .map(|at| Line::Call("think", json!({"thought": format!("thought {at}")})))
        .collect()
}

async fn reached(conversation: &Conversation) -> Vec<Value> {
    let events = events(conversation).await;
    let values = events
        .iter()
        .filter(|event| event["key"] == "budget_reached");
    values.map(|event| event["value"].clone()).collect()
}

fn asked(world: &World) -> usize {
    world.puppet.requests.lock().unwrap().len()
}

#[tokio::test]
async fn the_server_s_budget_pauses_every_conversation_until_one_request_raises_it() {
    let world = World::new(thinking(3)).await;
    let runtime = &world.runtime;
    runtime
        .set_shared_budgets(for_server(calls(3)))
        .await
        .unwrap();
    let first = world.conversation(NewConversation::default()).await;
    say(&first, "do it").await;
    until(&first, Paused).await;
    let second = world.conversation(NewConversation::default()).await;
    say(&second, "and this").await;
    until(&second, Paused).await;
    assert_eq!(asked(&world), 3);
    let told = json!({
        "scope": "server", "period": "total", "limit": "max_model_calls", "max": 3.0, "spent": 3.0,
    });
    assert_eq!(reached(&second).await, [told]);
    let refused = first.ask_agent("why?").await.unwrap_err();
    assert!(
        matches!(refused, RuntimeError::BudgetReached(_)),
        "{refused}"
    );

    let none = runtime.resume_paused_by_shared_budgets().await.unwrap();
    assert_eq!(none, Resumed::default());
    runtime
        .set_shared_budgets(for_server(calls(100)))
        .await
        .unwrap();
    let both = runtime.resume_paused_by_shared_budgets().await.unwrap();
    assert_eq!((both.resumed, both.left_paused), (2, 0));
    until(&first, Finished).await;
    until(&second, Finished).await;
    let used = runtime.shared_budgets().await;
    assert!(used.by_request);
    assert_eq!((used.server.spent.model_calls, asked(&world)), (5, 5));
    assert_eq!(used.server.spent.tool_calls, 3);
}

#[tokio::test]
async fn a_key_s_budget_counts_what_its_conversations_spent_before_they_were_deleted() {
    let world = World::new(vec![Line::Say("one"), Line::Say("two"), Line::Say("three")]).await;
    let deleted = world.conversation(of_key("ci")).await;
    say(&deleted, "hi").await;
    until(&deleted, Finished).await;
    let id = deleted.id();
    drop(deleted);
    world.runtime.delete(id).await.unwrap();
    let world = world.restart().await;
    let daily = PeriodBudget {
        period: core_model::budget::Period::Month,
        ..calls(1)
    };
    let budgets = for_key("ci", daily);
    world.runtime.set_shared_budgets(budgets).await.unwrap();
    let used = world.runtime.shared_budgets().await;
    assert_eq!(used.keys["ci"].spent.model_calls, 1);

    let other = world.conversation(of_key("people")).await;
    say(&other, "hi").await;
    until(&other, Finished).await;
    let same = world.conversation(of_key("ci")).await;
    say(&same, "hi").await;
    until(&same, Paused).await;
    let told = &reached(&same).await[0];
    assert_eq!(
        (&told["scope"], &told["key"]),
        (&json!("key"), &json!("ci"))
    );
    assert_eq!(asked(&world), 2);

    // Limits that a request set hold after a restart, too.
    let id = same.id();
    drop((same, other));
    let world = world.restart().await;
    let same = world.runtime.open(id).await.unwrap();
    same.run().await.unwrap();
    until(&same, Paused).await;
    assert_eq!((reached(&same).await.len(), asked(&world)), (2, 2));
    world.runtime.set_shared_budgets(None).await.unwrap();
    same.run().await.unwrap();
    until(&same, Finished).await;
}

#[tokio::test]
async fn conversations_that_run_at_the_same_time_exceed_it_by_one_call_each_at_most() {
    let world = World::new(thinking(50)).await;
    let budgets = for_server(calls(10));
    world.runtime.set_shared_budgets(budgets).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(world.conversation(NewConversation::default()).await);
    }
    for conversation in &all {
        say(conversation, "do it").await;
    }
    for conversation in &all {
        until(conversation, Paused).await;
    }
    let asked = asked(&world);
    assert!((10..=13).contains(&asked), "{asked} calls were made");
    let used = world.runtime.shared_budgets().await;
    assert_eq!(used.server.spent.model_calls, asked as u64);
}

#[tokio::test]
async fn configured_limits_hold_until_a_request_sets_others() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![]);
    let conversations = folder.path().join("conversations");
    let store = store_fs::FsStore::open(&conversations, Default::default()).unwrap();
    let mut config = config(&folder, &puppet);
    config.shared_budgets = for_server(calls(0)).unwrap();
    let runtime = start_with(config, Arc::new(store)).await;
    let id = runtime.create(NewConversation::default()).await.unwrap();
    let conversation = runtime.open(id.info.id).await.unwrap();
    say(&conversation, "hi").await;
    until(&conversation, Paused).await;
    assert!(!runtime.shared_budgets().await.by_request);
    let wrong = for_server(PeriodBudget {
        max_cost_usd: Some(f64::NAN),
        ..PeriodBudget::default()
    });
    let refused = runtime.set_shared_budgets(wrong).await.unwrap_err();
    assert!(
        refused.to_string().contains("server.max_cost_usd"),
        "{refused}"
    );
    let unlimited = Some(SharedBudgets::default());
    runtime.set_shared_budgets(unlimited).await.unwrap();
    conversation.run().await.unwrap();
    until(&conversation, Finished).await;
}
