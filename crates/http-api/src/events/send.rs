use core_model::ConversationId;
use paperclip::actix::api_v2_operation;
use serde_json::json;

use crate::{
    failure::Failure,
    idempotency::{self, IdempotencyKey, Idempotent},
    message::SendMessage,
    operation::{Dialect, Operation, Tag, both, handler, refusals},
    reply::{Reply, Success},
    request::{Body, Path, Server},
};

pub(super) const SEND: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events"),
    refusals: &[&refusals::RUN_LIMIT, &refusals::QUEUE_FULL],
    example: Some(|_| json!(Success::new())),
    difference: Some(
        "A message while actions wait for confirmation rejects them. Roles other than `user` are a 422. \
         Nothing waits for a running tool.",
    ),
    ..Operation::post("send_event", Tag::Events, handler!(send))
};

/// Send a message
///
/// The message is stored when this answers: on disk, unless the server is ephemeral. With `run` the agent processes it: a new run starts, or the
/// active one includes it. `delivery` says when an agent that works gets it: at its next step, when its turn has
/// finished, or at once. Messages that wait for the end of a turn: see the queue.
#[api_v2_operation]
async fn send(
    server: Server,
    dialect: Dialect,
    path: Path<ConversationId>,
    key: IdempotencyKey,
    body: Body<SendMessage>,
) -> Result<Idempotent<Reply<Success>>, Failure> {
    let content = body.0.content(&["body"])?;
    let delivery = body.0.delivery(dialect == Dialect::Readme, &["body"])?;
    let runtime = server.runtime.clone();
    let send = move |request| async move {
        let conversation = runtime.open(path.0).await;
        let conversation = conversation.map_err(Failure::naming_conversation)?;
        let sent = match request {
            Some(request) => conversation.deliver_once(request, content, delivery).await,
            None => conversation.deliver(content, delivery).await,
        };
        sent.map_err(|error| {
            let api = if dialect == Dialect::OpenHands {
                "/api"
            } else {
                ""
            };
            Failure::of_message(error, || format!("{api}/conversations/{}/run", path.0))
        })?;
        Ok(Reply(Success::new()))
    };
    idempotency::run_once(&server, key, &format!("message {}", path.0), &body.1, send).await
}
