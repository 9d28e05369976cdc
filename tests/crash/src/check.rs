use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use harness::Api;
use serde_json::Value;

use crate::{
    index::index_is_right,
    ledger::{Entry, Existence, Fate, Ledger, Marker},
};

/// What a start may still mend after it is ready.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
/// Shown of a line in a message about it.
const EXCERPT: usize = 200;

/// Compares what a server has with what its clients know.
pub(crate) struct Check<'a> {
    pub(crate) api: Api,
    pub(crate) conversations: PathBuf,
    pub(crate) ledger: &'a mut Ledger,
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
        let ids: Vec<String> = self.ledger.conversations.keys().cloned().collect();
        for id in &ids {
            self.existence(id)?;
        }
        self.folders()?;
        self.list()?;
        let mut logs = Logs::new();
        for (id, entry) in &mut self.ledger.conversations {
            let touched = std::mem::take(&mut entry.touched);
            if entry.existence != Existence::There || !(touched || pick(id, entry)) {
                continue;
            }
            let folder = self.conversations.join(id);
            let log = settled(&mut self.api, id, &folder.join("events.jsonl"))?;
            let (_, events) = lines(&log).with_context(|| format!("the log of {id}"))?;
            self.ledger.tally.logs_checked += 1;
            self.ledger.tally.events_checked += events.len() as u64;
            let kept = messages(entry, &events).with_context(|| format!("the log of {id}"))?;
            self.ledger.tally.unanswered_kept += kept;
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
        let Some(entry) = self.ledger.conversations.get_mut(id) else {
            return Ok(());
        };
        let on_disk = self.conversations.join(id).exists();
        let known = entry.existence;
        if known == Existence::Gone {
            entry.messages.clear();
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
        let wanted = self.ledger.existing();
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
                Some(name) if begin.elapsed() > PATIENCE => {
                    bail!(
                        "{name} still lies about {} s after a start",
                        PATIENCE.as_secs()
                    )
                }
                Some(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Waits until the list has all conversations and the count agrees.
    fn list(&mut self) -> Result<()> {
        let wanted = self.ledger.existing();
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
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
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
        let late = begin.elapsed() > PATIENCE;
        if before == after && status != "running" {
            same_events(&before, &served).with_context(|| format!("the log of {id}"))?;
            return Ok(after);
        }
        if late {
            bail!(
                "{id} is still {status} and grows {} s after a start",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(PAUSE);
    }
}

struct Served {
    events: Vec<Value>,
    count: u64,
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

/// REST gives the file, line by line.
fn same_events(log: &[u8], served: &Served) -> Result<()> {
    let (lines, events) = lines(log)?;
    for (at, (event, served)) in events.iter().zip(&served.events).enumerate() {
        ensure!(
            event == served,
            "line {at} is {}, but REST gives {served}",
            excerpt(lines[at])
        );
    }
    let (lines, listed) = (events.len(), served.events.len());
    ensure!(lines == listed, "{lines} lines, but REST lists {listed}");
    let count = served.count;
    ensure!(
        lines as u64 == count,
        "{lines} lines, but REST counts {count}"
    );
    Ok(())
}

/// Each line and the event in it; ids are unique and times increase.
fn lines(log: &[u8]) -> Result<(Vec<&[u8]>, Vec<Value>)> {
    let Some(whole) = log.strip_suffix(b"\n") else {
        ensure!(log.is_empty(), "the last line is torn");
        return Ok((Vec::new(), Vec::new()));
    };
    let lines: Vec<&[u8]> = whole.split(|byte| *byte == b'\n').collect();
    let mut events = Vec::with_capacity(lines.len());
    let mut ids = HashSet::new();
    let mut last = String::new();
    for (at, line) in lines.iter().enumerate() {
        let event: Value = serde_json::from_slice(line)
            .with_context(|| format!("line {at} is no JSON: {}", excerpt(line)))?;
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        ensure!(!id.is_empty(), "line {at} has no id: {}", excerpt(line));
        ensure!(
            ids.insert(id.clone()),
            "line {at} has the id {id} of another"
        );
        let time = event["timestamp"].as_str().unwrap_or_default();
        ensure!(
            time > last.as_str(),
            "line {at} is not younger than the one before: {time}"
        );
        time.clone_into(&mut last);
        events.push(event);
    }
    Ok((lines, events))
}

/// Acknowledged messages are there, once and in the order of their client. Settles those that were
/// not answered: how many of them are there.
fn messages(entry: &mut Entry, events: &[Value]) -> Result<u64> {
    let mut found = BTreeSet::new();
    let mut last = BTreeMap::new();
    for event in events
        .iter()
        .filter(|event| event["kind"] == "MessageEvent")
    {
        let text = event["llm_message"]["content"][0]["text"].as_str();
        let Some(marker) = text.and_then(Marker::from_text) else {
            continue;
        };
        ensure!(found.insert(marker), "{marker} is there twice");
        let before = last.insert(marker.client, marker.number);
        ensure!(
            before.is_none_or(|before| before < marker.number),
            "{marker} comes after its message {before:?}"
        );
        match entry.messages.get(&marker) {
            Some(Fate::Acknowledged | Fate::Unanswered) => {}
            Some(Fate::Absent) => {
                bail!("{marker} was not there after an earlier restart, now it is")
            }
            None => bail!("{marker} was never sent here"),
        }
    }
    let mut kept = 0;
    entry.unsure.clear();
    for (marker, fate) in &mut entry.messages {
        let there = found.contains(marker);
        if *fate == Fate::Unanswered {
            entry.unsure.push(*marker);
        }
        *fate = match *fate {
            Fate::Acknowledged if !there => bail!("{marker} was acknowledged and is missing"),
            Fate::Unanswered if there => {
                kept += 1;
                Fate::Acknowledged
            }
            Fate::Unanswered => Fate::Absent,
            settled @ (Fate::Acknowledged | Fate::Absent) => settled,
        };
    }
    Ok(kept)
}

/// Whatever the agent asked its tools has an answer, if only that it was cut off.
fn answered(events: &[Value]) -> Result<()> {
    let answers: HashSet<&str> = events
        .iter()
        .filter(|event| event["kind"] != "ActionEvent")
        .filter_map(|event| event["tool_call_id"].as_str())
        .collect();
    let open = |event: &&Value| {
        let call = event["tool_call_id"].as_str().unwrap_or_default();
        event["kind"] == "ActionEvent" && !answers.contains(call)
    };
    match events.iter().find(open) {
        Some(action) => bail!("an action has no answer: {action}"),
        None => Ok(()),
    }
}

fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(EXCERPT)]).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(events: &[Value]) -> Vec<u8> {
        events
            .iter()
            .flat_map(|event| format!("{event}\n").into_bytes())
            .collect()
    }

    fn event(id: &str, time: &str) -> Value {
        json!({"id": id, "timestamp": time, "kind": "MessageEvent"})
    }

    fn said(number: u64) -> Value {
        let text = Marker { client: 1, number }.to_line();
        json!({"kind": "MessageEvent", "llm_message": {"content": [{"text": text}]}})
    }

    fn entry(messages: &[(u64, Fate)]) -> Entry {
        let known = |(number, fate): &(u64, Fate)| {
            (
                Marker {
                    client: 1,
                    number: *number,
                },
                *fate,
            )
        };
        Entry {
            existence: Existence::There,
            messages: messages.iter().map(known).collect(),
            unsure: Vec::new(),
            touched: true,
        }
    }

    #[test]
    fn a_sound_log_is_passed_and_each_damage_is_found() {
        let good = log(&[event("a", "1"), event("b", "2")]);
        assert_eq!(lines(&good).unwrap().1.len(), 2);
        assert!(lines(b"").is_ok());
        for (bad, why) in [
            (good[..good.len() - 1].to_vec(), "torn"),
            (log(&[event("a", "1"), event("a", "2")]), "id a of another"),
            (log(&[event("a", "2"), event("b", "2")]), "not younger"),
            (b"{\"id\":\n".to_vec(), "no JSON"),
            (b"\n".to_vec(), "no JSON"),
            (b"{}\n".to_vec(), "no id"),
        ] {
            let error = format!("{:#}", lines(&bad).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn rest_and_file_have_to_agree() {
        let events = vec![event("a", "1"), event("b", "2")];
        let served = |events: &[Value], count| Served {
            events: events.to_vec(),
            count,
        };
        assert!(same_events(&log(&events), &served(&events, 2)).is_ok());
        assert!(same_events(&log(&events), &served(&events, 3)).is_err());
        assert!(same_events(&log(&events), &served(&events[..1], 2)).is_err());
        let other = [event("a", "1"), event("c", "2")];
        assert!(same_events(&log(&events), &served(&other, 2)).is_err());
    }

    #[test]
    fn messages_lost_doubled_swapped_or_risen_are_found() {
        use Fate::{Absent, Acknowledged, Unanswered};
        let known = [
            (1, Acknowledged),
            (2, Unanswered),
            (3, Acknowledged),
            (4, Unanswered),
        ];
        let mut settled = entry(&known);
        assert_eq!(
            messages(&mut settled, &[said(1), said(2), said(3)]).unwrap(),
            1
        );
        assert_eq!(settled.unsure.len(), 2);
        let fates: Vec<Fate> = settled.messages.values().copied().collect();
        assert_eq!(fates, [Acknowledged, Acknowledged, Acknowledged, Absent]);
        let again = messages(&mut settled, &[said(1), said(2), said(3), said(4)]);
        assert!(again.unwrap_err().to_string().contains("earlier restart"));
        for (found, why) in [
            (vec![said(1)], "missing"),
            (vec![said(1), said(3), said(3)], "twice"),
            (vec![said(3), said(1)], "comes after"),
            (vec![said(1), said(3), said(9)], "never sent"),
        ] {
            let error = messages(&mut entry(&known), &found)
                .unwrap_err()
                .to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_action_without_an_answer_is_found() {
        let action = json!({"kind": "ActionEvent", "tool_call_id": "x"});
        let answer = json!({"kind": "AgentErrorEvent", "tool_call_id": "x"});
        assert!(answered(&[action.clone(), answer]).is_ok());
        assert!(answered(&[action]).is_err());
    }
}
