//! The older part of a conversation becomes a summary, and the conversation goes on.

use agent_runtime::{NewConversation, RuntimeError};
use core_model::{
    Agent,
    ExecutionStatus::{Error, Finished, Idle, Running},
    LlmSettings,
};
use llm_client::{Block, ModelError, ModelMessage, ModelReply, ModelRequest, StopReason};
use serde_json::{Value, json};

use crate::harness::*;

fn condensing(condenser: Value) -> NewConversation {
    NewConversation {
        agent: Some(Agent {
            condenser: Some(condenser),
            ..Agent::with_usual_tools(LlmSettings::default())
        }),
        ..NewConversation::default()
    }
}

fn thinking(times: usize) -> Vec<Line> {
    (0..times)
        .map(|at| Line::Call("think", json!({"thought": format!("thought {at}")})))
        .collect()
}

fn texts(request: &ModelRequest) -> String {
    let mut texts = Vec::new();
    for message in &request.messages {
        texts.push(message.text());
        texts.extend(message.calls().map(|call| call.arguments.clone()));
    }
    texts.join("\n")
}

/// Each call of a request is followed by its answer, and no answer stands alone.
fn assert_paired(request: &ModelRequest) {
    let mut open: Vec<&str> = Vec::new();
    for message in &request.messages {
        if let ModelMessage::ToolResult { call_id, .. } = message {
            let at = open.iter().position(|id| *id == call_id.as_str());
            open.remove(at.expect("an answer follows its call"));
        } else {
            assert_eq!(open, [""; 0], "a call lost its answer");
            open.extend(message.calls().map(|call| call.id.as_str()));
        }
    }
    assert_eq!(open, [""; 0]);
}

#[tokio::test]
async fn a_long_conversation_is_condensed_on_its_own() {
    let mut lines = thinking(5);
    lines.push(Line::Say("the summary"));
    lines.extend(thinking(2));
    let world = World::new(lines).await;
    let settings = json!({"kind": "LLMSummarizingCondenser", "max_size": 10, "keep_first": 2});
    let conversation = world.conversation(condensing(settings)).await;
    say(&conversation, "do it").await;
    until(&conversation, Finished).await;
    let kinds = outline(&conversation).await;
    let condensed = kinds.iter().filter(|kind| *kind == "Condensation").count();
    assert_eq!(condensed, 1, "{kinds:?}");
    let requests = world.puppet.requests.lock().unwrap();
    let last = requests.last().unwrap();
    assert!(texts(last).contains("the summary") && texts(last).contains("do it"));
    assert!(!texts(last).contains("thought 3"));
    requests.iter().for_each(assert_paired);
    let summarising = requests.iter().find(|request| request.tools.is_empty());
    assert!(texts(summarising.unwrap()).contains("thought"));
}

#[tokio::test]
async fn a_client_can_ask_for_it_and_the_status_stays() {
    let mut lines = thinking(6);
    lines.push(Line::Say("done"));
    lines.push(Line::Say("the summary"));
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Finished).await;
    conversation.condense().await.unwrap();
    assert_eq!(conversation.info().execution_status, Finished);
    let kinds = outline(&conversation).await;
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["CondensationRequest", "Condensation"]
    );
    let usage = conversation.info().stats.usage_to_metrics;
    assert!(usage.contains_key("condenser"), "{usage:?}");

    // What was forgotten stays so after a restart.
    let id = conversation.id();
    drop(conversation);
    let world = world.restart().await;
    let conversation = world.runtime.open(id).await.unwrap();
    say(&conversation, "and now?").await;
    until(&conversation, Finished).await;
    let requests = world.puppet.requests.lock().unwrap();
    let last = texts(requests.last().unwrap());
    assert!(
        last.contains("the summary") && last.contains("and now?"),
        "{last}"
    );
}

#[tokio::test]
async fn what_switches_it_off_is_refused() {
    let world = World::new(vec![]).await;
    let off = condensing(json!({"kind": "NoOpCondenser"}));
    let conversation = world.conversation(off).await;
    let refused = conversation.condense().await.unwrap_err();
    assert!(matches!(refused, RuntimeError::NoCondenser), "{refused}");
    assert_eq!(conversation.info().execution_status, Idle);
}

#[tokio::test]
async fn what_has_to_stay_and_is_too_long_is_not_condensed_for_ever() {
    let world = World::new(thinking(5)).await;
    let settings = json!({"kind": "LLMSummarizingCondenser", "max_tokens": 500});
    let conversation = world.conversation(condensing(settings)).await;
    say(&conversation, &"word ".repeat(5_000)).await;
    until(&conversation, Finished).await;
    let kinds = outline(&conversation).await;
    let condensed = kinds.iter().filter(|kind| *kind == "Condensation").count();
    assert!(condensed < 2, "{kinds:?}");
}

#[tokio::test]
async fn a_condenser_that_cannot_work_is_refused_at_once() {
    let world = World::new(vec![]).await;
    let wrong = condensing(json!({"kind": "LLMSummarizingCondenser", "max_size": 4}));
    let refused = world.runtime.create(untitled(wrong)).await.unwrap_err();
    assert!(matches!(refused, RuntimeError::Invalid(_)), "{refused}");
}

#[tokio::test]
async fn a_request_with_nothing_to_condense_is_answered_too() {
    let world = World::new(vec![]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    conversation.condense().await.unwrap();
    say(&conversation, "hi").await;
    until(&conversation, Finished).await;
    assert_eq!(world.puppet.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_overflow_in_the_middle_of_a_turn_is_condensed_and_the_turn_goes_on() {
    let overflow = || Line::Fail(ModelError::ContextWindow("prompt is too long".to_owned()));
    let mut lines = thinking(6);
    lines.push(overflow());
    lines.push(Line::Say("the summary"));
    lines.push(overflow());
    lines.push(Line::Say("a shorter summary"));
    lines.push(Line::Say("done"));
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Finished).await;
    let requests = world.puppet.requests.lock().unwrap();
    let last = requests.last().unwrap();
    assert!(texts(last).contains("a shorter summary") && texts(last).contains("do it"));
    assert!(!texts(last).contains("thought"));
    requests.iter().for_each(assert_paired);
}

#[tokio::test]
async fn a_reply_that_filled_the_window_is_condensed_too() {
    let full = ModelReply {
        stop: StopReason::ContextWindow,
        blocks: vec![Block::text("half an ans")],
        ..ModelReply::default()
    };
    let mut lines = thinking(6);
    lines.push(Line::Reply(Box::new(full)));
    lines.push(Line::Say("the summary"));
    lines.push(Line::Say("done"));
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Finished).await;
    let requests = world.puppet.requests.lock().unwrap();
    assert!(texts(requests.last().unwrap()).contains("the summary"));
}

#[tokio::test]
async fn a_window_that_stays_full_ends_the_turn() {
    let full = || {
        Line::Reply(Box::new(ModelReply {
            stop: StopReason::ContextWindow,
            ..ModelReply::default()
        }))
    };
    let world = World::new((0..20).map(|_| full()).collect()).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Error).await;
    world.puppet.clear();
    say(&conversation, "again").await;
    until(&conversation, Finished).await;
}

#[tokio::test]
async fn a_model_that_cannot_summarise_loses_no_conversation() {
    let mut lines = thinking(6);
    lines.push(Line::Fail(ModelError::ContextWindow("too long".to_owned())));
    lines.push(Line::Fail(ModelError::Authentication("no".to_owned())));
    lines.push(Line::Say("done"));
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Finished).await;
    let requests = world.puppet.requests.lock().unwrap();
    assert!(texts(requests.last().unwrap()).contains("do it"));
}

#[tokio::test]
async fn an_overflow_that_nothing_helps_ends_the_turn_and_the_next_message_works() {
    let overflow = || Line::Fail(ModelError::ContextWindow("too long".to_owned()));
    // Too long for the agent and for each attempt to summarise.
    let world = World::new((0..60).map(|_| overflow()).collect()).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Error).await;
    world.puppet.clear();
    say(&conversation, "again").await;
    until(&conversation, Finished).await;
}

#[tokio::test]
async fn a_message_during_a_condensation_is_taken_up_after_it() {
    let mut lines = thinking(6);
    lines.extend([
        Line::Say("done"),
        Line::Gate,
        Line::Say("the summary"),
        Line::Say("hello"),
    ]);
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Finished).await;
    let condensing = conversation.clone();
    let condensing = tokio::spawn(async move { condensing.condense().await });
    world.puppet.reached.notified().await;
    let saying = conversation.clone();
    let saying = tokio::spawn(async move { say(&saying, "hi").await });
    tokio::task::yield_now().await;
    assert_ne!(conversation.info().execution_status, Running);
    world.puppet.open.notify_one();
    condensing.await.unwrap().unwrap();
    saying.await.unwrap();
    until(&conversation, Finished).await;
    let requests = world.puppet.requests.lock().unwrap();
    let last = texts(requests.last().unwrap());
    assert!(
        last.contains("the summary") && last.contains("hi"),
        "{last}"
    );
}

#[tokio::test]
async fn a_summary_that_turns_out_empty_costs_all_the_same() {
    let mut lines = thinking(6);
    lines.push(Line::Say("done"));
    lines.push(Line::Say(" "));
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "do it").await;
    until(&conversation, Finished).await;
    conversation.condense().await.unwrap();
    let usage = conversation.info().stats.usage_to_metrics;
    assert_eq!(usage["condenser"].response_latencies.len(), 1, "{usage:?}");
    assert_eq!(conversation.budgets().1.model_calls, 8);
}
