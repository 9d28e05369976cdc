//! One thing to do for one conversation: at most one request.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use core_model::{
    ConversationInfo, ConversationKey, Draft, EventTime, ExecutionStatus, LogReader, Seq,
    StoreError, UtcTime, port::DeliverySubject,
};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    backlog::Seen,
    batch::{self, Batch, Portion},
    hook::Hook,
    outbox::DAYS,
    sender::{Answer, Outgoing},
    verdict::Verdict,
};

pub(crate) struct Job {
    pub(crate) of: ConversationKey,
    pub(crate) round: u32,
    pub(crate) rewound: Option<UtcTime>,
    pub(crate) deleted: bool,
    /// If it is open already.
    pub(crate) log: Option<Arc<dyn LogReader>>,
    pub(crate) task: Task,
}

#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// The next events of a log.
    Events(Events),
    /// How the conversation stands, or that it is deleted, under this id.
    Conversation { id: String, deleting: bool },
    /// What was sent before.
    Again { id: String, first: Seq, last: Seq },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    pub(crate) from: Seq,
    /// Up to where the feed told of them.
    pub(crate) to: Seq,
    /// Where a batch ends that is tried again as it was.
    pub(crate) retry_to: Option<Seq>,
    /// `from` is yet to be found.
    pub(crate) since: Option<UtcTime>,
    /// Even if they are few.
    pub(crate) flush: bool,
    /// No turn is under way, so one may have ended.
    pub(crate) at_rest: bool,
}

/// What came of a job.
pub(crate) struct Done {
    pub(crate) of: ConversationKey,
    pub(crate) round: u32,
    /// Whether it is among the deleted ones.
    pub(crate) deleted: bool,
    /// How long the log of a deleted one is, if it was opened.
    pub(crate) len: Option<Seq>,
    pub(crate) log: Option<Arc<dyn LogReader>>,
    pub(crate) step: Step,
}

pub(crate) enum Step {
    /// The events are too few; they wait for others.
    Waits {
        next: Seq,
        seen: Seen,
    },
    /// Nothing before this is wanted; but something in it may show in the conversation's details.
    Passed {
        next: Seq,
        changed: bool,
    },
    /// The log ends here: there is nothing of what the feed told up to `told`, which a crash may have taken.
    Ended {
        len: Seq,
        told: Seq,
    },
    /// A request was made.
    Sent(Sent),
    /// There is no such log any more.
    Gone,
    Unreadable(StoreError),
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) subject: DeliverySubject,
    /// The seqs of its first and its last event.
    pub(crate) span: Option<(Seq, Seq)>,
    pub(crate) events: u64,
    /// When the first of its events happened.
    pub(crate) oldest: Option<UtcTime>,
    /// Where the log goes on after it.
    pub(crate) next: Seq,
    /// Something that shows in a conversation's details changed with these events.
    pub(crate) changed: bool,
    pub(crate) answer: Answer,
    pub(crate) took: Duration,
}

impl Step {
    /// Whether a log was read without a request.
    pub(crate) fn was_read(&self) -> bool {
        matches!(
            self,
            Self::Waits { .. } | Self::Passed { .. } | Self::Ended { .. }
        )
    }
}

impl Sent {
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict::on(&self.answer)
    }

    /// How long it took, to the microsecond.
    pub(crate) fn milliseconds(&self) -> f64 {
        self.took.as_micros() as f64 / 1e3
    }
}

impl Job {
    pub(crate) async fn run(mut self, hook: &Hook) -> Done {
        let mut step = self.step(hook).await;
        if matches!(step, Err(StoreError::NotFound(_))) && !self.deleted {
            // Deleted meanwhile, or before the feed could tell.
            self.deleted = true;
            self.log = None;
            step = self.step(hook).await;
        }
        let len = self
            .log
            .as_ref()
            .filter(|_| self.deleted)
            .map(|log| log.visible().len);
        Done {
            of: self.of,
            round: self.round,
            deleted: self.deleted,
            len,
            log: self.log,
            step: step.unwrap_or_else(|error| {
                if matches!(error, StoreError::NotFound(_)) {
                    return Step::Gone;
                }
                Step::Unreadable(error)
            }),
        }
    }

    async fn step(&mut self, hook: &Hook) -> Result<Step, StoreError> {
        match self.task.clone() {
            Task::Conversation { id, deleting } => self.tell(hook, id, deleting).await,
            Task::Events(events) => self.deliver(hook, events).await,
            Task::Again { id, first, last } => self.deliver_again(hook, id, first, last).await,
        }
    }

    async fn open(&mut self, hook: &Hook) -> Result<Arc<dyn LogReader>, StoreError> {
        let log = match self.log.take() {
            Some(log) => log,
            None => open(hook, &self.of, self.deleted).await?,
        };
        self.log = Some(Arc::clone(&log));
        Ok(log)
    }

    async fn deliver(&mut self, hook: &Hook, events: Events) -> Result<Step, StoreError> {
        let of = self.of;
        let log = self.open(hook).await?;
        let len = log.visible().len;
        let mut from = events.from;
        if let Some(since) = events.since {
            from = from.max(log.since(EventTime::from(since.0)).await?);
        }
        // What is deleted grows no more, and waits for nothing.
        let told = if self.deleted { len } else { events.to };
        let flush = events.flush || self.deleted;
        let to = match events.retry_to {
            Some(retry_to) => retry_to.min(len),
            None => told.min(len),
        };
        if from > len {
            tracing::warn!(
                conversation.id = %of.id, webhook = hook.name, cursor = from.0, len = len.0,
                "delivered events were lost in a crash; it goes on at the log's end"
            );
        }
        if from >= len {
            return Ok(Step::Ended { len, told });
        }
        let found = batch::read(&log, from, to, &hook.portion).await?;
        let tells = hook.tells_of_conversations();
        let happened = match tells || (events.at_rest && !flush && !found.full) {
            true => batch::happened(&log, from, found.read_to).await?,
            false => batch::Happened::default(),
        };
        let changed = tells && happened.changed;
        let Some(batch) = found.batch else {
            let next = found.read_to;
            return Ok(Step::Passed { next, changed });
        };
        if !(flush || found.full || (events.at_rest && happened.turn_ended)) {
            let seen = Seen {
                to,
                events: batch.events,
                base: self
                    .size(hook)
                    .await
                    .map(|size| size.saturating_sub(batch.body.len() as u64)),
            };
            return Ok(Step::Waits { next: from, seen });
        }
        let id = hook.delivery_id(&of, self.rewound, &batch.content());
        let request = hook.events(&id, &of, &batch);
        let sent = send(hook, request, id, DeliverySubject::Events).await;
        Ok(Step::Sent(sent.with(&batch, found.read_to, changed)))
    }

    /// How large the conversation's log is.
    async fn size(&self, hook: &Hook) -> Option<u64> {
        let row = hook.row(&self.of).await.ok().flatten();
        row.map(|row| row.bytes)
    }

    async fn tell(&self, hook: &Hook, id: String, deleting: bool) -> Result<Step, StoreError> {
        let mut info = info(hook, &self.of, self.deleted).await?;
        if deleting {
            info.execution_status = ExecutionStatus::Deleting;
        }
        let info = serde_json::to_vec(&info).unwrap_or_default();
        let request = hook.conversation(&id, &self.of, info.into());
        let sent = send(hook, request, id, DeliverySubject::Conversation).await;
        Ok(Step::Sent(sent))
    }

    /// In one request as before, unless that is more than a request may have.
    async fn deliver_again(
        &mut self,
        hook: &Hook,
        id: String,
        first: Seq,
        last: Seq,
    ) -> Result<Step, StoreError> {
        let of = self.of;
        let log = self.open(hook).await?;
        let portion = Portion {
            events: usize::MAX,
            ..hook.portion.clone()
        };
        let mut all: Option<Sent> = None;
        let mut from = first;
        while from <= last {
            let found = batch::read(&log, from, last.after(1), &portion).await?;
            from = found.read_to;
            let Some(batch) = found.batch else { break };
            let id = match &all {
                None => id.clone(),
                Some(_) => hook.delivery_id(&of, self.rewound, &batch.content()),
            };
            let request = hook.events(&id, &of, &batch);
            let sent = send(hook, request, id, DeliverySubject::Events).await;
            let taken = sent.verdict() == Verdict::Taken;
            let sent = sent.with(&batch, found.read_to, false);
            all = Some(match all {
                None => sent,
                Some(all) => all.and(sent),
            });
            if !taken {
                break;
            }
        }
        all.map(Step::Sent).ok_or(StoreError::NotFound(of.id))
    }
}

/// Sends one event that is in no log.
pub(crate) async fn test(hook: &Hook) -> Sent {
    let value = json!({"webhook": hook.name, "message": "a test; no conversation has this event"});
    let event = Draft::state("ping", value).at(EventTime::now(), None);
    let mut body = vec![b'['];
    body.extend(event.to_vec().unwrap_or_default());
    body.push(b']');
    let id = format!("msg_{}", Uuid::new_v4().simple());
    let request = hook.test(&id, Bytes::from(body));
    let sent = send(hook, request, id, DeliverySubject::Test).await;
    Sent { events: 1, ..sent }
}

async fn send(hook: &Hook, request: Outgoing, id: String, subject: DeliverySubject) -> Sent {
    let started = Instant::now();
    let answer = hook.sender.send(request).await.masked(&hook.mask);
    Sent {
        id,
        subject,
        span: None,
        events: 0,
        oldest: None,
        next: Seq(0),
        changed: false,
        answer,
        took: started.elapsed(),
    }
}

impl Sent {
    /// Two requests as one.
    fn and(self, next: Self) -> Self {
        Self {
            id: self.id,
            span: self
                .span
                .zip(next.span)
                .map(|(one, other)| (one.0, other.1)),
            events: self.events + next.events,
            oldest: self.oldest,
            took: self.took + next.took,
            ..next
        }
    }

    fn with(self, batch: &Batch, next: Seq, changed: bool) -> Self {
        Self {
            span: Some((batch.first, batch.last)),
            events: batch.events,
            oldest: Some(UtcTime(batch.oldest.utc())),
            next,
            changed,
            ..self
        }
    }
}

/// Opens the log of this very conversation, not of a later one under its id.
async fn open(
    hook: &Hook,
    of: &ConversationKey,
    deleted: bool,
) -> Result<Arc<dyn LogReader>, StoreError> {
    if deleted {
        let (_, log) = hook.ports.records.open_deleted(*of).await?;
        return Ok(log);
    }
    is_of_today(hook, of).await?;
    let log = hook.ports.source.open(of.id).await?;
    // Looked at again: the id may have been given to another one in between.
    is_of_today(hook, of).await?;
    Ok(log)
}

async fn is_of_today(hook: &Hook, of: &ConversationKey) -> Result<(), StoreError> {
    let row = hook.row(of).await?;
    row.map(drop).ok_or(StoreError::NotFound(of.id))
}

/// A conversation as its metadata and its log have it now.
async fn info(
    hook: &Hook,
    of: &ConversationKey,
    deleted: bool,
) -> Result<ConversationInfo, StoreError> {
    let (metadata, log) = match deleted {
        true => hook.ports.records.open_deleted(*of).await?,
        false => {
            let log = open(hook, of, false).await?;
            (hook.ports.source.metadata(of.id).await?, log)
        }
    };
    let extent = log.visible();
    let state = core_model::fold(log.as_ref(), extent, &metadata, |_, _| {}).await?;
    let folder = hook.ports.conversations.join(of.id.to_string());
    Ok(ConversationInfo::new(&metadata, &state, &folder))
}

/// What is said of a conversation whose log is gone.
pub(crate) fn warn_of_loss(hook: &Hook, of: &ConversationKey, events: u64) {
    if events > 0 {
        tracing::error!(
            conversation.id = %of.id, webhook = hook.name, events,
            "a deleted conversation's log is gone before all of its events were delivered; it is kept for {DAYS} days"
        );
    }
}
