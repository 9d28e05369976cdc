//! Sockets: a follower's frames go out, messages to the agent come in.

mod inbound;

use std::{
    convert::Infallible,
    io::ErrorKind,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{FromRequest, HttpRequest, body::BoxBody, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, ProtocolError};
use agent_runtime::{AllFilter, AllStart, Conversation, RuntimeError, Start};
use bytestring::ByteString;
use core_model::{ConversationId, Seq};
use paperclip::actix::api_v2_operation;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval_at, timeout},
};

use self::inbound::Heard;
use crate::{
    auth::{self, Permit},
    configure::{Shared, SocketPlace},
    error::Failure,
    extract::{ConversationPath, Query, Server, SocketPayload},
    form::Form,
    frame_guard,
    goodbye::Goodbye,
    outlet::Outlet,
    query::{AllParams, SocketParams, StreamParams},
    reply::Upgraded,
    source::Source,
    stream::everybody,
    telling,
};

/// How long a client may take to read why its socket closes.
const GRACE: Duration = Duration::from_secs(5);

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
/// life or a fault of the server, 1013 too many sockets on this conversation or `slow_consumer` (frames
/// were not read: go on after the last event), 4001 no valid key, 4004 no such conversation (any more),
/// 4400 `after_event_id` is no logged event.
#[api_v2_operation(tags("Sockets"), operation_id = "open_socket")]
pub(crate) async fn open(
    server: Server,
    path: ConversationPath,
    query: Query<SocketParams>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    let key = query.0.session_api_key.clone();
    let wants = Wants::Events(path.0, query.0.start());
    upgrade(server, wants, key, request, payload).await
}

/// Follow a conversation by positions
///
/// A WebSocket whose frames say what they are: `{"type": "sync", "from_seq"?, "through_seq"?}` first;
/// `{"type": "durable", "seq": N, "event": {…}}` for logged events; `{"type": "transient", "event":
/// {…}}` for `full_state` and pieces of a reply; `{"type": "error", "code", "detail"}`. `after_seq=N`
/// replays everything after position N (−1: everything) and goes on live, nothing lost and nothing
/// repeated; without it the socket is live only. Frames from the client, keys and close codes are those
/// of the other sockets; 1013 `frame_too_large` closes it before an event of more than 4 MiB.
#[api_v2_operation(tags("Sockets"), operation_id = "open_session_socket")]
pub(crate) async fn session(
    server: Server,
    path: ConversationPath,
    query: Query<StreamParams>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    let key = query.0.socket.session_api_key.clone();
    let wants = Wants::Session(path.0, query.0.replay());
    upgrade(server, wants, key, request, payload).await
}

/// Follow all conversations
///
/// A WebSocket with the frames of `/events/stream`. Close codes as of the other sockets, and 4410: the
/// cursor belongs to a feed that is no more; begin anew.
#[api_v2_operation(tags("Sockets"), operation_id = "open_socket_of_all")]
pub(crate) async fn all(
    server: Server,
    query: Query<AllParams>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    let AllParams {
        start,
        filter,
        session_api_key,
    } = query.0;
    upgrade(
        server,
        Wants::All(start, filter),
        session_api_key,
        request,
        payload,
    )
    .await
}

/// What a socket is for.
enum Wants {
    Events(ConversationId, Start),
    Session(ConversationId, Option<Start>),
    All(AllStart, AllFilter),
}

impl Wants {
    fn form(&self) -> Form {
        Form::Socket {
            bounded: matches!(self, Self::Session(..)),
        }
    }

    /// Under which id its sockets are counted.
    fn id(&self) -> ConversationId {
        match self {
            Self::Events(id, _) | Self::Session(id, _) => *id,
            Self::All(..) => everybody(),
        }
    }
}

async fn upgrade(
    server: Server,
    wants: Wants,
    key: Option<String>,
    request: HttpRequest,
    payload: SocketPayload,
) -> Result<Upgraded, Failure> {
    if !auth::is_upgrade(request.headers()) {
        return Err(Failure::UpgradeRequired);
    }
    let shared = server.0.into_inner();
    let permit = shared.keys.judge_with(request.headers(), key.as_deref());
    let limit = shared.config.limits.frame_bytes;
    let oversized = Rc::new(Notify::new());
    let mut payload = frame_guard::guarded(payload.0, limit, Rc::clone(&oversized));
    let bad_handshake = |error: actix_web::Error| Failure::Handshake(error.to_string());
    let payload = web::Payload::from_request(&request, &mut payload)
        .await
        .map_err(bad_handshake)?;
    let (response, session, stream) = actix_ws::handle(&request, payload).map_err(bad_handshake)?;
    // Its queue is not used.
    drop(session);
    let inbound = stream
        .max_frame_size(limit)
        .aggregate_continuations()
        .max_continuation_size(limit);
    let form = wants.form();
    let outlet = Outlet::new(form);
    // The inbound stream ends when the body is dropped that it came with.
    let response = response.map_body(|_, body| BoxBody::new(outlet.body(Some(body))));
    let socket = Socket {
        wants,
        form,
        permit,
        outlet,
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

struct Socket {
    shared: Arc<Shared>,
    wants: Wants,
    form: Form,
    permit: Permit,
    outlet: Outlet,
    inbound: AggregatedMessageStream,
    /// Tells that the client began a frame that is too large.
    oversized: Rc<Notify>,
    /// When the client last gave a sign of life.
    heard: Instant,
}

impl Socket {
    async fn serve(mut self) {
        let id = self.wants.id();
        tracing::info!(conversation.id = %id, "socket opened");
        let goodbye = match self.attend().await {
            Ok(never) => match never {},
            Err(goodbye) => goodbye,
        };
        let code = self.outlet.finish(goodbye);
        tracing::info!(conversation.id = %id, code, "socket closed");
        self.read_on().await;
    }

    async fn attend(&mut self) -> Result<Infallible, Goodbye> {
        self.authenticate().await?;
        let place = SocketPlace::take(&self.shared, self.wants.id()).ok_or(Goodbye::Crowded)?;
        let (conversation, source) = self.source().await?;
        let every = self.shared.config.limits.ping_interval;
        let frames = telling::frames(source, self.form, every, place);
        self.outlet.begin(frames);
        self.listen(conversation).await
    }

    async fn source(&self) -> Result<(Option<Conversation>, Source), RuntimeError> {
        let runtime = &self.shared.runtime;
        Ok(match &self.wants {
            Wants::Events(id, start) => {
                let conversation = runtime.open(*id).await?;
                let follower = conversation.follow(start).await?;
                (Some(conversation), Source::Events(follower))
            }
            Wants::Session(id, replay) => {
                let conversation = runtime.open(*id).await?;
                let end = Start::From(Seq(u64::MAX));
                let follower = conversation.follow(replay.as_ref().unwrap_or(&end)).await?;
                let source = Source::Session {
                    follower,
                    replays: replay.is_some(),
                };
                (Some(conversation), source)
            }
            Wants::All(start, filter) => {
                let follower = runtime.follow_all(*start, filter.clone()).await?;
                let source = Source::All {
                    follower: Box::new(follower),
                    told: None,
                };
                (None, source)
            }
        })
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
            if let Some(text) = self.receive().await? {
                return Ok(text);
            }
        }
    }

    /// Hears what the client says, until one side has enough. Meanwhile the connection pulls what it is
    /// sent.
    async fn listen(&mut self, conversation: Option<Conversation>) -> Result<Infallible, Goodbye> {
        let limits = self.shared.config.limits.clone();
        let mut look = interval_at(
            tokio::time::Instant::now() + limits.ping_interval,
            limits.ping_interval,
        );
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outlet = self.outlet.clone();
        let mut stalled = pin!(outlet.stalled(limits.send_timeout));
        loop {
            tokio::select! {
                text = self.receive() => {
                    if let Some(text) = text? {
                        self.hear(conversation.as_ref(), &text).await?;
                    }
                }
                () = &mut stalled => return Err(Goodbye::Slow),
                _ = look.tick() => {
                    if self.outlet.is_taking() {
                        // It cannot answer a ping that waits behind what it is taking.
                        self.heard = Instant::now();
                    } else if self.heard.elapsed() > limits.idle_timeout {
                        return Err(Goodbye::Silent);
                    }
                }
            }
        }
    }

    /// The next text, or none after something else that is in order. Who does not take the answers to
    /// what was said before is not heard.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    async fn receive(&mut self) -> Result<Option<ByteString>, Goodbye> {
        self.outlet.room().await;
        let message = tokio::select! {
            message = self.inbound.recv() => message,
            () = self.oversized.notified() => return Err(Goodbye::TooLarge),
        };
        self.heard = Instant::now();
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => Ok(Some(text)),
            Some(Ok(AggregatedMessage::Ping(payload))) => {
                self.outlet.pong(payload);
                Ok(None)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(None),
            Some(Ok(AggregatedMessage::Binary(_))) => Err(Goodbye::Binary),
            Some(Ok(AggregatedMessage::Close(reason))) => Err(Goodbye::Peer(reason)),
            Some(Err(error)) => Err(protocol_fault(&error)),
            None => Err(Goodbye::Gone),
        }
    }

    async fn hear(
        &mut self,
        conversation: Option<&Conversation>,
        text: &str,
    ) -> Result<(), Goodbye> {
        let labelled = !matches!(self.wants, Wants::Events(..));
        let (code, detail) = match (inbound::understand(text), conversation) {
            (Heard::Nothing, _) => return Ok(()),
            (Heard::Nonsense { code, detail }, _) => (code.to_owned(), detail),
            (Heard::Message { .. }, None) => {
                let detail = "This socket takes no messages.".to_owned();
                ("ValueError".to_owned(), detail)
            }
            (Heard::Message { content, run }, Some(conversation)) => {
                match conversation.send_message(content, run).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        let run_path = || format!("/conversations/{}/run", conversation.id());
                        let failure = Failure::of_message(error, run_path);
                        (failure.to_string(), failure.detail())
                    }
                }
            }
        };
        let json = match labelled {
            true => Some(inbound::error_frame(&code, &detail)),
            false => inbound::server_error(&code, detail),
        };
        self.outlet.answer(json.ok_or(Goodbye::Failed)?)
    }

    /// Reads on for a while: a connection that is closed with data unread is reset, and the client
    /// might never see the reason.
    async fn read_on(mut self) {
        let last_words = async {
            while let Some(Ok(message)) = self.inbound.recv().await {
                if matches!(message, AggregatedMessage::Close(_)) {
                    break;
                }
            }
        };
        timeout(GRACE, last_words).await.ok();
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
