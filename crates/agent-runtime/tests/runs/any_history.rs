//! Whatever a conversation has been through, the next plain message is answered.

use std::collections::BTreeSet;

use agent_runtime::{Conversation, Fork, NewConversation};
use core_model::{EventId, ExecutionStatus, LlmSettings};
use llm_client::{Block, ModelError, ModelMessage, ModelReply, ModelRequest, StopReason};
use proptest::prelude::*;
use serde_json::json;
use tokio::time::timeout;

use crate::harness::*;

/// What a model answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Say,
    Think,
    ThinkTwice,
    UnknownTool,
    BrokenArguments,
    Nothing,
    OnlyThoughts,
    Cut,
    Withheld,
    Refused,
    FullWindow,
    Overflow,
    Down,
}

/// What happens to a conversation.
#[derive(Clone, Debug)]
enum Step {
    Message(Vec<Answer>),
    Condense,
    Switch,
    Fork,
    ForkFromTheMiddle,
    GoBack,
    Restart,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop::sample::select(vec![
        Answer::Say,
        Answer::Think,
        Answer::ThinkTwice,
        Answer::UnknownTool,
        Answer::BrokenArguments,
        Answer::Nothing,
        Answer::OnlyThoughts,
        Answer::Cut,
        Answer::Withheld,
        Answer::Refused,
        Answer::FullWindow,
        Answer::Overflow,
        Answer::Down,
    ])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(answer(), 0..5).prop_map(Step::Message),
        1 => Just(Step::Condense),
        1 => Just(Step::Switch),
        1 => Just(Step::Fork),
        1 => Just(Step::ForkFromTheMiddle),
        1 => Just(Step::GoBack),
        1 => Just(Step::Restart),
    ]
}

fn stopped(stop: StopReason, blocks: Vec<Block>) -> Line {
    Line::Reply(Box::new(ModelReply {
        stop,
        blocks,
        ..ModelReply::default()
    }))
}

fn line(answer: Answer) -> Line {
    let thought = || ("think", json!({"thought": "hm"}));
    match answer {
        Answer::Say => Line::Say("so be it"),
        Answer::Think => Line::Calls(vec![thought()]),
        Answer::ThinkTwice => Line::Calls(vec![thought(), thought()]),
        Answer::UnknownTool => Line::Raw("functions.nothing<|x|>", "{}"),
        Answer::BrokenArguments => Line::Raw("think", "{\"thought\": \"ha"),
        Answer::Nothing => stopped(StopReason::Done, vec![]),
        Answer::OnlyThoughts => stopped(StopReason::Done, vec![Block::reasoning("hm")]),
        Answer::Cut => stopped(StopReason::Length, vec![Block::text("half an ans")]),
        Answer::Withheld => stopped(StopReason::ContentFilter, vec![]),
        Answer::Refused => stopped(StopReason::Refusal, vec![Block::text("no")]),
        Answer::FullWindow => stopped(StopReason::ContextWindow, vec![]),
        Answer::Overflow => Line::Fail(ModelError::ContextWindow("too long".to_owned())),
        Answer::Down => Line::Fail(ModelError::Timeout("late".to_owned())),
    }
}

/// What every provider insists on.
fn assert_takeable(request: &ModelRequest) {
    let mut open: Vec<String> = Vec::new();
    let mut ids = BTreeSet::new();
    for message in &request.messages {
        if let ModelMessage::ToolResult { call_id, .. } = message.as_ref() {
            let at = open.iter().position(|id| id == call_id);
            open.remove(at.expect("an answer follows its call"));
            continue;
        }
        assert!(open.is_empty(), "a call lost its answer");
        for call in message.calls() {
            assert!(ids.insert(call.id.clone()), "a call's id is used twice");
            open.push(call.id.clone());
        }
    }
    assert!(open.is_empty(), "a call has no answer");
}

async fn rest(conversation: &Conversation) {
    let resting = async {
        while matches!(
            conversation.info().execution_status,
            ExecutionStatus::Running
        ) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    timeout(GIVE_UP, resting).await.expect("the turn ends");
}

async fn middle(conversation: &Conversation) -> Option<EventId> {
    let events = events(conversation).await;
    let of_branch = events.iter().filter(|event| event["key"].is_null());
    let ids: Vec<&str> = of_branch.filter_map(|event| event["id"].as_str()).collect();
    ids.get(ids.len() / 2).map(|id| EventId((*id).to_owned()))
}

async fn go_through(steps: Vec<Step>) {
    let mut world = World::new(vec![]).await;
    let mut conversation = world.conversation(NewConversation::default()).await;
    for step in steps {
        match step {
            Step::Message(answers) => {
                world.puppet.clear();
                world.puppet.say(answers.into_iter().map(line));
                say(&conversation, "go on").await;
                rest(&conversation).await;
            }
            Step::Condense => conversation.condense().await.unwrap(),
            Step::Switch => {
                let llm = LlmSettings {
                    model: "openai/other".to_owned(),
                    ..LlmSettings::default()
                };
                conversation.switch_llm(&llm).await.unwrap();
            }
            Step::Fork | Step::ForkFromTheMiddle => {
                let from = if matches!(step, Step::ForkFromTheMiddle) {
                    middle(&conversation).await
                } else {
                    None
                };
                let fork = Fork {
                    from,
                    ..Fork::default()
                };
                let copy = world.runtime.fork(conversation.id(), fork).await.unwrap();
                conversation = world.runtime.open(copy.id).await.unwrap();
            }
            Step::GoBack => {
                let event = middle(&conversation).await;
                conversation.navigate(event).await.unwrap();
            }
            Step::Restart => {
                let id = conversation.id();
                drop(conversation);
                world = world.restart().await;
                conversation = world.runtime.open(id).await.unwrap();
            }
        }
    }
    world.puppet.clear();
    say(&conversation, "and now?").await;
    rest(&conversation).await;
    assert_eq!(
        conversation.info().execution_status,
        ExecutionStatus::Finished
    );
    let requests = world.puppet.requests.lock().unwrap();
    requests.iter().for_each(assert_takeable);
    let last = requests.last().unwrap();
    let asked = last.messages.iter().rev();
    let asked = asked
        .map(|message| message.text())
        .find(|text| text.contains("and now?"));
    assert!(asked.is_some(), "the last message was not shown");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_conversation_is_lost(steps in prop::collection::vec(step(), 1..9)) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(go_through(steps));
    }
}
