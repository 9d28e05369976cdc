//! What a receiver of webhooks kept, and what has to be true of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{expected_state::Marker, log::excerpt};

/// What one receiver kept of all conversations. It outlives the server.
#[derive(Default)]
pub(crate) struct Kept {
    conversations: BTreeMap<String, KeptLog>,
    /// The events of each delivery's id.
    deliveries: HashMap<String, Span>,
    /// The statuses in the requests about conversations themselves.
    statuses: BTreeMap<String, BTreeSet<String>>,
    pub(crate) tally: KeptTally,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptTally {
    pub(crate) requests: u64,
    /// Kept, but not acknowledged, or not kept at all.
    pub(crate) refused: u64,
    pub(crate) events: u64,
    /// Events that were kept already.
    pub(crate) doubles: u64,
    pub(crate) compared: u64,
}

/// One request with events.
pub(crate) struct Batch<'a> {
    pub(crate) delivery: &'a str,
    pub(crate) span: Span,
    /// A JSON array.
    pub(crate) body: &'a [u8],
}

/// Events of a conversation, from the first to the last seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) conversation: String,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// A log as far as it was kept.
#[derive(Default)]
struct KeptLog {
    /// Events as they came, each with a line end, as in the log.
    text: Vec<u8>,
    /// Where in it each event ends, line end included.
    ends: Vec<usize>,
    /// How far any request went, kept or not.
    reached: usize,
}

impl Kept {
    /// A request with events came; what of it is new is kept if `keeps`.
    ///
    /// # Errors
    /// When it cannot follow what was kept, or contradicts it.
    pub(crate) fn take(&mut self, batch: &Batch<'_>, keeps: bool) -> Result<()> {
        let Span {
            conversation,
            first,
            last,
        } = &batch.span;
        let events = elements(batch.body).context("a body that is no array of events")?;
        ensure!(
            last.checked_sub(*first).map(|more| more + 1) == Some(events.len()),
            "{} events came as {first} to {last} of {conversation}",
            events.len()
        );
        let known = self.deliveries.get(batch.delivery);
        ensure!(
            known.is_none_or(|known| *known == batch.span),
            "delivery {} was {known:?}, and now is {:?}",
            batch.delivery,
            batch.span
        );
        let deliveries = &mut self.deliveries;
        deliveries.insert(batch.delivery.to_owned(), batch.span.clone());
        let log = self.conversations.entry(conversation.clone()).or_default();
        let next = log.ends.len();
        ensure!(
            *first <= next,
            "events {first} to {last} of {conversation} came, but those from {next} on did not"
        );
        log.reached = log.reached.max(last + 1);
        for (seq, event) in (*first..).zip(events) {
            if let Some(kept) = log.line(seq) {
                ensure!(
                    kept == event,
                    "event {seq} of {conversation} is another one now: {}, before {}",
                    excerpt(event),
                    excerpt(kept)
                );
                self.tally.doubles += u64::from(keeps);
            } else if keeps {
                log.text.extend_from_slice(event);
                log.text.push(b'\n');
                log.ends.push(log.text.len());
                self.tally.events += 1;
            }
        }
        Ok(())
    }

    /// A request about a conversation itself came, and is kept.
    ///
    /// # Errors
    /// When it does not say which one, or in what state.
    pub(crate) fn take_info(&mut self, body: &[u8]) -> Result<()> {
        let info: Value = serde_json::from_slice(body).context("a conversation that is no JSON")?;
        let text = |name: &str| {
            let value = info[name].as_str().map(str::to_owned);
            value.with_context(|| format!("a conversation without {name}: {info}"))
        };
        let statuses = self.statuses.entry(text("id")?).or_default();
        statuses.insert(text("execution_status")?);
        Ok(())
    }

    /// A conversation's log has all that was kept of it, and with `whole`, no more.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn compare(&mut self, conversation: &str, log: &[u8], whole: bool) -> Result<()> {
        let nothing = KeptLog::default();
        let kept = self.conversations.get(conversation).unwrap_or(&nothing);
        let Some(more) = log.strip_prefix(kept.text.as_slice()) else {
            let same = kept.text.iter().zip(log).take_while(|(a, b)| a == b);
            let same = same.count();
            let seq = kept.ends.partition_point(|end| *end <= same);
            let line = kept.line(seq).unwrap_or_default();
            bail!(
                "event {seq} of {conversation} was kept as it is not in the log: {}",
                excerpt(line)
            );
        };
        let count = kept.ends.len();
        let lines = count + more.iter().filter(|byte| **byte == b'\n').count();
        ensure!(
            kept.reached <= lines,
            "event {} of {conversation} was sent, which has {lines}",
            kept.reached.saturating_sub(1)
        );
        ensure!(
            !whole || count == lines,
            "{count} of {lines} events of {conversation} were delivered"
        );
        self.tally.compared += count as u64;
        Ok(())
    }

    /// A cursor is not ahead of what was kept.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn covers(&self, conversation: &str, next: usize) -> Result<()> {
        let kept = self.conversations.get(conversation);
        let kept = kept.map_or(0, |kept| kept.ends.len());
        ensure!(
            next <= kept,
            "the cursor in {conversation} is at {next}, but only {kept} events were kept"
        );
        Ok(())
    }

    /// The marked messages that were kept of a conversation.
    pub(crate) fn markers(&self, conversation: &str) -> BTreeSet<Marker> {
        let kept = self.conversations.get(conversation);
        let text = kept.map_or(&[][..], |kept| &kept.text);
        let events = text.split(|byte| *byte == b'\n');
        events
            .filter_map(|event| Marker::of(&serde_json::from_slice(event).ok()?))
            .collect()
    }

    /// Whether a request about a conversation itself came, with this status if one is given.
    pub(crate) fn got_conversation(&self, conversation: &str, status: Option<&str>) -> bool {
        let statuses = self.statuses.get(conversation);
        statuses.is_some_and(|statuses| status.is_none_or(|status| statuses.contains(status)))
    }

    /// Whether any event of it was kept.
    pub(crate) fn knows(&self, conversation: &str) -> bool {
        let kept = self.conversations.get(conversation);
        kept.is_some_and(|kept| !kept.ends.is_empty())
    }
}

impl KeptLog {
    fn line(&self, seq: usize) -> Option<&[u8]> {
        let end = self.ends.get(seq)?.checked_sub(1)?;
        let begin = match seq.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(begin..end)
    }
}

/// The elements of a JSON array, as they are written.
fn elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    let inner = array.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let (mut depth, mut quoted, mut escaped, mut begin) = (0_u32, false, false, 0);
    let mut found = Vec::new();
    for (at, byte) in inner.iter().enumerate() {
        if quoted {
            match byte {
                b'"' if !escaped => quoted = false,
                _ => escaped = *byte == b'\\' && !escaped,
            }
            continue;
        }
        match byte {
            b'"' => (quoted, escaped) = (true, false),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                found.push(&inner[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !inner.is_empty() {
        found.push(&inner[begin..]);
    }
    (depth == 0 && !quoted).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(kept: &mut Kept, first: usize, events: &[&str], keeps: bool) -> Result<()> {
        let last = first + events.len() - 1;
        let body = format!("[{}]", events.join(","));
        let batch = Batch {
            delivery: &format!("{first}-{last}"),
            span: Span {
                conversation: "c".to_owned(),
                first,
                last,
            },
            body: body.as_bytes(),
        };
        kept.take(&batch, keeps)
    }

    fn error<T>(outcome: Result<T>) -> String {
        format!("{:#}", outcome.err().unwrap())
    }

    #[test]
    fn an_array_is_cut_into_its_elements() {
        let cut = |text: &'static str| {
            let found = elements(text.as_bytes())?;
            Some(
                found
                    .into_iter()
                    .map(|it| std::str::from_utf8(it).unwrap())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(cut("[]").unwrap(), [""; 0]);
        assert_eq!(
            cut(r#"[{"a":[1,2],"b":"],\",{"},{"c":"\\"},3]"#).unwrap(),
            [r#"{"a":[1,2],"b":"],\",{"}"#, r#"{"c":"\\"}"#, "3"]
        );
        for bad in ["", "{}", "[{]", "[\"a]", "[}]"] {
            assert_eq!(cut(bad), None, "{bad}");
        }
    }

    #[test]
    fn duplicates_are_dropped_and_the_log_remains() {
        let mut kept = Kept::default();
        take(&mut kept, 0, &["{}", "[1]"], true).unwrap();
        take(&mut kept, 1, &["[1]", "2"], true).unwrap();
        take(&mut kept, 3, &["3"], false).unwrap();
        kept.compare("c", b"{}\n[1]\n2\n3\n", false).unwrap();
        let missing = error(kept.compare("c", b"{}\n[1]\n2\n3\n", true));
        assert!(missing.contains("3 of 4 events"), "{missing}");
        take(&mut kept, 3, &["3"], true).unwrap();
        kept.compare("c", b"{}\n[1]\n2\n3\n", true).unwrap();
        assert_eq!((kept.tally.events, kept.tally.doubles), (4, 1));
        assert!(kept.knows("c") && !kept.knows("d"));
    }

    #[test]
    fn gaps_other_events_and_events_that_are_not_there_are_found() {
        let mut kept = Kept::default();
        take(&mut kept, 0, &["0", "1"], true).unwrap();
        let gap = error(take(&mut kept, 3, &["3"], true));
        assert!(gap.contains("from 2 on did not"), "{gap}");
        let other = error(take(&mut kept, 1, &["7", "8"], true));
        assert!(other.contains("event 1 of c is another one"), "{other}");
        let few = Batch {
            delivery: "few",
            span: Span {
                conversation: "c".to_owned(),
                first: 2,
                last: 3,
            },
            body: b"[2]",
        };
        assert!(error(kept.take(&few, true)).contains("1 events came as 2 to 3"));
        let elsewhere = Batch {
            delivery: "0-1",
            body: b"[2,3]",
            ..few
        };
        assert!(error(kept.take(&elsewhere, true)).contains("delivery 0-1 was"));

        let changed = error(kept.compare("c", b"0\n9\n", false));
        assert!(changed.contains("event 1 of c was kept"), "{changed}");
        take(&mut kept, 2, &["2"], false).unwrap();
        let beyond = error(kept.compare("c", b"0\n1\n", false));
        assert!(beyond.contains("event 2 of c was sent"), "{beyond}");
        kept.covers("c", 2).unwrap();
        assert!(error(kept.covers("c", 3)).contains("only 2 events"));
        assert!(error(kept.covers("d", 1)).contains("only 0 events"));
    }

    #[test]
    fn it_has_the_states_and_messages_that_came() {
        let mut kept = Kept::default();
        kept.take_info(br#"{"id": "c", "execution_status": "idle"}"#)
            .unwrap();
        assert!(kept.got_conversation("c", None) && kept.got_conversation("c", Some("idle")));
        assert!(!kept.got_conversation("c", Some("deleting")) && !kept.got_conversation("d", None));
        assert!(kept.take_info(b"{}").is_err());

        let marker = Marker {
            client: 1,
            number: 2,
        };
        let text = marker.to_line();
        let said = serde_json::json!({"kind": "MessageEvent", "llm_message": {"content": [{"text": text}]}});
        take(&mut kept, 0, &["{}", &said.to_string()], true).unwrap();
        assert_eq!(kept.markers("c"), BTreeSet::from([marker]));
        assert_eq!(kept.markers("d"), BTreeSet::new());
    }
}
