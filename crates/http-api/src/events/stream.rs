//! Server-Sent Events: the same frames as a socket's, over plain HTTP.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

mod document;
mod last_event_id;

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_ENCODING},
    },
};
use agent_runtime::{AllStart, Cursor};
use core_model::ConversationId;
use paperclip::actix::api_v2_operation;

use self::last_event_id::LastEventId;
use crate::{
    config::Limits,
    failure::Failure,
    follow::{
        CloseReason, FollowerSlot, FrameEncoding, FrameSender, FrameSource, SlotFor, frame_chunks,
    },
    follow_query::{AfterSeq, FeedParams, SessionParams},
    operation::{Kind, Operation, Tag, both, handler, refusals},
    reply::EventStream,
    request::{Path, Query, Server},
};

/// Asks nginx not to hold frames back.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");

pub(super) const FOLLOW_CONVERSATION: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/events/stream"),
    kind: Kind::Stream {
        content: document::conversation,
    },
    ..Operation::get("stream_events", Tag::Events, handler!(follow_conversation))
};

/// Follow a conversation as an event stream
///
/// Server-Sent Events: `data` is one event's JSON, `id` its position in the log. What is not logged
/// (`full_state`, pieces of a reply) comes without an id. The stream starts with an id alone: where to
/// continue before the first event (−1 in an empty log). After a lost connection the header
/// `Last-Event-ID` continues after that event, nothing lost and nothing repeated; `EventSource` sends it
/// automatically. Comments keep the connection alive. `event: end` says why nothing more comes, with the
/// close code of a socket: 1013 `slow_consumer` when what was sent is not read. Web pages, whose
/// `EventSource` cannot set headers, may send the session key as `session_api_key`.
#[api_v2_operation]
async fn follow_conversation(
    server: Server,
    path: Path<ConversationId>,
    query: Query<SessionParams>,
    last: LastEventId<AfterSeq>,
    request: HttpRequest,
) -> Result<EventStream, Failure> {
    let start = last.0.map_or_else(|| query.0.start(), AfterSeq::start);
    let conversation = server.runtime.open(path.0).await?;
    let slot = take_slot(&server, SlotFor::Conversation(path.0))?;
    let follower = conversation.follow(&start).await?;
    let source = FrameSource::Events(follower);
    Ok(respond(&request, &server.config.limits, slot, source))
}

pub(super) const FOLLOW_ALL: Operation = Operation {
    paths: both!("/events/stream"),
    kind: Kind::Stream {
        content: document::all_conversations,
    },
    refusals: &[&refusals::CURSOR_EXPIRED],
    ..Operation::get("stream_all_events", Tag::Events, handler!(follow_all))
};

/// Follow all conversations as an event stream
///
/// Server-Sent Events in one order over all conversations. `data` is
/// `{"type": "durable", "cursor": …, "conversation_id": …, "seq": …, "event": {…}}`, or
/// the same with `"type": "created"` or `"deleted"` and without `seq` and `event`, or `{"type": "sync",
/// "cursor": …}`, which comes first and whenever only events passed that the filter excludes.
/// `{"type": "skipped", "cursor": …, "conversation_id": …, "from_seq": …, "to_seq": …}` stands for
/// events that cannot be read because what is stored is damaged; `to_seq` is exclusive. `id` is the
/// cursor. Each logged event comes once, those of one conversation in its order; a deletion is sent
/// whatever the `tag`. `cursor`, or the header `Last-Event-ID`, continues from there, also after a
/// restart.
#[api_v2_operation]
async fn follow_all(
    server: Server,
    query: Query<FeedParams>,
    last: LastEventId<Cursor>,
    request: HttpRequest,
) -> Result<EventStream, Failure> {
    let params = query.0;
    let start = last.0.map_or(params.cursor, AllStart::At);
    let slot = take_slot(&server, SlotFor::AllConversations)?;
    let follower = server.runtime.follow_all(start, params.filter.into());
    let source = FrameSource::all(follower.await?);
    Ok(respond(&request, &server.config.limits, slot, source))
}

fn take_slot(server: &Server, slot_for: SlotFor) -> Result<FollowerSlot, Failure> {
    let slot = server.slots.take(slot_for, &server.config.limits);
    slot.ok_or(Failure::TooManyFollowers)
}

fn respond(
    request: &HttpRequest,
    limits: &Limits,
    slot: FollowerSlot,
    source: FrameSource,
) -> EventStream {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(UNBUFFERED);
    if request.method() == Method::HEAD {
        return EventStream(response.finish());
    }
    let sender = FrameSender::new(FrameEncoding::EventStream);
    sender.start(frame_chunks(
        source,
        FrameEncoding::EventStream,
        limits.ping_interval,
        slot,
    ));
    let body = sender.body();
    let watch = close_if_stalled(sender, limits.send_timeout);
    #[expect(
        clippy::disallowed_methods,
        reason = "it watches a connection of this worker, and ends with it"
    )]
    actix_web::rt::spawn(watch);
    EventStream(response.body(body))
}

/// Ends the stream of a client that does not read.
async fn close_if_stalled(sender: FrameSender, send_timeout: Duration) {
    tokio::select! {
        () = sender.stalled(send_timeout) => {
            let code = sender.close(CloseReason::SlowConsumer);
            tracing::info!(code, "event stream closed: its client does not read");
        }
        () = sender.body_dropped() => {}
    }
}
