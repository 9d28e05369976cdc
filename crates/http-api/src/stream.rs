//! Server-Sent Events: the same frames as a socket's, over plain HTTP.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::{convert::Infallible, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderName},
    },
};
use agent_runtime::{AllStart, End, Start};
use bytes::{BufMut, Bytes, BytesMut};
use core_model::{ConversationId, Seq};
use futures_util::stream;
use paperclip::actix::api_v2_operation;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::{
    configure::{Shared, SocketPlace},
    error::Failure,
    extract::{ConversationPath, Query, Server},
    query::{AllParams, StreamParams},
    reply::Streamed,
    source::{Out, Source},
    validation::Problem,
};

/// Milliseconds after which a client that lost the stream asks again.
const RETRY: u32 = 1000;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks nginx not to hold frames back.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");

/// Follow a conversation as an event stream
///
/// Server-Sent Events: `data` is one event's JSON, `id` its position in the log. What is not logged
/// (`full_state`, pieces of a reply) comes without an id. After a lost connection the header
/// `Last-Event-ID` goes on behind that event, nothing lost and nothing repeated; `EventSource` sends it
/// by itself. Comments keep the connection alive. `event: end` says why nothing more comes.
#[api_v2_operation(tags("Events"), operation_id = "stream_events")]
pub(crate) async fn conversation(
    server: Server,
    path: ConversationPath,
    query: Query<StreamParams>,
    request: HttpRequest,
) -> Result<Streamed, Failure> {
    let start = match last_event_id(&request) {
        None => query.0.start(),
        Some(text) => match text.parse::<u64>() {
            Ok(seq) => Start::From(Seq(seq.saturating_add(1))),
            Err(_) => return Err(bad_id("the number that came as the last event's id")),
        },
    };
    let shared = server.0.into_inner();
    let conversation = shared.runtime.open(path.0).await?;
    let place = SocketPlace::take(&shared, path.0).ok_or(Failure::Crowded)?;
    let follower = conversation.follow(&start).await?;
    Ok(respond(&request, &shared, place, Source::Events(follower)))
}

/// Follow all conversations as an event stream
///
/// Server-Sent Events in one order over all conversations. `data` is
/// `{"type": "durable", "cursor": …, "conversation_id": …, "seq": …, "event": {…}}`, or
/// the same with `"type": "created"` or `"deleted"` and without `seq` and `event`, or `{"type": "sync",
/// "cursor": …}`, which comes first and whenever only events went by that the filter leaves out.
/// `{"type": "skipped", "cursor": …, "conversation_id": …, "from_seq": …, "to_seq": …}` stands for
/// events that cannot be read because what is stored is damaged; `to_seq` is exclusive. `id` is the
/// cursor. Each logged event comes once, those of one conversation in its order; a deletion is told
/// whatever the `tag`. `cursor`, or the header `Last-Event-ID`, goes on from there, also after a
/// restart.
#[api_v2_operation(tags("Events"), operation_id = "stream_all_events")]
pub(crate) async fn all(
    server: Server,
    query: Query<AllParams>,
    request: HttpRequest,
) -> Result<Streamed, Failure> {
    let params = query.0;
    let start = match last_event_id(&request) {
        None => params.start,
        Some(text) => match text.parse() {
            Ok(cursor) => AllStart::At(cursor),
            Err(_) => return Err(bad_id("the cursor that came as the last event's id")),
        },
    };
    let shared = server.0.into_inner();
    let place = SocketPlace::take(&shared, everybody()).ok_or(Failure::Crowded)?;
    let follower = shared.runtime.follow_all(start, params.filter).await?;
    let source = Source::All {
        follower: Box::new(follower),
        told: None,
    };
    Ok(respond(&request, &shared, place, source))
}

/// Under which id followers of all conversations are counted.
pub(crate) fn everybody() -> ConversationId {
    ConversationId(uuid::Uuid::nil())
}

fn last_event_id(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(LAST_EVENT_ID)?;
    Some(value.to_str().unwrap_or("?").trim().to_owned()).filter(|text| !text.is_empty())
}

fn bad_id(expected: &str) -> Failure {
    let msg = format!("Input should be {expected}");
    Problem::new("value_error", &["header", "Last-Event-ID"], msg).into()
}

fn respond(
    request: &HttpRequest,
    shared: &Arc<Shared>,
    place: SocketPlace,
    source: Source,
) -> Streamed {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(UNBUFFERED);
    if request.method() == Method::HEAD {
        return Streamed(response.finish());
    }
    let every = shared.config.limits.ping_interval;
    let mut beat = interval_at(tokio::time::Instant::now() + every, every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let telling = Telling {
        source,
        beat,
        begun: false,
        ended: false,
        _place: place,
    };
    // Pulled: a client that does not read costs what was made for it so far.
    let body = stream::unfold(telling, |mut telling| async {
        let chunk = telling.next().await?;
        Some((Ok::<_, Infallible>(chunk), telling))
    });
    Streamed(response.streaming(body))
}

struct Telling {
    source: Source,
    beat: Interval,
    begun: bool,
    ended: bool,
    _place: SocketPlace,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut chunk = BytesMut::new();
        if !self.begun {
            self.begun = true;
            chunk.put_slice(format!("retry: {RETRY}\n\n").as_bytes());
            if let Some(greeting) = self.source.greeting() {
                put(&mut chunk, &greeting);
            }
            return Some(chunk.freeze());
        }
        tokio::select! {
            page = self.source.next() => match page {
                Ok(page) => page.iter().for_each(|out| put(&mut chunk, out)),
                Err(end) => {
                    self.ended = true;
                    chunk.put_slice(farewell(end).as_bytes());
                }
            },
            _ = self.beat.tick() => match self.source.beat() {
                Some(out) => put(&mut chunk, &out),
                None => chunk.put_slice(b": still here\n\n"),
            },
        }
        Some(chunk.freeze())
    }
}

/// A log line has no line breaks, so it is one `data` field.
fn put(chunk: &mut BytesMut, out: &Out) {
    if let Some(place) = &out.place {
        chunk.put_slice(format!("id: {place}\n").as_bytes());
    }
    chunk.put_slice(b"data: ");
    chunk.put_slice(&out.json);
    chunk.put_slice(b"\n\n");
}

/// The same codes as a socket's.
fn farewell(end: End) -> String {
    let (code, reason) = match end {
        End::Deleted => (4004, "Conversation deleted"),
        End::ServerStopping => (1001, "The server is stopping"),
        End::Failed => (1011, "The conversation cannot be read"),
    };
    format!(
        "event: end\ndata: {}\n\n",
        json!({"code": code, "reason": reason})
    )
}
