use core_model::ConversationId;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler, refusals},
    reply::{Reply, Success},
    request::{Body, Path, RequestBody, Server},
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
}

impl RequestBody for ConfirmationResponse {}

fn rejected() -> String {
    "User rejected the action.".to_owned()
}

pub(super) const RESPOND: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events/respond_to_confirmation"),
    refusals: &[&refusals::RUN_LIMIT],
    example: Some(|_| json!(Success::new())),
    difference: Some("Accepting while nothing waits does nothing, rather than starting a run."),
    ..Operation::post(
        "respond_to_confirmation",
        Tag::Events,
        handler!(respond_to_confirmation),
    )
};

/// Respond to a confirmation request
///
/// Executes the waiting actions, or rejects them and tells the agent why. Without waiting actions it does
/// nothing.
#[api_v2_operation]
async fn respond_to_confirmation(
    server: Server,
    path: Path<ConversationId>,
    body: Body<ConfirmationResponse>,
) -> Result<Reply<Success>, Failure> {
    let conversation = server.runtime.open(path.0).await;
    let conversation = conversation.map_err(Failure::naming_conversation)?;
    conversation
        .respond_to_confirmation(body.0.accept, &body.0.reason)
        .await?;
    Ok(Reply(Success::new()))
}
