use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use harness::{Bodies, Receiver, Reply, Request};
use serde_json::json;

use super::{super::TEXT, configured};
use crate::{
    cli::{Options, Webhooks},
    fill,
    measure::{list::forget_catalog, per_second},
    progress::Progress,
    report::{Bar, Report, Section},
    subject::Subject,
};

const CONVERSATIONS: u64 = 16;
const BATCH: u64 = 100;
const IN_FLIGHT: u64 = 8;
const TIMEOUT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Long logs sent to a webhook that is new and begins at their start.
pub(super) fn backlog(options: &Options, sizes: &Webhooks, report: &mut Report) -> Result<()> {
    let wanted = options.size(sizes.events, 100_000, 1_000_000);
    let mut subject = Subject::start(options)?;
    let events = long_logs(&mut subject, wanted)?;
    let got = Arc::new(Got::default());
    let getting = Arc::clone(&got);
    let receiver = Receiver::start(Bodies::Skipped, move |request| getting.take(request))?;
    let keys = json!({
        "event_buffer_size": BATCH, "max_in_flight": IN_FLIGHT, "start": "beginning"
    });
    subject.configure(&configured(&receiver, 1, &keys))?;
    let mut progress = Progress::new("events delivered", events);
    let begin = Instant::now();
    let ready = subject.start_again()?;
    let took = loop {
        let came = got.events.load(Ordering::Relaxed);
        let took = begin.elapsed();
        let in_order = !got.wrong.load(Ordering::Relaxed);
        ensure!(in_order, "events came twice or out of order");
        if came >= events {
            break took;
        }
        ensure!(took < TIMEOUT, "{came} of {events} events came");
        progress.at(came);
        std::thread::sleep(POLL_INTERVAL);
    };
    let requests = got.requests.load(Ordering::Relaxed);
    let bytes = got.bytes.load(Ordering::Relaxed);

    let mut section = Section::new("webhooks: a backlog delivered to a receiver in this process");
    let what = format!("{events} events, {BATCH} a request");
    let bar = Some(Bar::AtLeast(200_000.0));
    section.figure(&what, per_second(events, took), "events/s", bar);
    section.figure("requests", per_second(requests, took), "/s", None);
    let size = bytes as f64 / events.max(1) as f64;
    section.figure("size of an event", size, "bytes", None);
    section.note(format!(
        "{CONVERSATIONS} conversations, {IN_FLIGHT} at a time; from exec ({:.0} ms to ready) to the last \
         event, each once and in order",
        ready.as_secs_f64() * 1e3
    ));
    report.add(section);
    Ok(())
}

/// Creates conversations with about so many events together, on a stopped server: how many.
fn long_logs(subject: &mut Subject, events: u64) -> Result<u64> {
    let mut api = subject.api();
    let mut ids = Vec::new();
    for _ in 0..CONVERSATIONS {
        let id = api.create()?;
        api.say(&id, TEXT)?;
        ids.push(id);
    }
    subject.stop()?;
    for id in &ids {
        let folder = subject.conversations().join(id);
        fill::lengthen(&folder, events.div_ceil(CONVERSATIONS))?;
    }
    forget_catalog(&subject.conversations())?;
    // With the first use lines are found that were written behind the server's back.
    subject.start_again()?;
    let mut api = subject.api();
    let mut there = 0;
    for id in &ids {
        api.say(id, TEXT)?;
        there += api.count(id, "")?;
    }
    subject.stop()?;
    Ok(there)
}

/// What the receiver got.
#[derive(Default)]
struct Got {
    /// The next event of each conversation.
    next: Mutex<HashMap<String, u64>>,
    events: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    /// Something came twice or out of order.
    wrong: AtomicBool,
}

impl Got {
    fn take(&self, request: &Request<'_>) -> Reply {
        let span = request
            .number("x-first-seq")
            .zip(request.number("x-last-seq"));
        let conversation = request.header("x-conversation-id").unwrap_or_default();
        let (Some((first, last)), false) = (span, conversation.is_empty()) else {
            self.wrong.store(true, Ordering::Relaxed);
            return Reply::Status(400);
        };
        let mut all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(conversation) {
            Some(next) if *next == first => *next = last + 1,
            None if first == 0 => {
                all.insert(conversation.to_owned(), last + 1);
            }
            Some(_) | None => self.wrong.store(true, Ordering::Relaxed),
        }
        drop(all);
        let size = request.number("content-length").unwrap_or(0);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(last + 1 - first, Ordering::Relaxed);
        Reply::Status(200)
    }
}
