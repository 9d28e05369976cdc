//! Goals: rounds of work, each followed by a verdict.

use agent_runtime::{Conversation, Fork, NewConversation, Runtime, RuntimeError};
use core_model::{
    ConfirmationPolicy, Content, ConversationSettings,
    ExecutionStatus::{Error, Finished, Idle, Paused, Stuck, WaitingForConfirmation},
    budget::{Budget, Budgets},
};
use llm_client::ModelError;
use serde_json::{Value, json};

use crate::{
    frail::{copy, frail},
    harness::*,
};

const OBJECTIVE: &str = "All tests pass.";
const REACHED: Line = Line::Say(r#"{"score": 1.0, "complete": true, "missing": ""}"#);

fn lacks_docs() -> Line {
    Line::Say(r#"{"score": 0.4, "complete": false, "missing": "the docs"}"#)
}

/// A goal of a new conversation.
async fn started(world: &World, rounds: u32) -> Conversation {
    started_with(world, rounds, ConversationSettings::default()).await
}

async fn started_with(world: &World, rounds: u32, settings: ConversationSettings) -> Conversation {
    let new = NewConversation {
        settings,
        ..NewConversation::default()
    };
    let conversation = world.conversation(new).await;
    let started = conversation.start_goal(OBJECTIVE.to_owned(), rounds).await;
    started.unwrap();
    conversation
}

async fn values(conversation: &Conversation) -> Vec<Value> {
    let events = events(conversation).await;
    let goals = events.iter().filter(|event| event["key"] == "goal");
    goals.map(|event| event["value"].clone()).collect()
}

/// Status and round of each state update.
async fn told(conversation: &Conversation) -> Vec<(String, u64)> {
    let values = values(conversation).await;
    let short = |value: &Value| {
        let status = value["status"].as_str().unwrap().to_owned();
        assert_eq!(value["active"], status == "running");
        (status, value["iteration"].as_u64().unwrap())
    };
    values.iter().map(short).collect()
}

fn is(status: &str, round: u64) -> (String, u64) {
    (status.to_owned(), round)
}

fn asked(world: &World) -> Vec<String> {
    let requests = world.puppet.requests.lock().unwrap();
    let last = |request: &llm_client::ModelRequest| request.messages.last().unwrap().text();
    requests.iter().map(last).collect()
}

/// The next message is answered, whatever the goal left.
async fn still_answers(conversation: &Conversation) {
    say(conversation, "Are you there?").await;
    until(conversation, Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_is_reached_in_rounds_and_its_verdicts_are_told_and_paid() {
    let world = World::new(vec![
        Line::Call("terminal", terminal("echo evidence; exit 0")),
        Line::Say("I did it."),
        lacks_docs(),
        Line::Say("Now the docs, too."),
        REACHED,
    ])
    .await;
    let conversation = started(&world, 5).await;
    until(&conversation, Finished).await;
    let goal = |status: &str, round: u64, verdict: Value| {
        json!({"active": status == "running", "status": status, "iteration": round,
               "max_iterations": 5, "objective": OBJECTIVE, "verdict": verdict})
    };
    let not_yet = json!({"score": 0.4, "complete": false, "missing": "the docs"});
    let reached = json!({"score": 1.0, "complete": true, "missing": ""});
    assert_eq!(
        values(&conversation).await,
        [
            goal("running", 0, Value::Null),
            goal("running", 1, not_yet),
            goal("complete", 2, reached),
        ]
    );
    let outline = outline(&conversation).await;
    let ends = outline.iter().filter(|line| *line == "finished").count();
    assert_eq!(ends, 1, "{outline:?}");
    assert_eq!(outline.last().unwrap(), "finished");

    let asked = asked(&world);
    assert_eq!(asked[0], OBJECTIVE);
    assert!(
        asked[2].contains("evidence") && asked[2].contains(OBJECTIVE),
        "{}",
        asked[2]
    );
    assert!(
        asked[3].contains("the docs") && asked[3].contains(OBJECTIVE),
        "{}",
        asked[3]
    );
    {
        let requests = world.puppet.requests.lock().unwrap();
        assert!(requests[2].tools.is_empty() && !requests[3].tools.is_empty());
    }
    let stats = &conversation.info().stats.usage_to_metrics;
    assert_eq!(stats.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(conversation.budgets().1.model_calls, 5);
    still_answers(&conversation).await;
    assert_eq!(values(&conversation).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_are_capped_and_a_capped_goal_cannot_be_resumed() {
    let world = World::new(vec![
        Line::Say("a"),
        lacks_docs(),
        Line::Say("b"),
        lacks_docs(),
    ])
    .await;
    let conversation = started(&world, 2).await;
    until(&conversation, Finished).await;
    let expected = [is("running", 0), is("running", 1), is("capped", 2)];
    assert_eq!(told(&conversation).await, expected);
    let resumed = conversation.resume_goal().await;
    assert!(matches!(resumed, Err(RuntimeError::NoGoalToResume)));
    conversation.stop_goal().await.unwrap();
    assert_eq!(told(&conversation).await, expected);
    still_answers(&conversation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_verdict_is_asked_for_again_and_then_counts_as_not_yet() {
    let world = World::new(vec![
        Line::Say("a"),
        Line::Say("Looks good to me!"),
        Line::Say("<think>{\"complete\": true}</think>"),
        Line::Say(""),
        Line::Say("b"),
        Line::Say("Yes."),
        Line::Say("```json\n{\"complete\": true}\n```"),
    ])
    .await;
    let conversation = started(&world, 5).await;
    until(&conversation, Finished).await;
    let expected = [is("running", 0), is("running", 1), is("complete", 2)];
    assert_eq!(told(&conversation).await, expected);
    assert_eq!(asked(&world).len(), 7);
    assert_eq!(conversation.budgets().1.model_calls, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_of_which_the_same_is_missing_three_times_in_a_row_ends() {
    let mut lines = Vec::new();
    for say in ["a", "b", "c", "d"] {
        lines.extend([Line::Say(say), lacks_docs()]);
    }
    let world = World::new(lines).await;
    let conversation = started(&world, 1_000).await;
    until(&conversation, Stuck).await;
    let last = told(&conversation).await.pop().unwrap();
    assert_eq!(last, is("interrupted", 3));
    assert_eq!(asked(&world).len(), 6);
    still_answers(&conversation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_repeats_itself_is_judged_and_told_what_is_missing() {
    let same = || Line::Call("think", json!({"thought": "hm"}));
    let world = World::new(vec![
        same(),
        same(),
        same(),
        same(),
        lacks_docs(),
        Line::Say("Oh, the docs."),
        REACHED,
    ])
    .await;
    let conversation = started(&world, 5).await;
    until(&conversation, Finished).await;
    let expected = [is("running", 0), is("running", 1), is("complete", 2)];
    assert_eq!(told(&conversation).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_that_fails_interrupts_the_goal_which_can_be_resumed() {
    let refused = ModelError::from_status(401, "no such key", None);
    let world = World::new(vec![
        Line::Say("a"),
        Line::Fail(refused),
        Line::Say("b"),
        REACHED,
    ])
    .await;
    let conversation = started(&world, 1).await;
    until(&conversation, Error).await;
    let expected = [is("running", 0), is("interrupted", 0)];
    assert_eq!(told(&conversation).await, expected);
    conversation.resume_goal().await.unwrap();
    until(&conversation, Finished).await;
    assert_eq!(
        told(&conversation).await[2..],
        [is("running", 0), is("complete", 1)]
    );
    assert!(asked(&world)[2].contains(OBJECTIVE));
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_interrupt_end_a_goal_that_can_be_resumed() {
    let world = World::new(vec![
        Line::Say("a"),
        Line::Gate,
        lacks_docs(),
        Line::Say("b"),
        Line::Gate,
        Line::Say("c"),
        REACHED,
    ])
    .await;
    let conversation = started(&world, 5).await;
    world.puppet.reached.notified().await;
    // While it is judged.
    conversation.pause().await.unwrap();
    world.puppet.open.notify_one();
    until(&conversation, Paused).await;
    let expected = [is("running", 0), is("running", 1), is("interrupted", 1)];
    assert_eq!(told(&conversation).await, expected);
    conversation.resume_goal().await.unwrap();
    world.puppet.reached.notified().await;
    conversation.interrupt().await.unwrap();
    assert_eq!(conversation.info().execution_status, Paused);
    assert_eq!(
        told(&conversation).await[3..],
        [is("running", 1), is("interrupted", 1)]
    );
    conversation.resume_goal().await.unwrap();
    until(&conversation, Finished).await;
    assert_eq!(
        told(&conversation).await[5..],
        [is("running", 1), is("complete", 2)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_s_message_ends_the_goal_and_is_answered() {
    let world = World::new(vec![
        Line::Say("a"),
        Line::Gate,
        Line::Say("never"),
        Line::Say("b"),
    ])
    .await;
    let conversation = started(&world, 5).await;
    world.puppet.reached.notified().await;
    say(&conversation, "Stop that; what time is it?").await;
    until(&conversation, Finished).await;
    assert_eq!(
        told(&conversation).await,
        [is("running", 0), is("interrupted", 0)]
    );
    let asked = asked(&world);
    assert_eq!(asked.last().unwrap(), "Stop that; what time is it?");
    assert_eq!(asked.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_that_is_stopped_is_judged_no_more() {
    let world = World::new(vec![Line::Say("a"), Line::Gate]).await;
    let conversation = started(&world, 5).await;
    world.puppet.reached.notified().await;
    conversation.stop_goal().await.unwrap();
    until(&conversation, Finished).await;
    assert_eq!(
        told(&conversation).await,
        [is("running", 0), is("interrupted", 0)]
    );
    conversation.stop_goal().await.unwrap();
    assert_eq!(told(&conversation).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_holds_the_conversation_and_its_slot() {
    let world = World::with_runs(vec![Line::Say("a"), Line::Gate, REACHED], 1).await;
    let conversation = started(&world, 5).await;
    world.puppet.reached.notified().await;
    let again = conversation.start_goal("Another.".to_owned(), 5).await;
    assert!(matches!(again, Err(RuntimeError::GoalRunning)));
    let resumed = conversation.resume_goal().await;
    assert!(matches!(resumed, Err(RuntimeError::GoalRunning)));
    let run = conversation.run().await;
    assert!(matches!(run, Err(RuntimeError::AlreadyRunning)));
    let other = world.conversation(NewConversation::default()).await;
    let refused = other.start_goal("Another.".to_owned(), 5).await;
    assert!(matches!(refused, Err(RuntimeError::RunLimit { .. })));
    assert!(values(&other).await.is_empty());
    world.puppet.open.notify_one();
    until(&conversation, Finished).await;
    let resumed = other.resume_goal().await;
    assert!(matches!(resumed, Err(RuntimeError::NoGoalToResume)));
    other.start_goal("Another.".to_owned(), 1).await.unwrap();
    // "done" is no verdict.
    until(&other, Finished).await;
    assert_eq!(told(&other).await.pop(), Some(is("capped", 1)));
}

fn asks_first() -> ConversationSettings {
    ConversationSettings {
        confirmation_policy: ConfirmationPolicy::AlwaysConfirm {},
        ..ConversationSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_waits_for_consent_also_through_a_restart_and_a_rejection_ends_it() {
    let world = World::new(vec![
        Line::Call("terminal", terminal("echo one")),
        Line::Say("a"),
        lacks_docs(),
        Line::Call("terminal", terminal("echo two")),
    ])
    .await;
    let conversation = started_with(&world, 5, asks_first()).await;
    until(&conversation, WaitingForConfirmation).await;
    assert_eq!(told(&conversation).await, [is("running", 0)]);
    let again = conversation.start_goal("Another.".to_owned(), 5).await;
    assert!(matches!(again, Err(RuntimeError::GoalRunning)));
    let id = conversation.id();
    drop(conversation);
    let world = world.restart().await;
    let conversation = world.runtime.open(id).await.unwrap();
    assert_eq!(told(&conversation).await, [is("running", 0)]);
    conversation
        .respond_to_confirmation(true, "")
        .await
        .unwrap();
    until(&conversation, WaitingForConfirmation).await;
    assert_eq!(
        told(&conversation).await,
        [is("running", 0), is("running", 1)]
    );
    conversation
        .respond_to_confirmation(false, "not that")
        .await
        .unwrap();
    assert_eq!(conversation.info().execution_status, Idle);
    assert_eq!(told(&conversation).await[2..], [is("interrupted", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_holds_for_verdicts_too() {
    let world = World::new(vec![Line::Say("a"), Line::Say("b"), REACHED]).await;
    let budgets = Budgets {
        conversation: Budget {
            max_model_calls: Some(1),
            ..Budget::default()
        },
        ..Budgets::default()
    };
    let settings = ConversationSettings {
        budgets,
        ..ConversationSettings::default()
    };
    let conversation = started_with(&world, 5, settings).await;
    until(&conversation, Paused).await;
    assert_eq!(asked(&world).len(), 1);
    assert_eq!(
        told(&conversation).await,
        [is("running", 0), is("interrupted", 0)]
    );
    let outline = outline(&conversation).await;
    assert!(
        outline.contains(&"budget_reached".to_owned()),
        "{outline:?}"
    );
    conversation.set_budgets(Budgets::default()).await.unwrap();
    conversation.resume_goal().await.unwrap();
    until(&conversation, Finished).await;
    assert_eq!(
        told(&conversation).await[2..],
        [is("running", 0), is("complete", 1)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_or_a_kill_the_goal_is_interrupted_and_can_be_resumed() {
    let world = World::new(vec![
        Line::Say("a"),
        lacks_docs(),
        Line::Say("b"),
        Line::Gate,
    ])
    .await;
    let conversation = started(&world, 5).await;
    world.puppet.reached.notified().await;
    let id = conversation.id();

    // What a kill leaves.
    let left = tempfile::tempdir().unwrap();
    copy(
        &world.folder.path().join("conversations"),
        &left.path().join("conversations"),
    );
    let killed = Runtime::start(config(&left, &world.puppet), frail(left.path()));
    killed.until_recovered().await;
    let copied = killed.open(id).await.unwrap();
    let after = [is("running", 0), is("running", 1), is("interrupted", 1)];
    assert_eq!(told(&copied).await, after);
    assert_eq!(copied.info().execution_status, Paused);

    drop(conversation);
    let world = world.restart().await;
    let conversation = world.runtime.open(id).await.unwrap();
    assert_eq!(told(&conversation).await, after);
    assert_eq!(conversation.info().execution_status, Paused);
    world.puppet.say([Line::Say("c"), REACHED].into_iter());
    conversation.resume_goal().await.unwrap();
    until(&conversation, Finished).await;
    assert_eq!(
        told(&conversation).await[3..],
        [is("running", 1), is("complete", 2)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_conversation_with_a_goal_can_resume_it_and_does_not_by_itself() {
    let world = World::new(vec![Line::Say("a"), Line::Gate]).await;
    let conversation = started(&world, 5).await;
    world.puppet.reached.notified().await;
    let fork = world.runtime.fork(conversation.id(), Fork::default());
    let copied = fork.await.unwrap();
    assert_eq!(copied.execution_status, Idle);
    let copied = world.runtime.open(copied.id).await.unwrap();
    assert_eq!(
        told(&copied).await,
        [is("running", 0), is("interrupted", 0)]
    );
    assert_eq!(told(&conversation).await, [is("running", 0)]);
    world.puppet.say([Line::Say("b"), REACHED].into_iter());
    copied.resume_goal().await.unwrap();
    until(&copied, Finished).await;
    assert_eq!(
        told(&copied).await[2..],
        [is("running", 0), is("complete", 1)]
    );
    world.runtime.delete(conversation.id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objective_says_something_and_has_at_least_one_round() {
    let world = World::new(vec![]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    for (objective, rounds) in [(OBJECTIVE, 0), ("", 1)] {
        let refused = conversation.start_goal(objective.to_owned(), rounds).await;
        assert!(
            matches!(refused, Err(RuntimeError::Invalid(_))),
            "{refused:?}"
        );
    }
    let quiet = conversation.send_message(vec![Content::text("hello")], false);
    quiet.await.unwrap();
    assert!(values(&conversation).await.is_empty());
}
