use anyhow::Result;

use super::{TEXT, backlog::long_log, megabytes, millis, repeated, timed};
use crate::{
    cli::{Big, Options},
    fill,
    report::{Bar, Report, Section},
    subject::Subject,
};

const REPEATS: u64 = 50;

/// Opening one very long log, and reading from its begin, middle and end.
pub(crate) fn big(options: &Options, sizes: &Big, report: &mut Report) -> Result<()> {
    let events = options.size(sizes.events, 50_000, 1_000_000);
    let mut subject = Subject::start(options)?;
    let id = long_log(&mut subject, events)?;
    let mut section = Section::new("big: one very long log");
    let of_events = subject.target.events(&id);
    let path = format!("{of_events}/count");
    if subject.is_own() {
        // The first use after lines were written behind the server's back reads them all; then a
        // message and a clean stop leave everything as a server leaves it.
        let (rebuilt, _) = timed(&mut subject.api(), &path)?;
        section.figure(
            "first use after it was written",
            millis(rebuilt),
            "ms",
            None,
        );
        subject.api().say(&id, TEXT)?;
        subject.stop()?;
        let ready = subject.start_again()?;
        section.figure("exec to ready", millis(ready), "ms", None);
        super::settle();
        // Something that is not this log, so that the connection and its code are warm.
        let mut api = subject.api();
        let other = api.create()?;
        api.say(&other, TEXT)?;
        repeated(
            &mut api,
            &format!("{}/count", subject.target.events(&other)),
            5,
        )?;
        let before = subject.resident()?;
        let (opened, counted) = timed(&mut api, &path)?;
        let bar = Some(Bar::Below(2.0));
        section.figure("opening it, by counting", millis(opened), "ms", bar);
        let grown = subject.resident()?.saturating_sub(before);
        section.figure("resident, more by opening", megabytes(grown), "MB", bar);
        section.note(format!("it has {counted} events"));
        reads(&subject, &of_events, events, &mut section)?;
        super::settle();
        let grown = subject.resident()?.saturating_sub(before);
        section.figure(
            "resident, more after all reads",
            megabytes(grown),
            "MB",
            None,
        );
    } else {
        reads(&subject, &of_events, events, &mut section)?;
        section.note("opening and memory are only measured of a server that is started here");
    }
    report.add(section);
    Ok(())
}

fn reads(subject: &Subject, path: &str, events: u64, section: &mut Section) -> Result<()> {
    let mut api = subject.api();
    let middle = if subject.is_own() {
        fill::nth_id(events / 2)
    } else {
        // Some event in the page that comes last, for lack of a way to the middle.
        let (_, page) = timed(
            &mut api,
            &format!("{path}/search?sort_order=TIMESTAMP_DESC"),
        )?;
        page["items"][50]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let reads = [
        ("first page", "/search".to_owned()),
        ("last page", "/search?sort_order=TIMESTAMP_DESC".to_owned()),
        ("page in the middle", format!("/search?page_id={middle}")),
        (
            "page in the middle, backwards",
            format!("/search?page_id={middle}&sort_order=TIMESTAMP_DESC"),
        ),
        ("one event by id", format!("/{middle}")),
        ("count", "/count".to_owned()),
        ("count of a kind", "/count?kind=MessageEvent".to_owned()),
        (
            "first page of a rare kind",
            "/search?kind=SystemPromptEvent".to_owned(),
        ),
    ];
    for (what, query) in reads {
        let (first, _) = timed(&mut api, &format!("{path}{query}"))?;
        let again = repeated(&mut api, &format!("{path}{query}"), REPEATS)?;
        section.latency(&format!("{what}, repeated"), again);
        section.figure(
            &format!("{what}, the first time"),
            millis(first),
            "ms",
            None,
        );
    }
    Ok(())
}
