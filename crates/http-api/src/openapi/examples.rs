//! What answers look like, one example an operation. They all tell of the same small conversation.

mod webhooks;

use serde_json::{Value, json};

use crate::wire::Success;

pub(super) use webhooks::{DELIVERY, WEBHOOK};

pub(super) const CONVERSATION: &str = "936e15a0-9bf8-492f-b439-93f478b6cf76";
pub(super) const EVENT: &str = "f30c3b24-005f-4dd2-8dc2-7a5d6046f7e1";
const LAST_EVENT: &str = "9b89a0db-6f8b-4778-9269-ffb92f679faa";
const LAST_WORDS: &str = "There is one file here, README.md.";

/// The body of the operation's answer with that status; none if it has no body in JSON.
pub(super) fn answer(operation: &str, status: &str) -> Option<Value> {
    let example = match (operation, status) {
        ("create_conversation", _) => just_made(),
        ("get_conversation", _) => conversation(),
        ("search_conversations", _) => json!({"items": [conversation()], "next_page_id": null}),
        ("batch_get_conversations", _) => json!([conversation(), null]),
        ("count_conversations", _) => json!(1),
        ("list_events" | "search_events", _) => {
            json!({"items": [message(), action()], "next_page_id": LAST_EVENT})
        }
        ("count_events", _) => json!(12),
        ("get_event", _) => message(),
        ("agent_final_response", _) => json!({"response": LAST_WORDS}),
        (
            "delete_conversation"
            | "run_conversation"
            | "pause_conversation"
            | "interrupt_conversation"
            | "send_event"
            | "respond_to_confirmation",
            _,
        ) => json!(Success::new()),
        ("list_webhooks", _) => json!([webhooks::webhook()]),
        ("get_webhook", _) => webhooks::webhook(),
        ("list_deliveries", _) => webhooks::deliveries(),
        ("redeliver" | "test_webhook", _) => webhooks::attempt(),
        ("rewind_webhook", _) => webhooks::rewound(),
        ("health" | "alive", _) => json!({"status": "ok"}),
        ("ready", "200") => json!({
            "status": "ready", "details": {"settled": true, "notices": []}
        }),
        ("ready", _) => json!({
            "status": "not ready", "reason": "the store takes no more writes",
            "details": {"settled": true, "notices": []}
        }),
        ("server_info" | "root", _) => server_info(),
        _ => return None,
    };
    Some(example)
}

/// A finished conversation. Its agent is shortened: `llm` and the agent itself have more settings.
fn conversation() -> Value {
    let usage = json!({
        "model": "openai/gpt-4o", "prompt_tokens": 5134, "completion_tokens": 40,
        "cache_read_tokens": 2432, "cache_write_tokens": 0, "reasoning_tokens": 0,
        "context_window": 128_000, "per_turn_token": 2629, "response_id": ""
    });
    json!({
        "id": CONVERSATION,
        "workspace": {"working_dir": "/srv/agents/project", "kind": "LocalWorkspace"},
        "persistence_dir": format!("/srv/agents/conversations/{CONVERSATION}"),
        "max_iterations": 500,
        "stuck_detection": true,
        "execution_status": "finished",
        "confirmation_policy": {"kind": "NeverConfirm"},
        "security_analyzer": null,
        "activated_knowledge_skills": [],
        "invoked_skills": [],
        "blocked_actions": {},
        "blocked_messages": {},
        "last_user_message_id": EVENT,
        "leaf_event_id": LAST_EVENT,
        "stats": {"usage_to_metrics": {"default": {
            "model_name": "openai/gpt-4o", "accumulated_cost": 0.0102, "max_budget_per_task": null,
            "accumulated_token_usage": usage, "costs": [], "response_latencies": [],
            "token_usages": []
        }}},
        "secret_registry": {"secret_sources": {}},
        "agent_state": {},
        "hook_config": null,
        "title": "List the files",
        "metrics": null,
        "created_at": "2026-01-31T12:00:00.081893Z",
        "updated_at": "2026-01-31T12:00:04.132571Z",
        "forked_from_conversation_id": null,
        "forked_from_event_id": null,
        "parent_conversation_id": null,
        "sub_conversation_ids": [],
        "tags": {"team": "docs"},
        "current_model_id": null,
        "available_models": [],
        "supports_runtime_model_switch": false,
        "launched_agent_profile": null,
        "agent": {
            "kind": "Agent",
            "llm": {"model": "openai/gpt-4o", "api_key": null, "base_url": null, "stream": false},
            "tools": [{"name": "terminal", "params": {}}, {"name": "file_editor", "params": {}}],
            "include_default_tools": ["FinishTool", "ThinkTool"]
        },
        "client_tools": [],
        "tool_module_qualnames": {},
        "runtime_info": {"runtime_status": "available", "can_resume": true, "runtime_error": null}
    })
}

/// The same conversation, as the answer to its making has it.
fn just_made() -> Value {
    let mut made = conversation();
    made["execution_status"] = json!("idle");
    made["updated_at"] = made["created_at"].clone();
    made["stats"] = json!({"usage_to_metrics": {}});
    for unknown in [
        "last_user_message_id",
        "leaf_event_id",
        "title",
        "runtime_info",
    ] {
        made[unknown] = Value::Null;
    }
    made
}

fn message() -> Value {
    json!({
        "id": EVENT,
        "timestamp": "2026-01-31T12:00:00.103836",
        "source": "user",
        "parent_id": "e5f96322-5f65-42ba-b47b-86735d09b424",
        "kind": "MessageEvent",
        "llm_message": {
            "role": "user",
            "content": [{"type": "text", "cache_prompt": false, "text": "List the files here."}],
            "thinking_blocks": []
        },
        "activated_skills": [],
        "extended_content": []
    })
}

fn action() -> Value {
    json!({
        "id": "7f107fa9-6e1c-4eb4-8771-4de3ab28b1d2",
        "timestamp": "2026-01-31T12:00:02.112620",
        "source": "agent",
        "parent_id": EVENT,
        "kind": "ActionEvent",
        "thought": [],
        "thinking_blocks": [],
        "action": {"command": "ls", "is_input": false, "reset": false, "kind": "TerminalAction"},
        "tool_name": "terminal",
        "tool_call_id": "call_1",
        "tool_call": {
            "id": "call_1", "name": "terminal", "arguments": "{\"command\":\"ls\"}",
            "origin": "completion"
        },
        "llm_response_id": "chatcmpl-1",
        "security_risk": "UNKNOWN",
        "summary": "List the files"
    })
}

fn server_info() -> Value {
    json!({
        "uptime": 3600.0,
        "idle_time": 12.0,
        "title": "OpenHands Agent Server",
        "version": crate::health::PROTOCOL_VERSION,
        "sdk_version": crate::health::PROTOCOL_VERSION,
        "tools_version": crate::health::PROTOCOL_VERSION,
        "workspace_version": crate::health::PROTOCOL_VERSION,
        "server": "agent-server",
        "server_version": env!("CARGO_PKG_VERSION"),
        "build_git_sha": "unknown",
        "build_git_ref": "unknown",
        "usable_tools": crate::health::USABLE_TOOLS,
        "runtime_idle_timeout_seconds": null,
        "conversation_runtime": "local",
        "available_conversation_runtimes": ["local"],
        "capabilities": ["idempotent_conversation_create_v1"],
        "max_foreground_terminal_timeout_seconds": 600.0,
        "docs": "/docs",
        "redoc": "/redoc"
    })
}

#[cfg(test)]
mod tests {
    use core_model::{ConversationInfo, Event};

    use super::*;

    /// What a type makes of an example, as JSON again.
    pub(super) fn read<T: serde::de::DeserializeOwned + serde::Serialize>(example: Value) -> Value {
        json!(serde_json::from_value::<T>(example).unwrap())
    }

    #[test]
    fn examples_are_what_the_types_write() {
        for example in [conversation(), just_made()] {
            assert_eq!(read::<ConversationInfo>(example.clone()), example);
        }
        for example in [message(), action()] {
            assert_eq!(read::<Event>(example.clone()), example);
        }
    }
}
