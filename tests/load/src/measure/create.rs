use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use harness::{Api, Target};

use super::{TEXT, cost_of_message};
use crate::{
    bare::Bare,
    cli::{Create, Options},
    progress::Progress,
    report::{Bar, Percentiles, Report, Section},
    subject::Subject,
};

const CLIENTS: u64 = 8;
/// Conversations that each client makes before bare appends have their turn.
const ROUND: u64 = 5;

/// Conversations made by several clients at a time, in turn with bare appends.
pub(crate) fn create(options: &Options, sizes: &Create, report: &mut Report) -> Result<()> {
    let total = options.size(sizes.conversations, 160, 1_600);
    let subject = Subject::start(options)?;
    let mut api = subject.api();
    let id = api.create()?;
    api.say(&id, TEXT)?;
    let cost = cost_of_message(&mut api, &id)?;
    let mut bare = Bare::new(subject.folder(), cost.bytes)?;
    let mut clients: Vec<Api> = (0..CLIENTS).map(|_| Api::new(&subject.target)).collect();
    let mut progress = Progress::new("making conversations", total);
    let (mut made, mut making) = (Vec::new(), Duration::ZERO);
    let (mut bares, mut appending) = (Vec::new(), Duration::ZERO);
    // The first round, which only warms up, does not count.
    for round in 0.. {
        let begin = Instant::now();
        let times = at_once(&mut clients, &subject.target)?;
        let took = begin.elapsed();
        let begin = Instant::now();
        let appended = (0..CLIENTS * ROUND).map(|_| bare.append());
        let appended: Vec<Duration> = appended.collect::<Result<_>>()?;
        let appended_in = begin.elapsed();
        if round > 0 {
            made.extend(times);
            making += took;
            bares.extend(appended);
            appending += appended_in;
        }
        progress.at(made.len() as u64);
        if made.len() as u64 >= total {
            break;
        }
    }
    let rate = super::per_second(made.len() as u64, making);
    let bare_rate = super::per_second(bares.len() as u64, appending);

    let mut section = Section::new("create: 8 clients at a time");
    section.latency("POST …/conversations", Percentiles::of(made));
    section.latency("bare write + fdatasync, meanwhile", Percentiles::of(bares));
    section.figure("conversations", rate, "/s", None);
    section.figure("bare appends", bare_rate, "/s", None);
    let bar = Some(Bar::AtLeast(0.2));
    section.figure("ratio of rates", rate / bare_rate, "×", bar);
    report.add(section);
    Ok(())
}

fn at_once(clients: &mut [Api], target: &Target) -> Result<Vec<Duration>> {
    let body = target.new_conversation().to_string();
    let path = target.conversations();
    let work = |api: &mut Api| -> Result<Vec<Duration>> {
        let one = |_| {
            let begin = Instant::now();
            let answer = api.send("POST", &path, body.as_bytes())?;
            if answer.status != 201 {
                let text = String::from_utf8_lossy(&answer.body);
                bail!("no conversation was made: {} {text}", answer.status);
            }
            Ok(begin.elapsed())
        };
        (0..ROUND).map(one).collect()
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| work(client)))
            .collect();
        let mut times = Vec::new();
        for client in running {
            match client.join() {
                Ok(found) => times.extend(found?),
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(times)
    })
}
