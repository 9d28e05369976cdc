use chrono::{DateTime, Utc};
use core_model::{EventId, EventTime, Head, NewRecord, Source};
use uuid::Uuid;

/// One event in a thousand is of this kind.
pub(crate) const RARE: &str = "PauseEvent";

/// The head of the event with this number: each has another id, and times increase.
pub(crate) fn head(number: usize) -> Head {
    let (kind, source) = match number % 1000 {
        999 => (RARE, Source::User),
        last => match last % 3 {
            0 => ("MessageEvent", Source::User),
            1 => ("ActionEvent", Source::Agent),
            _ => ("ObservationEvent", Source::Environment),
        },
    };
    let micros = 1_790_000_000_000_000 + number as i64 * 1000;
    let time: DateTime<Utc> = DateTime::from_timestamp_micros(micros).unwrap();
    // Spread like random ones.
    let id = (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Head {
        id: EventId(Uuid::from_u128(id).to_string()),
        kind: kind.into(),
        source,
        timestamp: EventTime::from(time),
    }
}

/// A line of so many bytes, its line break not counted.
pub(crate) fn line(head: &Head, bytes: usize) -> String {
    let source = match head.source {
        Source::Agent => "agent",
        Source::User => "user",
        Source::Environment => "environment",
        Source::Hook => "hook",
    };
    let start = format!(
        r#"{{"id":"{}","timestamp":"{}","source":"{source}","llm_message":{{"role":"user","content":[{{"cache_prompt":false,"type":"text","text":""#,
        head.id, head.timestamp,
    );
    let end = format!(r#""}}]}},"kind":"{}"}}"#, head.kind);
    let text = bytes.saturating_sub(start.len() + end.len());
    format!(
        "{start}{}{end}",
        "words and ".repeat(text.div_ceil(10)).split_at(text).0
    )
}

pub(crate) fn record(number: usize, bytes: usize) -> NewRecord {
    let head = head(number);
    let bytes = line(&head, bytes).into();
    NewRecord { head, bytes }
}
