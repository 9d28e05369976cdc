//! One thing to do for one conversation: at most one request.

mod stored;
mod task;

use std::sync::Arc;

use bytes::Bytes;
use core_model::{
    ConversationKey, Draft, EventTime, ExecutionStatus, LogReader, Seq, StoreError, UtcTime,
    port::DeliverySubject,
};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    backlog::Seen,
    batch::{self, Portion},
    endpoint::Endpoint,
    sender::Outgoing,
    sent::Sent,
};

pub(crate) use task::{Events, Task};

pub(crate) struct Job {
    pub(crate) of: ConversationKey,
    pub(crate) round: u32,
    pub(crate) rewound: Option<UtcTime>,
    pub(crate) deleted: bool,
    /// If it is open already.
    pub(crate) log: Option<Arc<dyn LogReader>>,
    pub(crate) task: Task,
}

/// A job that was done, and what came of it.
pub(crate) struct Done {
    /// It knows by now whether the conversation is deleted, and has its log if that was opened.
    pub(crate) job: Job,
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
    /// The log ends here: there is nothing of what the feed had up to `told`, which a crash may have
    /// taken.
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

impl Step {
    /// Whether a log was read without a request.
    pub(crate) fn was_read(&self) -> bool {
        matches!(
            self,
            Self::Waits { .. } | Self::Passed { .. } | Self::Ended { .. }
        )
    }
}

impl Job {
    pub(crate) async fn run(mut self, endpoint: &Endpoint) -> Done {
        let mut step = self.step(endpoint).await;
        if matches!(step, Err(StoreError::NotFound(_))) && !self.deleted {
            // Deleted meanwhile, or before the feed could tell.
            self.deleted = true;
            self.log = None;
            step = self.step(endpoint).await;
        }
        let step = step.unwrap_or_else(|error| {
            if matches!(error, StoreError::NotFound(_)) {
                return Step::Gone;
            }
            Step::Unreadable(error)
        });
        Done { job: self, step }
    }

    async fn step(&mut self, endpoint: &Endpoint) -> Result<Step, StoreError> {
        match self.task.clone() {
            Task::Conversation { id, deleting } => {
                self.deliver_conversation(endpoint, id, deleting).await
            }
            Task::Events(events) => self.deliver(endpoint, events).await,
            Task::Again { id, first, last } => self.redeliver(endpoint, id, first, last).await,
        }
    }

    async fn open(&mut self, endpoint: &Endpoint) -> Result<Arc<dyn LogReader>, StoreError> {
        let log = match self.log.take() {
            Some(log) => log,
            None => stored::open(endpoint, &self.of, self.deleted).await?,
        };
        self.log = Some(Arc::clone(&log));
        Ok(log)
    }

    async fn deliver(&mut self, endpoint: &Endpoint, events: Events) -> Result<Step, StoreError> {
        let of = self.of;
        let row = endpoint.row(&of).await?;
        let log = self.open(endpoint).await?;
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
                conversation.id = %of.id, webhook = endpoint.name, cursor = from.0, len = len.0,
                "delivered events were lost in a crash; it continues at the log's end"
            );
        }
        if from >= len {
            return Ok(Step::Ended { len, told });
        }
        let found = batch::read(&log, from, to, &endpoint.portion).await?;
        // No turn is under way, so one may have ended.
        let at_rest = row.is_none_or(|row| row.status != ExecutionStatus::Running);
        let details = endpoint.wants_conversations();
        let happened = if details || (at_rest && !flush && !found.full) {
            batch::happened(&log, from, found.read_to).await?
        } else {
            batch::Happened::default()
        };
        let changed = details && happened.changed;
        let Some(batch) = found.batch else {
            let next = found.read_to;
            return Ok(Step::Passed { next, changed });
        };
        if !(flush || found.full || (at_rest && happened.turn_ended)) {
            let before = |row: core_model::Row| row.bytes.saturating_sub(batch.body.len() as u64);
            let seen = Seen {
                to,
                events: batch.events,
                base: row.map(before),
            };
            return Ok(Step::Waits { next: from, seen });
        }
        let id = endpoint.delivery_id(&of, self.rewound, &batch.content());
        let request = endpoint.events(&id, &of, &batch);
        let sent = send(endpoint, request, id, DeliverySubject::Events).await;
        Ok(Step::Sent(sent.with(&batch, found.read_to, changed)))
    }

    async fn deliver_conversation(
        &self,
        endpoint: &Endpoint,
        id: String,
        deleting: bool,
    ) -> Result<Step, StoreError> {
        let mut info = stored::info(endpoint, &self.of, self.deleted).await?;
        if deleting {
            info.execution_status = ExecutionStatus::Deleting;
        }
        let info = serde_json::to_vec(&info).unwrap_or_default();
        let request = endpoint.conversation(&id, &self.of, info.into());
        let sent = send(endpoint, request, id, DeliverySubject::Conversation).await;
        Ok(Step::Sent(sent))
    }

    /// In one request as before, unless that is more than a request may have.
    async fn redeliver(
        &mut self,
        endpoint: &Endpoint,
        id: String,
        first: Seq,
        last: Seq,
    ) -> Result<Step, StoreError> {
        let of = self.of;
        let log = self.open(endpoint).await?;
        let portion = Portion {
            events: usize::MAX,
            ..endpoint.portion.clone()
        };
        let mut all: Option<Sent> = None;
        let mut from = first;
        while from <= last {
            let found = batch::read(&log, from, last.after(1), &portion).await?;
            from = found.read_to;
            let Some(batch) = found.batch else { break };
            let id = match &all {
                None => id.clone(),
                Some(_) => endpoint.delivery_id(&of, self.rewound, &batch.content()),
            };
            let request = endpoint.events(&id, &of, &batch);
            let sent = send(endpoint, request, id, DeliverySubject::Events).await;
            let taken = sent.is_taken();
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
pub(crate) async fn test(endpoint: &Endpoint) -> Sent {
    let value =
        json!({"webhook": endpoint.name, "message": "a test; no conversation has this event"});
    let event = Draft::state("ping", value).at(EventTime::now(), None);
    let mut body = vec![b'['];
    body.extend(event.to_vec().unwrap_or_default());
    body.push(b']');
    let id = format!("msg_{}", Uuid::new_v4().simple());
    let request = endpoint.test(&id, Bytes::from(body));
    let sent = send(endpoint, request, id, DeliverySubject::Test).await;
    Sent { events: 1, ..sent }
}

async fn send(
    endpoint: &Endpoint,
    request: Outgoing,
    id: String,
    subject: DeliverySubject,
) -> Sent {
    let started = Instant::now();
    let answer = endpoint.sender.send(request).await.masked(&endpoint.mask);
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
