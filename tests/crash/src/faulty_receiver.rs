//! A receiver of webhooks that answers at random: takes a request or refuses it, after a while or never.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Error, Result, ensure};
use harness::{Reply, Request};

use crate::{
    expected_state::lock,
    kept::{Batch, Kept, Span},
    random::Random,
};

/// Answers a receiver's requests.
pub(crate) struct FaultyReceiver {
    /// Whether it also gets requests about conversations themselves.
    pub(crate) gets_conversations: bool,
    pub(crate) kept: Mutex<Kept>,
    pub(crate) behaviour: Mutex<Behaviour>,
    random: Mutex<Random>,
    /// Requests that came and are not answered.
    pub(crate) under_way: AtomicU64,
    pub(crate) violation: Mutex<Option<Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Takes most requests, after a few milliseconds.
    Willing,
    /// Refuses most.
    Refusing,
    /// Takes everything at once.
    AcceptAll,
}

/// How one request is answered.
struct Response {
    delay: Duration,
    keeps: bool,
    reply: Reply,
}

impl FaultyReceiver {
    pub(crate) fn new(gets_conversations: bool, random: Random) -> Self {
        Self {
            gets_conversations,
            kept: Mutex::default(),
            behaviour: Mutex::new(Behaviour::Willing),
            random: Mutex::new(random),
            under_way: AtomicU64::new(0),
            violation: Mutex::default(),
        }
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Reply {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let behaviour = *lock(&self.behaviour);
        let response = behaviour.response(&mut lock(&self.random));
        std::thread::sleep(response.delay);
        let taken = self.take(request, &response);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        match taken {
            Ok(()) => response.reply,
            Err(error) => {
                lock(&self.violation).get_or_insert(error);
                Reply::Status(500)
            }
        }
    }

    fn take(&self, request: &Request<'_>, response: &Response) -> Result<()> {
        let mut kept = lock(&self.kept);
        kept.tally.requests += 1;
        kept.tally.refused += u64::from(response.reply != Reply::Status(200));
        let path = request.path();
        if path == "/base/conversations" {
            return if response.keeps {
                kept.take_info(request.body)
            } else {
                Ok(())
            };
        }
        let header = |name| request.header(name).with_context(|| format!("no {name}"));
        let seq = |name| -> Result<usize> { Ok(header(name)?.parse()?) };
        let conversation = header("x-conversation-id")?.to_owned();
        let expected = if self.gets_conversations {
            format!("/base/events/{}", conversation.replace('-', ""))
        } else {
            "/hook".to_owned()
        };
        ensure!(path == expected, "{path} instead of {expected}");
        let batch = Batch {
            delivery: header("webhook-id")?,
            span: Span {
                conversation,
                first: seq("x-first-seq")?,
                last: seq("x-last-seq")?,
            },
            body: request.body,
        };
        kept.take(&batch, response.keeps)
    }
}

impl Behaviour {
    fn response(self, random: &mut Random) -> Response {
        let (most, dice) = (random.millis(1, 12), random.below(100));
        let (delay, keeps, reply) = match (self, dice) {
            (Self::AcceptAll, _) => (Duration::ZERO, true, Reply::Status(200)),
            (Self::Willing, 0..85) => (most, true, Reply::Status(200)),
            (Self::Willing, 85..90) | (Self::Refusing, 0..5) => (most, true, Reply::Status(500)),
            (Self::Willing, 90..92) | (Self::Refusing, 5..8) => (most, true, Reply::HangUp),
            (Self::Willing, 92) | (Self::Refusing, 8..10) => (most, true, Reply::Never),
            (Self::Willing, 93..96) | (Self::Refusing, 10..60) => (most, false, Reply::Status(503)),
            (Self::Willing, 96..98) | (Self::Refusing, 60..75) => (most, false, Reply::Status(429)),
            (Self::Refusing, 75..80) => (most, false, Reply::Never),
            (Self::Willing | Self::Refusing, _) => (most, false, Reply::HangUp),
        };
        Response {
            delay,
            keeps,
            reply,
        }
    }
}
