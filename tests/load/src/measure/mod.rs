//! What can be measured, one file each.

mod append;
mod backlog;
mod big;
mod create;
mod list;
mod live;
mod pages;
mod sockets;
mod webhooks;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::Api;
use serde_json::Value;

use crate::report::Percentiles;

pub(crate) use append::append;
pub(crate) use backlog::backlog;
pub(crate) use big::big;
pub(crate) use create::create;
pub(crate) use list::list;
pub(crate) use live::live;
pub(crate) use pages::pages;
pub(crate) use sockets::sockets;
pub(crate) use webhooks::webhooks;

/// The text of a message whose content does not matter.
const TEXT: &str = "A message of ordinary length, as somebody who watches an agent may write it.";

/// How much one message adds to a log.
struct MessageCost {
    events: u64,
    /// Of its lines together.
    bytes: usize,
}

/// Finds out by sending a few. The conversation has a message already.
fn cost_of_message(api: &mut Api, id: &str) -> Result<MessageCost> {
    const SENT: u64 = 8;
    let before = api.count(id, "")?;
    for _ in 0..SENT {
        api.say(id, TEXT)?;
    }
    let events = (api.count(id, "")? - before) / SENT;
    let page = api.page(id, &format!("limit={events}&sort_order=TIMESTAMP_DESC"))?;
    let items = page["items"].as_array().context("a page without items")?;
    let size = |event: &Value| event.to_string().len() + 1;
    let bytes = items.iter().map(size).sum();
    Ok(MessageCost { events, bytes })
}

/// How long one request takes.
fn timed(api: &mut Api, path: &str) -> Result<(Duration, Value)> {
    let begin = Instant::now();
    let answer = api.send("GET", path, b"")?;
    let took = begin.elapsed();
    let text = String::from_utf8_lossy(&answer.body);
    anyhow::ensure!(answer.status == 200, "GET {path}: {} {text}", answer.status);
    let value = serde_json::from_slice(&answer.body).with_context(|| format!("GET {path}"))?;
    Ok((took, value))
}

/// How long a request takes again and again.
fn repeated(api: &mut Api, path: &str, times: u64) -> Result<Percentiles> {
    let times = (0..times).map(|_| timed(api, path).map(|(took, _)| took));
    Ok(Percentiles::of(times.collect::<Result<_>>()?))
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Waits, because memory settles a moment after the work that used it.
fn settle() {
    std::thread::sleep(Duration::from_millis(700));
}
