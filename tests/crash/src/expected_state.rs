use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use crate::webhooks::WebhookTally;

/// What the server should have, as its clients know it: what they asked for, and what of it was acknowledged.
/// It outlives the server.
#[derive(Default)]
pub(crate) struct ExpectedState {
    pub(crate) conversations: BTreeMap<String, Entry>,
    pub(crate) tally: Tally,
}

/// One conversation as its clients know it.
pub(crate) struct Entry {
    pub(crate) existence: Existence,
    pub(crate) messages: BTreeMap<Marker, MessageState>,
    /// Messages that had no answer before the last kill, whether they were there after it or not.
    pub(crate) unsure: Vec<Marker>,
    /// The message it was made with.
    pub(crate) first: Option<Marker>,
    /// Its creation has no answer yet.
    pub(crate) unsure_creation: bool,
    /// Runs that were asked for, by a message or alone; no more may have begun.
    pub(crate) runs_asked: u64,
    /// Those asked for alone that have no answer yet.
    pub(crate) unsure_runs: Vec<Marker>,
    /// Whether something was asked of it since it was last checked.
    pub(crate) touched: bool,
    /// What it is a copy of. Nobody talks to a copy.
    pub(crate) copied: Option<Copied>,
}

/// Where a copy came from.
pub(crate) struct Copied {
    pub(crate) original: String,
    /// The original's messages that were acknowledged when it was asked for.
    pub(crate) acknowledged: Vec<Marker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existence {
    /// Its creation was not answered.
    Asked,
    There,
    /// Its deletion was not answered.
    Leaving,
    Gone,
}

/// Names a message: its client, and a number that grows with each message of that client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Marker {
    pub(crate) client: u64,
    pub(crate) number: u64,
}

/// The state of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageState {
    Acknowledged,
    /// It may be there, but only once.
    Unanswered,
    /// It was not there after a restart, so it must not turn up.
    Absent,
}

/// What was done so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kills: u64,
    pub(crate) kills_while_starting: u64,
    pub(crate) kills_at_rest: u64,
    pub(crate) conversations: u64,
    pub(crate) messages: u64,
    pub(crate) unanswered: u64,
    pub(crate) unanswered_kept: u64,
    pub(crate) repeated: u64,
    pub(crate) runs: u64,
    pub(crate) deletions: u64,
    pub(crate) copies: u64,
    pub(crate) copies_checked: u64,
    pub(crate) logs_checked: u64,
    pub(crate) events_checked: u64,
    pub(crate) webhooks: Option<WebhookTally>,
}

impl ExpectedState {
    pub(crate) fn asked_for(&mut self, id: &str, first: Option<Marker>) {
        let entry = Entry {
            existence: Existence::Asked,
            messages: first
                .map(|first| (first, MessageState::Unanswered))
                .into_iter()
                .collect(),
            unsure: Vec::new(),
            first,
            unsure_creation: true,
            runs_asked: u64::from(first.is_some()),
            unsure_runs: Vec::new(),
            touched: true,
            copied: None,
        };
        self.conversations.insert(id.to_owned(), entry);
    }

    /// A copy was asked for, if its original is known.
    pub(crate) fn asked_for_copy(&mut self, id: &str, original: &str) {
        let Some(known) = self.conversations.get(original) else {
            return;
        };
        let acknowledged = known.messages.iter();
        let acknowledged = acknowledged.filter(|(_, state)| **state == MessageState::Acknowledged);
        let copied = Copied {
            original: original.to_owned(),
            acknowledged: acknowledged.map(|(marker, _)| *marker).collect(),
        };
        self.asked_for(id, None);
        self.update(id, |entry| {
            entry.unsure_creation = false;
            entry.copied = Some(copied);
        });
    }

    /// Those that clients talk to.
    pub(crate) fn originals(&self) -> Vec<String> {
        let mut existing = self.existing();
        existing.retain(|id| self.conversations[id].copied.is_none());
        existing
    }

    pub(crate) fn existing(&self) -> Vec<String> {
        let there = |entry: &Entry| entry.existence == Existence::There;
        self.conversations
            .iter()
            .filter(|(_, entry)| there(entry))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Changes what is known of a conversation, which thereby counts as touched.
    pub(crate) fn update(&mut self, id: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.conversations.get_mut(id) {
            entry.touched = true;
            change(entry);
        }
    }
}

impl Entry {
    /// Its creation was acknowledged, and its first message with it.
    pub(crate) fn created(&mut self) {
        self.existence = Existence::There;
        self.unsure_creation = false;
        if let Some(first) = self.first {
            self.messages.insert(first, MessageState::Acknowledged);
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of client {}", self.number, self.client)
    }
}

impl Marker {
    /// The first line of the message's text.
    pub(crate) fn to_line(self) -> String {
        format!("marked {}-{}", self.client, self.number)
    }

    /// That of a message in a log.
    pub(crate) fn of(event: &Value) -> Option<Self> {
        let text = event["llm_message"]["content"][0]["text"].as_str()?;
        Self::from_text(text).filter(|_| event["kind"] == "MessageEvent")
    }

    fn from_text(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("marked ")?;
        let (client, number) = line.split_once('-')?;
        Some(Self {
            client: client.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            kills_while_starting,
            kills_at_rest,
            conversations,
            messages,
            unanswered,
            unanswered_kept,
            repeated,
            runs,
            deletions,
            copies,
            copies_checked,
            logs_checked,
            events_checked,
            webhooks,
        } = self;
        writeln!(
            f,
            "kills: {kills} under load, {kills_while_starting} while it started, {kills_at_rest} at \
             rest"
        )?;
        writeln!(
            f,
            "acknowledged: {messages} messages ({runs} of them with a run), {conversations} \
             conversations, {deletions} deletions, {copies} copies"
        )?;
        writeln!(
            f,
            "messages without an answer: {unanswered}, of which {unanswered_kept} had been kept; \
             {repeated} requests repeated with their key"
        )?;
        write!(
            f,
            "checked: {logs_checked} times a log, {copies_checked} of them a copy's, {events_checked} events \
             in them"
        )?;
        match webhooks {
            Some(webhooks) => write!(f, "\n{webhooks}"),
            None => Ok(()),
        }
    }
}

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_again_in_a_message() {
        let marker = Marker {
            client: 3,
            number: 1_234,
        };
        let text = format!("{}\n$ echo hi", marker.to_line());
        assert_eq!(Marker::from_text(&text), Some(marker));
        assert_eq!(Marker::from_text("hello"), None);
        assert_eq!(Marker::from_text("marked 1-x"), None);
    }
}
