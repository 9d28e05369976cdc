//! What answers look like. They all show the same small conversation.

use core_model::budget::Spent;
use serde_json::{Value, json};

const CONVERSATION: &str = "936e15a0-9bf8-492f-b439-93f478b6cf76";
const EVENT: &str = "f30c3b24-005f-4dd2-8dc2-7a5d6046f7e1";
const LAST_EVENT: &str = "9b89a0db-6f8b-4778-9269-ffb92f679faa";
pub(super) const FINAL_RESPONSE: &str = "There is one file here, README.md.";

/// A finished conversation. Its agent is shortened: `llm` and the agent itself have more settings.
pub(super) fn conversation() -> Value {
    let usage = json!({
        "model": "openai/gpt-4o", "prompt_tokens": 5134, "completion_tokens": 40,
        "cache_read_tokens": 2432, "cache_write_tokens": 0, "reasoning_tokens": 0,
        "context_window": 128_000, "per_turn_token": 2629, "response_id": ""
    });
    let spent = json!({
        "cost_usd": 0.0102, "tokens": 5174, "wall_seconds": 4.05, "tool_calls": 2, "model_calls": 2,
        "unpriced_calls": 0
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
        "runtime_info": {"runtime_status": "available", "can_resume": true, "runtime_error": null},
        "budgets": {"conversation": {"max_cost_usd": 2.5}, "turn": {}},
        "spent": spent
    })
}

/// The same conversation, as the answer to its creation shows it.
pub(super) fn new_conversation() -> Value {
    let mut new = conversation();
    new["execution_status"] = json!("idle");
    new["updated_at"] = new["created_at"].clone();
    new["stats"] = json!({"usage_to_metrics": {}});
    new["spent"] = json!(Spent::default());
    for unknown in [
        "last_user_message_id",
        "leaf_event_id",
        "title",
        "runtime_info",
    ] {
        new[unknown] = Value::Null;
    }
    new
}

#[cfg(test)]
mod tests;
