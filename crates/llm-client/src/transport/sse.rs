/// Takes a stream of bytes, cut anywhere, apart into the data of server-sent events (WHATWG HTML,
/// "Server-sent events"). Event names, ids and comments are dropped: all formats repeat in the data what
/// they say.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    /// The data lines of the event being read; `None` before its first.
    data: Option<String>,
    after_carriage_return: bool,
    past_first_line: bool,
}

impl SseParser {
    /// The data of each event that these bytes complete, in order.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for &byte in bytes {
            let second_of_pair = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            match byte {
                b'\n' if second_of_pair => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                other => self.line.push(other),
            }
        }
        events
    }

    /// What an event held whose closing blank line never came.
    pub(super) fn finish(mut self) -> Option<String> {
        self.end_line().or(self.data)
    }

    /// Lines are decoded whole, so a character cut by the transport is whole again here.
    fn end_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = if std::mem::replace(&mut self.past_first_line, true) {
            &line
        } else {
            line.trim_start_matches('\u{feff}')
        };
        if line.is_empty() {
            return self.data.take();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> (Vec<String>, Option<String>) {
        let mut parser = SseParser::default();
        let events = parser.push(text.as_bytes());
        (events, parser.finish())
    }

    #[test]
    fn every_line_ending_ends_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["data: a", "", "data: b", "", ""].join(end);
            assert_eq!(events(&text), (vec!["a".into(), "b".into()], None));
        }
    }

    #[test]
    fn data_lines_join_and_the_rest_is_dropped() {
        let text = "\u{feff}: hello\nevent: x\ndata:one\ndata:  two\nid: 3\ndata\n\n\n: ping\n\n";
        assert_eq!(events(text), (vec!["one\n two\n".into()], None));
    }

    #[test]
    fn an_event_without_its_blank_line_is_found_at_the_end() {
        assert_eq!(
            events("data: a\n\ndata: b\ndata: c"),
            (vec!["a".into()], Some("b\nc".into()))
        );
        assert_eq!(events("data: a\n\n"), (vec!["a".into()], None));
    }
}
