use anyhow::{Result, ensure};
use harness::Reply;
use serde_json::json;

use super::{super::TEXT, configured, receiver};
use crate::{
    cli::Options,
    fill,
    measure::{cost_of_message, megabytes, settle},
    report::{Bar, Report, Section},
    subject::Subject,
};

const CONVERSATIONS: u64 = 4;

/// Memory while a receiver never answers and logs grow, beside the same without webhooks.
pub(super) fn silent(options: &Options, report: &mut Report) -> Result<()> {
    let events = options.size(None, 4_000, 100_000);
    let without = growth(options, events, false)?;
    let with = growth(options, events, true)?;

    let mut section = Section::new("webhooks: memory while a receiver never answers");
    section.figure("growth without a webhook", without, "MB", None);
    section.figure("growth with one", with, "MB", None);
    let bar = Some(Bar::Below(2.0));
    section.figure("growth, more with one", with - without, "MB", bar);
    section.note(format!(
        "{events} events posted to {CONVERSATIONS} conversations"
    ));
    report.add(section);
    Ok(())
}

/// By how much a server grows, in MB.
fn growth(options: &Options, events: u64, with_webhook: bool) -> Result<f64> {
    let receiver = receiver(|| Reply::Never)?;
    let mut subject = Subject::start(options)?;
    if with_webhook {
        subject.stop()?;
        // Longer than this takes.
        let keys = json!({"timeout": 3600});
        subject.configure(&configured(&receiver, 1, &keys))?;
        subject.start_again()?;
    }
    let mut api = subject.api();
    let mut ids = Vec::new();
    for _ in 0..CONVERSATIONS {
        let id = api.create()?;
        api.say(&id, TEXT)?;
        ids.push(id);
    }
    let cost = cost_of_message(&mut api, &ids[0])?.events.max(1);
    let post = |events: u64| -> Result<()> {
        for id in &ids {
            let messages = (events / CONVERSATIONS / cost).max(1);
            fill::post(&subject.target, id, TEXT, messages)?;
        }
        Ok(())
    };
    // What happens once has happened before anything is weighed.
    post(events / 20)?;
    settle();
    let before = subject.resident()?;
    post(events)?;
    settle();
    let grown = megabytes(subject.resident()?) - megabytes(before);
    let hooks = api.json("GET", "/webhooks", b"")?;
    let hangs = (1..=CONVERSATIONS).contains(&hooks[0]["in_flight"].as_u64().unwrap_or(0));
    ensure!(hangs == with_webhook, "does a request hang? {hooks}");
    Ok(grown)
}
