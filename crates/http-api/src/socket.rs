//! Sockets: a follower's frames go out, messages to the agent come in.

mod frame;
mod inbound;
mod messages;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, body::BoxBody, dev::Payload, web};
use agent_runtime::{AllFilter, AllStart, Conversation, Start};
use bytestring::ByteString;
use core_model::{ConversationId, Seq};
use paperclip::actix::api_v2_operation;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use self::{
    inbound::Heard,
    messages::{Incoming, Messages},
};
use crate::{
    auth::{self, Permit},
    configure::Shared,
    error::Failure,
    extract::{ConversationPath, Query, Server, SocketPayload},
    form::Form,
    goodbye::Goodbye,
    outlet::Outlet,
    places::{PlaceFor, SocketPlace},
    query::{AllParams, SocketParams, StreamParams},
    reply::Upgraded,
    source::Source,
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
/// Close codes: 1001 the server stops, 1002 not WebSocket, 1003 a binary frame, 1007 not UTF-8, 1009 too
/// much before a key or a message without measure, 1011 no sign of life or a fault of the server, 1013 too
/// many sockets on this conversation or without a key, or `slow_consumer` (frames were not read: go on after
/// the last event), 4001 no valid key, 4004 no such conversation (any more), 4400 `after_event_id` is no
/// logged event.
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
/// of the other sockets.
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
    fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Events(id, _) | Self::Session(id, _) => Some(*id),
            Self::All(..) => None,
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
    let outlet = Outlet::new(Form::Socket);
    let response = handshake(&request)?.map_body(|_, _| BoxBody::new(outlet.body()));
    let socket = Socket {
        wants,
        permit,
        outlet,
        messages: Messages::new(payload.0),
        unproven: None,
        shared,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a socket lives on the worker that has its connection, and ends with it"
    )]
    actix_web::rt::spawn(socket.serve());
    Ok(Upgraded(response))
}

/// The answer that makes the connection a WebSocket. What goes over it is ours to read and to write: a
/// session of actix-ws holds a message twice, and cannot pass over one that is too large.
fn handshake(request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let bad_handshake = |error: Error| Failure::Handshake(error.to_string());
    let nothing = web::Payload::from_request(request, &mut Payload::None).into_inner();
    let nothing = nothing.map_err(bad_handshake)?;
    let (response, _session, _messages) =
        actix_ws::handle(request, nothing).map_err(bad_handshake)?;
    Ok(response)
}

struct Socket {
    shared: Arc<Shared>,
    wants: Wants,
    permit: Permit,
    outlet: Outlet,
    messages: Messages,
    /// Its place among the sockets that have not proven a key.
    unproven: Option<SocketPlace>,
}

/// What a client said that is more than a sign of life.
enum Said {
    Text(ByteString),
    /// More than a message may be.
    TooMuch,
}

impl Socket {
    async fn serve(mut self) {
        let id = self.wants.conversation();
        let shown = || id.map(tracing::field::display);
        tracing::info!(conversation.id = shown(), "socket opened");
        let goodbye = match self.attend().await {
            Ok(never) => match never {},
            Err(goodbye) => goodbye,
        };
        let code = self.outlet.finish(goodbye);
        tracing::info!(conversation.id = shown(), code, "socket closed");
        // A connection that is closed with data unread is reset, and the client might never see the
        // reason.
        timeout(GRACE, self.messages.drain()).await.ok();
    }

    async fn attend(&mut self) -> Result<Infallible, Goodbye> {
        self.authenticate().await?;
        self.unproven = None;
        self.messages.trust(self.shared.config.limits.frame_bytes);
        let (conversation, source, place) = self.source().await?;
        let every = self.shared.config.limits.ping_interval;
        let frames = telling::frames(source, Form::Socket, every, place);
        self.outlet.begin(frames);
        self.listen(conversation).await
    }

    async fn source(&self) -> Result<(Option<Conversation>, Source, SocketPlace), Goodbye> {
        Ok(match &self.wants {
            Wants::Events(id, start) => {
                let (conversation, place) = self.conversation(*id).await?;
                let follower = conversation.follow(start).await?;
                (Some(conversation), Source::Events(follower), place)
            }
            Wants::Session(id, replay) => {
                let (conversation, place) = self.conversation(*id).await?;
                let end = Start::From(Seq(u64::MAX));
                let follower = conversation.follow(replay.as_ref().unwrap_or(&end)).await?;
                let source = Source::Session {
                    follower,
                    replays: replay.is_some(),
                };
                (Some(conversation), source, place)
            }
            Wants::All(start, filter) => {
                let place = self.place(PlaceFor::AllConversations)?;
                let follower = self.shared.runtime.follow_all(*start, filter.clone());
                let source = Source::All {
                    follower: Box::new(follower.await?),
                    told: None,
                };
                (None, source, place)
            }
        })
    }

    /// A conversation that exists, and a place on it.
    async fn conversation(
        &self,
        id: ConversationId,
    ) -> Result<(Conversation, SocketPlace), Goodbye> {
        let conversation = self.shared.runtime.open(id).await?;
        Ok((conversation, self.place(PlaceFor::Conversation(id))?))
    }

    fn place(&self, on: PlaceFor) -> Result<SocketPlace, Goodbye> {
        SocketPlace::take(&self.shared, on).ok_or(Goodbye::Crowded)
    }

    async fn authenticate(&mut self) -> Result<(), Goodbye> {
        if self.permit == Permit::Granted {
            return Ok(());
        }
        let place = SocketPlace::take(&self.shared, PlaceFor::Unauthenticated);
        self.unproven = Some(place.ok_or(Goodbye::ManyUnauthenticated)?);
        if self.permit == Permit::Refused {
            return Err(Goodbye::Unauthenticated);
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
            match self.receive().await? {
                Some(Said::Text(text)) => return Ok(text),
                Some(Said::TooMuch) => return Err(Goodbye::TooLarge),
                None => {}
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
                said = self.receive() => match said? {
                    Some(Said::Text(text)) => self.hear(conversation.as_ref(), &text).await?,
                    Some(Said::TooMuch) => self.refuse_size()?,
                    None => {}
                },
                () = &mut stalled => return Err(Goodbye::Slow),
                _ = look.tick() => {
                    if self.outlet.is_taking() {
                        // It cannot answer a ping that waits behind what it is taking.
                        self.messages.excuse();
                    } else if self.messages.heard().elapsed() > limits.idle_timeout {
                        return Err(Goodbye::Silent);
                    }
                }
            }
        }
    }

    /// What the client says next, or none after something else that is in order. Who does not take the
    /// answers to what was said before is not heard.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    async fn receive(&mut self) -> Result<Option<Said>, Goodbye> {
        self.outlet.room().await;
        match self.messages.recv().await? {
            Incoming::Text(text) => Ok(Some(Said::Text(text))),
            Incoming::Oversized => Ok(Some(Said::TooMuch)),
            Incoming::Ping(payload) => {
                self.outlet.pong(payload);
                Ok(None)
            }
            Incoming::Pong => Ok(None),
            Incoming::Close(reason) => Err(Goodbye::Peer(reason)),
        }
    }

    async fn hear(
        &mut self,
        conversation: Option<&Conversation>,
        text: &str,
    ) -> Result<(), Goodbye> {
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
        self.complain(&code, detail)
    }

    /// Answers a message that is not taken for its size.
    fn refuse_size(&self) -> Result<(), Goodbye> {
        let limit = self.shared.config.limits.frame_bytes;
        let code = Failure::TooLarge { limit }.to_string();
        self.complain(&code, format!("The message is larger than {limit} bytes"))
    }

    /// Tells this client alone what was wrong with its frame.
    fn complain(&self, code: &str, detail: String) -> Result<(), Goodbye> {
        let json = if matches!(self.wants, Wants::Events(..)) {
            inbound::server_error(code, detail)
        } else {
            Some(inbound::error_frame(code, &detail))
        };
        self.outlet.answer(json.ok_or(Goodbye::Failed)?)
    }
}
