//! Replies that end early, call what is not there, or are not quite what was asked for.

use agent_runtime::{Conversation, NewConversation};
use core_model::{ExecutionStatus, MessageToolCall, Role};
use llm_client::{Block, ModelReply, Notice, StopReason};
use serde_json::{Value, json};

use crate::harness::*;

fn stopped(stop: StopReason, blocks: Vec<Block>) -> Line {
    Line::Reply(Box::new(ModelReply {
        stop,
        blocks,
        ..ModelReply::default()
    }))
}

fn call(id: &str, name: &str, arguments: &str) -> Block {
    Block::call(MessageToolCall::new(id, name, arguments))
}

async fn started(lines: Vec<Line>) -> (World, Conversation) {
    let world = World::new(lines).await;
    let conversation = world.conversation(NewConversation::default()).await;
    say(&conversation, "go").await;
    (world, conversation)
}

/// The last message of each request: who wrote it, and its text.
fn last_messages(world: &World) -> Vec<(Role, String)> {
    let requests = world.puppet.requests.lock().unwrap();
    let last = requests.iter().filter_map(|it| it.messages.last());
    last.map(|message| (message.role(), message.text()))
        .collect()
}

async fn error_code(conversation: &Conversation) -> Value {
    let events = events(conversation).await;
    let error = events
        .iter()
        .rfind(|event| event["kind"] == "ConversationErrorEvent");
    error.map_or(Value::Null, |error| error["code"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_was_cut_is_continued_and_the_model_told_why() {
    let other = StopReason::Other("meteor".to_owned());
    for (stop, told) in [
        (StopReason::Length, "smaller parts"),
        (StopReason::ContentFilter, "content filter"),
        (other, "meteor"),
    ] {
        let cut = || stopped(stop.clone(), vec![Block::text("half a sen")]);
        // Between them one that is whole: only cuts in a row count.
        let think = || Line::Call("think", json!({"thought": "hm"}));
        let (world, conversation) =
            started(vec![cut(), cut(), think(), cut(), cut(), Line::Say("done")]).await;
        until(&conversation, ExecutionStatus::Finished).await;
        let asked = last_messages(&world);
        assert_eq!(asked.len(), 6, "{stop:?}");
        for at in [1, 2, 4, 5] {
            let (role, text) = &asked[at];
            assert_eq!(*role, Role::User);
            assert!(text.contains(told), "{stop:?}: {text}");
        }
        assert_eq!(conversation.final_response().await.unwrap(), "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_whose_length_went_into_thoughts_is_no_answer() {
    let (world, conversation) = started(vec![
        stopped(StopReason::Length, vec![Block::reasoning("on and on")]),
        stopped(StopReason::Done, vec![Block::reasoning("hm")]),
        Line::Say("done"),
    ])
    .await;
    until(&conversation, ExecutionStatus::Finished).await;
    let asked = last_messages(&world);
    assert!(asked[1].1.contains("all of it was thinking"), "{asked:?}");
    assert!(asked[2].1.contains("was empty"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_cut_again_and_again_end_the_turn_and_the_next_message_works() {
    let other = StopReason::Other("meteor".to_owned());
    for (stop, code) in [
        (StopReason::Length, "LLMOutputLimitError"),
        (StopReason::ContentFilter, "LLMContentPolicyViolationError"),
        (other, "LLMIncompleteReplyError"),
    ] {
        let text = || stopped(stop.clone(), vec![Block::text("half a sen")]);
        let arguments = || {
            stopped(
                stop.clone(),
                vec![call("c", "terminal", r#"{"command": "ec"#)],
            )
        };
        let mut lines = vec![text(), text(), text(), Line::Say("a")];
        lines.extend([arguments(), arguments(), arguments(), Line::Say("b")]);
        let (world, conversation) = started(lines).await;
        for said in ["a", "b"] {
            until(&conversation, ExecutionStatus::Error).await;
            assert_eq!(error_code(&conversation).await, code);
            say(&conversation, "once more").await;
            until(&conversation, ExecutionStatus::Finished).await;
            assert_eq!(conversation.final_response().await.unwrap(), said);
            say(&conversation, "and again").await;
        }
        drop(world);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_arguments_were_cut_is_answered_and_those_before_it_are_carried_out() {
    let blocks = vec![
        call("a", "terminal", r#"{"command": "echo one"}"#),
        call(
            "b",
            "file_editor",
            r#"{"command": "create", "path": "/f", "file_text": "half"#,
        ),
    ];
    let (world, conversation) =
        started(vec![stopped(StopReason::Length, blocks), Line::Say("done")]).await;
    until(&conversation, ExecutionStatus::Finished).await;
    let requests = world.puppet.requests.lock().unwrap().clone();
    let results: Vec<String> = requests[1]
        .messages
        .iter()
        .filter(|message| message.role() == Role::Tool)
        .map(|message| message.text())
        .collect();
    assert!(results[0].contains("one"), "{results:?}");
    assert!(results[1].contains("were cut off"), "{results:?}");
    assert!(results[1].contains("smaller parts"), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_and_not_called_finished() {
    let lines = vec![
        stopped(StopReason::Refusal, vec![Block::text("I will not")]),
        Line::Say("fine"),
    ];
    let (_world, conversation) = started(lines).await;
    until(&conversation, ExecutionStatus::Error).await;
    assert_eq!(error_code(&conversation).await, "LLMRefusalError");
    assert!(
        !outline(&conversation)
            .await
            .contains(&"finished".to_owned())
    );
    say(&conversation, "something else").await;
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_reply_is_asked_for_again_without_a_word_and_is_never_stuck() {
    let pause = || stopped(StopReason::Pause, vec![Block::text("still searching")]);
    let mut lines: Vec<Line> = (0..6).map(|_| pause()).collect();
    lines.push(Line::Say("found"));
    let (world, conversation) = started(lines).await;
    until(&conversation, ExecutionStatus::Finished).await;
    let asked = last_messages(&world);
    assert_eq!(asked.len(), 7);
    assert!(
        asked[1..].iter().all(|(role, _)| *role == Role::Assistant),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invented_name_means_its_tool_or_is_answered_with_the_list() {
    let shell = "ls -la | head; ".repeat(20);
    let invented = vec![
        call("a", "functions.terminal", r#"{"command": "echo one"}"#),
        call(
            "b",
            "terminal<|channel|>commentary",
            r#"{"command": "echo two",}"#,
        ),
        call("c", &shell, "{}"),
    ];
    let (world, conversation) =
        started(vec![stopped(StopReason::Done, invented), Line::Say("done")]).await;
    until(&conversation, ExecutionStatus::Finished).await;
    let requests = world.puppet.requests.lock().unwrap().clone();
    let calls: Vec<&MessageToolCall> = requests[1]
        .messages
        .iter()
        .flat_map(|message| message.calls())
        .collect();
    assert_eq!([&calls[0].name, &calls[1].name], ["terminal", "terminal"]);
    let arguments: Value = serde_json::from_str(&calls[1].arguments).expect("repaired JSON");
    assert_eq!(arguments, json!({"command": "echo two"}));
    let answers: Vec<String> = requests[1].messages[3..]
        .iter()
        .map(|message| message.text())
        .collect();
    assert!(
        answers[0].contains("one") && answers[1].contains("two"),
        "{answers:?}"
    );
    assert!(answers[2].contains("Available: ['terminal'"), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_beside_finish_are_its_message() {
    let blocks = vec![Block::text("all done"), call("a", "finish", "{}")];
    let (_world, conversation) = started(vec![stopped(StopReason::Done, blocks)]).await;
    until(&conversation, ExecutionStatus::Finished).await;
    assert_eq!(conversation.final_response().await.unwrap(), "all done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_given_once() {
    let noticed = || {
        Line::Reply(Box::new(ModelReply {
            blocks: vec![Block::text("done")],
            notices: vec![Notice {
                code: "prompt_truncated",
                detail: "set a larger window".to_owned(),
            }],
            ..ModelReply::default()
        }))
    };
    let (_world, conversation) = started(vec![noticed(), noticed()]).await;
    until(&conversation, ExecutionStatus::Finished).await;
    say(&conversation, "more").await;
    until(&conversation, ExecutionStatus::Finished).await;
    let events = events(&conversation).await;
    let notices: Vec<&Value> = events
        .iter()
        .filter(|event| event["key"] == "model_notice")
        .map(|event| &event["value"])
        .collect();
    let expected = json!({"code": "prompt_truncated", "detail": "set a larger window"});
    assert_eq!(notices, [&expected]);
}
