use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, bail};
use chrono::{NaiveDateTime, TimeDelta};
use harness::{Api, Target};
use serde_json::Value;
use uuid::Uuid;

use crate::progress::Progress;

const TIME: &str = "%Y-%m-%dT%H:%M:%S%.6f";
const BUFFER: usize = 1 << 20;
/// Clients that fill a log by posting share syncs.
const POSTING: u64 = 16;

/// Appends `count` messages to the log in a conversation's folder, of which a server made the begin
/// and which it does not hold open now. They look like the last message that is there.
pub(crate) fn lengthen(conversation: &Path, count: u64) -> Result<()> {
    let path = conversation.join("events.jsonl");
    let text = fs::read_to_string(&path)?;
    let parsed = |line: &str| serde_json::from_str::<Value>(line).ok();
    let is_message = |event: &Value| event["kind"] == "MessageEvent";
    let last = text.lines().rev().filter_map(parsed).find(is_message);
    let last = last.context("there is no message to go by")?;
    let end = text.lines().next_back().and_then(parsed);
    let end = end.context("the log has no last event")?;
    let time = end["timestamp"].as_str().unwrap_or_default();
    let mut time = NaiveDateTime::parse_from_str(time, TIME).context("a time of an event")?;
    let mut parent = last["id"].as_str().unwrap_or_default().to_owned();
    let pieces = Pieces::of(last)?;
    let file = OpenOptions::new().append(true).open(&path)?;
    let mut file = BufWriter::with_capacity(BUFFER, file);
    let mut progress = Progress::new("writing a log", count);
    for n in 0..count {
        time += TimeDelta::microseconds(1);
        let id = nth_id(n);
        pieces.write(&mut file, &id, &time.format(TIME).to_string(), &parent)?;
        parent = id;
        if n.is_multiple_of(1024) {
            progress.at(n);
        }
    }
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(())
}

/// The id of the nth event that [`lengthen`] appended.
pub(crate) fn nth_id(n: u64) -> String {
    format!("10ad10ad-0000-4000-8000-{n:012x}")
}

/// A log line, cut where it differs from the next.
struct Pieces(Vec<String>);

impl Pieces {
    fn of(mut event: Value) -> Result<Self> {
        let mark = "\u{1}";
        for name in ["id", "timestamp", "parent_id"] {
            let field = event.get_mut(name);
            *field.with_context(|| format!("a message without {name}"))? = mark.into();
        }
        let line = event.to_string();
        // As JSON writes the mark.
        let pieces: Vec<String> = line.split("\\u0001").map(str::to_owned).collect();
        // The order in which the fields stand is the server's.
        let order = ["\"id\":\"", "\"timestamp\":\"", "\"parent_id\":\""];
        let fits = pieces.len() == 4
            && pieces
                .iter()
                .zip(order)
                .all(|(piece, name)| piece.ends_with(name));
        if !fits {
            bail!("the fields of a message stand in an order that is not known here");
        }
        Ok(Self(pieces))
    }

    fn write(&self, to: &mut impl Write, id: &str, time: &str, parent: &str) -> Result<()> {
        for (piece, value) in self.0.iter().zip([id, time, parent, "\n"]) {
            to.write_all(piece.as_bytes())?;
            to.write_all(value.as_bytes())?;
        }
        Ok(())
    }
}

/// Lengthens a log by posting `count` messages, several at a time.
pub(crate) fn post(target: &Target, id: &str, text: &str, count: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    let client = |show: bool| -> Result<()> {
        let mut progress = Progress::new("posting messages", count);
        let mut api = Api::new(target);
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return Ok(());
            }
            api.say(id, text)?;
            if show {
                progress.at(n);
            }
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..POSTING.min(count))
            .map(|n| scope.spawn(move || client(n == 0)))
            .collect();
        for client in clients {
            match client.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(())
    })
}

/// Makes `count` conversations by copying one that a server made and does not hold open now; each
/// a millisecond younger than the one before. Their ids, oldest first.
pub(crate) fn multiply(store: &Path, id: &str, count: u64) -> Result<Vec<String>> {
    let original = store.join(id);
    let mut files = Vec::new();
    for entry in fs::read_dir(&original)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((entry.file_name(), fs::read(entry.path())?));
        }
    }
    let made = files.iter().find(|(name, _)| name == "metadata.json");
    let (_, metadata) = made.context("a conversation without metadata.json")?;
    let metadata: Value = serde_json::from_slice(metadata)?;
    let created = metadata["created_at"].as_str().unwrap_or_default();
    let created = NaiveDateTime::parse_from_str(created, "%Y-%m-%dT%H:%M:%S%.6fZ")?;
    let mut progress = Progress::new("making conversations", count);
    let mut ids = Vec::new();
    for n in 0..count {
        let new = Uuid::new_v4().to_string();
        let folder = store.join(&new);
        fs::create_dir(&folder)?;
        for (name, bytes) in &files {
            let mut file = File::create(folder.join(name))?;
            if name == "metadata.json" {
                let at = created + TimeDelta::milliseconds(i64::try_from(n)? + 1);
                let mut own = metadata.clone();
                own["id"] = new.clone().into();
                own["created_at"] = at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into();
                file.write_all(own.to_string().as_bytes())?;
            } else {
                file.write_all(bytes)?;
            }
        }
        ids.push(new);
        progress.at(n);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_grows_by_messages_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let begin = concat!(
            r#"{"id":"a","timestamp":"2026-01-01T00:00:00.000001","source":"agent","kind":"SystemPromptEvent"}"#,
            "\n",
            r#"{"id":"b","timestamp":"2026-01-01T00:00:00.000002","source":"user","parent_id":"a","kind":"MessageEvent","text":"say \"id\""}"#,
            "\n",
            r#"{"id":"c","timestamp":"2026-01-01T00:00:00.000003","source":"environment","parent_id":"b","kind":"ConversationStateUpdateEvent"}"#,
            "\n",
        );
        fs::write(&path, begin).unwrap();
        lengthen(folder.path(), 3).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let added: Vec<Value> = text
            .strip_prefix(begin)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let field = |name: &str| -> Vec<String> {
            let text = |event: &Value| event[name].as_str().unwrap().to_owned();
            added.iter().map(text).collect()
        };
        assert_eq!(field("id"), [nth_id(0), nth_id(1), nth_id(2)]);
        assert_eq!(field("parent_id"), ["b".to_owned(), nth_id(0), nth_id(1)]);
        let times = ["4", "5", "6"].map(|digit| format!("2026-01-01T00:00:00.00000{digit}"));
        assert_eq!(field("timestamp"), times);
        assert_eq!(field("text"), [r#"say "id""#; 3]);
    }
}
