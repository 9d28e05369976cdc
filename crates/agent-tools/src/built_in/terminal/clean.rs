//! Turns what programs write to a terminal into plain text: escape sequences go, a carriage return
//! overwrites its line, bytes that are no UTF-8 become U+FFFD.
//!
//! A sequence that its program never finished, because it was cut or killed, hides nothing that
//! follows: it ends with the line, with the command, or when it gets too long, and what an unfinished
//! string held is shown.

/// A line is cut when it gets longer, in bytes; a carriage return does not reach behind the cut.
const LINE_LIMIT: usize = 32 * 1024;
/// The furthest one escape sequence moves the cursor, in columns.
const FURTHEST: usize = 1000;
/// A longer title, link or other string of a sequence is taken for text, in bytes.
const STRING_LIMIT: usize = 8 * 1024;
/// A longer control sequence is not one, in bytes.
const CONTROL_LIMIT: usize = 64;
/// No sequence has more intermediate bytes.
const INTERMEDIATE_LIMIT: u8 = 3;

// What a line in progress keeps besides text.
const CARRIAGE_RETURN: u8 = b'\r';
const BACKSPACE: u8 = 0x08;
const ERASE_TO_END: u8 = 0x0b;
const ERASE_LINE: u8 = 0x0c;
const FORWARD: u8 = 0x0e;

const BELL: u8 = 0x07;
/// Ends the sequence it comes in, without effect.
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;

/// The text of a stream that comes in arbitrary chunks. Movements across lines are ignored.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    state: State,
    /// The line in progress: text and the controls named above.
    line: Vec<u8>,
    application_cursor: bool,
}

/// Where in an escape sequence the stream is (ECMA-48).
#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    /// After `ESC` and so many intermediate bytes: one final byte is to come.
    Intermediate(u8),
    /// In a control sequence, with its parameter bytes.
    Control(Vec<u8>),
    /// In an OSC, DCS, APC, PM or SOS string, with what came after its `ESC`.
    Text(Vec<u8>),
    /// In such a string, after another `ESC`.
    TextEscape(Vec<u8>),
}

impl Cleaner {
    /// Appends to `text` what `bytes` complete: whole lines.
    pub(super) fn push(&mut self, mut bytes: &[u8], text: &mut String) {
        while let Some(first) = bytes.first().copied() {
            if let State::Ground = self.state {
                let run = bytes.iter().position(|byte| !is_plain(*byte));
                let (plain, rest) = bytes.split_at(run.unwrap_or(bytes.len()));
                if !plain.is_empty() {
                    self.plain(plain, text);
                    bytes = rest;
                    continue;
                }
            }
            if self.step(first) {
                bytes = &bytes[1..];
            }
            self.limit_line(text);
        }
    }

    /// Appends the line in progress; what follows starts a new one. A letter of which only the first
    /// bytes are there waits for the others.
    pub(super) fn flush(&mut self, text: &mut String) {
        let whole = self.line.len() - incomplete_tail(&self.line);
        let tail = self.line.split_off(whole);
        self.end_line(text);
        self.line = tail;
    }

    /// Appends what is left: nothing more comes of what was written so far.
    pub(super) fn end(&mut self, text: &mut String) {
        match std::mem::take(&mut self.state) {
            State::Text(held) | State::TextEscape(held) => self.show(&held),
            State::Ground | State::Escape | State::Intermediate(_) | State::Control(_) => {}
        }
        self.end_line(text);
        self.application_cursor = false;
    }

    /// Whether the program asked for the other form of arrow keys (DECCKM).
    pub(super) fn application_cursor(&self) -> bool {
        self.application_cursor
    }

    fn end_line(&mut self, text: &mut String) {
        text.push_str(&resolve(&std::mem::take(&mut self.line)).text());
    }

    /// Takes text, tabs and line feeds.
    fn plain(&mut self, bytes: &[u8], text: &mut String) {
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(bytes);
            self.limit_line(text);
            return;
        };
        let (lines, rest) = bytes.split_at(last + 1);
        let first = lines.iter().position(|byte| *byte == b'\n').unwrap_or(last);
        self.line.extend_from_slice(&lines[..first]);
        self.end_line(text);
        // only the first line can hold controls
        text.push_str(&String::from_utf8_lossy(&lines[first..]));
        self.line.extend_from_slice(rest);
        self.limit_line(text);
    }

    /// Takes a byte that is no plain text, or within a sequence. `false` when it only ended that
    /// sequence, and is to be looked at again.
    fn step(&mut self, byte: u8) -> bool {
        let (state, taken) = match std::mem::take(&mut self.state) {
            State::Ground => match byte {
                ESCAPE => (State::Escape, true),
                CARRIAGE_RETURN | BACKSPACE => {
                    self.line.push(byte);
                    (State::Ground, true)
                }
                _ => (State::Ground, true),
            },
            State::Escape => match byte {
                ESCAPE => (State::Escape, true),
                b'[' => (State::Control(Vec::new()), true),
                b']' | b'P' | b'X' | b'^' | b'_' => (State::Text(vec![byte]), true),
                0x20..=0x2f => (State::Intermediate(1), true),
                0x30..=0x7e => {
                    // a full reset
                    self.application_cursor &= byte != b'c';
                    (State::Ground, true)
                }
                _ => (State::Ground, false),
            },
            State::Intermediate(count) => match byte {
                0x20..=0x2f if count < INTERMEDIATE_LIMIT => (State::Intermediate(count + 1), true),
                0x30..=0x7e => (State::Ground, true),
                _ => (State::Ground, false),
            },
            State::Control(mut parameters) => match byte {
                0x20..=0x3f if parameters.len() < CONTROL_LIMIT => {
                    parameters.push(byte);
                    (State::Control(parameters), true)
                }
                0x40..=0x7e => {
                    self.control(byte, &parameters);
                    (State::Ground, true)
                }
                _ => (State::Ground, false),
            },
            State::Text(mut held) => match byte {
                ESCAPE => (State::TextEscape(held), true),
                BELL => (State::Ground, true),
                b'\n' | CARRIAGE_RETURN | CANCEL | SUBSTITUTE => {
                    self.show(&held);
                    (State::Ground, false)
                }
                _ if held.len() >= STRING_LIMIT => {
                    self.show(&held);
                    (State::Ground, false)
                }
                _ => {
                    held.push(byte);
                    (State::Text(held), true)
                }
            },
            State::TextEscape(held) => match byte {
                b'\\' => (State::Ground, true),
                _ => {
                    self.show(&held);
                    (State::Escape, false)
                }
            },
        };
        self.state = state;
        taken
    }

    /// Takes for text what a string held that was never finished.
    fn show(&mut self, held: &[u8]) {
        let plain = |byte: &&u8| is_plain(**byte);
        self.line.extend(held.iter().filter(plain));
    }

    /// The control sequences that move within or erase a line.
    fn control(&mut self, last: u8, parameters: &[u8]) {
        let number: Option<usize> = std::str::from_utf8(parameters)
            .ok()
            .and_then(|digits| digits.parse().ok());
        let count = number.unwrap_or(1).clamp(1, FURTHEST);
        match last {
            b'K' => match number.unwrap_or(0) {
                0 => self.line.push(ERASE_TO_END),
                2 => self.line.push(ERASE_LINE),
                _ => {}
            },
            b'C' => self.line.extend(std::iter::repeat_n(FORWARD, count)),
            b'D' => self.line.extend(std::iter::repeat_n(BACKSPACE, count)),
            b'G' => {
                self.line.push(CARRIAGE_RETURN);
                self.line.extend(std::iter::repeat_n(FORWARD, count - 1));
            }
            b'h' | b'l' if has_mode(parameters, b"1") => self.application_cursor = last == b'h',
            // a soft reset
            b'p' if parameters == b"!" => self.application_cursor = false,
            _ => {}
        }
    }

    /// Keeps the line in progress short: a progress bar is redrawn, a long text is passed on.
    fn limit_line(&mut self, text: &mut String) {
        if self.line.len() <= LINE_LIMIT {
            return;
        }
        let whole = self.line.len() - incomplete_tail(&self.line);
        let tail = self.line.split_off(whole);
        let drawn = resolve(&self.line);
        self.line.clear();
        let line = drawn.text();
        if line.len() > LINE_LIMIT / 4 {
            text.push_str(&line);
        } else {
            // the same cells, and the cursor where it was
            self.line.extend_from_slice(line.as_bytes());
            self.line.push(CARRIAGE_RETURN);
            self.line.extend(std::iter::repeat_n(
                FORWARD,
                drawn.column.min(LINE_LIMIT / 4),
            ));
        }
        self.line.extend(tail);
    }
}

fn is_plain(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\n' || byte == b'\t'
}

/// Whether a private mode is among those that a sequence sets or resets.
fn has_mode(parameters: &[u8], mode: &[u8]) -> bool {
    parameters
        .strip_prefix(b"?")
        .is_some_and(|modes| modes.split(|byte| *byte == b';').any(|it| it == mode))
}

/// The length of a UTF-8 sequence that `bytes` ends within.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for length in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - length];
        let needed = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x80..=0xbf => continue,
            _ => 1,
        };
        return if needed > length { length } else { 0 };
    }
    0
}

struct Drawn {
    cells: Vec<char>,
    column: usize,
}

impl Drawn {
    fn text(&self) -> String {
        self.cells.iter().collect()
    }

    fn put(&mut self, letter: char) {
        if self.cells.len() < self.column {
            self.cells.resize(self.column, ' ');
        }
        match self.cells.get_mut(self.column) {
            Some(cell) => *cell = letter,
            None => self.cells.push(letter),
        }
        self.column += 1;
    }
}

/// Draws one line.
fn resolve(line: &[u8]) -> Drawn {
    let mut drawn = Drawn {
        cells: Vec::new(),
        column: 0,
    };
    for letter in String::from_utf8_lossy(line).chars() {
        match u8::try_from(letter).unwrap_or(b' ') {
            CARRIAGE_RETURN => drawn.column = 0,
            BACKSPACE => drawn.column = drawn.column.saturating_sub(1),
            ERASE_TO_END => drawn.cells.truncate(drawn.column),
            ERASE_LINE => drawn.cells.clear(),
            FORWARD => drawn.column += 1,
            _ => drawn.put(letter),
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(bytes: &[u8]) -> String {
        let whole = clean_in_chunks(bytes, bytes.len().max(1));
        for size in 1..bytes.len().min(20) {
            assert_eq!(clean_in_chunks(bytes, size), whole, "chunks of {size}");
        }
        whole
    }

    fn clean_in_chunks(bytes: &[u8], size: usize) -> String {
        let (mut cleaner, mut text) = (Cleaner::default(), String::new());
        for chunk in bytes.chunks(size) {
            cleaner.push(chunk, &mut text);
        }
        cleaner.end(&mut text);
        text
    }

    #[test]
    fn escapes_go_and_text_stays() {
        assert_eq!(clean(b"a\x1b[31;1mred\x1b[0m b\tc\n"), "ared b\tc\n");
        assert_eq!(clean(b"\x1b]0;title\x07x\x1b]8;;u\x1b\\y"), "xy");
        assert_eq!(clean(b"\x1b(B\x1b=\x1b[?25lz\x07\0\x7f"), "z");
        assert_eq!(clean("naïve 😀 œ\n".as_bytes()), "naïve 😀 œ\n");
    }

    #[test]
    fn an_unfinished_sequence_hides_nothing_that_follows() {
        for introducer in ["]", "P", "X", "^", "_"] {
            let cut = |end: &str| clean(format!("a\x1b{introducer}8;;file{end}").as_bytes());
            let shown = format!("a{introducer}8;;file");
            assert_eq!(cut(""), shown);
            assert_eq!(cut("\x1b"), shown);
            assert_eq!(cut("\nhello\n"), format!("{shown}\nhello\n"));
            assert_eq!(cut("\x18b"), format!("{shown}b"));
            assert_eq!(cut("\x1b[1mb"), format!("{shown}b"));
            assert_eq!(cut("\rb\n"), format!("b{}\n", &shown[1..]));
            assert_eq!(cut("\x1b\\b"), "ab");
        }
        for cut in ["\x1b", "\x1b[", "\x1b[31", "\x1b(", "\x1b[?1;"] {
            assert_eq!(clean(format!("a{cut}\nhello\n").as_bytes()), "a\nhello\n");
            assert_eq!(clean(format!("a{cut}\x1b[0mb").as_bytes()), "ab");
            assert_eq!(clean(format!("a{cut}é").as_bytes()), "aé");
        }
    }

    #[test]
    fn an_endless_sequence_is_text() {
        let (digits, letters) = ("1".repeat(100_000), "x".repeat(100_000));
        let shown = clean_in_chunks(format!("\x1b]{letters}").as_bytes(), 4096);
        assert!(shown == format!("]{letters}"), "text differs");
        let shown = clean_in_chunks(format!("\x1b[{digits}").as_bytes(), 4096);
        assert_eq!(shown.len(), digits.len() - CONTROL_LIMIT);
        let spaces = " ".repeat(100);
        let shown = clean(format!("\x1b{spaces}x").as_bytes());
        assert_eq!(shown.len(), 101 - usize::from(INTERMEDIATE_LIMIT));
    }

    #[test]
    fn a_letter_in_two_reads_is_one_though_looked_at_in_between() {
        let (mut cleaner, mut text) = (Cleaner::default(), String::new());
        for half in [b"a\xc3".as_slice(), b"\xa4b"] {
            cleaner.push(half, &mut text);
            cleaner.flush(&mut text);
        }
        assert_eq!(text, "aäb");
        cleaner.push(b"\xf0\x9f", &mut text);
        cleaner.end(&mut text);
        assert_eq!(text, "aäb\u{fffd}");
    }

    #[test]
    fn the_form_of_arrow_keys_is_known_until_the_end() {
        let mut cleaner = Cleaner::default();
        let mut after = |bytes: &[u8]| {
            cleaner.push(bytes, &mut String::new());
            cleaner.application_cursor()
        };
        assert!(!after(b"x"));
        assert!(after(b"\x1b[?1h"));
        assert!(after(b"\x1b[?12;25h\x1b[1l"));
        assert!(!after(b"\x1b[?25;1l"));
        for reset in ["\x1bc", "\x1b[!p"] {
            assert!(after(b"\x1b[?1h"));
            assert!(!after(reset.as_bytes()));
        }
        assert!(after(b"\x1b[?1h"));
        cleaner.end(&mut String::new());
        assert!(!cleaner.application_cursor());
    }

    #[test]
    fn carriage_returns_overwrite() {
        assert_eq!(clean(b"dos\r\nline\r\r\n"), "dos\nline\n");
        assert_eq!(clean(b" 10%\r 50%\r100%\ndone\n"), "100%\ndone\n");
        assert_eq!(clean(b"downloading\rdone"), "doneloading");
        assert_eq!(clean(b"downloading\r\x1b[Kdone"), "done");
        assert_eq!(clean(b"downloading\x1b[2K\rdone"), "done");
        assert_eq!(clean("äöü\rx".as_bytes()), "xöü");
        assert_eq!(clean(b"abc\x08\x08X\x1b[2Cd\x1b[1Ge"), "eXc d");
    }

    #[test]
    fn invalid_bytes_become_replacement_characters() {
        assert_eq!(
            clean(b"a\xffb\xc3\n\xf0\x9f"),
            "a\u{fffd}b\u{fffd}\n\u{fffd}"
        );
    }

    #[test]
    fn a_line_without_end_keeps_its_text_and_not_memory() {
        let long = "é".repeat(LINE_LIMIT * 3);
        let (mut cleaner, mut text) = (Cleaner::default(), String::new());
        for chunk in long.as_bytes().chunks(4095) {
            cleaner.push(chunk, &mut text);
            assert!(cleaner.line.len() <= LINE_LIMIT);
        }
        cleaner.end(&mut text);
        assert!(text == long, "text differs");

        let bar = "downloading 12 %\r".repeat(LINE_LIMIT);
        assert_eq!(clean_in_chunks(bar.as_bytes(), 4096), "downloading 12 %");
    }
}
