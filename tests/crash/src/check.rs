use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use harness::Api;
use serde_json::Value;

use crate::{
    copies::is_whole,
    expected_state::{Entry, Existence, ExpectedState, MessageState},
    index::index_is_right,
    log::{Served, answered, lines, messages, no_run_too_many, same_events},
};

/// What a start may still mend after it is ready.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Compares what a server has with what its clients know.
pub(crate) struct Check<'a> {
    pub(crate) api: Api,
    pub(crate) conversations: PathBuf,
    pub(crate) expected_state: &'a mut ExpectedState,
}

/// A log as it is on disk, which is what REST gave as well.
pub(crate) type Logs = BTreeMap<String, Vec<u8>>;

impl Check<'_> {
    /// Checks that the right conversations are there, and the logs of those that `pick` picks; settles
    /// what was not answered by what is found. Gives back the logs.
    ///
    /// # Errors
    /// The first violation.
    pub(crate) fn all(&mut self, pick: impl Fn(&str, &Entry) -> bool) -> Result<Logs> {
        let ids: Vec<String> = self.expected_state.conversations.keys().cloned().collect();
        for id in &ids {
            self.existence(id)?;
        }
        self.folders()?;
        self.list()?;
        let mut logs = Logs::new();
        for (id, entry) in &mut self.expected_state.conversations {
            let touched = std::mem::take(&mut entry.touched);
            if entry.existence != Existence::There || !(touched || pick(id, entry)) {
                continue;
            }
            let folder = self.conversations.join(id);
            let log = settled(&mut self.api, id, &folder.join("events.jsonl"))?;
            let (_, events) = lines(&log).with_context(|| format!("the log of {id}"))?;
            self.expected_state.tally.logs_checked += 1;
            self.expected_state.tally.events_checked += events.len() as u64;
            if let Some(copied) = &entry.copied {
                let original = self
                    .conversations
                    .join(&copied.original)
                    .join("events.jsonl");
                is_whole(copied, &log, fs::read(original).ok().as_deref())
                    .with_context(|| format!("{id}, a copy of {}", copied.original))?;
                index_is_right(&folder).with_context(|| format!("the index of {id}"))?;
                self.expected_state.tally.copies_checked += 1;
                logs.insert(id.clone(), log);
                continue;
            }
            let kept = messages(entry, &events).with_context(|| format!("the log of {id}"))?;
            self.expected_state.tally.unanswered_kept += kept;
            no_run_too_many(entry, &events).with_context(|| format!("the log of {id}"))?;
            answered(&events).with_context(|| format!("the log of {id}"))?;
            index_is_right(&folder).with_context(|| format!("the index of {id}"))?;
            logs.insert(id.clone(), log);
        }
        Ok(logs)
    }

    /// Checks that nothing but a restart happened to these logs.
    ///
    /// # Errors
    /// The first violation.
    pub(crate) fn unchanged(&mut self, logs: &Logs) -> Result<()> {
        self.list()?;
        for (id, before) in logs {
            let now = settled(
                &mut self.api,
                id,
                &self.conversations.join(id).join("events.jsonl"),
            )?;
            let same = now.iter().zip(before).take_while(|(a, b)| a == b).count();
            ensure!(
                now == *before,
                "the log of {id} changed with a restart that nothing preceded: {} bytes were {}, the \
                 first {same} are the same",
                now.len(),
                before.len()
            );
        }
        Ok(())
    }

    /// Settles whether a conversation is there, by disk and REST alike.
    fn existence(&mut self, id: &str) -> Result<()> {
        let Some(entry) = self.expected_state.conversations.get_mut(id) else {
            return Ok(());
        };
        let on_disk = self.conversations.join(id).exists();
        let known = entry.existence;
        if known == Existence::Gone {
            // Webhooks still need them.
            entry
                .messages
                .retain(|_, state| *state == MessageState::Acknowledged);
        }
        if known == Existence::Gone && !entry.touched {
            ensure!(!on_disk, "{id} was deleted, but its folder is back");
            return Ok(());
        }
        let path = self.api.target.conversation(id);
        let status = self.api.send("GET", &path, b"")?.status;
        ensure!(
            matches!((status, on_disk), (200, true) | (404, false)),
            "GET {path} is answered {status}, while its folder is {}there",
            if on_disk { "" } else { "not " }
        );
        entry.existence = match (known, on_disk) {
            (Existence::There, false) => bail!("{id} was acknowledged and is gone"),
            (Existence::Gone, true) => {
                bail!("the deletion of {id} was acknowledged, but it is there")
            }
            (_, true) => Existence::There,
            (_, false) => Existence::Gone,
        };
        Ok(())
    }

    /// Waits until nothing half made or half removed lies about, and each folder is somebody's.
    fn folders(&self) -> Result<()> {
        let wanted = self.expected_state.existing();
        let begin = Instant::now();
        loop {
            let mut found = BTreeSet::new();
            let mut leftover = None;
            for entry in fs::read_dir(&self.conversations)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name.starts_with(".tmp-") || name.starts_with(".deleted-") {
                    leftover = Some(name);
                } else if uuid::Uuid::try_parse(&name).is_ok() {
                    found.insert(name);
                }
            }
            same_ids("folders", &found, &wanted)?;
            match leftover {
                None => return Ok(()),
                Some(name) if begin.elapsed() > TIMEOUT => {
                    bail!(
                        "{name} still lies about {} s after a start",
                        TIMEOUT.as_secs()
                    )
                }
                Some(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Waits until the list has all conversations and the count agrees.
    fn list(&mut self) -> Result<()> {
        let wanted = self.expected_state.existing();
        let begin = Instant::now();
        loop {
            let outcome = self.listed().and_then(|(found, count)| {
                same_ids("the list", &found, &wanted)?;
                let listed = found.len();
                ensure!(
                    count == listed as u64,
                    "{count} conversations are counted, but {listed} listed"
                );
                Ok(())
            });
            match outcome {
                Err(error) if begin.elapsed() > TIMEOUT => return Err(error),
                Err(_) => std::thread::sleep(PAUSE),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn listed(&mut self) -> Result<(BTreeSet<String>, u64)> {
        let path = self.api.target.conversations();
        let mut found = BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .api
                .json("GET", &format!("{path}/search?{cursor}"), b"")?;
            for item in page["items"].as_array().context("a list without items")? {
                let id = item["id"].as_str().unwrap_or_default().to_owned();
                if !found.insert(id.clone()) {
                    bail!("{id} is listed twice");
                }
            }
            match page["next_page_id"].as_str() {
                Some(next) => cursor = format!("page_id={next}"),
                None => break,
            }
        }
        let count = self.api.json("GET", &format!("{path}/count"), b"")?;
        Ok((found, count.as_u64().context("a count that is no number")?))
    }
}

fn same_ids(what: &str, found: &BTreeSet<String>, wanted: &[String]) -> Result<()> {
    let wanted: BTreeSet<String> = wanted.iter().cloned().collect();
    if let Some(missing) = wanted.difference(found).next() {
        bail!("{what}: {missing} is missing");
    }
    if let Some(foreign) = found.difference(&wanted).next() {
        bail!("{what}: {foreign} should not be there");
    }
    Ok(())
}

/// The log once mending it is over: nothing runs, and the file is what REST gives.
fn settled(api: &mut Api, id: &str, path: &Path) -> Result<Vec<u8>> {
    let begin = Instant::now();
    loop {
        let before = fs::read(path)?;
        let served = served(api, id)?;
        let info = api.json("GET", &api.target.conversation(id), b"")?;
        let status = info["execution_status"].as_str().unwrap_or_default();
        let after = fs::read(path)?;
        let late = begin.elapsed() > TIMEOUT;
        if before == after && status != "running" {
            same_events(&before, &served).with_context(|| format!("the log of {id}"))?;
            return Ok(after);
        }
        if late {
            bail!(
                "{id} is still {status} and grows {} s after a start",
                TIMEOUT.as_secs()
            );
        }
        std::thread::sleep(PAUSE);
    }
}

fn served(api: &mut Api, id: &str) -> Result<Served> {
    let mut events = Vec::new();
    let mut query = "limit=100".to_owned();
    loop {
        let mut page = api.page(id, &query)?;
        let items = page["items"].take();
        let Value::Array(items) = items else {
            bail!("a page without items");
        };
        events.extend(items);
        match page["next_page_id"].as_str() {
            Some(next) => query = format!("limit=100&page_id={next}"),
            None => break,
        }
    }
    let count = api.count(id, "")?;
    Ok(Served { events, count })
}
