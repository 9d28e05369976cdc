//! Server-Sent Events: the same frames as a socket's, over plain HTTP.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_ENCODING},
    },
};
use agent_runtime::{AllStart, Start};
use core_model::Seq;
use paperclip::actix::api_v2_operation;

use crate::{
    configure::Shared,
    error::Failure,
    extract::{ConversationPath, LastEventId, Query, Server},
    form::Form,
    goodbye::Goodbye,
    outlet::Outlet,
    places::{PlaceFor, SocketPlace},
    query::{AllParams, StreamParams},
    reply::Streamed,
    source::Source,
    telling,
    validation::Problem,
};

/// Asks nginx not to hold frames back.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");

/// Follow a conversation as an event stream
///
/// Server-Sent Events: `data` is one event's JSON, `id` its position in the log. What is not logged
/// (`full_state`, pieces of a reply) comes without an id. The stream begins with an id alone, where to
/// go on before the first event (−1 in an empty log). After a lost connection the header
/// `Last-Event-ID` goes on behind that event, nothing lost and nothing repeated; `EventSource` sends it
/// by itself. Comments keep the connection alive. `event: end` says why nothing more comes, with the
/// close code of a socket: 1013 `slow_consumer` when what was sent is not read. Web pages, whose
/// `EventSource` sets no headers, may give the session key as `session_api_key`.
#[api_v2_operation(tags("Events"), operation_id = "stream_events")]
pub(crate) async fn conversation(
    server: Server,
    path: ConversationPath,
    query: Query<StreamParams>,
    last: LastEventId,
    request: HttpRequest,
) -> Result<Streamed, Failure> {
    let start = match last.0 {
        None => query.0.start(),
        Some(text) => match text
            .parse::<i64>()
            .map(|seq| u64::try_from(seq.saturating_add(1)))
        {
            Ok(Ok(next)) => Start::From(Seq(next)),
            Ok(Err(_)) | Err(_) => {
                return Err(bad_id("the number that came as the last event's id"));
            }
        },
    };
    let shared = server.0.into_inner();
    let conversation = shared.runtime.open(path.0).await?;
    let place =
        SocketPlace::take(&shared, PlaceFor::Conversation(path.0)).ok_or(Failure::Crowded)?;
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
    last: LastEventId,
    request: HttpRequest,
) -> Result<Streamed, Failure> {
    let params = query.0;
    let start = match last.0 {
        None => params.start,
        Some(text) => match text.parse() {
            Ok(cursor) => AllStart::At(cursor),
            Err(_) => return Err(bad_id("the cursor that came as the last event's id")),
        },
    };
    let shared = server.0.into_inner();
    let place = SocketPlace::take(&shared, PlaceFor::AllConversations).ok_or(Failure::Crowded)?;
    let follower = shared.runtime.follow_all(start, params.filter).await?;
    let source = Source::All {
        follower: Box::new(follower),
        told: None,
    };
    Ok(respond(&request, &shared, place, source))
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
    let limits = &shared.config.limits;
    let outlet = Outlet::new(Form::Stream);
    outlet.begin(telling::frames(
        source,
        Form::Stream,
        limits.ping_interval,
        place,
    ));
    let body = outlet.body();
    let watch = watch(outlet, limits.send_timeout);
    #[expect(
        clippy::disallowed_methods,
        reason = "it watches a connection of this worker, and ends with it"
    )]
    actix_web::rt::spawn(watch);
    Streamed(response.body(body))
}

/// Gives up a client that does not read.
async fn watch(outlet: Outlet, patience: Duration) {
    tokio::select! {
        () = outlet.stalled(patience) => {
            let code = outlet.finish(Goodbye::Slow);
            tracing::info!(code, "event stream given up: its client does not read");
        }
        () = outlet.gone() => {}
    }
}
