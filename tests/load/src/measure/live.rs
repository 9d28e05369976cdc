use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use harness::Api;

use super::{TEXT, cost_of_message};
use crate::{
    cli::{Live, Options},
    progress::Progress,
    report::{Bar, Percentiles, Report, Section},
    subject::Subject,
    swarm::{Plan, Swarm},
};

const TIMEOUT: Duration = Duration::from_secs(120);
/// Between two messages when nothing is in a hurry.
const PACE: Duration = Duration::from_millis(10);

/// Messages posted by one sequential client, and sent to many sockets as they come.
pub(crate) fn live(options: &Options, sizes: &Live, report: &mut Report) -> Result<()> {
    let messages = options.size(sizes.messages, 300, 3_000);
    let sockets = options.size(sizes.sockets, 50, 50);
    let writers = options.size(sizes.batch, 1, 1);
    let subject = Subject::start(options)?;
    let mut api = subject.api();
    let id = api.create()?;
    api.say(&id, TEXT)?;
    let cost = cost_of_message(&mut api, &id)?.events;
    let unheard = paced(&mut api, &id, messages / 5, Duration::ZERO)?;
    let plan = Plan {
        path: subject.target.socket(&id),
        reads: true,
        stamps: true,
    };
    let connect = || {
        let swarm = Swarm::connect(
            &subject.target,
            vec![plan.clone(); usize::try_from(sockets)?],
        )?;
        swarm.settle();
        anyhow::Ok(swarm)
    };

    let swarm = connect()?;
    let slowly = paced(&mut api, &id, messages / 10, PACE)?;
    finish(&swarm, cost * (messages / 10))?;
    let slow_latency = latencies(&swarm, &slowly, cost);
    drop(swarm);

    let swarm = connect()?;
    let begin = Instant::now();
    let sent = match writers {
        1 => paced(&mut api, &id, messages, Duration::ZERO)?,
        writers => at_once(&subject, &id, messages, writers)?,
    };
    let posting = begin.elapsed();
    finish(&swarm, cost * messages)?;
    let took = begin.elapsed();
    let frames = swarm.total();
    let latency = latencies(&swarm, &sent, cost);

    let name = "live: posted messages sent to sockets as they come";
    let mut section = Section::new(name);
    section.latency("POST without sockets", answers(&unheard));
    let what = format!("POST with {sockets} sockets, {writers} at a time");
    section.latency(&what, answers(&sent));
    let what = format!("POST to frame, {} messages/s", 1_000 / PACE.as_millis());
    section.latency(&what, slow_latency);
    if writers == 1 {
        section.latency("POST to frame, one after the other", latency);
    }
    let bar = Some(Bar::AtLeast(50_000.0));
    let rate = super::per_second(frames, took);
    section.figure("delivered", rate, "frames/s", bar);
    let rate = super::per_second(messages, posting);
    section.figure("posted", rate, "messages/s", None);
    if posting.as_secs_f64() > 0.95 * took.as_secs_f64() {
        section.note("the sockets kept up: who posted was the limit; try more with --batch");
    } else {
        section.note("the sockets were the limit, not who posted");
    }
    report.add(section);
    Ok(())
}

/// When a message was sent, and when that was answered.
struct Sent {
    at: Instant,
    answered: Instant,
}

fn paced(api: &mut Api, id: &str, messages: u64, pause: Duration) -> Result<Vec<Sent>> {
    let mut progress = Progress::new("posting messages", messages);
    let mut sent = Vec::new();
    for n in 0..messages {
        let at = Instant::now();
        api.say(id, TEXT)?;
        let answered = Instant::now();
        sent.push(Sent { at, answered });
        std::thread::sleep(pause);
        progress.at(n);
    }
    Ok(sent)
}

fn at_once(subject: &Subject, id: &str, messages: u64, writers: u64) -> Result<Vec<Sent>> {
    let left = AtomicU64::new(messages);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    let write = || -> Result<Vec<Sent>> {
        let (mut api, mut sent) = (subject.api(), Vec::new());
        while take().is_ok() {
            sent.extend(paced(&mut api, id, 1, Duration::ZERO)?);
        }
        Ok(sent)
    };
    std::thread::scope(|scope| {
        let writing: Vec<_> = (0..writers).map(|_| scope.spawn(write)).collect();
        let mut sent = Vec::new();
        for writer in writing {
            match writer.join() {
                Ok(more) => sent.extend(more?),
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(sent)
    })
}

fn finish(swarm: &Swarm, events: u64) -> Result<()> {
    let sockets = swarm.stamps().len() as u64;
    let mut progress = Progress::new("frames", events * sockets);
    swarm.wait_for(|_| events, TIMEOUT, &mut progress)
}

fn answers(sent: &[Sent]) -> Percentiles {
    let took = |sent: &Sent| sent.answered - sent.at;
    Percentiles::of(sent.iter().map(took).collect())
}

/// From each message's sending to its first frame, on each socket.
fn latencies(swarm: &Swarm, sent: &[Sent], events_of_message: u64) -> Percentiles {
    let mut found = Vec::new();
    for stamps in swarm.stamps() {
        let mut stamps = stamps.iter().peekable();
        for (n, sent) in sent.iter().enumerate() {
            let before = n as u64 * events_of_message;
            while stamps.next_if(|(events, _)| *events <= before).is_some() {}
            let Some((_, came)) = stamps.peek() else {
                break;
            };
            found.push(came.saturating_duration_since(sent.at));
        }
    }
    Percentiles::of(found)
}
