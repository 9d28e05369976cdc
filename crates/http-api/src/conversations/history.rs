use std::collections::BTreeMap;

use actix_web::HttpRequest;
use agent_runtime::Fork;
use core_model::{ConversationId, ConversationInfo, EventId};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{examples, start::checked_tags, title::checked_title};
use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler, refusals},
    reply::{Created, Reply},
    request::{Body, Path, RequestBody, Server},
};

/// How to copy a conversation; every field is optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("examples" = [{"title": "Another way", "from_event_id": "5a3f…"}]))]
struct ForkConversation {
    /// Chosen by the client, or else random.
    id: Option<ConversationId>,
    /// At most 200 characters, no control characters. Not that of the original.
    title: Option<String>,
    /// In place of those of the original.
    tags: Option<BTreeMap<String, String>>,
    /// Whether the copy has spent nothing yet.
    #[schemars(extend("default" = true))]
    reset_metrics: Option<bool>,
    /// The last event that is copied, with those that lead to it.
    from_event_id: Option<String>,
}

impl RequestBody for ForkConversation {
    const OPTIONAL: bool = true;
}

pub(super) const FORK: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/fork"),
    refusals: &[&refusals::ID_TAKEN],
    example: Some(|_| examples::conversation()),
    difference: Some("The copy has the budgets of the original."),
    ..Operation::post("fork_conversation", Tag::Conversations, handler!(fork))
};

/// Fork a conversation
///
/// The copy is idle and goes on from where it was copied; the original stays as it is. Events keep their
/// ids and times. Both work in the same workspace.
#[api_v2_operation]
async fn fork(
    server: Server,
    request: HttpRequest,
    path: Path<ConversationId>,
    body: Body<ForkConversation>,
) -> Result<Created<ConversationInfo>, Failure> {
    let asked = body.0;
    let fork = Fork {
        id: asked.id,
        title: asked.title.map(|title| checked_title(&title)).transpose()?,
        tags: asked.tags.map(checked_tags).transpose()?,
        api_key_name: (server.access.keys.name_of(request.headers())).map(str::to_owned),
        keep_metrics: asked.reset_metrics == Some(false),
        from: asked.from_event_id.map(EventId),
    };
    let mut info = server.runtime.fork(path.0, fork).await?;
    info.runtime_info = None;
    Ok(Created {
        value: info,
        existed: false,
    })
}

/// Where to continue.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"event_id": "5a3f…"}]))]
#[serde(deny_unknown_fields)]
struct Navigate {
    /// The event that the next one follows; null: none, the conversation begins again.
    #[serde(deserialize_with = "Option::deserialize")]
    event_id: Option<String>,
}

impl RequestBody for Navigate {}

pub(super) const NAVIGATE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/navigate"),
    refusals: &[&refusals::RUNNING],
    example: Some(|_| examples::conversation()),
    difference: Some("The move is an event, a state update with the key `leaf_event_id`."),
    ..Operation::post(
        "navigate_conversation",
        Tag::Conversations,
        handler!(navigate),
    )
};

/// Go back to an event
///
/// What follows continues from there. Later events stay in the log, on a branch that the model no longer
/// sees. Refused while the agent works.
#[api_v2_operation]
async fn navigate(
    server: Server,
    path: Path<ConversationId>,
    body: Body<Navigate>,
) -> Result<Reply<ConversationInfo>, Failure> {
    let conversation = server.runtime.open(path.0).await?;
    conversation.navigate(body.0.event_id.map(EventId)).await?;
    Ok(Reply(conversation.info()))
}
