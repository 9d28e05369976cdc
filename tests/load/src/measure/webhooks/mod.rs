//! Webhooks, whose receivers are in this process.

mod backlog;
mod idle;
mod silent;
mod slow;

use anyhow::Result;
use harness::{Bodies, Receiver, Reply};
use serde_json::{Value, json};

use crate::{
    cli::{Options, WebhookPart, Webhooks},
    report::{Report, Section},
};

/// How fast a backlog is delivered, and the cost of webhooks when they are idle, hang or are slow.
pub(crate) fn webhooks(options: &Options, sizes: &Webhooks, report: &mut Report) -> Result<()> {
    if options.url.is_some() {
        let mut section = Section::new("webhooks");
        section.note("only measured of a server that is started here");
        report.add(section);
        return Ok(());
    }
    let asked = |part| sizes.only.is_none_or(|only| only == part);
    if asked(WebhookPart::Backlog) {
        backlog::backlog(options, sizes, report)?;
    }
    if asked(WebhookPart::Idle) {
        idle::idle(options, report)?;
    }
    if asked(WebhookPart::Silent) {
        silent::silent(options, report)?;
    }
    if asked(WebhookPart::Slow) {
        slow::slow(options, report)?;
    }
    Ok(())
}

/// A receiver that answers everything alike.
fn receiver(answering: impl Fn() -> Reply + Send + Sync + 'static) -> Result<Receiver> {
    Ok(Receiver::start(Bodies::Skipped, move |_| answering())?)
}

/// The configuration of `count` webhooks that send everything to one receiver, with more keys.
fn configured(receiver: &Receiver, count: u64, more: &Value) -> Value {
    let one = |n: u64| {
        let mut webhook = json!({
            "name": format!("webhook {n}"),
            "webhook_url": receiver.url(&format!("/{n}")),
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            webhook[key] = value.clone();
        }
        webhook
    };
    json!({"webhooks": (0..count).map(one).collect::<Vec<_>>()})
}

/// The middle one of a few figures, or the upper of two.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
