use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use harness::{Api, Target};

use super::TEXT;
use crate::{
    cli::{Options, Sockets},
    progress::Progress,
    report::{Bar, Report, Section},
    subject::Subject,
    swarm::{Plan, Swarm},
};

const TIMEOUT: Duration = Duration::from_secs(120);
/// What is posted to each conversation: more than the buffers of a connection hold, so that a socket that
/// does not read stalls in the server.
const MESSAGES: u64 = 192;
const MESSAGE_BYTES: usize = 4 << 10;
/// Clients that post them.
const POSTING: usize = 8;
const KILOBYTE: f64 = 1024.0;

/// What a socket costs in memory, one that waits and one that does not read while all are sent
/// something, and whether the others get everything meanwhile.
pub(crate) fn sockets(options: &Options, sizes: &Sockets, report: &mut Report) -> Result<()> {
    let sockets = options.size(sizes.sockets, 200, 1_000);
    let conversations = options.size(sizes.conversations, 10, 50).min(sockets);
    let stalled = sockets / 10;
    let healthy = sockets - stalled;
    let subject = Subject::start(options)?;
    let mut api = subject.api();
    let mut ids = Vec::new();
    for _ in 0..conversations {
        let id = api.create()?;
        api.say(&id, TEXT)?;
        ids.push(id);
    }
    let plans = |count: u64, reads: bool| -> Vec<Plan> {
        let ids = ids
            .iter()
            .cycle()
            .take(usize::try_from(count).unwrap_or(usize::MAX));
        ids.map(|id| Plan {
            path: subject.target.socket(id),
            reads,
            stamps: false,
        })
        .collect()
    };
    // All that happens twice has happened once before anything is weighed.
    let first = Swarm::connect(&subject.target, plans(conversations, true))?;
    first.settle();
    drop(first);
    post_to_all(&subject.target, &ids)?;

    let at_rest = weigh(&subject)?;
    let readers = Swarm::connect(&subject.target, plans(healthy, true))?;
    readers.settle();
    let with_idle = weigh(&subject)?;
    let mut expected = vec![0; ids.len()];
    post_and_wait(&mut api, &ids, &readers, &mut expected)?;
    // What grows anyway, as the logs do, is not to be blamed on those who stall.
    post_and_wait(&mut api, &ids, &readers, &mut expected)?;
    let before = weigh(&subject)?;
    post_and_wait(&mut api, &ids, &readers, &mut expected)?;
    let used = weigh(&subject)?;
    let stallers = Swarm::connect(&subject.target, plans(stalled, false))?;
    let begin = Instant::now();
    let rate = post_and_wait(&mut api, &ids, &readers, &mut expected)?;
    let posting_time = begin.elapsed();
    let with_stalled = weigh(&subject)?;

    let name = "sockets: memory, a tenth of them never reads";
    let mut section = Section::new(name);
    let weighed = [at_rest, with_idle, before, used, with_stalled];
    if let [
        Some(at_rest),
        Some(with_idle),
        Some(before),
        Some(used),
        Some(with_stalled),
    ] = weighed
    {
        let anyway = used.saturating_sub(before);
        section.figure("resident before", super::megabytes(at_rest), "MB", None);
        let mb = super::megabytes(with_stalled);
        section.figure("resident at the end", mb, "MB", None);
        let each = |from: u64, to: u64, count: u64| {
            (to as f64 - from as f64) / count.max(1) as f64 / KILOBYTE
        };
        let what = format!("each of {healthy} idle sockets");
        let bar = Some(Bar::Below(20.0));
        section.figure(&what, each(at_rest, with_idle, healthy), "KB", bar);
        let what = format!("each of {healthy} once it was sent 3 MB");
        section.figure(&what, each(at_rest, used, healthy), "KB", None);
        let what = format!("each of {stalled} stalled sockets");
        let bar = Some(Bar::Below(100.0));
        section.figure(&what, each(used + anyway, with_stalled, stalled), "KB", bar);
        section.figure(
            "growth without them, subtracted",
            super::megabytes(anyway),
            "MB",
            None,
        );
    } else {
        section.note("memory is only known of a server that was started here");
    }
    section.figure("to the healthy meanwhile", rate, "frames/s", None);
    section.note(format!(
        "{conversations} conversations; the {healthy} healthy sockets got all {} events they should",
        readers.total()
    ));
    section.note(format!(
        "posted for {:.1} s while {stalled} sockets stalled; {} of the healthy were closed",
        posting_time.as_secs_f64(),
        readers.ended()
    ));
    report.add(section);
    drop(stallers);
    Ok(())
}

/// Memory in bytes, if it is known.
fn weigh(subject: &Subject) -> Result<Option<u64>> {
    if !subject.is_own() {
        return Ok(None);
    }
    super::settle();
    subject.resident().map(Some)
}

fn post_to_all(target: &Target, ids: &[String]) -> Result<()> {
    let text = "x".repeat(MESSAGE_BYTES);
    let tell = |ids: &[String], show: bool| -> Result<()> {
        let mut api = Api::new(target);
        let mut progress = Progress::new("posting messages", MESSAGES);
        for n in 0..MESSAGES {
            for id in ids {
                api.say(id, &text)?;
            }
            if show {
                progress.at(n);
            }
        }
        Ok(())
    };
    let (tell, share) = (&tell, ids.len().div_ceil(POSTING));
    std::thread::scope(|scope| {
        let telling: Vec<_> = ids
            .chunks(share.max(1))
            .enumerate()
            .map(|(at, ids)| scope.spawn(move || tell(ids, at == 0)))
            .collect();
        for client in telling {
            match client.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(())
    })
}

/// Posts to all conversations and waits until the readers, which are spread over them evenly,
/// got it: frames a second. Adds to what is `expected` of each conversation.
fn post_and_wait(
    api: &mut Api,
    ids: &[String],
    readers: &Swarm,
    expected: &mut [u64],
) -> Result<f64> {
    let mut before = Vec::new();
    for id in ids {
        before.push(api.count(id, "")?);
    }
    let frames = readers.total();
    let begin = Instant::now();
    post_to_all(&api.target, ids)?;
    for ((id, before), expected) in ids.iter().zip(before).zip(expected.iter_mut()) {
        *expected += api.count(id, "")? - before;
    }
    let goal = |socket: usize| expected[socket % expected.len()];
    let mut progress = Progress::new("frames", expected.iter().sum());
    readers.wait_for(goal, TIMEOUT, &mut progress)?;
    let rate = super::per_second(readers.total() - frames, begin.elapsed());
    for (socket, events) in (0..ids.len()).map(|socket| (socket, readers.events_of(socket))) {
        anyhow::ensure!(
            events == goal(socket),
            "socket {socket} got {events} events instead of {}",
            goal(socket)
        );
    }
    Ok(rate)
}
