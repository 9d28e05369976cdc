use serde_json::json;

use super::*;
use crate::{Workspace, WorkspaceKind};

fn new_state() -> ConversationState {
    let workspace = Workspace {
        working_dir: "/w".to_owned(),
        kind: WorkspaceKind::LocalWorkspace,
    };
    ConversationState::new(&Metadata::new(json!({}), workspace))
}

fn update(state: &mut ConversationState, time: &str, key: &str, value: Value) {
    let event = json!({
        "id": format!("{key} {time}"), "timestamp": format!("2026-12-01T{time}"),
        "source": "environment", "kind": "ConversationStateUpdateEvent", "key": key, "value": value,
    });
    state.apply_bytes(event.to_string().as_bytes()).unwrap();
}

fn call(state: &mut ConversationState, id: &str) {
    let action = json!({
        "id": id, "timestamp": "2026-12-01T10:00:01", "source": "agent", "kind": "ActionEvent",
        "thought": [], "action": {"kind": "ThinkAction"}, "tool_name": "think", "tool_call_id": id,
        "tool_call": {"id": id, "name": "think", "arguments": "{}", "origin": "completion"},
        "llm_response_id": "r",
    });
    state.apply_bytes(action.to_string().as_bytes()).unwrap();
}

#[test]
fn the_silence_of_a_killed_server_is_no_time_that_was_spent() {
    let mut state = new_state();
    update(&mut state, "10:00:00", "execution_status", json!("running"));
    update(&mut state, "10:00:05", "agent_state", json!({}));
    update(&mut state, "10:40:00", RUN_CUT_OFF, json!(true));
    update(&mut state, "10:40:00", "execution_status", json!("paused"));
    update(&mut state, "10:50:00", "execution_status", json!("running"));
    update(
        &mut state,
        "10:50:02",
        "execution_status",
        json!("finished"),
    );
    assert!((state.spent().wall_seconds - 7.0).abs() < 1e-6, "{state:?}");
}

#[test]
fn calls_that_wait_are_not_spent_and_those_that_are_left_never_will_be() {
    let mut state = new_state();
    for id in ["a", "b", "c"] {
        call(&mut state, id);
    }
    assert_eq!((state.spent().tool_calls, state.pending.len()), (0, 3));
    let seen = json!({
        "id": "o", "timestamp": "2026-12-01T10:00:02", "source": "environment",
        "kind": "ObservationEvent", "tool_name": "think", "tool_call_id": "a", "action_id": "a",
        "observation": {"kind": "ThinkObservation", "content": []},
    });
    state.apply_bytes(seen.to_string().as_bytes()).unwrap();
    assert_eq!((state.spent().tool_calls, state.pending.len()), (1, 2));
    update(&mut state, "10:00:03", "leaf_event_id", json!("o"));
    assert_eq!((state.spent().tool_calls, state.pending.len()), (1, 0));
}

#[test]
fn a_call_counts_also_when_it_told_no_tokens_and_had_no_price() {
    let mut state = new_state();
    let stats = |response_id: &str| {
        json!({
            "usage_to_metrics": {"agent": {"model_name": "m"}},
            "last_call": {"usage_id": "agent", "model": "m", "latency": 0.5,
                          "response_id": response_id, "cost": null},
        })
    };
    update(&mut state, "10:00:00", "stats", stats("one"));
    update(&mut state, "10:00:01", "stats", stats("two"));
    let spent = state.spent();
    assert_eq!((spent.model_calls, spent.unpriced_calls), (2, 2));
    let latencies = &state.stats.usage_to_metrics["agent"].response_latencies;
    let ids: Vec<&str> = latencies.iter().map(|it| it.response_id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
}

#[test]
fn the_log_of_an_older_build_counts_by_its_totals() {
    let mut state = new_state();
    let stats = |tokens: u64| {
        json!({"usage_to_metrics": {"agent": {
            "model_name": "m", "accumulated_token_usage": {"prompt_tokens": tokens},
        }}})
    };
    for tokens in [10, 25, 25] {
        update(&mut state, "10:00:00", "stats", stats(tokens));
    }
    let spent = state.spent();
    assert_eq!((spent.model_calls, spent.tokens), (2, 25));
    assert!(
        state.stats.usage_to_metrics["agent"]
            .response_latencies
            .is_empty()
    );
}
