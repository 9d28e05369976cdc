//! Whether the server is well, and what it is.

mod bodies;
mod examples;
mod versions;

use actix_web::HttpRequest;
use core_model::port::Notice;
use paperclip::actix::api_v2_operation;

use self::{
    bodies::{HealthStatus, Ready, ReadyDetails, ReadyNotice, ServerInfo},
    versions::PROTOCOL_VERSION,
};
use crate::{
    access::KeyCheck,
    failure::Failure,
    operation::{Dialect, Handler, Operation, Part, Tag, handler},
    reply::{Readiness, Reply},
    request::Server,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        paths: &[(Dialect::Readme, "/health")],
        example: Some(examples::ok),
        ..server_operation("health", Part::Health, handler!(health))
    },
    Operation {
        paths: &[(Dialect::Readme, "/alive")],
        example: Some(examples::ok),
        ..server_operation("alive", Part::Health, handler!(alive))
    },
    Operation {
        paths: &[(Dialect::Readme, "/ready")],
        example: Some(examples::ready),
        difference: Some("Adds `details`: what was found and repaired in stored conversations."),
        ..server_operation("ready", Part::Health, handler!(ready))
    },
    Operation {
        paths: &[(Dialect::Readme, "/server_info")],
        example: Some(examples::server_info),
        difference: Some(ADDED_INFO),
        ..server_operation("server_info", Part::Health, handler!(server_info))
    },
    Operation {
        paths: &[(Dialect::Readme, "/")],
        example: Some(examples::server_info),
        difference: Some(ADDED_INFO),
        ..server_operation("root", Part::Root, handler!(root))
    },
];

const ADDED_INFO: &str =
    "Adds `server` and `server_version`: name and version of this implementation.";

/// One that needs no key.
const fn server_operation(id: &'static str, part: Part, handler: Handler) -> Operation {
    Operation {
        needs_key: false,
        part,
        ..Operation::get(id, Tag::Server, handler)
    }
}

/// Health check
///
/// Answers as long as the process serves requests at all.
#[api_v2_operation]
async fn health() -> Result<Reply<HealthStatus>, Failure> {
    Ok(Reply(HealthStatus { status: "ok" }))
}

/// Liveness check
///
/// The same as `/health`, under the name that orchestrators use.
#[api_v2_operation]
async fn alive() -> Result<Reply<HealthStatus>, Failure> {
    Ok(Reply(HealthStatus { status: "ok" }))
}

/// Readiness check
///
/// 200 when the store is open and accepts writes; 503 with the reason when not. With a valid key it also
/// reports what was found and repaired in stored conversations.
#[api_v2_operation]
async fn ready(server: Server, request: HttpRequest) -> Result<Readiness<Ready>, Failure> {
    let runtime = &server.runtime;
    let notice = |notice: Notice| ReadyNotice {
        conversation_id: notice.conversation_id,
        found_at: notice.found_at,
        text: notice.text,
    };
    // Anybody may ask whether the server is ready, but notices name conversations.
    let notices = match server.access.keys.check_headers(request.headers()) {
        KeyCheck::Passed => runtime.notices(),
        KeyCheck::Wrong | KeyCheck::Missing => Vec::new(),
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

/// Server information
///
/// Versions, uptime and the tools that agents may be given.
#[api_v2_operation]
async fn server_info(server: Server, request: HttpRequest) -> Result<Reply<ServerInfo>, Failure> {
    Ok(Reply(info(&server, &request, "/server_info")))
}

/// Server information at the root
///
/// The same as `/server_info`.
#[api_v2_operation]
async fn root(server: Server, request: HttpRequest) -> Result<Reply<ServerInfo>, Failure> {
    Ok(Reply(info(&server, &request, "/")))
}

fn info(server: &Server, request: &HttpRequest, here: &str) -> ServerInfo {
    let prefix = server.prefix(request, here);
    ServerInfo {
        uptime: server.started.elapsed().as_secs_f64().floor(),
        idle_time: server.runtime.idle_seconds().floor(),
        title: "OpenHands Agent Server",
        version: PROTOCOL_VERSION,
        sdk_version: PROTOCOL_VERSION,
        tools_version: PROTOCOL_VERSION,
        workspace_version: PROTOCOL_VERSION,
        server: "agent-server",
        server_version: env!("CARGO_PKG_VERSION"),
        build_git_sha: "unknown",
        build_git_ref: "unknown",
        usable_tools: agent_runtime::tool_names().collect(),
        runtime_idle_timeout_seconds: None,
        conversation_runtime: "local",
        available_conversation_runtimes: ["local"].into(),
        capabilities: ["idempotent_conversation_create_v1"].into(),
        max_foreground_terminal_timeout_seconds: server
            .runtime
            .max_foreground_terminal_timeout()
            .as_secs_f64(),
        ephemeral: server.config.ephemeral,
        docs: format!("{prefix}/docs"),
        redoc: format!("{prefix}/redoc"),
    }
}
