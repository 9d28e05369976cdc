use core_model::EventTime;

/// To the second, as people write it: `2026-11-22 19:31:36`.
pub(super) fn time(time: EventTime) -> String {
    let text = time.to_string();
    let seconds = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, _)| whole);
    seconds.replacen('T', " ", 1)
}

/// `1 line`, `2 lines`.
pub(super) fn counted(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {one}{s}")
}

pub(super) fn size(bytes: usize) -> String {
    const UNITS: [&str; 3] = ["kB", "MB", "GB"];
    if bytes < 1000 {
        return counted(bytes as u64, "byte");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// The last line of a transcript.
pub(super) fn closing(events: u64, damaged: u64) -> String {
    let mut text = counted(events, "event");
    if damaged > 0 {
        text.push_str(&format!(", {} left out", counted(damaged, "damaged line")));
    }
    text.push_str(". Times are UTC.");
    text
}

/// With every control character but tab and line feed as the picture Unicode has for it: a
/// transcript is often shown in a terminal, which would obey them, and no page may hold them. A
/// carriage return before a line feed goes.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\t' | '\n' => shown.push(character),
            '\r' if rest.peek() == Some(&'\n') => {}
            '\u{0}'..='\u{1f}' => {
                shown.extend(char::from_u32(0x2400 + u32::from(character)));
            }
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}' => shown.push(char::REPLACEMENT_CHARACTER),
            // Would let text pose as other text.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.push(char::REPLACEMENT_CHARACTER);
            }
            _ => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(
            printable("a\r\nb\tc\u{1b}[31m\u{7f}\u{9b}ü\u{202e}"),
            "a\nb\tc\u{241b}[31m\u{2421}\u{fffd}ü\u{fffd}"
        );
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_250, "1.2 kB"),
            (3_000_000, "3.0 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        assert_eq!(
            time("2026-11-22T19:31:36.469689".parse().unwrap()),
            "2026-11-22 19:31:36"
        );
    }
}
