//! Sockets: a follower's frames go out, messages to the agent come in.

mod close;
mod inbound;

use std::{io::ErrorKind, rc::Rc, sync::Arc, time::Instant};

use actix_web::{FromRequest, HttpRequest, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, ProtocolError, Session};
use agent_runtime::{Conversation, End, Follower, Frame, Start};
use bytes::Bytes;
use bytestring::ByteString;
use core_model::ConversationId;
use paperclip::actix::api_v2_operation;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval_at, timeout},
};

use self::{close::Goodbye, inbound::Heard};
use crate::{
    auth::{self, Permit},
    configure::{Shared, SocketPlace},
    error::Failure,
    extract::{ConversationPath, Query, Server, SocketPayload},
    frame_guard,
    query::SocketParams,
    reply::Upgraded,
};

/// Follow a conversation
///
/// A WebSocket (`101 Switching Protocols`). Each frame to the client is one event as JSON text; the
/// first is a `ConversationStateUpdateEvent` with the key `full_state`. Frames from the client are
/// messages to the agent, `{"role": "user", "content": […]}` or `{"type": "message", "content":
/// "…"}`, and start a run; one that cannot be understood is answered with a `ServerErrorEvent`.
///
/// Where a session key is set, it comes in a header of the handshake or in the first frame,
/// `{"type": "auth", "session_api_key": "…"}`.
///
/// Close codes: 1001 the server stops, 1003 a binary frame, 1009 a frame too large, 1011 no sign of
/// life or a fault of the server, 1013 too many sockets on this conversation, 4001 no valid key, 4004
/// no such conversation (any more), 4400 `after_event_id` is no logged event.
#[api_v2_operation(tags("Sockets"), operation_id = "open_socket")]
pub(crate) async fn open(
    server: Server,
    path: ConversationPath,
    query: Query<SocketParams>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    if !auth::is_upgrade(request.headers()) {
        return Err(Failure::UpgradeRequired);
    }
    let shared = server.0.into_inner();
    let permit = permit(&shared, &request, query.0.session_api_key.as_deref());
    let limit = shared.config.limits.frame_bytes;
    let oversized = Rc::new(Notify::new());
    let mut payload = frame_guard::guarded(payload.0, limit, Rc::clone(&oversized));
    let bad_handshake = |error: actix_web::Error| Failure::Handshake(error.to_string());
    let payload = web::Payload::from_request(&request, &mut payload)
        .await
        .map_err(bad_handshake)?;
    let (response, session, stream) = actix_ws::handle(&request, payload).map_err(bad_handshake)?;
    let inbound = stream
        .max_frame_size(limit)
        .aggregate_continuations()
        .max_continuation_size(limit);
    let socket = Socket {
        id: path.0,
        start: query.0.start(),
        permit,
        session,
        inbound,
        oversized,
        heard: Instant::now(),
        shared,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a socket lives on the worker that has its connection, and ends with it"
    )]
    actix_web::rt::spawn(socket.serve());
    Ok(Upgraded(response))
}

fn permit(shared: &Shared, request: &HttpRequest, in_query: Option<&str>) -> Permit {
    let in_headers = shared.keys.judge(request.headers());
    if in_headers == Permit::Granted || in_query.is_none() {
        return in_headers;
    }
    tracing::warn!(
        "a session key came in a socket's URL, which is deprecated: URLs end up in logs"
    );
    shared.keys.judge_key(in_query)
}

struct Socket {
    shared: Arc<Shared>,
    id: ConversationId,
    start: Start,
    permit: Permit,
    session: Session,
    inbound: AggregatedMessageStream,
    /// Tells that the client began a frame that is too large.
    oversized: Rc<Notify>,
    /// When the client last gave a sign of life.
    heard: Instant,
}

impl Socket {
    async fn serve(mut self) {
        let id = self.id;
        tracing::info!(conversation.id = %id, "socket opened");
        let goodbye = self.attend().await;
        let code = goodbye.code();
        close::close(self.session, self.inbound, goodbye).await;
        tracing::info!(conversation.id = %id, code, "socket closed");
    }

    async fn attend(&mut self) -> Goodbye {
        if let Err(goodbye) = self.authenticate().await {
            return goodbye;
        }
        let Some(_place) = SocketPlace::take(&self.shared, self.id) else {
            return Goodbye::Crowded;
        };
        let conversation = match self.shared.runtime.open(self.id).await {
            Ok(conversation) => conversation,
            Err(error) => return Goodbye::from(error),
        };
        match conversation.follow(&self.start).await {
            Ok(follower) => match self.exchange(&conversation, follower).await {
                Ok(never) => match never {},
                Err(goodbye) => goodbye,
            },
            Err(error) => Goodbye::from(error),
        }
    }

    async fn authenticate(&mut self) -> Result<(), Goodbye> {
        match self.permit {
            Permit::Granted => return Ok(()),
            Permit::Refused => return Err(Goodbye::Unauthenticated),
            Permit::Absent => {}
        }
        let patience = self.shared.config.limits.auth_timeout;
        let first = timeout(patience, self.first_text()).await;
        let first = first.map_err(|_elapsed| Goodbye::Unauthenticated)??;
        match self.shared.keys.judge_key(inbound::key(&first).as_deref()) {
            Permit::Granted => Ok(()),
            Permit::Refused | Permit::Absent => Err(Goodbye::Unauthenticated),
        }
    }

    async fn first_text(&mut self) -> Result<ByteString, Goodbye> {
        loop {
            if let Some(text) = self.listen().await? {
                return Ok(text);
            }
        }
    }

    /// Carries frames both ways until one side has enough. One frame is sent before the next is
    /// fetched, so that a slow client costs a place in the log and no memory.
    async fn exchange(
        &mut self,
        conversation: &Conversation,
        mut follower: Follower,
    ) -> Result<std::convert::Infallible, Goodbye> {
        let limits = self.shared.config.limits.clone();
        let mut ping = interval_at(
            tokio::time::Instant::now() + limits.ping_interval,
            limits.ping_interval,
        );
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = follower.next() => match frame {
                    Ok(Frame::Event(_, json) | Frame::Snapshot(json) | Frame::Delta(json)) => {
                        self.send(json).await?;
                    }
                    Err(End::Deleted) => return Err(Goodbye::Deleted),
                    Err(End::ServerStopping) => return Err(Goodbye::Stopping),
                    Err(End::Failed) => return Err(Goodbye::Failed),
                },
                text = self.listen() => {
                    if let Some(text) = text? {
                        self.hear(conversation, &text).await?;
                    }
                }
                _ = ping.tick() => {
                    if self.heard.elapsed() > limits.idle_timeout {
                        return Err(Goodbye::Silent);
                    }
                    self.session.ping(b"").await.map_err(|_closed| Goodbye::Gone)?;
                }
            }
        }
    }

    /// The next text, or none after something else that is in order.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing but the pong to a ping.
    async fn listen(&mut self) -> Result<Option<ByteString>, Goodbye> {
        let message = tokio::select! {
            message = self.inbound.recv() => message,
            () = self.oversized.notified() => return Err(Goodbye::TooLarge),
        };
        self.heard = Instant::now();
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => Ok(Some(text)),
            Some(Ok(AggregatedMessage::Ping(payload))) => {
                self.session
                    .pong(&payload)
                    .await
                    .map_err(|_closed| Goodbye::Gone)?;
                Ok(None)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(None),
            Some(Ok(AggregatedMessage::Binary(_))) => Err(Goodbye::Binary),
            Some(Ok(AggregatedMessage::Close(reason))) => Err(Goodbye::Peer(reason)),
            Some(Err(error)) => Err(protocol_fault(&error)),
            None => Err(Goodbye::Gone),
        }
    }

    async fn send(&mut self, json: Bytes) -> Result<(), Goodbye> {
        // Log lines are checked to be JSON when they are read, so this does not happen.
        let text = ByteString::try_from(json).map_err(|_not_utf8| Goodbye::Failed)?;
        let patience = self.shared.config.limits.send_timeout;
        match timeout(patience, self.session.text(text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(Goodbye::Gone),
            Err(_elapsed) => Err(Goodbye::Slow),
        }
    }

    async fn hear(&mut self, conversation: &Conversation, text: &str) -> Result<(), Goodbye> {
        let complaint = match inbound::understand(text) {
            Heard::Nothing => return Ok(()),
            Heard::Message { content, run } => {
                match conversation.send_message(content, run).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        let run_path = || format!("/conversations/{}/run", self.id);
                        inbound::complaint(&Failure::of_message(error, run_path))
                    }
                }
            }
            Heard::Nonsense { code, detail } => inbound::server_error(code, detail),
        };
        match complaint {
            Some(event) => self.send(event).await,
            None => Err(Goodbye::Failed),
        }
    }
}

fn protocol_fault(error: &ProtocolError) -> Goodbye {
    match error {
        ProtocolError::Overflow => Goodbye::TooLarge,
        ProtocolError::Io(error) if error.kind() == ErrorKind::InvalidData => Goodbye::NotText,
        // The codec has no variant of its own for too many continuations.
        ProtocolError::Io(error) if error.to_string().contains("continuation") => Goodbye::TooLarge,
        ProtocolError::Io(_) => Goodbye::Gone,
        ProtocolError::UnmaskedFrame
        | ProtocolError::MaskedFrame
        | ProtocolError::InvalidOpcode(_)
        | ProtocolError::InvalidLength(_)
        | ProtocolError::BadOpCode
        | ProtocolError::ContinuationNotStarted
        | ProtocolError::ContinuationStarted
        | ProtocolError::ContinuationFragment(_) => Goodbye::Protocol,
    }
}
