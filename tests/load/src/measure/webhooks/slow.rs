use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::NaiveDateTime;
use harness::Reply;
use serde_json::{Value, json};

use super::{configured, median, receiver};
use crate::{
    cli::Options,
    measure::millis,
    progress::Progress,
    report::{Bar, Percentiles, Report, Section},
    subject::Subject,
};

const ANSWER_DELAY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long the same turn takes with and without a webhook whose receiver is slow, in turn.
pub(super) fn slow(options: &Options, report: &mut Report) -> Result<()> {
    let steps = options.size(None, 50, 200);
    let pairs = options.size(None, 5, 15);
    let receiver = receiver(|| {
        sleep(ANSWER_DELAY);
        Reply::Status(200)
    })?;
    let without = Subject::start(options)?;
    let mut with = Subject::start(options)?;
    with.stop()?;
    with.configure(&configured(&receiver, 1, &json!({})))?;
    with.start_again()?;
    let (mut slow, mut free, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut progress = Progress::new("pairs of turns", pairs);
    // The first pair, which only warms up, does not count.
    for pair in 0..=pairs {
        // Neither of them always comes second.
        let (one, other) = match pair.is_multiple_of(2) {
            true => (turn(&with, steps)?, turn(&without, steps)?),
            false => {
                let other = turn(&without, steps)?;
                (turn(&with, steps)?, other)
            }
        };
        if pair > 0 {
            slow.push(one);
            free.push(other);
            ratios.push(one.as_secs_f64() / other.as_secs_f64().max(1e-9));
        }
        progress.at(pair);
    }

    let mut section = Section::new("webhooks: a turn while a receiver takes 2 s for an answer");
    let of_middle = |times: &[Duration]| median(times.iter().map(|time| millis(*time)).collect());
    let ratio = of_middle(&slow) / of_middle(&free);
    section.latency("a turn without a webhook", Percentiles::of(free));
    section.latency("a turn with one", Percentiles::of(slow));
    section.figure("ratio of medians", ratio, "×", Some(Bar::Below(1.1)));
    section.figure("median of the pairs' ratios", median(ratios), "×", None);
    section.note(format!(
        "{steps} steps of the scripted model; {pairs} pairs of turns, in turn"
    ));
    report.add(section);
    Ok(())
}

/// How long a turn takes in a new conversation, by the times of its first and last event.
fn turn(subject: &Subject, steps: u64) -> Result<Duration> {
    let mut api = subject.api();
    let id = api.create()?;
    // Another thought each time: who always thinks the same is stuck.
    let think = |n| json!({"tool": "think", "args": {"thought": format!("Thought number {n}.")}});
    let mut script: Vec<Value> = (0..steps).map(think).collect();
    script.push(json!({"say": "done"}));
    let text = format!("```json\n{}\n```", Value::from(script));
    api.message(&id, &text, true)?;
    let begin = Instant::now();
    let path = api.target.conversation(&id);
    loop {
        sleep(POLL_INTERVAL);
        let info = api.json("GET", &path, b"")?;
        match info["execution_status"].as_str() {
            Some("finished") => break,
            status => ensure!(
                begin.elapsed() < TIMEOUT && status == Some("running"),
                "a turn is {status:?} after {:.1} s",
                begin.elapsed().as_secs_f64()
            ),
        }
    }
    let mut changed = |order: &str, to: &str| -> Result<NaiveDateTime> {
        let kind = "kind=ConversationStateUpdateEvent";
        let page = api.page(&id, &format!("{kind}&limit=100&sort_order={order}"))?;
        let items = page["items"].as_array().context("a page without items")?;
        let mut items = items.iter();
        let event = items.find(|it| it["key"] == "execution_status" && it["value"] == to);
        let event = event.with_context(|| format!("{id} was never {to}"))?;
        Ok(event["timestamp"].as_str().unwrap_or_default().parse()?)
    };
    let began = changed("TIMESTAMP", "running")?;
    let ended = changed("TIMESTAMP_DESC", "finished")?;
    Ok((ended - began).to_std()?)
}
