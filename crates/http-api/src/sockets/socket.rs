use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use actix_web::dev::Payload;
use agent_runtime::Conversation;
use bytestring::ByteString;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{
    inbound::{self, ClientFrame},
    messages::{Incoming, Messages},
    subscription::{Subscribed, Subscription},
};
use crate::{
    access::KeyCheck,
    failure::Failure,
    follow::{CloseReason, FollowerSlot, FrameEncoding, FrameSender, SlotFor, frame_chunks},
    state::ApiState,
};

/// How long a client has to read why its socket closes.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// One open socket.
pub(super) struct Socket {
    state: Arc<ApiState>,
    subscription: Subscription,
    key_check: KeyCheck,
    sender: FrameSender,
    messages: Messages,
    /// Its slot among the sockets that have not presented a valid key.
    unauthenticated: Option<FollowerSlot>,
}

/// What a client sent, other than pings, pongs and a close.
enum Received {
    Text(ByteString),
    /// More than a message may have.
    TooLarge,
}

impl Socket {
    pub(super) fn new(
        state: Arc<ApiState>,
        subscription: Subscription,
        key_check: KeyCheck,
        sender: FrameSender,
        payload: Payload,
    ) -> Self {
        Self {
            state,
            subscription,
            key_check,
            sender,
            messages: Messages::new(payload),
            unauthenticated: None,
        }
    }

    /// Until one side closes it.
    pub(super) async fn serve(mut self) {
        let id = self.subscription.conversation();
        let shown = || id.map(tracing::field::display);
        tracing::info!(conversation.id = shown(), "socket opened");
        let reason = match self.run().await {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        let code = self.sender.close(reason);
        tracing::info!(conversation.id = shown(), code, "socket closed");
        // A connection that is closed with data unread is reset, and the client might never see the
        // reason.
        timeout(CLOSE_GRACE, self.messages.drain()).await.ok();
    }

    /// What a socket does only now and then is boxed, so that one that waits has no room for it.
    async fn run(&mut self) -> Result<Infallible, CloseReason> {
        self.authenticate().await?;
        self.unauthenticated = None;
        let limits = &self.state.config.limits;
        self.messages.authenticated(limits.frame_bytes);
        let Subscribed {
            conversation,
            source,
            slot,
        } = Box::pin(self.subscription.open(&self.state)).await?;
        let chunks = frame_chunks(source, FrameEncoding::WebSocket, limits.ping_interval, slot);
        self.sender.start(chunks);
        self.receive_until_closed(conversation).await
    }

    async fn authenticate(&mut self) -> Result<(), CloseReason> {
        if self.key_check == KeyCheck::Passed {
            return Ok(());
        }
        let limits = &self.state.config.limits;
        let slot = self.state.slots.take(SlotFor::Unauthenticated, limits);
        self.unauthenticated = Some(slot.ok_or(CloseReason::TooManyUnauthenticated)?);
        if self.key_check == KeyCheck::Wrong {
            return Err(CloseReason::Unauthenticated);
        }
        let first = timeout(limits.auth_timeout, self.first_text()).await;
        let first = first.map_err(|_elapsed| CloseReason::Unauthenticated)??;
        let keys = &self.state.access.keys;
        match keys.check_one(inbound::key(&first).as_deref()) {
            KeyCheck::Passed => Ok(()),
            KeyCheck::Wrong | KeyCheck::Missing => Err(CloseReason::Unauthenticated),
        }
    }

    async fn first_text(&mut self) -> Result<ByteString, CloseReason> {
        loop {
            match self.receive().await? {
                Some(Received::Text(text)) => return Ok(text),
                Some(Received::TooLarge) => return Err(CloseReason::TooLarge),
                None => {}
            }
        }
    }

    /// Handles what the client sends. Meanwhile the connection pulls what it is sent.
    async fn receive_until_closed(
        &mut self,
        conversation: Option<Conversation>,
    ) -> Result<Infallible, CloseReason> {
        let limits = self.state.config.limits.clone();
        let mut check_idle =
            interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
        check_idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sender = self.sender.clone();
        let mut stalled = pin!(sender.stalled(limits.send_timeout));
        loop {
            tokio::select! {
                received = self.receive() => match received? {
                    Some(Received::Text(text)) => {
                        Box::pin(self.handle_text(conversation.as_ref(), &text)).await?;
                    }
                    Some(Received::TooLarge) => self.refuse_size()?,
                    None => {}
                },
                () = &mut stalled => return Err(CloseReason::SlowConsumer),
                _ = check_idle.tick() => {
                    if self.sender.is_sending() {
                        // It cannot answer a ping that waits behind what it is reading.
                        self.messages.reset_idle();
                    } else if self.messages.last_received().elapsed() > limits.idle_timeout {
                        return Err(CloseReason::Unresponsive);
                    }
                }
            }
        }
    }

    /// What the client sends next, or none after something that is not a message. A client that does not
    /// read the answers to what it sent before is not listened to.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    async fn receive(&mut self) -> Result<Option<Received>, CloseReason> {
        self.sender.room_for_answers().await;
        match self.messages.recv().await? {
            Incoming::Text(text) => Ok(Some(Received::Text(text))),
            Incoming::Oversized => Ok(Some(Received::TooLarge)),
            Incoming::Ping(payload) => {
                self.sender.pong(payload);
                Ok(None)
            }
            Incoming::Pong => Ok(None),
            Incoming::Close(reason) => Err(CloseReason::ByPeer(reason)),
        }
    }

    async fn handle_text(
        &mut self,
        conversation: Option<&Conversation>,
        text: &str,
    ) -> Result<(), CloseReason> {
        let (code, detail) = match (inbound::parse(text), conversation) {
            (ClientFrame::Ignored, _) => return Ok(()),
            (ClientFrame::Invalid { code, detail }, _) => (code.to_owned(), detail),
            (ClientFrame::Message { .. }, None) => {
                let detail = "This socket takes no messages.".to_owned();
                ("ValueError".to_owned(), detail)
            }
            (ClientFrame::Message { content, delivery }, Some(conversation)) => {
                match conversation.deliver(content, delivery).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        let run_path = || format!("/conversations/{}/run", conversation.id());
                        let failure = Failure::of_message(error, run_path);
                        (failure.to_string(), failure.detail())
                    }
                }
            }
        };
        self.send_error(&code, detail)
    }

    /// Answers a message that is refused for its size.
    fn refuse_size(&self) -> Result<(), CloseReason> {
        let limit = self.state.config.limits.frame_bytes;
        let code = Failure::TooLarge { limit }.to_string();
        self.send_error(&code, format!("The message is larger than {limit} bytes"))
    }

    /// Tells this client alone what was wrong with its frame.
    fn send_error(&self, code: &str, detail: String) -> Result<(), CloseReason> {
        let json = if matches!(self.subscription, Subscription::Events(..)) {
            inbound::server_error(code, detail)
        } else {
            Some(inbound::error_frame(code, &detail))
        };
        self.sender.answer(json.ok_or(CloseReason::Failed)?)
    }
}
