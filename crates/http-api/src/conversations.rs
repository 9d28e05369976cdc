//! Conversations: start, find, steer, remove.

use agent_runtime::{Listed, NewConversation, Runtime, RuntimeError};
use bytes::Bytes;
use core_model::{ConversationInfo, info::RuntimeInfo};
use paperclip::actix::api_v2_operation;

use crate::{
    error::Failure,
    extract::{Body, ConversationPath, Dialect, Query, Server},
    idempotency::{self, IdempotencyKey, Once},
    query::{
        ConversationBatchParams, ConversationCountParams, ConversationSearchParams, ShowParams,
    },
    reply::{Made, Reply, Verbatim},
    wire::{self, ConversationPageBody, FinalResponse, StartConversation, Success},
};

/// Start a conversation
///
/// With `initial_message` it starts to run at once. An id that exists already makes this a plain
/// read: the answer is 200, and the rest of the body is ignored.
#[api_v2_operation(tags("Conversations"), operation_id = "create_conversation")]
pub(crate) async fn create(
    server: Server,
    dialect: Dialect,
    show: Query<ShowParams>,
    key: IdempotencyKey,
    body: Body<StartConversation>,
) -> Result<Once<Made<ConversationInfo>>, Failure> {
    let limit = server.0.config.limits.metadata_bytes;
    let mut new = body.0.into_new(dialect, limit)?;
    let shared = server.0.clone().into_inner();
    let make = move |request| async move {
        new.request = request;
        make(&shared.runtime, new, show.0.include_skills).await
    };
    idempotency::once(&server, key, "create", &body.1, make).await
}

async fn make(
    runtime: &Runtime,
    new: NewConversation,
    include_skills: bool,
) -> Result<Made<ConversationInfo>, Failure> {
    if let Some(parent) = new.parent_conversation_id {
        match runtime.info(parent).await {
            Ok(_) => {}
            Err(RuntimeError::NotFound(_)) => {
                let why = format!("Parent conversation {parent} not found");
                return Err(Failure::Unprocessable(why));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let created = runtime.create(new).await?;
    let mut info = wire::trimmed(created.info, include_skills);
    info.runtime_info = None;
    Ok(Made {
        value: info,
        existed: created.existed,
    })
}

/// Search conversations
///
/// A page of conversations, the newest first unless told otherwise. `next_page_id` leads on.
#[api_v2_operation(tags("Conversations"), operation_id = "search_conversations")]
pub(crate) async fn search(
    server: Server,
    query: Query<ConversationSearchParams>,
) -> Result<Verbatim<ConversationPageBody>, Failure> {
    let page = server.0.runtime.search(&query.0.into()).await?;
    let items = json_of(page.items.into_iter().map(Some))?;
    let json = wire::page_json(items, page.next_page_id.as_deref());
    Ok(Verbatim::new(json))
}

/// Count conversations
///
/// How many there are, as a bare number.
#[api_v2_operation(tags("Conversations"), operation_id = "count_conversations")]
pub(crate) async fn count(
    server: Server,
    query: Query<ConversationCountParams>,
) -> Result<Reply<u64>, Failure> {
    Ok(Reply(server.0.runtime.count(query.0.status).await?))
}

/// Get several conversations
///
/// In the order asked for, with null in the place of those that do not exist.
#[api_v2_operation(tags("Conversations"), operation_id = "batch_get_conversations")]
pub(crate) async fn batch(
    server: Server,
    query: Query<ConversationBatchParams>,
) -> Result<Verbatim<Vec<Option<ConversationInfo>>>, Failure> {
    let runtime = &server.0.runtime;
    let found = runtime.listed(&query.0.ids, query.0.include_skills).await?;
    Ok(Verbatim::new(wire::list_json(json_of(found)?)))
}

/// Get a conversation
///
/// Its settings, with secrets left out, and how it stands now.
#[api_v2_operation(tags("Conversations"), operation_id = "get_conversation")]
pub(crate) async fn get(
    server: Server,
    path: ConversationPath,
    show: Query<ShowParams>,
) -> Result<Reply<ConversationInfo>, Failure> {
    let info = server.0.runtime.info(path.0).await?;
    Ok(Reply(shown(info, show.0.include_skills)))
}

/// Delete a conversation
///
/// Ends its run, closes its sockets with 4004 and removes its log. The agent's workspace stays.
#[api_v2_operation(tags("Conversations"), operation_id = "delete_conversation")]
pub(crate) async fn delete(
    server: Server,
    path: ConversationPath,
) -> Result<Reply<Success>, Failure> {
    server.0.runtime.delete(path.0).await?;
    Ok(Reply(Success::new()))
}

/// Run the agent
///
/// Answers once the run has begun, and does not wait for its end. Where actions wait for consent,
/// this gives it.
#[api_v2_operation(tags("Conversations"), operation_id = "run_conversation")]
pub(crate) async fn run(
    server: Server,
    path: ConversationPath,
    key: IdempotencyKey,
) -> Result<Once<Reply<Success>>, Failure> {
    let runtime = server.0.runtime.clone();
    let run = move |request| async move {
        let conversation = runtime.open(path.0).await?;
        match request {
            Some(request) => conversation.run_once(request).await?,
            None => conversation.run().await?,
        }
        Ok(Reply(Success::new()))
    };
    idempotency::once(&server, key, &format!("run {}", path.0), &[], run).await
}

/// Pause the agent
///
/// The run ends before its next step.
#[api_v2_operation(tags("Conversations"), operation_id = "pause_conversation")]
pub(crate) async fn pause(
    server: Server,
    path: ConversationPath,
) -> Result<Reply<Success>, Failure> {
    server.0.runtime.open(path.0).await?.pause().await?;
    Ok(Reply(Success::new()))
}

/// Interrupt the agent
///
/// The run ends now: the model's reply is dropped, a running command is killed.
#[api_v2_operation(tags("Conversations"), operation_id = "interrupt_conversation")]
pub(crate) async fn interrupt(
    server: Server,
    path: ConversationPath,
) -> Result<Reply<Success>, Failure> {
    server.0.runtime.open(path.0).await?.interrupt().await?;
    Ok(Reply(Success::new()))
}

/// Get the agent's last words
///
/// What the agent said when it finished, or the last text it wrote; empty before that.
#[api_v2_operation(tags("Conversations"), operation_id = "agent_final_response")]
pub(crate) async fn final_response(
    server: Server,
    path: ConversationPath,
) -> Result<Reply<FinalResponse>, Failure> {
    let response = server
        .0
        .runtime
        .open(path.0)
        .await?
        .final_response()
        .await?;
    Ok(Reply(FinalResponse { response }))
}

/// Each as JSON, null where there is none.
fn json_of(listed: impl IntoIterator<Item = Option<Listed>>) -> Result<Vec<Bytes>, Failure> {
    let json = |listed: Option<Listed>| match listed {
        Some(listed) => listed.json(),
        None => Ok(Bytes::from_static(b"null")),
    };
    let all: serde_json::Result<Vec<Bytes>> = listed.into_iter().map(json).collect();
    all.map_err(|error| RuntimeError::Internal(error.to_string()).into())
}

/// As clients expect a conversation that they read, rather than make.
fn shown(info: ConversationInfo, include_skills: bool) -> ConversationInfo {
    let mut info = wire::trimmed(info, include_skills);
    info.runtime_info = Some(RuntimeInfo::available());
    info
}
