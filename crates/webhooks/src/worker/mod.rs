//! One webhook at work: a task that follows the feed, picks whose turn it is, and takes down what came
//! of it. It waits for one thing at a time to happen, and holds no events.

mod command;
mod feed;
mod finish;
mod receiver;
mod scan;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::pending,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use core_model::{
    ConversationKey, ExecutionStatus, StoreError, UtcTime,
    port::{Attempt, Cursor, FeedPosition, FollowerRecords},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

pub(crate) use command::Command;

use crate::{
    Start,
    backlog::{Backlog, Pending},
    hook::Hook,
    job::{Done, Events, Job, Sent, Task},
    ledger::Ledger,
    outbox::Outbox,
    recorder::Recorder,
};
use command::Aside;
use receiver::Parked;
use scan::Scan;

/// Conversations that are looked at while they wait; the others stay where they are, in the feed.
const WINDOW: usize = 10_000;
/// Failures in a row, of whatever conversations, after which no more are tried in a burst.
const ENOUGH: u32 = 16;

/// What is told last of a conversation.
const DELETED: &str = "deleted";

type Jobs = FuturesUnordered<Pin<Box<dyn Future<Output = Finished> + Send>>>;
type Waiting = Pin<Box<dyn Future<Output = u64> + Send>>;

/// What a job was for.
enum Finished {
    /// To go on in the log.
    Done(Done),
    /// Somebody asked for it.
    Aside(Aside, Done),
    Test(Sent, oneshot::Sender<Attempt>),
}

pub(crate) struct Worker {
    hook: Arc<Hook>,
    outbox: Arc<Outbox>,
    records: FollowerRecords,
    backlog: Backlog,
    jobs: Jobs,
    /// Jobs under way that go on in a log.
    busy: u32,
    /// What people asked for, and the conversations it is being done for.
    asides: VecDeque<Aside>,
    asides_of: HashSet<ConversationKey>,
    recorder: Recorder,
    ledger: Ledger,
    commands: mpsc::Receiver<Command>,
    /// How far the feed was read.
    position: u64,
    growth: Option<Waiting>,
    /// Where the feed ended when it was first looked at: what is before is overdue.
    overdue_to: u64,
    /// Where conversations stand that nothing is pending of, until the feed was read up to there: it may
    /// tell of events that were delivered.
    delivered: HashMap<ConversationKey, Cursor>,
    delivered_to: u64,
    scan: Option<Scan>,
    /// Where the feed ended when all conversations had been looked through.
    scanned_to: u64,
    /// No request before then: the receiver wants to be left alone.
    hold_until: Option<Instant>,
    parked: Option<Parked>,
    last_success: Option<Instant>,
    watermark: u64,
    watermark_due: Instant,
    /// Whether it may be another one by now.
    moved: bool,
    drained: Option<oneshot::Sender<()>>,
    /// Whether everything is put down at once, for the end.
    hurried: bool,
}

/// How often the place in the feed is looked at, which is put down later still.
const WATERMARK_EVERY: Duration = Duration::from_secs(1);

impl Worker {
    /// Finds where to go on, or begins; events from now on are then delivered, whenever
    /// [`Self::run`] starts.
    ///
    /// # Errors
    /// When what was put down cannot be read, or the beginning cannot be put down.
    pub(crate) async fn new(
        hook: Hook,
        outbox: Arc<Outbox>,
        commands: mpsc::Receiver<Command>,
        settled: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let hook = Arc::new(hook);
        let source = &hook.ports.source;
        let (feed, end) = (source.feed_id(), source.feed_len().await?);
        let mut records = match hook.ports.records.load(&hook.id).await? {
            Some(known) => known,
            None => {
                let beginning = hook.config.start == Start::Beginning;
                let position = FeedPosition {
                    feed,
                    position: end,
                };
                let new = FollowerRecords {
                    name: hook.name.clone(),
                    since: (!beginning).then(UtcTime::now),
                    position: (!beginning).then_some(position),
                    ..FollowerRecords::default()
                };
                Self::introduce(&hook, &new).await?;
                new
            }
        };
        if records.removed.take().is_some() || records.name != hook.name {
            Self::introduce(&hook, &records).await?;
            records.name.clone_from(&hook.name);
        }
        let here = records.position.map(|at| (at.feed, at.position));
        let here = here.filter(|(id, at)| *id == feed && *at <= end);
        let delivered = std::mem::take(&mut records.cursors);
        let now = Instant::now();
        let mut worker = Self {
            records,
            backlog: Backlog::default(),
            jobs: FuturesUnordered::new(),
            busy: 0,
            asides: VecDeque::new(),
            asides_of: HashSet::new(),
            recorder: Recorder::new(hook.id.clone(), Arc::clone(&hook.ports.records)),
            ledger: Ledger::default(),
            commands,
            position: here.map_or(end, |(_, at)| at),
            growth: None,
            overdue_to: end,
            delivered,
            delivered_to: end,
            scan: here.is_none().then(|| Scan::after(settled)),
            scanned_to: 0,
            hold_until: None,
            parked: None,
            last_success: None,
            watermark: here.map_or(0, |(_, at)| at),
            watermark_due: now,
            moved: true,
            drained: None,
            hurried: false,
            hook,
            outbox,
        };
        worker.take_up().await;
        Ok(worker)
    }

    async fn introduce(hook: &Hook, records: &FollowerRecords) -> Result<(), StoreError> {
        let FollowerRecords {
            since, position, ..
        } = *records;
        let store = &hook.ports.records;
        store
            .put_follower(&hook.id, &hook.name, since, position)
            .await?;
        store.flush(&hook.id).await
    }

    /// Works until it is drained, or nobody can give it commands any more.
    pub(crate) async fn run(mut self) {
        loop {
            self.begin_jobs().await;
            self.put_down_watermark();
            self.tell_if_drained();
            self.wait_for_growth();
            let timer = self.next_timer();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                Some(finished) = self.jobs.next() => self.finish(finished).await,
                () = self.recorder.work() => {}
                len = ready(&mut self.growth) => self.hear_more(len).await,
                () = Scan::may_go_on(&mut self.scan, self.backlog.len() < WINDOW) => {
                    self.scan_on().await;
                }
                () = at(timer) => self.backlog.ring(Instant::now()),
            }
            // A backlog may keep it busy for long.
            tokio::task::consume_budget().await;
        }
    }

    /// Lets conversations have their turn, as many at a time as may.
    async fn begin_jobs(&mut self) {
        self.begin_asides().await;
        while self.may_begin() {
            let asides_of = &self.asides_of;
            let Some(of) = self.backlog.take(|of| !asides_of.contains(of)) else {
                return;
            };
            if let Some(parked) = &mut self.parked {
                parked.probes += 1;
            }
            self.begin(of).await;
        }
    }

    fn may_begin(&self) -> bool {
        let now = Instant::now();
        if self.hold_until.is_some_and(|until| until > now) {
            return false;
        }
        let at_a_time = match &self.parked {
            Some(_) if self.drained.is_some() => 0,
            Some(parked) if parked.next > now => 0,
            Some(_) => 1,
            None => self.hook.config.max_in_flight.get(),
        };
        self.busy < at_a_time
    }

    async fn begin(&mut self, of: ConversationKey) {
        let row = self.hook.row(&of).await.ok().flatten();
        let running = row.is_some_and(|row| row.status == ExecutionStatus::Running);
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        let job = Job {
            of,
            round: pending.round,
            rewound: pending.rewound.or(self.records.rewound),
            deleted: pending.deleted,
            log: pending.log.take(),
            task: pending.task(&self.hook, &of, self.records.rewound, !running),
        };
        let hook = Arc::clone(&self.hook);
        self.busy += 1;
        self.jobs.push(Box::pin(
            async move { Finished::Done(job.run(&hook).await) },
        ));
    }

    /// Every now and then, the place in the feed that is dealt with is put down.
    fn put_down_watermark(&mut self) {
        let now = Instant::now();
        let waits = now < self.watermark_due && self.drained.is_none();
        let looks_through = self.scan.is_some() || self.position < self.scanned_to;
        if looks_through || !self.moved || waits {
            return;
        }
        self.moved = false;
        self.watermark_due = now + WATERMARK_EVERY;
        let position = self.backlog.watermark(self.position);
        if position > self.watermark {
            self.watermark = position;
            let feed = self.hook.ports.source.feed_id();
            self.recorder.put_position(FeedPosition { feed, position });
        }
    }

    fn tell_if_drained(&mut self) {
        let Some(drained) = &self.drained else { return };
        let waits = self.backlog.has_ready() && self.may_begin();
        if drained.is_closed() || (self.jobs.is_empty() && !waits && self.recorder.is_done()) {
            if let Some(drained) = self.drained.take() {
                drained.send(()).ok();
            }
            self.commands.close();
        } else if self.jobs.is_empty() && !waits && !std::mem::replace(&mut self.hurried, true) {
            self.recorder.expedite();
        }
    }

    /// The next moment when time alone brings something to do.
    fn next_timer(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut timers = vec![self.backlog.next_ring()];
        if self.backlog.has_ready() {
            timers.push(self.hold_until.filter(|until| *until > now));
            let next = self.parked.as_ref().map(|parked| parked.next);
            timers.push(next.filter(|next| *next > now));
        }
        if self.scan.is_none() && self.position >= self.scanned_to && self.moved {
            timers.push(Some(self.watermark_due));
        }
        timers.into_iter().flatten().min()
    }
}

async fn ready(waiting: &mut Option<Waiting>) -> u64 {
    match waiting {
        Some(future) => {
            let len = future.await;
            *waiting = None;
            len
        }
        None => pending().await,
    }
}

async fn at(timer: Option<Instant>) {
    match timer {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

impl Pending {
    /// What is to be done for it next.
    fn task(
        &self,
        hook: &Hook,
        of: &ConversationKey,
        all_rewound: Option<UtcTime>,
        at_rest: bool,
    ) -> Task {
        let rewound = self.rewound.or(all_rewound);
        let conversation = |content: &str| Task::Conversation {
            id: hook.delivery_id(of, rewound, content),
            deleting: content == DELETED,
        };
        if self.owed.created {
            return conversation("created");
        }
        if let Some(at) = self.owed.changed {
            return conversation(&format!("changed-{}", at.0));
        }
        if self.next >= self.to {
            return conversation(DELETED);
        }
        Task::Events(Events {
            from: self.next,
            to: self.to,
            retry_to: self.retry_to,
            since: self.since,
            flush: self.next < self.flush_to || self.retry_to.is_some(),
            at_rest,
        })
    }
}
