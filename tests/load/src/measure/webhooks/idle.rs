use std::{
    ffi::OsString,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use harness::{Receiver, Reply};
use serde_json::{Value, json};

use super::{super::TEXT, configured, median, receiver};
use crate::{
    cli::Options,
    fill,
    measure::{list::forget_catalog, megabytes, settle},
    report::{Bar, Report, Section},
    subject::Subject,
};

const WEBHOOKS: u64 = 10;
const TIMEOUT: Duration = Duration::from_secs(120);
/// What a server does of itself after a start is over by then; threads that only block last 10 s more.
const IDLE_TIME: Duration = Duration::from_secs(14);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The cost of idle webhooks: a server with them beside one without.
pub(super) fn idle(options: &Options, report: &mut Report) -> Result<()> {
    let conversations = options.size(None, 200, 1_000);
    let runs = options.size(None, 1, 3);
    let watched = Duration::from_secs(options.size(None, 2, 5));
    let requests = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&requests);
    let receiver = receiver(move || {
        counting.fetch_add(1, Ordering::Relaxed);
        Reply::Status(200)
    })?;
    let (mut free, told) = filled(options, conversations)?;
    let (mut hooked, also_told) = filled(options, conversations)?;
    deliver_all(&mut hooked, &receiver, conversations)?;
    hooked.configure(&configured(&receiver, WEBHOOKS, &json!({})))?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let before = requests.load(Ordering::Relaxed);
        // An idle server is no load for the one beside it.
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| rest(&mut free, watched, &told));
            let other = rest(&mut hooked, watched, &also_told);
            (one.join(), other)
        });
        without.push(one.map_err(|_| anyhow!("measuring panicked"))??);
        with.push(other?);
        let sent = requests.load(Ordering::Relaxed) - before;
        ensure!(
            sent == WEBHOOKS,
            "{sent} requests were made for one message to {WEBHOOKS} webhooks"
        );
    }

    let of = |rests: &[Rest], pick: fn(&Rest) -> f64| median(rests.iter().map(pick).collect());
    let both = |pick: fn(&Rest) -> f64| (of(&without, pick), of(&with, pick));
    let (free, hooked) = both(|rest| megabytes(rest.resident));
    let (free_used, hooked_used) = both(|rest| megabytes(rest.used));
    let (free_sleeps, hooked_sleeps) = both(|rest| rest.sleeps as f64);
    let mut section = Section::new("webhooks: what they cost that have nothing to do");
    section.figure("resident without", free, "MB", None);
    let what = format!("resident, more with {WEBHOOKS}");
    section.figure(&what, hooked - free, "MB", Some(Bar::Below(1.0)));
    let what = "the same right after each sent something";
    section.figure(what, hooked_used - free_used, "MB", None);
    let seconds = watched.as_secs();
    let what = format!("wake-ups without, in {seconds} s");
    section.figure(&what, free_sleeps, "times", None);
    let what = format!("wake-ups, more with {WEBHOOKS}");
    let bar = Some(Bar::Below(10.0));
    section.figure(&what, hooked_sleeps - free_sleeps, "times", bar);
    section.note(format!(
        "{conversations} conversations, all delivered; two servers side by side, medians of {runs} runs"
    ));
    report.add(section);
    Ok(())
}

/// A server that is stopped, with so many conversations, and one of them.
fn filled(options: &Options, conversations: u64) -> Result<(Subject, String)> {
    let mut subject = Subject::start(options)?;
    let mut api = subject.api();
    let id = api.create()?;
    api.say(&id, TEXT)?;
    subject.stop()?;
    fill::multiply(&subject.conversations(), &id, conversations - 1)?;
    forget_catalog(&subject.conversations())?;
    Ok((subject, id))
}

/// What an idle server needs.
struct Rest {
    resident: u64,
    /// How often its threads woke.
    sleeps: u64,
    /// Resident after a message was sent.
    used: u64,
}

/// Starts it, lets it be idle, sends it one message, and stops it.
fn rest(subject: &mut Subject, watched: Duration, id: &str) -> Result<Rest> {
    subject.start_again()?;
    sleep(IDLE_TIME);
    let (resident, before) = (subject.resident()?, subject.sleeps()?);
    sleep(watched);
    let more = |(thread, count): (&OsString, &u64)| {
        count - before.get(thread).copied().unwrap_or(0).min(*count)
    };
    let sleeps = subject.sleeps()?.iter().map(more).sum();
    subject.api().say(id, TEXT)?;
    wait_until_idle(subject)?;
    settle();
    let used = subject.resident()?;
    subject.stop()?;
    Ok(Rest {
        resident,
        sleeps,
        used,
    })
}

/// Makes the webhooks known, and has them deliver what there is.
fn deliver_all(subject: &mut Subject, receiver: &Receiver, conversations: u64) -> Result<()> {
    let keys = json!({"start": "beginning"});
    subject.configure(&configured(receiver, WEBHOOKS, &keys))?;
    subject.start_again()?;
    let mut api = subject.api();
    let begin = Instant::now();
    loop {
        let list = api.json("GET", "/webhooks", b"")?;
        let hooks = list.as_array().context("a list of webhooks")?;
        // None has fewer events than conversations.
        let through = |hook: &Value| {
            let delivered = hook["delivered_events"].as_u64().unwrap_or(0);
            hook["state"] == "idle" && delivered >= conversations
        };
        if hooks.iter().all(through) {
            break;
        }
        ensure!(begin.elapsed() < TIMEOUT, "not delivered: {list}");
        sleep(POLL_INTERVAL);
    }
    subject.stop()
}

/// Waits until everything is delivered, if there are webhooks.
fn wait_until_idle(subject: &Subject) -> Result<()> {
    let mut api = subject.api();
    let begin = Instant::now();
    loop {
        // It hears of what happened last a moment later.
        sleep(10 * POLL_INTERVAL);
        let list = api.json("GET", "/webhooks", b"")?;
        let hooks = list.as_array().context("a list of webhooks")?;
        if hooks.iter().all(|hook| hook["state"] == "idle") {
            return Ok(());
        }
        ensure!(begin.elapsed() < TIMEOUT, "not delivered: {list}");
    }
}
