use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::Agent;

use super::backlog::long_log;
use crate::{
    cli::{Options, Pages},
    report::{Bar, Report, Section},
    subject::Subject,
};

/// Events on a page.
const PAGE: u64 = 100;
/// Each way is measured so often; the fastest counts, because other work of the machine only makes it slower.
const ROUNDS: usize = 5;

/// A log read from its start to its end by pages, by a third-party client: over one connection,
/// compressed and plain.
pub(crate) fn pages(options: &Options, sizes: &Pages, report: &mut Report) -> Result<()> {
    let events = options.size(sizes.events, 2_001, 2_001);
    let mut subject = Subject::start(options)?;
    let id = long_log(&mut subject, events.saturating_sub(3))?;
    let events = subject.api().count(&id, "")?;
    let mut section = Section::new("pages: a log read by pages, by a client as others write it");
    for (name, encoding) in [("compressed", "gzip"), ("plain", "identity")] {
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let agent = Agent::new_with_defaults();
            let begin = Instant::now();
            let (read, compressed) = read(&agent, &subject, &id, encoding)?;
            best = best.min(begin.elapsed());
            ensure!(read == events, "{read} of {events} events came");
            ensure!(
                compressed == (encoding == "gzip"),
                "pages came in another form than asked for"
            );
        }
        let what = format!("{events} events by pages of {PAGE}, {name}");
        let bar = (events <= 2_100).then_some(Bar::Below(194.0));
        section.figure(&what, best.as_secs_f64() * 1e3, "ms", bar);
    }
    section.note("the quickest of five; the bar is what the reference server takes for 2,001");
    report.add(section);
    Ok(())
}

/// How many events came, and whether all pages were compressed.
fn read(agent: &Agent, subject: &Subject, id: &str, encoding: &str) -> Result<(u64, bool)> {
    let target = &subject.target;
    let base = format!("http://{}{}/search", target.authority, target.events(id));
    let (mut events, mut compressed, mut cursor) = (0, true, String::new());
    loop {
        let url = format!("{base}?limit={PAGE}{cursor}");
        let mut request = agent.get(&url).header("accept-encoding", encoding);
        if let Some(key) = &target.key {
            request = request.header("x-session-api-key", key);
        }
        let mut answer = request.call().with_context(|| format!("GET {url}"))?;
        // The client takes away the header that says so, but not the one that says it depends.
        let mut vary = answer.headers().get_all("vary").iter();
        compressed &= vary.any(|value| {
            let names = value.to_str().unwrap_or_default();
            names.to_ascii_lowercase().contains("accept-encoding")
        });
        let text = answer.body_mut().read_to_string()?;
        let page: Value = serde_json::from_str(&text)?;
        events += page["items"]
            .as_array()
            .context("a page without items")?
            .len() as u64;
        match page["next_page_id"].as_str() {
            Some(next) => cursor = format!("&page_id={next}"),
            None => return Ok((events, compressed)),
        }
    }
}
