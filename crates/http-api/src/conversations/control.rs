use core_model::ConversationId;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::examples;
use crate::{
    failure::Failure,
    idempotency::{self, IdempotencyKey, Idempotent},
    operation::{Operation, Tag, both, handler, refusals},
    reply::{Reply, Success},
    request::{Path, Server},
};

pub(super) const DELETE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}"),
    example: Some(|_| json!(Success::new())),
    difference: Some("Sockets on the conversation close with 4004."),
    ..Operation::delete("delete_conversation", Tag::Conversations, handler!(delete))
};

/// Delete a conversation
///
/// Ends its run, closes its sockets with 4004 and deletes its log. The agent's workspace stays.
#[api_v2_operation]
async fn delete(server: Server, path: Path<ConversationId>) -> Result<Reply<Success>, Failure> {
    server.runtime.delete(path.0).await?;
    Ok(Reply(Success::new()))
}

pub(super) const RUN: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/run"),
    refusals: &[&refusals::CONFLICT, &refusals::RUN_LIMIT],
    example: Some(|_| json!(Success::new())),
    ..Operation::post("run_conversation", Tag::Conversations, handler!(run))
};

/// Run the agent
///
/// Answers once the run has started, and does not wait for its end. Where actions wait for confirmation,
/// this confirms them.
#[api_v2_operation]
async fn run(
    server: Server,
    path: Path<ConversationId>,
    key: IdempotencyKey,
) -> Result<Idempotent<Reply<Success>>, Failure> {
    let runtime = server.runtime.clone();
    let run = move |request| async move {
        let conversation = runtime.open(path.0).await?;
        match request {
            Some(request) => conversation.run_once(request).await?,
            None => conversation.run().await?,
        }
        Ok(Reply(Success::new()))
    };
    idempotency::run_once(&server, key, &format!("run {}", path.0), &[], run).await
}

pub(super) const PAUSE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/pause"),
    example: Some(|_| json!(Success::new())),
    difference: Some(
        "The status becomes `paused` when the run has stopped; actions of the last reply stay pending and \
         are executed when it continues.",
    ),
    ..Operation::post("pause_conversation", Tag::Conversations, handler!(pause))
};

/// Pause the agent
///
/// The run stops before its next step.
#[api_v2_operation]
async fn pause(server: Server, path: Path<ConversationId>) -> Result<Reply<Success>, Failure> {
    server.runtime.open(path.0).await?.pause().await?;
    Ok(Reply(Success::new()))
}

pub(super) const INTERRUPT: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/interrupt"),
    example: Some(|_| json!(Success::new())),
    ..Operation::post(
        "interrupt_conversation",
        Tag::Conversations,
        handler!(interrupt),
    )
};

/// Interrupt the agent
///
/// The run stops now: the model's reply is dropped, a running command is interrupted and, if it
/// still runs after a second, killed.
#[api_v2_operation]
async fn interrupt(server: Server, path: Path<ConversationId>) -> Result<Reply<Success>, Failure> {
    server.runtime.open(path.0).await?.interrupt().await?;
    Ok(Reply(Success::new()))
}

pub(super) const CONDENSE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/condense"),
    refusals: &[
        &refusals::BUDGET_REACHED,
        &refusals::NO_CONDENSER,
        &refusals::RUN_LIMIT,
    ],
    example: Some(|_| json!(Success::new())),
    difference: Some(
        "Works without a configured condenser too; refused only where `NoOpCondenser` switches it off. \
         While the agent works, it answers at once.",
    ),
    ..Operation::post(
        "condense_conversation",
        Tag::Conversations,
        handler!(condense),
    )
};

/// Condense the conversation
///
/// A summary takes the place of the older events in what the model is shown; the events stay in the log.
/// Answers when it is done; while the agent works, at once, and the agent does it before its next step.
#[api_v2_operation]
async fn condense(server: Server, path: Path<ConversationId>) -> Result<Reply<Success>, Failure> {
    server.runtime.open(path.0).await?.condense().await?;
    Ok(Reply(Success::new()))
}

/// What the agent said last.
#[derive(Serialize, JsonSchema)]
struct FinalResponse {
    response: String,
}

pub(super) const FINAL_RESPONSE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/agent_final_response"),
    example: Some(|_| json!({"response": examples::FINAL_RESPONSE})),
    ..Operation::get(
        "agent_final_response",
        Tag::Conversations,
        handler!(final_response),
    )
};

/// Get the final response
///
/// What the agent said when it finished, or the last text it wrote; empty before that.
#[api_v2_operation]
async fn final_response(
    server: Server,
    path: Path<ConversationId>,
) -> Result<Reply<FinalResponse>, Failure> {
    let conversation = server.runtime.open(path.0).await?;
    let response = conversation.final_response().await?;
    Ok(Reply(FinalResponse { response }))
}
