use std::borrow::Cow;

use serde::Deserialize;

use crate::{EventId, EventTime, Head, Source};

/// An event's head as it is in its line. All other fields are skipped unparsed, so that a
/// nested `kind` or `id` is never taken for the event's own.
#[derive(Deserialize)]
pub struct LineHead<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    pub source: Source,
    pub timestamp: EventTime,
}

impl<'a> LineHead<'a> {
    /// Reads the head of a line, given without its line break.
    ///
    /// # Errors
    /// Why the line is not an event, in words.
    pub fn parse(line: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
        // A derived struct would also take its fields from a JSON array.
        if !text.trim_ascii_start().starts_with('{') {
            return Err("it is not a JSON object".to_owned());
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[must_use]
    pub fn to_head(&self) -> Head {
        Head {
            id: EventId(self.id.clone().into_owned()),
            kind: self.kind.clone().into_owned().into(),
            source: self.source,
            timestamp: self.timestamp,
        }
    }
}

impl<'a> From<&'a Head> for LineHead<'a> {
    fn from(head: &'a Head) -> Self {
        Self {
            id: head.id.as_str().into(),
            kind: head.kind.as_ref().into(),
            source: head.source,
            timestamp: head.timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_kind_and_id_do_not_count() {
        let line = br#"{"observation":{"kind":"TerminalObservation","id":"inner"},
            "id":"outer","timestamp":"2026-11-22T19:31:36.000001","source":"environment",
            "extra":[{"kind":"x"}],"kind":"Observ\u0061tionEvent"}"#;
        let head = LineHead::parse(line).unwrap().to_head();
        assert_eq!(
            head,
            Head {
                id: "outer".into(),
                kind: "ObservationEvent".into(),
                source: Source::Environment,
                timestamp: "2026-11-22T19:31:36.000001".parse().unwrap(),
            }
        );
    }

    #[test]
    fn a_line_that_is_not_an_event_is_refused() {
        for line in [
            &b""[..],
            b"{}",
            b"null",
            br#"["1","PauseEvent","user","2026-11-22"]"#,
            br#"{"id":"1","timestamp":"2026-11-22","source":"user","action":{"kind":"X"}}"#,
            br#"{"id":"1","timestamp":"2026-11-22","source":"user","kind":"X"} {}"#,
            br#"{"id":"1","timestamp":"2026-11-22","source":"user","kind":"X","#,
            b"{\"id\":\"1\",\"timestamp\":\"2026-11-22\",\"source\":\"user\",\"kind\":\"X\",\"t\":\"\xff\"}",
        ] {
            let text = String::from_utf8_lossy(line);
            assert!(LineHead::parse(line).is_err(), "{text}");
        }
    }
}
