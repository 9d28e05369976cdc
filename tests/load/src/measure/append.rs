use std::time::{Duration, Instant};

use anyhow::Result;
use harness::Api;

use super::{TEXT, cost_of_message};
use crate::{
    bare::Bare,
    cli::{Append, Options},
    fill,
    progress::Progress,
    report::{Bar, Percentiles, Report, Section},
    subject::Subject,
};

/// Of one kind before the other has its turn.
const ROUND: u64 = 20;
const WARM_UP: u64 = 50;

/// One sequential client's messages beside bare appends of as many bytes, first in a new
/// conversation and again when it has become long.
pub(crate) fn append(options: &Options, sizes: &Append, report: &mut Report) -> Result<()> {
    let messages = options.size(sizes.messages, 5_000, 100_000);
    let samples = options.size(sizes.samples, 400, 2_000);
    let subject = Subject::start(options)?;
    let mut api = subject.api();
    let id = api.create()?;
    for _ in 0..WARM_UP {
        api.say(&id, TEXT)?;
    }
    let cost = cost_of_message(&mut api, &id)?;
    let mut bare = Bare::new(subject.folder(), cost.bytes)?;
    let first = interleaved(&mut api, &id, &mut bare, samples)?;
    let begin = Instant::now();
    fill::post(&subject.target, &id, TEXT, messages)?;
    let rate = super::per_second(messages, begin.elapsed());
    let last = interleaved(&mut api, &id, &mut bare, samples)?;

    let mut section = Section::new("append: one sequential client");
    let bar = Some(Bar::Below(2.5));
    section.latency("POST …/events, first messages", first.post);
    section.latency("bare write + fdatasync, meanwhile", first.bare);
    section.figure("ratio of p50s", first.ratio(), "×", bar);
    let what = format!("POST …/events, after {messages} messages");
    section.latency(&what, last.post);
    section.latency("bare write + fdatasync, meanwhile", last.bare);
    section.figure("ratio of p50s", last.ratio(), "×", bar);
    let flat = last.ratio() / first.ratio();
    let flat_bar = Some(Bar::Below(1.25));
    section.figure("last ratio / first ratio", flat, "×", flat_bar);
    section.figure("16 clients in between", rate, "messages/s", None);
    section.note(format!(
        "a message is {} events, {} bytes; a bare append as many bytes in one write",
        cost.events, cost.bytes
    ));
    if !subject.is_own() {
        section.note("bare appends are to a disk of this machine: choose it with --folder");
    }
    report.add(section);
    Ok(())
}

struct Sides {
    post: Percentiles,
    bare: Percentiles,
}

impl Sides {
    fn ratio(&self) -> f64 {
        self.post.p50 / self.bare.p50
    }
}

fn interleaved(api: &mut Api, id: &str, bare: &mut Bare, samples: u64) -> Result<Sides> {
    let mut progress = Progress::new("posting and appending in turn", samples);
    let (mut posts, mut bares) = (Vec::<Duration>::new(), Vec::<Duration>::new());
    while (posts.len() as u64) < samples {
        for _ in 0..ROUND {
            let begin = Instant::now();
            api.say(id, TEXT)?;
            posts.push(begin.elapsed());
        }
        for _ in 0..ROUND {
            bares.push(bare.append()?);
        }
        progress.at(posts.len() as u64);
    }
    Ok(Sides {
        post: Percentiles::of(posts),
        bare: Percentiles::of(bares),
    })
}
