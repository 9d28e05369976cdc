use agent_runtime::{Listed, RuntimeError};
use core_model::{ConversationId, ConversationInfo, info::RuntimeInfo};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde_json::json;

use super::{
    examples,
    query::{
        ConversationBatchParams, ConversationCountParams, ConversationSearchParams, ShowParams,
    },
};
use crate::{
    buf_list::BufList,
    failure::Failure,
    operation::{Operation, Tag, both, handler},
    reply::{Encoded, RawJson, Reply, WriteJson, write_page},
    request::{Path, Query, Server},
};

/// One page of conversations.
#[derive(JsonSchema)]
#[schemars(rename = "ConversationPageBody")]
struct ConversationPage {
    items: Vec<Encoded<ConversationInfo>>,
    /// Pass it as `page_id` for the next page; null on the last.
    next_page_id: Option<String>,
}

impl WriteJson for ConversationPage {
    fn copied_len(&self) -> usize {
        self.items.copied_len() + 64
    }

    fn write(self, body: &mut BufList) {
        write_page(body, self.items, self.next_page_id.as_deref());
    }
}

pub(super) const SEARCH: Operation = Operation {
    paths: both!("/conversations/search"),
    example: Some(|_| json!({"items": [examples::conversation()], "next_page_id": null})),
    ..Operation::get("search_conversations", Tag::Conversations, handler!(search))
};

/// Search conversations
///
/// A page of conversations, the newest first by default. `next_page_id` leads to the next page.
#[api_v2_operation]
async fn search(
    server: Server,
    query: Query<ConversationSearchParams>,
) -> Result<RawJson<ConversationPage>, Failure> {
    let page = server.runtime.search(&query.0.into()).await?;
    let items: Result<_, _> = page.items.into_iter().map(encoded).collect();
    Ok(RawJson(ConversationPage {
        items: items?,
        next_page_id: page.next_page_id,
    }))
}

pub(super) const COUNT: Operation = Operation {
    paths: both!("/conversations/count"),
    example: Some(|_| json!(1)),
    ..Operation::get("count_conversations", Tag::Conversations, handler!(count))
};

/// Count conversations
///
/// How many there are, as a bare number.
#[api_v2_operation]
async fn count(
    server: Server,
    query: Query<ConversationCountParams>,
) -> Result<Reply<u64>, Failure> {
    Ok(Reply(server.runtime.count(query.0.status).await?))
}

pub(super) const BATCH_GET: Operation = Operation {
    paths: both!("/conversations"),
    example: Some(|_| json!([examples::conversation(), null])),
    difference: Some("`ids` may also be separated by commas, and at most 1000."),
    ..Operation::get(
        "batch_get_conversations",
        Tag::Conversations,
        handler!(batch_get),
    )
};

/// Get several conversations
///
/// In the order of the ids, with null for those that do not exist.
#[api_v2_operation]
async fn batch_get(
    server: Server,
    query: Query<ConversationBatchParams>,
) -> Result<RawJson<Vec<Option<Encoded<ConversationInfo>>>>, Failure> {
    let ids: &[ConversationId] = &query.0.ids.0;
    let found = server.runtime.listed(ids, query.0.include_skills).await?;
    let items: Result<_, _> = found
        .into_iter()
        .map(|listed| listed.map(encoded).transpose())
        .collect();
    Ok(RawJson(items?))
}

pub(super) const GET: Operation = Operation {
    paths: both!("/conversations/{conversation_id}"),
    example: Some(|_| examples::conversation()),
    ..Operation::get("get_conversation", Tag::Conversations, handler!(get))
};

/// Get a conversation
///
/// Its settings, without secrets, and its current state.
#[api_v2_operation]
async fn get(
    server: Server,
    path: Path<ConversationId>,
    show: Query<ShowParams>,
) -> Result<Reply<ConversationInfo>, Failure> {
    let mut info = server.runtime.info(path.0).await?;
    if !show.0.include_skills {
        info = info.without_skills();
    }
    // Clients expect it of a conversation that they read, and not of one that they create.
    info.runtime_info = Some(RuntimeInfo::available());
    Ok(Reply(info))
}

fn encoded(listed: Listed) -> Result<Encoded<ConversationInfo>, Failure> {
    let json = listed.json();
    json.map(Encoded::new)
        .map_err(|error| RuntimeError::Internal(error.to_string()).into())
}
