use actix_web::HttpRequest;
use agent_runtime::{NewConversation, Runtime, RuntimeError};
use core_model::ConversationInfo;
use paperclip::actix::api_v2_operation;

use super::{examples, query::ShowParams, start::StartConversation};
use crate::{
    failure::Failure,
    idempotency::{self, IdempotencyKey, Idempotent},
    operation::{Dialect, Operation, Tag, both, handler, refusals},
    reply::Created,
    request::{Body, Query, Server},
};

pub(super) const CREATE: Operation = Operation {
    paths: both!("/conversations"),
    refusals: &[&refusals::NOT_FOUND, &refusals::RUN_LIMIT],
    example: Some(|_| examples::new_conversation()),
    difference: Some(
        "`worktree`, `secrets_encrypted`, runtimes other than `local` and agents other than `Agent` are \
         refused; there are no agent profiles and plugins yet; `hook_config` and \
         `client_tools` have no effect yet; there are no LLM profiles, so that the agent's model writes \
         titles whatever `title_llm_profile` names. Settings of more than `max_metadata_bytes` \
         are a 422.",
    ),
    ..Operation::post("create_conversation", Tag::Conversations, handler!(create))
};

/// Start a conversation
///
/// With `initial_message` a run starts at once. If the id exists already, this only reads it: the answer is
/// 200, and the rest of the body is ignored.
#[api_v2_operation]
async fn create(
    server: Server,
    request: HttpRequest,
    dialect: Dialect,
    show: Query<ShowParams>,
    key: IdempotencyKey,
    body: Body<StartConversation>,
) -> Result<Idempotent<Created<ConversationInfo>>, Failure> {
    let mut new = body
        .0
        .into_new(dialect, server.config.limits.metadata_bytes)?;
    let key_name = server.access.keys.name_of(request.headers());
    new.settings.api_key_name = key_name.map(str::to_owned);
    let runtime = server.runtime.clone();
    let create = move |request| async move {
        new.request = request;
        create_once(&runtime, new, show.0.include_skills).await
    };
    idempotency::run_once(&server, key, "create", &body.1, create).await
}

async fn create_once(
    runtime: &Runtime,
    new: NewConversation,
    include_skills: bool,
) -> Result<Created<ConversationInfo>, Failure> {
    if let Some(parent) = new.settings.parent_conversation_id {
        match runtime.info(parent).await {
            Ok(_) => {}
            Err(RuntimeError::NotFound(_)) => {
                let reason = format!("Parent conversation {parent} not found");
                return Err(Failure::Unprocessable(reason));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let created = runtime.create(new).await?;
    let mut info = created.info;
    if !include_skills {
        info = info.without_skills();
    }
    info.runtime_info = None;
    Ok(Created {
        value: info,
        existed: created.existed,
    })
}
