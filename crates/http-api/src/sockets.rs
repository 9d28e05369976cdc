//! Sockets: a follower's frames go out, messages to the agent come in.

mod frame_header;
mod inbound;
mod messages;
mod socket;
mod subscription;

use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, body::BoxBody, dev::Payload, web};
use core_model::ConversationId;
use paperclip::actix::api_v2_operation;
use serde_json::{Value, json};

use self::{socket::Socket, subscription::Subscription};
use crate::{
    failure::Failure,
    follow::{FrameEncoding, FrameSender},
    follow_query::{FeedParams, FollowParams, SessionParams},
    headers::is_upgrade,
    operation::{Kind, Operation, Tag, both, handler},
    reply::Upgraded,
    request::{Path, Query, Server, SocketPayload},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        paths: both!(
            "/conversations/{conversation_id}/events/socket",
            "/sockets/events/{conversation_id}"
        ),
        kind: Kind::Socket {
            frames: Some(frames),
        },
        difference: Some(
            "A wrong key closes with 4001 rather than a 403, a deletion with 4004. History comes first, then \
             live events, without duplicates.",
        ),
        ..Operation::get("open_socket", Tag::Sockets, handler!(open))
    },
    Operation {
        paths: both!(
            "/conversations/{conversation_id}/events/session",
            "/sockets/session/{conversation_id}"
        ),
        kind: Kind::Socket { frames: None },
        difference: Some(
            "Events of any size come whole. Pieces of a reply are `transient` frames with the event that the \
             other sockets get.",
        ),
        ..Operation::get("open_session_socket", Tag::Sockets, handler!(open_session))
    },
    Operation {
        paths: both!("/events/socket", "/sockets/events"),
        kind: Kind::Socket { frames: None },
        ..Operation::get("open_socket_of_all", Tag::Sockets, handler!(open_all))
    },
];

fn frames() -> Value {
    json!({
        "to_client": {"$ref": "#/components/schemas/Event"},
        "from_client": {"$ref": "#/components/schemas/SendMessage"}
    })
}

/// Follow a conversation
///
/// A WebSocket (`101 Switching Protocols`). Each frame to the client is one event as JSON text; the
/// first is a `ConversationStateUpdateEvent` with the key `full_state`. Frames from the client are
/// messages to the agent, `{"role": "user", "content": […]}` or `{"type": "message", "content":
/// "…"}`, and start a run; one that is not valid is answered with a `ServerErrorEvent`.
///
/// Where a session key is configured, it comes in a header of the handshake or in the first frame,
/// `{"type": "auth", "session_api_key": "…"}`.
///
/// Close codes: 1001 the server is stopping, 1002 not WebSocket, 1003 a binary frame, 1007 not UTF-8, 1009 too
/// much before a key or far too large a message, 1011 the client did not respond or a fault of the server,
/// 1013 too many sockets on this conversation or without a key, or `slow_consumer` (frames were not read:
/// continue after the last event), 4001 no valid key, 4004 the conversation does not exist or was deleted,
/// 4400 `after_event_id` is not a logged event.
#[api_v2_operation]
async fn open(
    server: Server,
    path: Path<ConversationId>,
    query: Query<FollowParams>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    let subscription = Subscription::Events(path.0, query.0.start());
    let key = query.0.session_api_key;
    upgrade(server, subscription, key, request, payload)
}

/// Follow a conversation by positions
///
/// A WebSocket whose frames say what they are: `{"type": "sync", "from_seq"?, "through_seq"?}` first;
/// `{"type": "durable", "seq": N, "event": {…}}` for logged events; `{"type": "transient", "event":
/// {…}}` for `full_state` and pieces of a reply; `{"type": "error", "code", "detail"}`. `after_seq=N`
/// replays everything after position N (−1: everything) and continues live, nothing lost and nothing
/// repeated; without it the socket is live only. Frames from the client, keys and close codes are those
/// of the other sockets.
#[api_v2_operation]
async fn open_session(
    server: Server,
    path: Path<ConversationId>,
    query: Query<SessionParams>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    let subscription = Subscription::Session(path.0, query.0.replay());
    let key = query.0.follow.session_api_key;
    upgrade(server, subscription, key, request, payload)
}

/// Follow all conversations
///
/// A WebSocket with the frames of `/events/stream`. Close codes as of the other sockets, and 4410: the
/// cursor belongs to a feed that no longer exists; start again.
#[api_v2_operation]
async fn open_all(
    server: Server,
    query: Query<FeedParams>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    let subscription = Subscription::All(query.0.cursor, query.0.filter.into());
    let key = query.0.session_api_key;
    upgrade(server, subscription, key, request, payload)
}

fn upgrade(
    server: Server,
    subscription: Subscription,
    key: Option<String>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    if !is_upgrade(request.headers()) {
        return Err(Failure::UpgradeRequired);
    }
    let key_check = server.access.keys.check(request.headers(), key.as_deref());
    let sender = FrameSender::new(FrameEncoding::WebSocket);
    let response = handshake(&request)?.map_body(|_, _| BoxBody::new(sender.body()));
    let socket = Socket::new(server.0, subscription, key_check, sender, payload.0);
    #[expect(
        clippy::disallowed_methods,
        reason = "a socket lives on the worker that has its connection, and ends with it"
    )]
    actix_web::rt::spawn(socket.serve());
    Ok(Upgraded(response))
}

/// The answer that makes the connection a WebSocket. What goes over it is read and written by us: a session
/// of actix-ws holds a message twice, and cannot skip one that is too large.
fn handshake(request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let bad_handshake = |error: Error| Failure::BadHandshake(error.to_string());
    let nothing = web::Payload::from_request(request, &mut Payload::None).into_inner();
    let nothing = nothing.map_err(bad_handshake)?;
    let (response, _session, _messages) =
        actix_ws::handle(request, nothing).map_err(bad_handshake)?;
    Ok(response)
}
