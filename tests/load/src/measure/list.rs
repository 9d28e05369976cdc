use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use harness::Api;
use serde_json::Value;

use super::{TEXT, megabytes, millis, repeated, timed};
use crate::{
    cli::{List, Options},
    fill,
    progress::Progress,
    report::{Bar, Report, Section},
    subject::Subject,
};

const REPEATS: u64 = 50;
const BATCH: usize = 100;
const CHECK_TIMEOUT: Duration = Duration::from_secs(120);
/// Pages that are walked through on the way to a deep one of a server that is not ours.
const WALK: u64 = 300;

/// Starting over many conversations, listing and counting them.
pub(crate) fn list(options: &Options, sizes: &List, report: &mut Report) -> Result<()> {
    let count = options.size(sizes.conversations, 2_000, 50_000);
    let mut subject = Subject::start(options)?;
    let mut section = Section::new("list: many conversations");
    if subject.is_own() {
        let ids = many(&mut subject, count)?;
        starts(&mut subject, ids.len() as u64 + 1, &mut section)?;
        // The newest come first.
        let at = |share: f64| &ids[((ids.len() - 1) as f64 * (1.0 - share)) as usize];
        let (middle, deep) = (cursor(at(0.5)), cursor(at(0.95)));
        let some: Vec<&str> = ids.iter().rev().take(BATCH).map(String::as_str).collect();
        pages(&mut subject.api(), &middle, &deep, &some, &mut section)?;
        let bar = Some(Bar::Below(25.0));
        let resident = megabytes(subject.resident()?);
        section.figure("resident afterwards", resident, "MB", bar);
    } else {
        let mut api = subject.api();
        let Walk { middle, deep, ids } = walk(&mut api)?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        pages(&mut api, &middle, &deep, &ids, &mut section)?;
        section.note("of the conversations that are there; start and memory are only measured of a server that is started here");
    }
    report.add(section);
    Ok(())
}

fn many(subject: &mut Subject, count: u64) -> Result<Vec<String>> {
    let mut api = subject.api();
    let id = api.create()?;
    api.say(&id, TEXT)?;
    subject.stop()?;
    let ids = fill::multiply(&subject.conversations(), &id, count)?;
    forget_catalog(&subject.conversations())?;
    Ok(ids)
}

/// Removes the files that a store has beside its conversations, as if an earlier build had made it.
pub(super) fn forget_catalog(store: &Path) -> Result<()> {
    for entry in fs::read_dir(store)? {
        let entry = entry?;
        if uuid::Uuid::try_parse(&entry.file_name().to_string_lossy()).is_ok() {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn starts(subject: &mut Subject, count: u64, section: &mut Section) -> Result<()> {
    let bar = Some(Bar::Below(50.0));
    for what in ["without a catalog", "after a stop in order"] {
        let ready = subject.start_again()?;
        let begin = Instant::now();
        let mut api = subject.api();
        let path = format!("{}/search", subject.target.conversations());
        let (first, _) = timed(&mut api, &path)?;
        let all = wait_for_count(&mut api, count)?;
        section.figure(&format!("exec to ready, {what}"), millis(ready), "ms", bar);
        let page = format!("first page right then, {what}");
        section.figure(&page, millis(first), "ms", None);
        let listed = millis(ready + begin.elapsed());
        match all {
            true => section.figure(&format!("exec to all listed, {what}"), listed, "ms", None),
            false => bail!("{count} conversations are not all listed after two minutes"),
        }
        let resident = megabytes(subject.resident()?);
        let bar = Some(Bar::Below(25.0));
        section.figure(&format!("resident then, {what}"), resident, "MB", bar);
        subject.stop()?;
    }
    subject.start_again()?;
    wait_for_count(&mut subject.api(), count)?;
    Ok(())
}

fn wait_for_count(api: &mut Api, count: u64) -> Result<bool> {
    let mut progress = Progress::new("conversations listed", count);
    let begin = Instant::now();
    let path = format!("{}/count", api.target.conversations());
    loop {
        let found = api.json("GET", &path, b"")?.as_u64().unwrap_or(0);
        if found >= count {
            return Ok(true);
        }
        if begin.elapsed() > CHECK_TIMEOUT {
            return Ok(false);
        }
        progress.at(found);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn pages(
    api: &mut Api,
    middle: &str,
    deep: &str,
    ids: &[&str],
    section: &mut Section,
) -> Result<()> {
    let list = api.target.conversations();
    let search = |query: &str| format!("{list}/search?{query}");
    let first = repeated(api, &search(""), REPEATS)?;
    section.latency_below("first page, 100 items", first, Some(3_000.0));
    let twice = Some(2.0 * first.p50);
    let page = repeated(api, &search(&format!("page_id={middle}")), REPEATS)?;
    section.latency_below("page in the middle", page, twice);
    let page = repeated(api, &search(&format!("page_id={deep}")), REPEATS)?;
    section.latency_below("deep page", page, twice);
    let page = repeated(api, &search("limit=20"), REPEATS)?;
    section.latency("first page, 20 items", page);
    let page = repeated(api, &search("sort_order=UPDATED_AT_DESC"), REPEATS)?;
    section.latency("first page by updated", page);
    let page = repeated(api, &search("status=idle"), REPEATS)?;
    section.latency("first page of the idle", page);
    let counted = repeated(api, &format!("{list}/count"), REPEATS)?;
    section.latency_below("count", counted, twice);
    let counted = repeated(api, &format!("{list}/count?status=idle"), REPEATS)?;
    section.latency_below("count of the idle", counted, twice);
    let batch = format!("{list}?ids={}", ids.join(","));
    let picked = repeated(api, &batch, REPEATS)?;
    section.latency_below(&format!("{} by ids", ids.len()), picked, twice);
    Ok(())
}

struct Walk {
    middle: String,
    deep: String,
    ids: Vec<String>,
}

/// Follows the pages of a server that has conversations already.
fn walk(api: &mut Api) -> Result<Walk> {
    let list = api.target.conversations();
    let mut progress = Progress::new("pages", WALK);
    let mut cursors = Vec::new();
    let (_, mut page) = timed(api, &format!("{list}/search"))?;
    let items = page["items"].as_array().context("a page without items")?;
    let id = |info: &Value| info["id"].as_str().map(str::to_owned);
    let ids: Vec<String> = items.iter().filter_map(id).collect();
    if ids.is_empty() {
        bail!("this server has no conversations to list");
    }
    for n in 0..WALK {
        let Some(next) = page["next_page_id"].as_str().map(str::to_owned) else {
            break;
        };
        (_, page) = timed(api, &format!("{list}/search?page_id={next}"))?;
        cursors.push(next);
        progress.at(n);
    }
    let at = |share: usize| cursors.get(cursors.len() * share / 100).cloned();
    let start = || cursor(&ids[0]);
    Ok(Walk {
        middle: at(50).unwrap_or_else(start),
        deep: at(95).unwrap_or_else(start),
        ids: ids.clone(),
    })
}

/// A page's name is the id of its first conversation, without dashes.
fn cursor(id: &str) -> String {
    id.replace('-', "")
}
