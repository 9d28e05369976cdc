//! Budgets, another model, and questions beside the conversation.

use agent_runtime::{NewConversation, RuntimeError};
use core_model::{
    ConversationSettings,
    ExecutionStatus::{Finished, Paused},
    LlmSettings,
    budget::{Budget, Budgets},
};
use llm_client::ModelMessage;
use serde_json::{Value, json};

use crate::harness::*;

fn with_budgets(conversation: Budget, turn: Budget) -> NewConversation {
    NewConversation {
        settings: ConversationSettings {
            budgets: Budgets { conversation, turn },
            ..ConversationSettings::default()
        },
        ..NewConversation::default()
    }
}

fn model_calls(most: u64) -> Budget {
    Budget {
        max_model_calls: Some(most),
        ..Budget::default()
    }
}

fn thinking(times: usize) -> Vec<Line> {
    (0..times)
        .map(|at| Line::Call("think", json!({"thought": format!("thought {at}")})))
        .collect()
}

async fn reached(conversation: &agent_runtime::Conversation) -> Vec<Value> {
    let events = events(conversation).await;
    let values = events
        .iter()
        .filter(|event| event["key"] == "budget_reached");
    values.map(|event| event["value"].clone()).collect()
}

#[tokio::test]
async fn a_budget_pauses_says_so_and_is_raised_by_one_request() {
    let world = World::new(thinking(5)).await;
    let new = with_budgets(model_calls(3), Budget::default());
    let conversation = world.conversation(new).await;
    say(&conversation, "do it").await;
    until(&conversation, Paused).await;
    assert_eq!(world.puppet.requests.lock().unwrap().len(), 3);
    let told = reached(&conversation).await;
    let expected =
        json!({"scope": "conversation", "limit": "max_model_calls", "max": 3.0, "spent": 3.0});
    assert_eq!(told, [expected]);

    let raised = Budgets {
        conversation: model_calls(100),
        ..Budgets::default()
    };
    conversation.set_budgets(raised).await.unwrap();
    conversation.run().await.unwrap();
    until(&conversation, Finished).await;
    let (budgets, spent) = conversation.budgets();
    assert_eq!(budgets, raised);
    assert_eq!((spent.model_calls, spent.tool_calls), (6, 5));
}

#[tokio::test]
async fn a_turn_s_budget_holds_for_each_turn_anew() {
    let world = World::new(thinking(8)).await;
    let new = with_budgets(Budget::default(), model_calls(2));
    let conversation = world.conversation(new).await;
    for turns in 1..=3 {
        say(&conversation, "go on").await;
        until(&conversation, Paused).await;
        assert_eq!(world.puppet.requests.lock().unwrap().len(), turns * 2);
        assert_eq!(reached(&conversation).await.len(), turns);
    }
}

#[tokio::test]
async fn of_several_calls_only_those_are_made_that_the_budget_allows() {
    let think = |thought: &str| ("think", json!({"thought": thought}));
    let world = World::new(vec![Line::Calls(vec![think("a"), think("b"), think("c")])]).await;
    let budget = Budget {
        max_tool_calls: Some(2),
        ..Budget::default()
    };
    let conversation = world
        .conversation(with_budgets(budget, Budget::default()))
        .await;
    say(&conversation, "do it").await;
    until(&conversation, Paused).await;
    let kinds = outline(&conversation).await;
    let done = kinds.iter().filter(|kind| *kind == "Observation").count();
    assert_eq!(done, 2, "{kinds:?}");
    conversation.set_budgets(Budgets::default()).await.unwrap();
    conversation.run().await.unwrap();
    until(&conversation, Finished).await;
}

#[tokio::test]
async fn a_cost_that_is_not_known_cannot_be_limited_and_that_is_said() {
    let world = World::new(thinking(3)).await;
    let budget = Budget {
        max_cost_usd: Some(1.0),
        ..Budget::default()
    };
    let conversation = world
        .conversation(with_budgets(budget, Budget::default()))
        .await;
    say(&conversation, "do it").await;
    until(&conversation, Paused).await;
    let told = reached(&conversation).await;
    assert_eq!(told[0]["limit"], "max_cost_usd");
    assert!(
        told[0]["detail"].as_str().unwrap().contains("price"),
        "{told:?}"
    );
    assert_eq!(world.puppet.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_limit_on_a_cost_that_cannot_be_known_is_refused_at_once() {
    let dollars = Budget {
        max_cost_usd: Some(1.0),
        ..Budget::default()
    };
    let budgets = |conversation| Budgets {
        conversation,
        ..Budgets::default()
    };
    let with_model = |model: &str| {
        let agent = core_model::Agent::with_usual_tools(LlmSettings {
            model: model.to_owned(),
            ..LlmSettings::default()
        });
        NewConversation {
            agent: Some(agent),
            ..with_budgets(Budget::default(), Budget::default())
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![]);
    let mut config = config(&folder, &puppet);
    config.connect = std::sync::Arc::new(llm_client::connect);
    let conversations = folder.path().join("conversations");
    let store = store_fs::FsStore::open(&conversations, Default::default()).unwrap();
    let runtime = start_with(config, std::sync::Arc::new(store)).await;
    let unknown = NewConversation {
        settings: with_budgets(dollars, Budget::default()).settings,
        ..with_model("openai/nobody-knows")
    };
    let refused = runtime.create(unknown).await.unwrap_err();
    assert!(refused.to_string().contains("price"), "{refused}");

    let unlimited = runtime.create(with_model("openai/nobody-knows")).await;
    let conversation = runtime.open(unlimited.unwrap().info.id).await.unwrap();
    let refused = conversation
        .set_budgets(budgets(dollars))
        .await
        .unwrap_err();
    assert!(matches!(refused, RuntimeError::Invalid(_)), "{refused}");

    let listed = runtime.create(with_model("openai/gpt-5")).await;
    let conversation = runtime.open(listed.unwrap().info.id).await.unwrap();
    conversation.set_budgets(budgets(dollars)).await.unwrap();
    let other = LlmSettings {
        model: "openai/nobody-knows".to_owned(),
        ..LlmSettings::default()
    };
    let refused = conversation.switch_llm(&other).await.unwrap_err();
    assert!(matches!(refused, RuntimeError::Invalid(_)), "{refused}");
    let priced = LlmSettings {
        input_cost_per_token: Some(0.0),
        output_cost_per_token: Some(0.0),
        ..other
    };
    conversation.switch_llm(&priced).await.unwrap();
}

#[tokio::test]
async fn what_is_asked_outside_of_a_run_heeds_the_budget_and_costs_without_words_too() {
    let world = World::new(vec![Line::Say(" "), Line::Say("because")]).await;
    let new = with_budgets(model_calls(1), Budget::default());
    let conversation = world.conversation(new).await;
    let silent = conversation.ask_agent("why?").await.unwrap_err();
    assert!(matches!(silent, RuntimeError::Model { .. }), "{silent}");
    assert_eq!(conversation.budgets().1.model_calls, 1);
    let refused = conversation.ask_agent("why?").await.unwrap_err();
    let RuntimeError::BudgetReached(reached) = refused else {
        panic!("{refused}");
    };
    assert_eq!(
        (reached.limit.as_str(), reached.spent),
        ("max_model_calls", 1.0)
    );
    let refused = conversation.condense().await.unwrap_err();
    assert!(
        matches!(refused, RuntimeError::BudgetReached(_)),
        "{refused}"
    );
    assert_eq!(world.puppet.requests.lock().unwrap().len(), 1);
    conversation.set_budgets(Budgets::default()).await.unwrap();
    assert_eq!(conversation.ask_agent("why?").await.unwrap(), "because");
}

#[tokio::test]
async fn each_call_has_its_latency_by_the_model_that_answered() {
    let fallback = llm_client::Fallback {
        from: "puppet".to_owned(),
        to: "openai/other".to_owned(),
        code: "LLMRateLimitError",
    };
    let reply = llm_client::ModelReply {
        blocks: vec![llm_client::Block::text("done")],
        latency: std::time::Duration::from_millis(1_500),
        fallback: Some(fallback),
        ..Default::default()
    };
    let world = World::new(vec![Line::Say("one"), Line::Reply(Box::new(reply))]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    for _ in 0..2 {
        say(&conversation, "hi").await;
        until(&conversation, Finished).await;
    }
    let stats = conversation.info().stats.usage_to_metrics;
    let latencies = &stats["default"].response_latencies;
    assert_eq!(latencies.len(), 2);
    let second = (latencies[1].model.as_str(), latencies[1].latency);
    assert_eq!(second, ("openai/other", 1.5));
    assert!(
        latencies
            .iter()
            .all(|latency| !latency.response_id.is_empty())
    );
    assert_eq!(conversation.info().spent.unpriced_calls, 2);
}

#[tokio::test]
async fn budgets_hold_after_a_restart_and_wrong_ones_are_refused() {
    let world = World::new(thinking(5)).await;
    let conversation = world.conversation(NewConversation::default()).await;
    let wrong = Budgets {
        turn: Budget {
            max_cost_usd: Some(-1.0),
            ..Budget::default()
        },
        ..Budgets::default()
    };
    let refused = conversation.set_budgets(wrong).await.unwrap_err();
    assert!(matches!(refused, RuntimeError::Invalid(_)), "{refused}");
    let right = Budgets {
        conversation: model_calls(2),
        ..Budgets::default()
    };
    conversation.set_budgets(right).await.unwrap();
    let id = conversation.id();
    drop(conversation);
    let world = world.restart().await;
    let conversation = world.runtime.open(id).await.unwrap();
    assert_eq!(conversation.budgets().0, right);
    say(&conversation, "do it").await;
    until(&conversation, Paused).await;
    assert_eq!(world.puppet.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn another_model_takes_over_and_is_told_as_an_event() {
    let world = World::new(vec![Line::Say("one"), Line::Say("two")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "hi").await;
    until(&conversation, Finished).await;
    let llm = LlmSettings {
        model: "openai/other".to_owned(),
        api_key: Some("very-secret".to_owned()),
        ..LlmSettings::default()
    };
    conversation.switch_llm(&llm).await.unwrap();
    assert_eq!(conversation.info().agent["llm"]["model"], "openai/other");
    let events = events(&conversation).await;
    let told = events.iter().find(|event| event["key"] == "agent").unwrap();
    assert_eq!(told["value"]["llm"]["model"], "openai/other");
    assert!(!told.to_string().contains("very-secret"));
    say(&conversation, "again").await;
    until(&conversation, Finished).await;
    let stats = conversation.info().stats.usage_to_metrics;
    assert_eq!(stats["default"].total.model_name, "openai/other");
}

#[tokio::test]
async fn a_question_is_answered_beside_the_conversation() {
    let world = World::new(vec![Line::Say("one"), Line::Say("because")]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "hi").await;
    until(&conversation, Finished).await;
    let before = outline(&conversation).await;
    let answer = conversation.ask_agent("why?").await.unwrap();
    assert_eq!(answer, "because");
    assert_eq!(outline(&conversation).await, before);
    let stats = conversation.info().stats.usage_to_metrics;
    assert!(stats.contains_key("ask-agent-llm"), "{stats:?}");
    let requests = world.puppet.requests.lock().unwrap();
    let asked: Vec<String> = requests[1]
        .messages
        .iter()
        .map(ModelMessage::text)
        .collect();
    assert!(asked.contains(&"hi".to_owned()), "{asked:?}");
    assert!(
        asked.iter().any(|text| text.starts_with("why?")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn title_and_tags_are_told_as_events_and_kept() {
    let world = World::new(vec![]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    let tags = [("team".to_owned(), "docs".to_owned())].into();
    conversation
        .change_details(Some("A title".to_owned()), Some(tags))
        .await
        .unwrap();
    assert_eq!(outline(&conversation).await, ["tags", "title"]);
    let id = conversation.id();
    drop(conversation);
    let world = world.restart().await;
    let info = world.runtime.open(id).await.unwrap().info();
    assert_eq!(info.title.as_deref(), Some("A title"));
    assert_eq!(info.tags["team"], "docs");
}
