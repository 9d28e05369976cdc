//! Turns what programs write to a terminal into plain text: escape sequences go, a carriage return
//! overwrites its line, bytes that are no UTF-8 become U+FFFD.

/// A line is cut when it gets longer, in bytes; a carriage return does not reach behind the cut.
const LINE_LIMIT: usize = 32 * 1024;
/// The furthest one escape sequence moves the cursor, in columns.
const FURTHEST: usize = 1000;

// What a line in progress keeps besides text.
const CARRIAGE_RETURN: u8 = b'\r';
const BACKSPACE: u8 = 0x08;
const ERASE_TO_END: u8 = 0x0b;
const ERASE_LINE: u8 = 0x0c;
const FORWARD: u8 = 0x0e;

/// The text of a stream that comes in arbitrary chunks. Movements across lines are ignored.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    state: State,
    /// The line in progress: text and the controls named above.
    line: Vec<u8>,
}

/// Where in an escape sequence the stream is (ECMA-48).
#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    /// After `ESC` and an intermediate byte: one final byte is to come.
    Intermediate,
    /// In a control sequence, with its parameter bytes.
    Control(Vec<u8>),
    /// In an OSC, DCS, APC, PM or SOS string.
    Text,
    /// In such a string, after `ESC`.
    TextEscape,
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
            self.step(first);
            self.limit_line(text);
            bytes = &bytes[1..];
        }
    }

    /// Appends the line in progress; what follows starts a new one.
    pub(super) fn flush(&mut self, text: &mut String) {
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
        self.flush(text);
        // only the first line can hold controls
        text.push_str(&String::from_utf8_lossy(&lines[first..]));
        self.line.extend_from_slice(rest);
        self.limit_line(text);
    }

    fn step(&mut self, byte: u8) {
        self.state = match std::mem::take(&mut self.state) {
            State::Ground => match byte {
                0x1b => State::Escape,
                CARRIAGE_RETURN | BACKSPACE => {
                    self.line.push(byte);
                    State::Ground
                }
                _ => State::Ground,
            },
            State::Escape => match byte {
                0x1b => State::Escape,
                b'[' => State::Control(Vec::new()),
                b']' | b'P' | b'X' | b'^' | b'_' => State::Text,
                0x20..=0x2f => State::Intermediate,
                _ => State::Ground,
            },
            State::Intermediate => match byte {
                0x1b => State::Escape,
                0x20..=0x2f => State::Intermediate,
                _ => State::Ground,
            },
            State::Control(mut parameters) => match byte {
                0x1b => State::Escape,
                0x20..=0x3f => {
                    if parameters.len() < 64 {
                        parameters.push(byte);
                    }
                    State::Control(parameters)
                }
                _ => {
                    self.control(byte, &parameters);
                    State::Ground
                }
            },
            State::Text => match byte {
                0x1b => State::TextEscape,
                0x07 => State::Ground,
                _ => State::Text,
            },
            State::TextEscape => match byte {
                b'\\' => State::Ground,
                0x1b => State::TextEscape,
                _ => State::Text,
            },
        };
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
            _ => {}
        }
    }

    /// Keeps the line in progress short: a progress bar is drawn anew, a long text is let go.
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
        cleaner.flush(&mut text);
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
        cleaner.flush(&mut text);
        assert!(text == long, "text differs");

        let bar = "downloading 12 %\r".repeat(LINE_LIMIT);
        assert_eq!(clean_in_chunks(bar.as_bytes(), 4096), "downloading 12 %");
    }
}
