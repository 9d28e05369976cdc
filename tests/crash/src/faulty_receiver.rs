//! What a receiver does with a request: takes it, or does not, after a while or never.

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
    kept::{Batch, Kept, Span},
    ledger::lock,
    random::Random,
};

/// Where a receiver's requests are dealt with.
pub(crate) struct Desk {
    /// Whether it is told of conversations too.
    pub(crate) told: bool,
    pub(crate) kept: Mutex<Kept>,
    pub(crate) mood: Mutex<Mood>,
    random: Mutex<Random>,
    /// Requests that came and are not answered.
    pub(crate) under_way: AtomicU64,
    pub(crate) violation: Mutex<Option<Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes most, after a few milliseconds.
    Willing,
    Refusing,
    /// Takes everything at once.
    Calm,
}

/// What is done about one request.
struct Whim {
    delay: Duration,
    keeps: bool,
    reply: Reply,
}

impl Desk {
    pub(crate) fn new(told: bool, random: Random) -> Self {
        Self {
            told,
            kept: Mutex::default(),
            mood: Mutex::new(Mood::Willing),
            random: Mutex::new(random),
            under_way: AtomicU64::new(0),
            violation: Mutex::default(),
        }
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Reply {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let mood = *lock(&self.mood);
        let whim = mood.whim(&mut lock(&self.random));
        std::thread::sleep(whim.delay);
        let taken = self.take(request, &whim);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        match taken {
            Ok(()) => whim.reply,
            Err(error) => {
                lock(&self.violation).get_or_insert(error);
                Reply::Status(500)
            }
        }
    }

    fn take(&self, request: &Request<'_>, whim: &Whim) -> Result<()> {
        let mut kept = lock(&self.kept);
        kept.tally.requests += 1;
        kept.tally.refused += u64::from(whim.reply != Reply::Status(200));
        let path = request.path();
        if path == "/base/conversations" {
            return match whim.keeps {
                true => kept.take_info(request.body),
                false => Ok(()),
            };
        }
        let header = |name| request.header(name).with_context(|| format!("no {name}"));
        let seq = |name| -> Result<usize> { Ok(header(name)?.parse()?) };
        let conversation = header("x-conversation-id")?.to_owned();
        let expected = match self.told {
            true => format!("/base/events/{}", conversation.replace('-', "")),
            false => "/hook".to_owned(),
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
        kept.take(&batch, whim.keeps)
    }
}

impl Mood {
    fn whim(self, random: &mut Random) -> Whim {
        let (most, dice) = (random.millis(1, 12), random.below(100));
        let (delay, keeps, reply) = match (self, dice) {
            (Self::Calm, _) => (Duration::ZERO, true, Reply::Status(200)),
            (Self::Willing, 0..85) => (most, true, Reply::Status(200)),
            (Self::Willing, 85..90) | (Self::Refusing, 0..5) => (most, true, Reply::Status(500)),
            (Self::Willing, 90..92) | (Self::Refusing, 5..8) => (most, true, Reply::HangUp),
            (Self::Willing, 92) | (Self::Refusing, 8..10) => (most, true, Reply::Never),
            (Self::Willing, 93..96) | (Self::Refusing, 10..60) => (most, false, Reply::Status(503)),
            (Self::Willing, 96..98) | (Self::Refusing, 60..75) => (most, false, Reply::Status(429)),
            (Self::Refusing, 75..80) => (most, false, Reply::Never),
            (Self::Willing | Self::Refusing, _) => (most, false, Reply::HangUp),
        };
        Whim {
            delay,
            keeps,
            reply,
        }
    }
}
