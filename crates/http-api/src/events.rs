//! A conversation's events: send, page, pick.

use agent_runtime::{Conversation, EventPage, Runtime, RuntimeError};
use bytes::Bytes;
use core_model::{ConversationId, Event, EventId};
use paperclip::actix::api_v2_operation;

use crate::{
    error::Failure,
    extract::{Body, ConversationPath, Dialect, EventPath, Query, RawBody, Server},
    gathered::Gathered,
    idempotency::{self, IdempotencyKey, Once},
    query::{self, BATCH_LIMIT, EventFilterParams, EventListParams, EventSearchParams},
    reply::{Reply, Verbatim},
    validation,
    wire::{self, ConfirmationResponse, EventListBody, EventPageBody, SendMessage, Success},
};

/// Events that are picked come in one piece, which is in memory as a whole; a single one of any size
/// is given out.
const BATCH_BYTES: usize = 64 * 1024 * 1024;

/// List events
///
/// A page of events, as `…/events/search` gives it. With `event_ids`, or with a JSON list of ids as
/// the body, those events instead: a list in the order asked for, null where there is none.
#[api_v2_operation(tags("Events"), operation_id = "list_events")]
pub(crate) async fn list(
    server: Server,
    path: ConversationPath,
    query: Query<EventListParams>,
    body: RawBody,
) -> Result<Verbatim<EventListBody>, Failure> {
    let ids = if body.0.iter().all(u8::is_ascii_whitespace) {
        Some(query.0.event_ids).filter(|ids| !ids.is_empty())
    } else {
        Some(ids_in_body(&body.0)?)
    };
    let conversation = open(&server, path.0).await?;
    if let Some(ids) = ids {
        return Ok(Verbatim::new(pick(&conversation, ids).await?));
    }
    let page = conversation.search_events(&query.0.search.into()).await?;
    Ok(Verbatim::new(page_json(page)))
}

/// Search events
///
/// A page of a conversation's events in the order of its log. `next_page_id` leads on.
#[api_v2_operation(tags("Events"), operation_id = "search_events")]
pub(crate) async fn search(
    server: Server,
    path: ConversationPath,
    query: Query<EventSearchParams>,
) -> Result<Verbatim<EventPageBody>, Failure> {
    let page = open(&server, path.0)
        .await?
        .search_events(&query.0.into())
        .await?;
    Ok(Verbatim::new(page_json(page)))
}

/// Count events
///
/// How many there are, as a bare number.
#[api_v2_operation(tags("Events"), operation_id = "count_events")]
pub(crate) async fn count(
    server: Server,
    path: ConversationPath,
    query: Query<EventFilterParams>,
) -> Result<Reply<u64>, Failure> {
    Ok(Reply(
        open(&server, path.0)
            .await?
            .count_events(&query.0.into())
            .await?,
    ))
}

/// Get an event
///
/// The event as it stands in the log.
#[api_v2_operation(tags("Events"), operation_id = "get_event")]
pub(crate) async fn get(
    server: Server,
    path: ConversationPath,
    event: EventPath,
) -> Result<Verbatim<Event>, Failure> {
    let line = open(&server, path.0).await?.event(&event.0).await?;
    line.map(Verbatim::new)
        .ok_or(Failure::Runtime(RuntimeError::UnknownEvent(event.0)))
}

/// Send a message
///
/// The message is on disk when this answers. With `run` the agent takes it up: a new run starts, or
/// the one that is active takes it in.
#[api_v2_operation(tags("Events"), operation_id = "send_event")]
pub(crate) async fn send(
    server: Server,
    dialect: Dialect,
    path: ConversationPath,
    key: IdempotencyKey,
    body: Body<SendMessage>,
) -> Result<Once<Reply<Success>>, Failure> {
    let content = body.0.content(&["body"])?;
    let run = body.0.run.unwrap_or(dialect == Dialect::Readme);
    let runtime = server.0.runtime.clone();
    let send = move |request| async move {
        let conversation = opened(&runtime, path.0).await?;
        let sent = match request {
            Some(request) => conversation.send_message_once(request, content, run).await,
            None => conversation.send_message(content, run).await,
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
    idempotency::once(&server, key, &format!("message {}", path.0), &body.1, send).await
}

/// Answer a request for consent
///
/// Carries out the waiting actions, or rejects them and tells the agent why. Without waiting actions
/// it does nothing.
#[api_v2_operation(tags("Events"), operation_id = "respond_to_confirmation")]
pub(crate) async fn respond_to_confirmation(
    server: Server,
    path: ConversationPath,
    body: Body<ConfirmationResponse>,
) -> Result<Reply<Success>, Failure> {
    let conversation = open(&server, path.0).await?;
    conversation
        .respond_to_confirmation(body.0.accept, &body.0.reason)
        .await?;
    Ok(Reply(Success::new()))
}

async fn open(server: &Server, id: ConversationId) -> Result<Conversation, Failure> {
    opened(&server.0.runtime, id).await
}

async fn opened(runtime: &Runtime, id: ConversationId) -> Result<Conversation, Failure> {
    runtime.open(id).await.map_err(|error| {
        if let RuntimeError::NotFound(id) = error {
            Failure::ConversationNotFound(id)
        } else {
            error.into()
        }
    })
}

fn ids_in_body(body: &[u8]) -> Result<Vec<String>, Failure> {
    let ids: Vec<String> = validation::typed(&validation::json(body)?, &["body"])?;
    if ids.len() > BATCH_LIMIT {
        return Err(query::too_long(&["body"], ids.len()).into());
    }
    Ok(ids)
}

async fn pick(conversation: &Conversation, ids: Vec<String>) -> Result<Gathered, Failure> {
    let mut lines = Vec::with_capacity(ids.len());
    let mut bytes = 0;
    for id in ids {
        let line = conversation.event(&EventId(id)).await?;
        let line = line.unwrap_or(Bytes::from_static(b"null"));
        bytes += line.len();
        if bytes > BATCH_BYTES && !lines.is_empty() {
            return Err(Failure::Unprocessable(format!(
                "These events have more than {BATCH_BYTES} bytes together; ask for fewer at once"
            )));
        }
        lines.push(line);
    }
    Ok(wire::list_json(lines))
}

/// Log lines are JSON already.
fn page_json(page: EventPage) -> Gathered {
    wire::page_json(page.items, page.next_page_id.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_that_is_no_list_of_ids_is_refused() {
        for (body, kind) in [
            (&br#"{"event_ids":["a"]}"#[..], "list_type"),
            (&b"[1]"[..], "string_type"),
            (&b"[\"a\""[..], "json_invalid"),
        ] {
            let Err(Failure::Invalid(problems)) = ids_in_body(body) else {
                panic!("taken: {body:?}");
            };
            assert_eq!(json!(problems)[0]["type"], kind);
        }
    }
}
