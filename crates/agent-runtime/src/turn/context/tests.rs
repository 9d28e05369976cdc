use core_model::Role;
use serde_json::json;

use super::*;

fn take(context: &mut ModelContext, id: &str, mut event: Value) {
    event["id"] = id.into();
    event["timestamp"] = "2026-11-22T19:31:36".into();
    context.take(&Event::from_slice(event.to_string().as_bytes()).unwrap());
}

fn say(context: &mut ModelContext, id: &str, text: &str) {
    let content = json!([{"type": "text", "text": text}]);
    take(
        context,
        id,
        json!({
            "source": "user", "kind": "MessageEvent",
            "llm_message": {"role": "user", "content": content},
        }),
    );
}

fn call(context: &mut ModelContext, id: &str, call_id: &str) {
    take(
        context,
        id,
        json!({
            "source": "agent", "kind": "ActionEvent", "thought": [],
            "action": {"kind": "ThinkAction"}, "tool_name": "think", "tool_call_id": call_id,
            "llm_response_id": "r",
            "tool_call": {"id": call_id, "name": "think", "arguments": "{}", "origin": "completion"},
        }),
    );
}

fn answer(context: &mut ModelContext, id: &str, action: &str, call_id: &str) {
    take(
        context,
        id,
        json!({
            "source": "environment", "kind": "ObservationEvent", "tool_name": "think",
            "tool_call_id": call_id, "action_id": action,
            "observation": {"content": [{"type": "text", "text": "ok"}], "kind": "X"},
        }),
    );
}

#[test]
fn each_message_knows_its_events() {
    let mut context = ModelContext::default();
    say(&mut context, "m1", "a");
    take(
        &mut context,
        "s",
        json!({
            "source": "agent", "kind": "SystemPromptEvent", "tools": [],
            "system_prompt": {"type": "text", "text": "be good"},
        }),
    );
    say(&mut context, "m2", "b");
    call(&mut context, "a1", "c1");
    call(&mut context, "a2", "c2");
    answer(&mut context, "o2", "a2", "c2");
    answer(&mut context, "o1", "a1", "c1");
    let messages = context.messages();
    let shown: Vec<(Role, Vec<&str>)> = messages
        .iter()
        .map(|shown| {
            let ids = shown.events.iter().map(|id| id.0.as_str());
            (shown.message.role(), ids.collect())
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Role::System, vec!["s"]),
            (Role::User, vec!["m1", "m2"]),
            (Role::Assistant, vec!["a1", "a2"]),
            (Role::Tool, vec!["o1"]),
            (Role::Tool, vec!["o2"]),
        ]
    );
}

fn said_by(messages: &[ContextMessage]) -> Vec<(Role, String)> {
    let messages = messages.iter();
    messages
        .map(|shown| (shown.message.role(), shown.message.text()))
        .collect()
}

/// A message that is there already is the same one in the next request; what changes is rendered anew.
#[test]
fn a_context_that_is_asked_for_at_each_step_is_the_same_as_one_asked_for_once() {
    let (mut often, mut once) = (ModelContext::default(), ModelContext::default());
    type Step = fn(&mut ModelContext);
    let steps: [Step; 9] = [
        |context| say(context, "m1", "a"),
        |context| say(context, "m2", "b"),
        |context| call(context, "a1", "c1"),
        |context| call(context, "a2", "c2"),
        |context| answer(context, "o2", "a2", "c2"),
        |context| say(context, "m3", "c"),
        // It comes late, and in its place.
        |context| answer(context, "o1", "a1", "c1"),
        |context| say(context, "m4", "d"),
        |context| {
            take(
                context,
                "x",
                json!({
                    "source": "environment", "kind": "Condensation", "llm_response_id": "",
                    "forgotten_event_ids": ["m1", "m2"], "summary": "s", "summary_offset": 0,
                }),
            );
        },
    ];
    for (number, step) in steps.into_iter().enumerate() {
        step(&mut often);
        step(&mut once);
        let shown = said_by(often.messages());
        let mut fresh = ModelContext::default();
        std::mem::swap(&mut fresh.items, &mut once.items);
        assert_eq!(shown, said_by(fresh.messages()), "{number}");
        std::mem::swap(&mut fresh.items, &mut once.items);
    }
    let before = often.messages().to_vec();
    call(&mut often, "a3", "c3");
    answer(&mut often, "o3", "a3", "c3");
    let after = often.messages();
    assert!(after.len() > before.len());
    for (before, after) in before.iter().zip(after) {
        assert!(std::sync::Arc::ptr_eq(&before.message, &after.message));
    }
}
