//! Conversations and events to store.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use core_model::{
    Draft, EventBody, EventId, EventTime, ExecutionStatus, Message, Metadata, NewRecord, Source,
    Summary, UtcTime, Workspace, WorkspaceKind, event::MessageEvent,
};
use serde_json::json;

/// So many milliseconds after some moment.
pub(super) fn moment(milliseconds: u64) -> UtcTime {
    let start: DateTime<Utc> = "2026-11-30T12:00:00.000001Z".parse().unwrap();
    UtcTime(start + TimeDelta::milliseconds(milliseconds as i64))
}

pub(super) fn event_time(number: u64) -> EventTime {
    moment(number).0.into()
}

/// Of a conversation that is made at [`moment`].
pub(super) fn metadata(milliseconds: u64) -> Metadata {
    let workspace = Workspace {
        working_dir: "/work".to_owned(),
        kind: WorkspaceKind::LocalWorkspace,
    };
    Metadata {
        created_at: moment(milliseconds),
        ..Metadata::new(
            json!({"kind": "Agent", "llm": {"model": "größer"}}),
            workspace,
        )
    }
}

/// Of a log that ends with this event.
pub(super) fn summary(status: ExecutionStatus, number: u64) -> Summary {
    let updated_at = moment(number);
    Summary { status, updated_at }
}

/// The events of a log, of several kinds and sources, some of them the same in every way but the place.
pub(super) fn record(number: u64) -> NewRecord {
    let (source, body) = match number % 4 {
        0 => {
            let text = format!("number {number}: »ü𝄞« \u{2028}\n");
            let message = MessageEvent::new(Message::user(text));
            (Source::User, EventBody::MessageEvent(message))
        }
        1 => {
            let fields =
                json!({"kind": format!("KindToCome{}", number % 3), "deep": {"n": [number]}});
            let fields = fields.as_object().cloned().unwrap();
            (Source::Agent, EventBody::Unknown(fields))
        }
        2 => (
            Source::Agent,
            EventBody::MessageEvent(MessageEvent::new(Message::user(""))),
        ),
        _ => return encode(Draft::state("note", json!({ "n": number })), number),
    };
    encode(Draft::new(source, body), number)
}

pub(super) fn records(numbers: Range<u64>) -> Vec<NewRecord> {
    numbers.map(record).collect()
}

/// One of so many bytes at least.
pub(super) fn large(number: u64, bytes: usize) -> NewRecord {
    let message = MessageEvent::new(Message::user("x".repeat(bytes)));
    let body = EventBody::MessageEvent(message);
    encode(Draft::new(Source::User, body), number)
}

fn encode(mut draft: Draft, number: u64) -> NewRecord {
    draft.id = EventId(format!("event-{number}"));
    NewRecord::encode(&draft.at(event_time(number), None)).unwrap()
}
