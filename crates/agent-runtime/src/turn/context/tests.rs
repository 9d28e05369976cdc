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
