//! Messages that wait for the agent's next turn.

use core_model::{ConversationId, EventId, QueuedMessage};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    message::SendMessage,
    operation::{Operation, Tag, both, handler, refusals},
    reply::{Reply, Success},
    request::{Body, Path, Server},
};

/// The messages that wait, the first one first.
#[derive(Serialize, JsonSchema)]
struct Queue {
    items: Vec<QueuedMessage>,
}

pub(super) const LIST: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/queue"),
    example: Some(|_| example()),
    ..Operation::get("list_queued_messages", Tag::Events, handler!(list))
};

/// List the messages that wait
///
/// Those that were sent with `"delivery": "queue"` and that the agent has not taken up. It takes up one each time
/// its turn has finished, in a turn of its own.
#[api_v2_operation]
async fn list(server: Server, path: Path<ConversationId>) -> Result<Reply<Queue>, Failure> {
    let conversation = server.runtime.open(path.0).await?;
    Ok(Reply(Queue {
        items: conversation.queued_messages(),
    }))
}

pub(super) const CHANGE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/queue/{event_id}"),
    refusals: &[&refusals::NOT_QUEUED],
    example: Some(|_| json!(Success::new())),
    ..Operation::put("change_queued_message", Tag::Events, handler!(change))
};

/// Change a message that waits
///
/// It keeps its place and its id.
#[api_v2_operation]
async fn change(
    server: Server,
    path: Path<ConversationId>,
    message: Path<EventId>,
    body: Body<SendMessage>,
) -> Result<Reply<Success>, Failure> {
    let content = body.0.content(&["body"])?;
    let conversation = server.runtime.open(path.0).await?;
    conversation.change_queued(message.0, content).await?;
    Ok(Reply(Success::new()))
}

pub(super) const TAKE_BACK: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/queue/{event_id}"),
    refusals: &[&refusals::NOT_QUEUED],
    example: Some(|_| json!(Success::new())),
    ..Operation::delete("take_back_queued_message", Tag::Events, handler!(take_back))
};

/// Take back a message that waits
///
/// The agent never gets it.
#[api_v2_operation]
async fn take_back(
    server: Server,
    path: Path<ConversationId>,
    message: Path<EventId>,
) -> Result<Reply<Success>, Failure> {
    let conversation = server.runtime.open(path.0).await?;
    conversation.take_back_queued(message.0).await?;
    Ok(Reply(Success::new()))
}

fn example() -> Value {
    json!({"items": [{
        "id": "f30c3b24-005f-4dd2-8dc2-7a5d6046f7e1",
        "content": [{"cache_prompt": false, "type": "text", "text": "Then write the tests."}],
        "queued_at": "2026-11-30T09:14:02.120931Z",
    }]})
}
