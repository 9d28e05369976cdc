use std::time::{Duration, Instant};

use anyhow::Result;

use super::TEXT;
use crate::{
    cli::{Backlog, Options},
    fill,
    progress::Progress,
    report::{Bar, Report, Section},
    subject::Subject,
    swarm::{Plan, Swarm},
};

const TIMEOUT: Duration = Duration::from_secs(300);

/// A long log sent to many sockets that all ask for the whole of it at once.
pub(crate) fn backlog(options: &Options, sizes: &Backlog, report: &mut Report) -> Result<()> {
    let events = options.size(sizes.events, 5_000, 100_000);
    let sockets = options.size(sizes.sockets, 50, 50);
    let mut subject = Subject::start(options)?;
    let id = long_log(&mut subject, events)?;
    let events = subject.api().count(&id, "")?;
    let plan = Plan {
        path: format!("{}?resend_mode=all", subject.target.socket(&id)),
        reads: true,
        stamps: false,
    };
    let alone = send(&subject, vec![plan.clone()], events)?;
    let all = vec![plan; usize::try_from(sockets)?];
    let together = send(&subject, all, events)?;

    let mut section = Section::new("backlog: a long log sent to sockets from its start");
    let what = format!("{events} events to 1 socket");
    let rate = super::per_second(events, alone);
    section.figure(&what, rate, "frames/s", None);
    let what = format!("{events} events to {sockets} sockets");
    let rate = super::per_second(events * sockets, together);
    let bar = Some(Bar::AtLeast(500_000.0));
    section.figure(&what, rate, "frames/s", bar);
    section.note("from before the first handshake to the last frame; the client counts frames");
    report.add(section);
    Ok(())
}

/// A conversation with a log of at least so many events: its id.
pub(super) fn long_log(subject: &mut Subject, events: u64) -> Result<String> {
    let mut api = subject.api();
    let id = api.create()?;
    for _ in 0..2 {
        api.say(&id, TEXT)?;
    }
    if subject.is_own() {
        subject.stop()?;
        fill::lengthen(&subject.conversations().join(&id), events)?;
        subject.start_again()?;
    } else {
        let cost = super::cost_of_message(&mut api, &id)?;
        fill::post(&subject.target, &id, TEXT, events / cost.events.max(1))?;
    }
    Ok(id)
}

fn send(subject: &Subject, plans: Vec<Plan>, events: u64) -> Result<Duration> {
    let mut progress = Progress::new("frames", events * plans.len() as u64);
    let begin = Instant::now();
    let swarm = Swarm::connect(&subject.target, plans)?;
    swarm.wait_for(|_| events, TIMEOUT, &mut progress)?;
    Ok(begin.elapsed())
}
