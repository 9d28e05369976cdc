use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use core_model::{ConversationId, Seq};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::sender::{Answer, FailureKind, Outgoing, Sender};

/// How a receiver answers one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reaction {
    Answers(u16),
    /// With this many seconds in `Retry-After`.
    Busy(u64),
    /// Takes it, but its answer is lost.
    TakesAndHangs,
    /// Takes nothing and answers nothing.
    Hangs,
    /// Answers 200 after so many milliseconds.
    Slow(u64),
    /// The connection breaks, for this reason.
    Breaks(&'static str),
}

/// One request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) at: Instant,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) span: Option<(Seq, Seq)>,
    pub(crate) body: Value,
    /// Whether the receiver keeps what came.
    pub(crate) kept: bool,
}

/// Answers as it is told, then always 200.
#[derive(Default)]
pub(crate) struct TestReceiver {
    script: Mutex<VecDeque<Reaction>>,
    always: Mutex<Option<Reaction>>,
    got: Mutex<Vec<Got>>,
    in_flight: Mutex<(u32, u32)>,
}

impl TestReceiver {
    pub(crate) fn new(script: impl IntoIterator<Item = Reaction>) -> Arc<Self> {
        let receiver = Self::default();
        receiver.script.lock().unwrap().extend(script);
        Arc::new(receiver)
    }

    pub(crate) fn script(&self, more: impl IntoIterator<Item = Reaction>) {
        self.script.lock().unwrap().extend(more);
    }

    /// What it answers when nothing else is left to answer.
    pub(crate) fn always(&self, reaction: Option<Reaction>) {
        self.script.lock().unwrap().clear();
        *self.always.lock().unwrap() = reaction;
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// How many requests were under way at a time, at the most.
    pub(crate) fn most_in_flight(&self) -> u32 {
        self.in_flight.lock().unwrap().1
    }
}

#[async_trait]
impl Sender for TestReceiver {
    async fn send(&self, request: Outgoing) -> Answer {
        let always = *self.always.lock().unwrap();
        let scripted = self.script.lock().unwrap().pop_front();
        let reaction = scripted.or(always).unwrap_or(Reaction::Answers(200));
        let kept = match reaction {
            Reaction::Answers(code) => (200..300).contains(&code),
            Reaction::TakesAndHangs | Reaction::Slow(_) => true,
            Reaction::Busy(_) | Reaction::Hangs | Reaction::Breaks(_) => false,
        };
        let text = |name: &str| {
            let value = request.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let seq = |name: &str| text(name)?.parse().ok().map(Seq);
        self.got.lock().unwrap().push(Got {
            at: Instant::now(),
            id: text("webhook-id").unwrap(),
            path: request.url.path().to_owned(),
            conversation: text("x-conversation-id").and_then(|id| id.parse().ok()),
            span: seq("x-first-seq").zip(seq("x-last-seq")),
            body: serde_json::from_slice(&request.body).unwrap(),
            kept,
        });
        {
            let mut counts = self.in_flight.lock().unwrap();
            counts.0 += 1;
            counts.1 = counts.1.max(counts.0);
        }
        let answer = self.answer(reaction, request.timeout).await;
        self.in_flight.lock().unwrap().0 -= 1;
        answer
    }
}

impl TestReceiver {
    async fn answer(&self, reaction: Reaction, timeout: Duration) -> Answer {
        let status = |code, retry_after| Answer::Status { code, retry_after };
        match reaction {
            Reaction::Answers(code) => status(code, None),
            Reaction::Busy(seconds) => status(503, Some(Duration::from_secs(seconds))),
            Reaction::Slow(millis) => {
                sleep(Duration::from_millis(millis)).await;
                status(200, None)
            }
            Reaction::Breaks(reason) => Answer::failed(FailureKind::Connection, reason),
            Reaction::TakesAndHangs | Reaction::Hangs => {
                sleep(timeout).await;
                Answer::failed(FailureKind::Timeout, "no answer in time")
            }
        }
    }
}
