//! Whether the server is well, and what it is.

use actix_web::HttpRequest;
use core_model::port::Notice;
use paperclip::actix::api_v2_operation;

use crate::{
    auth::Permit,
    error::Failure,
    extract::Server,
    reply::{Readiness, Reply},
    wire::{HealthStatus, Ready, ReadyDetails, ReadyNotice, ServerInfo},
};

/// The version of the protocol this server speaks; clients compare it with the one they need.
pub(crate) const PROTOCOL_VERSION: &str = "1.58.0";
/// The tools an agent may be given by name.
pub(crate) const USABLE_TOOLS: [&str; 3] = ["terminal", "file_editor", "task_tracker"];

/// Is it there
///
/// Answers as long as the process serves requests at all.
#[api_v2_operation(tags("Server"), operation_id = "health")]
pub(crate) async fn health() -> Result<Reply<HealthStatus>, Failure> {
    Ok(Reply(HealthStatus { status: "ok" }))
}

/// Is it alive
///
/// The same as `/health`, under the name that orchestrators ask for.
#[api_v2_operation(tags("Server"), operation_id = "alive")]
pub(crate) async fn alive() -> Result<Reply<HealthStatus>, Failure> {
    Ok(Reply(HealthStatus { status: "ok" }))
}

/// Is it ready
///
/// 200 when the store is open and takes writes; 503 with the reason when not. With a valid key it also
/// tells what was found and mended in stored conversations.
#[api_v2_operation(tags("Server"), operation_id = "ready")]
pub(crate) async fn ready(
    server: Server,
    request: HttpRequest,
) -> Result<Readiness<Ready>, Failure> {
    let runtime = &server.0.runtime;
    let notice = |notice: Notice| ReadyNotice {
        conversation_id: notice.conversation_id,
        found_at: notice.found_at,
        text: notice.text,
    };
    // Anybody may ask whether the server is ready; notices name conversations.
    let notices = match server.0.keys.judge(request.headers()) {
        Permit::Granted => runtime.notices(),
        Permit::Refused | Permit::Absent => Vec::new(),
    };
    let details = ReadyDetails {
        settled: runtime.is_recovered(),
        notices: notices.into_iter().map(notice).collect(),
    };
    Ok(match runtime.ready() {
        Ok(()) => Readiness {
            body: Ready {
                status: "ready",
                reason: None,
                details,
            },
            ready: true,
        },
        Err(reason) => {
            tracing::warn!(reason, "not ready");
            let body = Ready {
                status: "not ready",
                reason: Some(reason),
                details,
            };
            Readiness { body, ready: false }
        }
    })
}

/// What it is
///
/// Versions, uptime and the tools that agents may be given.
#[api_v2_operation(tags("Server"), operation_id = "server_info")]
pub(crate) async fn server_info(
    server: Server,
    request: HttpRequest,
) -> Result<Reply<ServerInfo>, Failure> {
    Ok(Reply(info(&server, &request, "/server_info")))
}

/// What it is, at the root
///
/// The same as `/server_info`.
#[api_v2_operation(tags("Server"), operation_id = "root")]
pub(crate) async fn root(
    server: Server,
    request: HttpRequest,
) -> Result<Reply<ServerInfo>, Failure> {
    Ok(Reply(info(&server, &request, "/")))
}

fn info(server: &Server, request: &HttpRequest, here: &str) -> ServerInfo {
    let configured = &server.0.config.prefix;
    let mounted = request.path().strip_suffix(here).unwrap_or_default();
    let prefix = if configured.is_empty() {
        mounted
    } else {
        configured
    };
    ServerInfo {
        uptime: server.0.started.elapsed().as_secs_f64().floor(),
        idle_time: server.0.runtime.idle_seconds().floor(),
        title: "OpenHands Agent Server",
        version: PROTOCOL_VERSION,
        sdk_version: PROTOCOL_VERSION,
        tools_version: PROTOCOL_VERSION,
        workspace_version: PROTOCOL_VERSION,
        server: "agent-server",
        server_version: env!("CARGO_PKG_VERSION"),
        build_git_sha: "unknown",
        build_git_ref: "unknown",
        usable_tools: USABLE_TOOLS.into(),
        runtime_idle_timeout_seconds: None,
        conversation_runtime: "local",
        available_conversation_runtimes: ["local"].into(),
        capabilities: ["idempotent_conversation_create_v1"].into(),
        max_foreground_terminal_timeout_seconds: server
            .0
            .runtime
            .max_foreground_terminal_timeout()
            .as_secs_f64(),
        docs: format!("{prefix}/docs"),
        redoc: format!("{prefix}/redoc"),
    }
}
