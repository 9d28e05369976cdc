//! What people ask of a webhook.

use core_model::{
    ConversationKey, Seq, UtcTime,
    port::{
        Attempt, Cursor, DeliveriesError, Delivery, DeliveryList, DeliverySubject, ListQuery,
        Probes, Rewind, Rewound, WebhookInfo, WebhookState,
    },
};
use std::sync::Arc;
use tokio::{sync::oneshot, time::Instant};

use super::{Finished, Worker, scan::Scan};
use crate::job::{Job, Task, test};

/// Deliveries that are made again at a time.
const ASIDES: usize = 4;

pub(crate) enum Command {
    Info(oneshot::Sender<WebhookInfo>),
    Deliveries(oneshot::Sender<DeliveryList>),
    Redeliver {
        id: String,
        reply: oneshot::Sender<Result<Attempt, DeliveriesError>>,
    },
    Test(oneshot::Sender<Attempt>),
    Rewind {
        to: Rewind,
        reply: oneshot::Sender<Result<Rewound, DeliveriesError>>,
    },
    /// Sends what waits, if the receiver takes it, puts everything down, and ends.
    Drain(oneshot::Sender<()>),
}

/// A delivery that is made again, beside the order.
pub(super) struct Aside {
    pub(super) of: ConversationKey,
    pub(super) id: String,
    task: Task,
    pub(super) reply: oneshot::Sender<Result<Attempt, DeliveriesError>>,
}

impl Worker {
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Info(reply) => {
                reply.send(self.info()).ok();
            }
            Command::Deliveries(reply) => {
                let dead = self.records.dead_letters.iter();
                let list = DeliveryList {
                    items: self.ledger.recent(),
                    dead_letters: dead
                        .map(core_model::port::DeadLetter::to_delivery)
                        .collect(),
                };
                reply.send(list).ok();
            }
            Command::Redeliver { id, reply } => self.redeliver(id, reply).await,
            Command::Test(reply) => {
                let hook = Arc::clone(&self.hook);
                self.jobs.push(Box::pin(
                    async move { Finished::Test(test(&hook).await, reply) },
                ));
            }
            Command::Rewind { to, reply } => {
                let answer = self.rewind(to).await;
                reply.send(answer).ok();
            }
            Command::Drain(reply) => {
                self.drained = Some(reply);
                if let Ok(end) = self.hook.ports.source.feed_len().await {
                    self.read_all(end).await;
                }
                self.backlog.flush_all();
                self.backlog.hurry_all();
            }
        }
    }

    fn info(&self) -> WebhookInfo {
        let hook = &self.hook;
        let state = if self.parked.is_some() {
            WebhookState::Parked
        } else if self.backlog.is_failing() {
            WebhookState::Retrying
        } else if self.backlog.is_empty() && self.jobs.is_empty() {
            WebhookState::Idle
        } else {
            WebhookState::Delivering
        };
        WebhookInfo {
            name: hook.name.clone(),
            id: hook.id.clone(),
            url: hook.config.shown_url(),
            form: hook.config.form(),
            state,
            lag: self.backlog.lag(),
            in_flight: u32::try_from(self.jobs.len()).unwrap_or(u32::MAX),
            delivered_events: self.ledger.delivered_events,
            succeeded: self.ledger.succeeded,
            failed: self.ledger.failed,
            last_success_at: self.ledger.last_success_at,
            last_error: self.ledger.last_error.clone(),
            probes: self.parked.as_ref().map(|parked| Probes {
                since: parked.since,
                count: parked.probes,
                next_at: parked.next_at,
            }),
            paused_until: self.hold_until.and_then(|until| {
                let left = until.checked_duration_since(Instant::now())?;
                Some(UtcTime(UtcTime::now().0 + left))
            }),
            dead_letters: self.records.dead_letters.len() as u64,
        }
    }

    async fn redeliver(
        &mut self,
        id: String,
        reply: oneshot::Sender<Result<Attempt, DeliveriesError>>,
    ) {
        let letter = self
            .records
            .dead_letters
            .iter()
            .find(|letter| letter.id == id);
        let found = match letter {
            Some(letter) => Some((
                letter.conversation,
                Task::Again {
                    id: id.clone(),
                    first: letter.first_seq,
                    last: letter.last_seq,
                },
            )),
            None => match self.ledger.find(&id) {
                Some((of, delivery)) => {
                    let task = self.task_again(&of, delivery).await;
                    task.map(|task| (of, task))
                }
                None => None,
            },
        };
        match found {
            Some((of, task)) => self.asides.push_back(Aside {
                of,
                id,
                task,
                reply,
            }),
            None => {
                reply.send(Err(DeliveriesError::NoDelivery(id))).ok();
            }
        }
    }

    /// What sends a recent delivery again; none where it was of no conversation.
    async fn task_again(&self, of: &ConversationKey, delivery: &Delivery) -> Option<Task> {
        let id = delivery.id.clone();
        match (delivery.subject, delivery.first_seq, delivery.last_seq) {
            (DeliverySubject::Events, Some(first), Some(last)) => {
                Some(Task::Again { id, first, last })
            }
            (DeliverySubject::Conversation, ..) => {
                let deleting = matches!(self.hook.row(of).await, Ok(None));
                Some(Task::Conversation { id, deleting })
            }
            (DeliverySubject::Events | DeliverySubject::Test, ..) => None,
        }
    }

    /// One request at a time for a conversation, these included.
    pub(super) async fn begin_asides(&mut self) {
        for _ in 0..self.asides.len() {
            let Some(aside) = self.asides.pop_front() else {
                return;
            };
            let taken = self.backlog.is_busy(&aside.of) || self.asides_of.contains(&aside.of);
            if taken || self.asides_of.len() >= ASIDES {
                self.asides.push_back(aside);
                continue;
            }
            self.asides_of.insert(aside.of);
            let job = Job {
                of: aside.of,
                round: 0,
                rewound: None,
                deleted: matches!(self.hook.row(&aside.of).await, Ok(None)),
                log: None,
                task: aside.task.clone(),
            };
            let hook = Arc::clone(&self.hook);
            self.jobs.push(Box::pin(async move {
                Finished::Aside(aside, job.run(&hook).await)
            }));
        }
    }

    /// Durable before anything is sent again.
    async fn rewind(&mut self, to: Rewind) -> Result<Rewound, DeliveriesError> {
        let at = UtcTime::now();
        let Some(id) = to.conversation_id else {
            self.recorder.rewind_all(at).await?;
            return self.rewind_all(at).await;
        };
        let row = self.hook.ports.source.row(id).await?;
        let row = row.ok_or(DeliveriesError::NoConversation(id))?;
        if !self.hook.wants(id) {
            return Err(DeliveriesError::NotWanted(self.hook.name.clone()));
        }
        let of = row.key();
        let end = self.hook.ports.source.feed_len().await?;
        self.read_all(end).await;
        if self.scan.is_some() {
            self.look_at(of, row.extent.len).await;
        }
        // Never forward: what was not delivered is not passed over. Where the feed holds more than is
        // looked at, where it stands is not known, and the start is right in any case.
        let wish = to.seq.filter(|_| self.position >= end);
        let next = wish.unwrap_or(Seq(0)).min(row.extent.len);
        let stands = self.backlog.get(&of).map(|pending| pending.next);
        let next = stands.map_or(next, |stands| stands.min(next));
        let rewound = Some(at);
        self.recorder.rewind(of, Cursor { next, rewound }).await?;
        self.delivered.remove(&of);
        if row.extent.len > next {
            self.grew(of, next, row.extent.len, self.position).await;
            self.backlog.take_back(&of, next, at);
        }
        Ok(Rewound {
            conversations: 1,
            events: row.extent.len.0 - next.0,
        })
    }

    async fn rewind_all(&mut self, at: UtcTime) -> Result<Rewound, DeliveriesError> {
        self.records.since = None;
        self.records.rewound = Some(at);
        self.delivered.clear();
        self.watermark = 0;
        self.backlog.take_all_back(at);
        self.scan = Some(Scan::now());
        let mut rewound = Rewound {
            conversations: 0,
            events: 0,
        };
        let mut query = ListQuery {
            status: None,
            first: None,
            limit: 1024,
            order: core_model::ConversationOrder::Created,
        };
        loop {
            let page = self.hook.ports.source.list(&query).await?;
            let wanted = page.rows.iter().filter(|row| self.hook.wants(row.id));
            for row in wanted {
                rewound.conversations += 1;
                rewound.events += row.extent.len.0;
            }
            query.first = page.next;
            if query.first.is_none() {
                return Ok(rewound);
            }
        }
    }
}
