//! One webhook at work: a task that follows the feed, picks whose turn it is, and records what came of
//! it. It waits for one thing at a time to happen, and holds no events.

mod command;
mod feed_entries;
mod feed_reader;
mod introduce;
mod jobs;
mod outcomes;
mod progress;
mod receiver;
mod redeliveries;
mod scan;
mod status;
mod watermark;

use std::{future::pending, sync::Arc};

use core_model::{
    StoreError,
    port::{DeadLetter, DeliveriesError, DeliveryList, FeedPosition, Rewind, Rewound},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

pub(crate) use command::Command;

use crate::{endpoint::Endpoint, history::History, outbox::Outbox};
use feed_entries::on_feed_entry;
use feed_reader::{FeedReader, Ready};
use introduce::introduce;
use jobs::{Finished, Jobs};
use outcomes::Outcomes;
use progress::Progress;
use receiver::Receiver;
use redeliveries::{Redeliveries, what_to_send};
use scan::Found;
use status::info;
use watermark::Watermark;

/// Conversations that are looked at while they wait; the others stay where they are, in the feed.
const MAX_PENDING: usize = 10_000;

pub(crate) struct Worker {
    endpoint: Arc<Endpoint>,
    outbox: Arc<Outbox>,
    feed: FeedReader,
    progress: Progress,
    watermark: Watermark,
    jobs: Jobs,
    redeliveries: Redeliveries,
    receiver: Receiver,
    history: History,
    commands: mpsc::Receiver<Command>,
    drain: Option<Drain>,
}

/// The server stops.
struct Drain {
    reply: oneshot::Sender<()>,
    /// Whether all that was delivered is being recorded, at once.
    recording: bool,
}

impl Worker {
    /// Finds where to continue, or begins; events from now on are then delivered, whenever
    /// [`Self::run`] starts. `recovered` ends when the list of conversations is complete.
    ///
    /// # Errors
    /// When what was recorded cannot be read, or the beginning cannot be recorded.
    pub(crate) async fn new(
        endpoint: Endpoint,
        outbox: Arc<Outbox>,
        commands: mpsc::Receiver<Command>,
        recovered: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let endpoint = Arc::new(endpoint);
        let store = Arc::clone(&endpoint.ports.store);
        let (feed, end) = (store.feed_id(), store.feed_len().await?);
        let records = introduce(
            &endpoint,
            FeedPosition {
                feed,
                position: end,
            },
        )
        .await?;
        let here = records.position.map(|at| (at.feed, at.position));
        let here = here.filter(|(id, at)| *id == feed && *at <= end);
        let position = here.map(|(_, at)| at);
        let mut worker = Self {
            feed: FeedReader::new(store, position, end, recovered),
            progress: Progress::new(Arc::clone(&endpoint), Arc::clone(&outbox), records, end),
            watermark: Watermark::new(position.unwrap_or(0)),
            jobs: Jobs::default(),
            redeliveries: Redeliveries::default(),
            receiver: Receiver::new(Arc::clone(&endpoint)),
            history: History::default(),
            commands,
            drain: None,
            endpoint,
            outbox,
        };
        worker.resume().await?;
        Ok(worker)
    }

    /// Where it continues after a start besides what the feed will tell: conversations that were deleted
    /// or rewound.
    async fn resume(&mut self) -> Result<(), StoreError> {
        for letter in self.progress.dead_letters() {
            self.outbox.hold(&letter.conversation, self.endpoint.index);
        }
        if !self.feed.is_scanning() {
            // A crash on a full disk may have kept the feed from telling of them.
            for of in self.outbox.all() {
                self.progress.look_at_deleted(of).await;
            }
        }
        for (of, cursor) in self.progress.rewound_ones() {
            let row = self.endpoint.row(&of).await?;
            if let Some(row) = row.filter(|row| row.extent.len > cursor.next) {
                let position = self.feed.position();
                let len = row.extent.len;
                self.progress.grew(of, cursor.next, len, position).await;
            }
        }
        self.moved();
        Ok(())
    }

    /// Works until it is drained, or nobody can give it commands any more.
    pub(crate) async fn run(mut self) {
        loop {
            self.start_jobs();
            self.record_watermark();
            self.end_drain();
            let room = self.has_room();
            let timer = self.next_timer();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.handle_command(command).await,
                    None => return,
                },
                Some(finished) = self.jobs.next() => self.finish(finished).await,
                () = self.progress.recorder.work() => {}
                ready = self.feed.ready(room) => match ready {
                    Ready::Feed(len) => {
                        if self.read_feed(len).await {
                            self.feed.read_soon(len);
                        }
                    }
                    Ready::Scan => self.scan().await,
                },
                () = at(timer) => self.progress.backlog.wake_due(Instant::now()),
            }
            // A backlog may keep it busy for long.
            tokio::task::consume_budget().await;
        }
    }

    /// Lets conversations have their turn, as many at a time as may.
    fn start_jobs(&mut self) {
        let backlog = &self.progress.backlog;
        while let Some(next) = self.redeliveries.start(|of| backlog.is_busy(of)) {
            self.jobs.redeliver(next, &self.endpoint);
        }
        while self.may_send() {
            let redeliveries = &self.redeliveries;
            let free = |of: &_| !redeliveries.is_under_way(of);
            let Some(of) = self.progress.backlog.take_ready(free) else {
                return;
            };
            self.receiver.request_started();
            if let Some(job) = self.progress.next_job(of) {
                self.jobs.deliver(job, &self.endpoint);
            }
        }
    }

    fn may_send(&self) -> bool {
        let stopping = self.drain.is_some();
        self.receiver.may_send(self.jobs.deliveries(), stopping)
    }

    fn has_room(&self) -> bool {
        self.progress.backlog.len() < MAX_PENDING
    }

    /// Every now and then, the position in the feed before which all is dealt with is recorded.
    fn record_watermark(&mut self) {
        if !self.feed.is_past_scan() || !self.watermark.is_due(self.drain.is_some()) {
            return;
        }
        let position = self.progress.backlog.watermark(self.feed.position());
        if let Some(position) = self.watermark.advance(position) {
            let feed = self.endpoint.ports.store.feed_id();
            let position = FeedPosition { feed, position };
            self.progress.recorder.put_position(position);
        }
    }

    fn end_drain(&mut self) {
        let waits = self.progress.backlog.has_ready() && self.may_send();
        let idle = self.jobs.is_empty() && !waits;
        let recorded = self.progress.recorder.is_done();
        let Some(mut drain) = self.drain.take() else {
            return;
        };
        if drain.reply.is_closed() || (idle && recorded) {
            drain.reply.send(()).ok();
            self.commands.close();
            return;
        }
        if idle && !std::mem::replace(&mut drain.recording, true) {
            self.progress.recorder.expedite();
        }
        self.drain = Some(drain);
    }

    /// The next moment when time alone brings something to do.
    fn next_timer(&self) -> Option<Instant> {
        let backlog = &self.progress.backlog;
        let chance = self.receiver.next_chance();
        let watermark = self.watermark.next_due();
        let timers = [
            backlog.next_due(),
            chance.filter(|_| backlog.has_ready()),
            watermark.filter(|_| self.feed.is_past_scan()),
        ];
        timers.into_iter().flatten().min()
    }

    async fn handle_command(&mut self, command: Command) {
        match command {
            Command::Info(reply) => {
                let in_flight = self.jobs.len();
                let (progress, receiver) = (&self.progress, &self.receiver);
                let info = info(&self.endpoint, progress, receiver, &self.history, in_flight);
                reply.send(info).ok();
            }
            Command::Deliveries(reply) => {
                let dead_letters = self.progress.dead_letters().iter();
                let list = DeliveryList {
                    items: self.history.recent(),
                    dead_letters: dead_letters.map(DeadLetter::to_delivery).collect(),
                };
                reply.send(list).ok();
            }
            Command::Redeliver { id, reply } => {
                let letters = self.progress.dead_letters();
                let found = what_to_send(&id, letters, &self.history, &self.endpoint).await;
                self.redeliveries.push(id, found, reply);
            }
            Command::Test(reply) => self.jobs.test(reply, &self.endpoint),
            Command::Rewind { to, reply } => {
                let answer = self.rewind(to).await;
                reply.send(answer).ok();
            }
            Command::Drain(reply) => {
                let recording = false;
                if let Ok(end) = self.endpoint.ports.store.feed_len().await {
                    self.read_all(end).await;
                }
                self.progress.flush();
                self.drain = Some(Drain { reply, recording });
            }
        }
    }

    async fn finish(&mut self, finished: Finished) {
        let mut outcomes = Outcomes {
            endpoint: &self.endpoint,
            progress: &mut self.progress,
            receiver: &mut self.receiver,
            history: &mut self.history,
            scanning: self.feed.is_scanning(),
        };
        match finished {
            Finished::Delivery(done) => {
                self.watermark.moved();
                outcomes.delivery(done).await;
            }
            Finished::Redelivery(redelivery, done) => {
                self.redeliveries.finished(&redelivery.of);
                outcomes.redelivery(redelivery, done);
            }
            Finished::Test(sent, reply) => {
                outcomes.test(&sent);
                reply.send(sent.to_attempt()).ok();
            }
        }
    }

    /// Reads some of the feed; whether there may be more that can be read now.
    async fn read_feed(&mut self, len: u64) -> bool {
        let entries = match self.feed.read(len).await {
            Ok(entries) => entries,
            Err(error) => {
                let webhook = &self.endpoint.name;
                tracing::error!(webhook, %error, "a webhook cannot read the feed");
                self.history.read_failed(error.to_string());
                return false;
            }
        };
        for entry in &entries {
            let context = self.feed.context(entry.position);
            on_feed_entry(&self.endpoint, &mut self.progress, entry, context).await;
        }
        self.moved();
        let more = !entries.is_empty() && self.has_room();
        if !more {
            self.outbox.clear_soon();
        }
        more
    }

    /// Reads to the feed's end, or as far as there is room.
    async fn read_all(&mut self, end: u64) {
        while self.read_feed(end).await {
            tokio::task::yield_now().await;
        }
    }

    /// Looks through some more of all conversations.
    async fn scan(&mut self) {
        let (rows, last) = match self.feed.scan().await {
            Ok(Some(Found::Rows(rows))) => (rows, false),
            Ok(Some(Found::LastRows(rows))) => (rows, true),
            Ok(Some(Found::Deleted)) => {
                for of in self.outbox.all() {
                    self.progress.look_at_deleted(of).await;
                }
                return;
            }
            Ok(None) => return,
            Err(error) => return self.scan_failed(&error),
        };
        for row in &rows {
            self.progress.look_at(row.key(), row.extent.len).await;
        }
        if last {
            if let Err(error) = self.feed.end_scan().await {
                self.scan_failed(&error);
                return;
            }
            self.moved();
            self.outbox.clear_soon();
        }
    }

    fn scan_failed(&mut self, error: &StoreError) {
        let webhook = &self.endpoint.name;
        tracing::error!(webhook, %error, "a webhook cannot read the list of conversations");
        self.history.read_failed(error.to_string());
    }

    /// Something was read: what that settles for the outbox and for what was delivered.
    fn moved(&mut self) {
        self.watermark.moved();
        if !self.feed.is_scanning() {
            // Else it may yet find more in the outbox.
            let position = self.feed.position();
            self.outbox.read_to(self.endpoint.index, position);
        }
        if self.feed.is_caught_up() {
            self.progress.forget_delivered();
        }
    }

    /// Durable before anything is sent again.
    async fn rewind(&mut self, to: Rewind) -> Result<Rewound, DeliveriesError> {
        let Some(id) = to.conversation_id else {
            return self.rewind_all().await;
        };
        let row = self.endpoint.ports.store.row(id).await?;
        let row = row.ok_or(DeliveriesError::NoConversation(id))?;
        if !self.endpoint.wants(id) {
            return Err(DeliveriesError::NotWanted(self.endpoint.name.clone()));
        }
        let (of, len) = (row.key(), row.extent.len);
        let end = self.endpoint.ports.store.feed_len().await?;
        self.read_all(end).await;
        if self.feed.is_scanning() {
            self.progress.find(of, len).await;
        }
        // Never forward: what was not delivered is not passed over. Where the feed holds more than is
        // looked at, where it stands is not known, and the start is right in any case.
        let position = self.feed.position();
        let wish = to.seq.filter(|_| position >= end);
        let next = self.progress.rewind(of, wish, len, position).await?;
        Ok(Rewound {
            conversations: 1,
            events: len.0 - next.0,
        })
    }

    async fn rewind_all(&mut self) -> Result<Rewound, DeliveriesError> {
        let rewound = self.endpoint.count_wanted().await?;
        self.progress.rewind_all().await?;
        self.watermark.reset();
        self.feed.scan_again();
        Ok(rewound)
    }
}

async fn at(timer: Option<Instant>) {
    match timer {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
