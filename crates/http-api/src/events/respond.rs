use actix_web::HttpRequest;
use agent_runtime::Decision;
use core_model::{ConversationId, EventId};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler, refusals},
    reply::{Reply, Success},
    request::{Body, Path, RequestBody, Server},
    validation::Problem,
};

/// The answer to a request for confirmation.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"accept": false, "reason": "Not in this folder."}]))]
struct ConfirmationResponse {
    /// Whether the waiting actions may be executed.
    accept: bool,
    /// What the agent is told if they may not.
    #[serde(default = "rejected")]
    reason: String,
    /// What is decided on single actions; `accept` and `reason` are for the others.
    #[serde(default)]
    decisions: Vec<ActionDecision>,
}

/// What is decided on one of the waiting actions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActionDecision {
    /// The id of the action's event.
    action_id: String,
    accept: bool,
    /// What the agent is told if it is rejected.
    #[serde(default)]
    reason: Option<String>,
    /// Whether the same command is carried out without asking from now on, in this conversation. Only with
    /// `accept`, and only for commands of the terminal that are known as a whole.
    #[serde(default)]
    remember: bool,
}

impl RequestBody for ConfirmationResponse {}

fn rejected() -> String {
    "User rejected the action.".to_owned()
}

pub(super) const RESPOND: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events/respond_to_confirmation"),
    refusals: &[&refusals::NOT_WAITING, &refusals::RUN_LIMIT],
    example: Some(|_| json!(Success::new())),
    difference: Some(
        "Accepting while nothing waits does nothing, rather than starting a run. `decisions` decide on \
         single actions.",
    ),
    ..Operation::post(
        "respond_to_confirmation",
        Tag::Events,
        handler!(respond_to_confirmation),
    )
};

/// Respond to a confirmation request
///
/// Executes the waiting actions, or rejects them and tells the agent why; with `decisions` each of them as they
/// say. Without waiting actions it does nothing.
#[api_v2_operation]
async fn respond_to_confirmation(
    server: Server,
    request: HttpRequest,
    path: Path<ConversationId>,
    body: Body<ConfirmationResponse>,
) -> Result<Reply<Success>, Failure> {
    let conversation = server.runtime.open(path.0).await;
    let conversation = conversation.map_err(Failure::naming_conversation)?;
    let ConfirmationResponse {
        accept,
        reason,
        decisions,
    } = body.0;
    let mut single = Vec::new();
    for (index, decision) in decisions.into_iter().enumerate() {
        if decision.remember && !decision.accept {
            let place = index.to_string();
            let why = "only what is accepted can be remembered";
            return Err(
                Problem::value_error(&["body", "decisions", &place, "remember"], why).into(),
            );
        }
        single.push(Decision {
            action_id: EventId(decision.action_id),
            accept: decision.accept,
            reason: decision.reason,
            remember: decision.remember,
        });
    }
    let by = server.access.keys.name_of(request.headers());
    conversation.decide(accept, &reason, single, by).await?;
    Ok(Reply(Success::new()))
}
