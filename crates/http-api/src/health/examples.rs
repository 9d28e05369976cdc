//! What answers look like.

use serde_json::{Value, json};

use super::versions::PROTOCOL_VERSION;

pub(super) fn ok(_status: &str) -> Value {
    json!({"status": "ok"})
}

pub(super) fn ready(status: &str) -> Value {
    let details = json!({"settled": true, "notices": []});
    if status == "200" {
        json!({"status": "ready", "details": details})
    } else {
        let reason = "the store accepts no more writes";
        json!({"status": "not ready", "reason": reason, "details": details})
    }
}

pub(super) fn server_info(_status: &str) -> Value {
    json!({
        "uptime": 3600.0,
        "idle_time": 12.0,
        "title": "OpenHands Agent Server",
        "version": PROTOCOL_VERSION,
        "sdk_version": PROTOCOL_VERSION,
        "tools_version": PROTOCOL_VERSION,
        "workspace_version": PROTOCOL_VERSION,
        "server": "agent-server",
        "server_version": env!("CARGO_PKG_VERSION"),
        "build_git_sha": "unknown",
        "build_git_ref": "unknown",
        "usable_tools": agent_runtime::tool_names().collect::<Vec<_>>(),
        "runtime_idle_timeout_seconds": null,
        "conversation_runtime": "local",
        "available_conversation_runtimes": ["local"],
        "capabilities": ["idempotent_conversation_create_v1"],
        "max_foreground_terminal_timeout_seconds": 600.0,
        "ephemeral": false,
        "docs": "/docs",
        "redoc": "/redoc"
    })
}
