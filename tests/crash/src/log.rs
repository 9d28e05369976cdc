//! What has to be true of a log, whatever was done to its server.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::expected_state::{Entry, Marker, MessageState};

/// Shown of a line in a message about it.
const EXCERPT: usize = 200;

/// What REST gives of a log.
pub(crate) struct Served {
    pub(crate) events: Vec<Value>,
    pub(crate) count: u64,
}

/// REST gives the file, line by line.
pub(crate) fn same_events(log: &[u8], served: &Served) -> Result<()> {
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
pub(crate) fn lines(log: &[u8]) -> Result<(Vec<&[u8]>, Vec<Value>)> {
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
pub(crate) fn messages(entry: &mut Entry, events: &[Value]) -> Result<u64> {
    let mut found = BTreeSet::new();
    let mut last = BTreeMap::new();
    for marker in events.iter().filter_map(Marker::of) {
        ensure!(found.insert(marker), "{marker} is there twice");
        let before = last.insert(marker.client, marker.number);
        ensure!(
            before.is_none_or(|before| before < marker.number),
            "{marker} comes after its message {before:?}"
        );
        match entry.messages.get(&marker) {
            Some(MessageState::Acknowledged | MessageState::Unanswered) => {}
            Some(MessageState::Absent) => {
                bail!("{marker} was not there after an earlier restart, now it is")
            }
            None => bail!("{marker} was never sent here"),
        }
    }
    let mut kept = 0;
    entry.unsure.clear();
    for (marker, state) in &mut entry.messages {
        let there = found.contains(marker);
        if *state == MessageState::Unanswered {
            entry.unsure.push(*marker);
        }
        *state = match *state {
            MessageState::Acknowledged if !there => {
                bail!("{marker} was acknowledged and is missing")
            }
            MessageState::Unanswered if there => {
                kept += 1;
                MessageState::Acknowledged
            }
            MessageState::Unanswered => MessageState::Absent,
            settled @ (MessageState::Acknowledged | MessageState::Absent) => settled,
        };
    }
    Ok(kept)
}

/// No more runs began than were asked for.
pub(crate) fn no_run_too_many(entry: &Entry, events: &[Value]) -> Result<()> {
    let began = |event: &&Value| event["key"] == "execution_status" && event["value"] == "running";
    let (began, asked) = (events.iter().filter(began).count(), entry.runs_asked);
    ensure!(
        began as u64 <= asked,
        "{began} runs began, but {asked} were asked for"
    );
    Ok(())
}

/// Whatever the agent asked its tools has an answer, if only that it was cut off.
pub(crate) fn answered(events: &[Value]) -> Result<()> {
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

pub(crate) fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(EXCERPT)]).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expected_state::Existence;

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

    fn entry(messages: &[(u64, MessageState)]) -> Entry {
        let known = |(number, state): &(u64, MessageState)| {
            (
                Marker {
                    client: 1,
                    number: *number,
                },
                *state,
            )
        };
        Entry {
            existence: Existence::There,
            messages: messages.iter().map(known).collect(),
            unsure: Vec::new(),
            first: None,
            unsure_creation: false,
            runs_asked: 1,
            unsure_runs: Vec::new(),
            touched: true,
            copied: None,
        }
    }

    #[test]
    fn a_log_without_damage_passes_and_each_damage_is_found() {
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
    fn messages_lost_duplicated_swapped_or_returned_are_found() {
        use MessageState::{Absent, Acknowledged, Unanswered};
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
        let states: Vec<MessageState> = settled.messages.values().copied().collect();
        assert_eq!(states, [Acknowledged, Acknowledged, Acknowledged, Absent]);
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
    fn a_run_nobody_asked_for_is_found() {
        let began = json!({"key": "execution_status", "value": "running"});
        let ended = json!({"key": "execution_status", "value": "finished"});
        let one = [began.clone(), ended];
        assert!(no_run_too_many(&entry(&[]), &one).is_ok());
        assert!(no_run_too_many(&entry(&[]), &[began.clone(), began]).is_err());
    }

    #[test]
    fn an_action_without_an_answer_is_found() {
        let action = json!({"kind": "ActionEvent", "tool_call_id": "x"});
        let answer = json!({"kind": "AgentErrorEvent", "tool_call_id": "x"});
        assert!(answered(&[action.clone(), answer]).is_ok());
        assert!(answered(&[action]).is_err());
    }
}
