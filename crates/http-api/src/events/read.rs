use agent_runtime::{Conversation, EventPage as StoredPage, RuntimeError};
use core_model::{ConversationId, Event, EventId};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde_json::json;

use super::{
    examples,
    query::{EventFilterParams, EventListParams, EventSearchParams},
};
use crate::{
    buf_list::BufList,
    failure::Failure,
    operation::{Operation, Tag, both, handler},
    reply::{Encoded, RawJson, Reply, WriteJson, write_page},
    request::{MAX_BATCH, Path, Query, RawBody, Server, too_long},
    validation,
};

/// Several events by id come in one answer, which is in memory as a whole. A single event of any size is
/// returned.
const MAX_BATCH_BYTES: usize = 64 * 1024 * 1024;

/// One page of events.
#[derive(JsonSchema)]
#[schemars(rename = "EventPageBody")]
struct EventPage {
    items: Vec<Encoded<Event>>,
    /// Pass it as `page_id` for the next page; null on the last.
    next_page_id: Option<String>,
}

/// A page of events, or, when certain events were asked for, those.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "EventListBody")]
enum EventList {
    Page(EventPage),
    Batch(Vec<Option<Encoded<Event>>>),
}

pub(super) const LIST: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events"),
    example: Some(|_| examples::page()),
    difference: Some(
        "Without ids it is a page of events. Ids may also come as `event_ids` in the query, which web pages \
         can send.",
    ),
    ..Operation::get("list_events", Tag::Events, handler!(list))
};

/// List events
///
/// A page of events, as `…/events/search` returns it. With `event_ids`, or with a JSON list of ids as the
/// body, those events instead: a list in the order of the ids, with null for those that do not exist.
#[api_v2_operation]
async fn list(
    server: Server,
    path: Path<ConversationId>,
    query: Query<EventListParams>,
    body: RawBody,
) -> Result<RawJson<EventList>, Failure> {
    let ids = if body.0.iter().all(u8::is_ascii_whitespace) {
        Some(query.0.event_ids).filter(|ids| !ids.is_empty())
    } else {
        Some(ids_in_body(&body.0)?)
    };
    let conversation = open(&server, path.0).await?;
    if let Some(ids) = ids {
        let batch = batch_of(&conversation, ids).await?;
        return Ok(RawJson(EventList::Batch(batch)));
    }
    let page = conversation.search_events(&query.0.search.into()).await?;
    Ok(RawJson(EventList::Page(page.into())))
}

pub(super) const SEARCH: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events/search"),
    example: Some(|_| examples::page()),
    difference: Some("A page ends early at 16 MiB, with a `next_page_id`."),
    ..Operation::get("search_events", Tag::Events, handler!(search))
};

/// Search events
///
/// A page of a conversation's events in the order of its log. `next_page_id` leads to the next page.
#[api_v2_operation]
async fn search(
    server: Server,
    path: Path<ConversationId>,
    query: Query<EventSearchParams>,
) -> Result<RawJson<EventPage>, Failure> {
    let conversation = open(&server, path.0).await?;
    let page = conversation.search_events(&query.0.into()).await?;
    Ok(RawJson(page.into()))
}

pub(super) const COUNT: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events/count"),
    example: Some(|_| json!(12)),
    ..Operation::get("count_events", Tag::Events, handler!(count))
};

/// Count events
///
/// How many there are, as a bare number.
#[api_v2_operation]
async fn count(
    server: Server,
    path: Path<ConversationId>,
    query: Query<EventFilterParams>,
) -> Result<Reply<u64>, Failure> {
    let conversation = open(&server, path.0).await?;
    Ok(Reply(conversation.count_events(&query.0.into()).await?))
}

pub(super) const GET: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events/{event_id}"),
    example: Some(|_| examples::message()),
    ..Operation::get("get_event", Tag::Events, handler!(get))
};

/// Get an event
///
/// The event as it stands in the log.
#[api_v2_operation]
async fn get(
    server: Server,
    path: Path<ConversationId>,
    event: Path<EventId>,
) -> Result<RawJson<Encoded<Event>>, Failure> {
    let line = open(&server, path.0).await?.event(&event.0).await?;
    line.map(|line| RawJson(Encoded::new(line)))
        .ok_or(Failure::Runtime(RuntimeError::UnknownEvent(event.0)))
}

async fn open(server: &Server, id: ConversationId) -> Result<Conversation, Failure> {
    let opened = server.runtime.open(id).await;
    opened.map_err(Failure::naming_conversation)
}

fn ids_in_body(body: &[u8]) -> Result<Vec<String>, Failure> {
    let ids: Vec<String> = validation::typed(&validation::json(body)?, &["body"])?;
    if ids.len() > MAX_BATCH {
        return Err(too_long(&["body"], ids.len()).into());
    }
    Ok(ids)
}

async fn batch_of(
    conversation: &Conversation,
    ids: Vec<String>,
) -> Result<Vec<Option<Encoded<Event>>>, Failure> {
    let mut batch: Vec<Option<Encoded<Event>>> = Vec::with_capacity(ids.len());
    let mut bytes = 0;
    for id in ids {
        let event = conversation.event(&EventId(id)).await?.map(Encoded::new);
        bytes += event.as_ref().map_or("null".len(), Encoded::len);
        if bytes > MAX_BATCH_BYTES && !batch.is_empty() {
            return Err(Failure::Unprocessable(format!(
                "These events have more than {MAX_BATCH_BYTES} bytes together; ask for fewer at once"
            )));
        }
        batch.push(event);
    }
    Ok(batch)
}

/// Log lines are JSON already.
impl From<StoredPage> for EventPage {
    fn from(page: StoredPage) -> Self {
        Self {
            items: page.items.into_iter().map(Encoded::new).collect(),
            next_page_id: page.next_page_id,
        }
    }
}

impl WriteJson for EventPage {
    fn copied_len(&self) -> usize {
        self.items.copied_len() + 64
    }

    fn write(self, body: &mut BufList) {
        write_page(body, self.items, self.next_page_id.as_deref());
    }
}

impl WriteJson for EventList {
    fn copied_len(&self) -> usize {
        match self {
            Self::Page(page) => page.copied_len(),
            Self::Batch(batch) => batch.copied_len(),
        }
    }

    fn write(self, body: &mut BufList) {
        match self {
            Self::Page(page) => page.write(body),
            Self::Batch(batch) => batch.write(body),
        }
    }
}

#[cfg(test)]
mod tests;
