//! What is typed into a running program: keys by name, or text.
//!
//! | written | typed |
//! |---|---|
//! | `Up`, `Tab`, `F5`, `C-c`, `Down Down Enter` | those keys, and no Enter |
//! | anything else | the text and Enter |
//! | a text that ends with a line feed | the text; the line feed is Enter. So is a key's name typed as a word |
//! | a text that ends with `\c` | the text without Enter |

use std::fmt::Write;

/// Ends a text that is typed without Enter, as in `echo -e`.
const NO_ENTER: &str = "\\c";

/// Names of keys as tmux and other clients have them, in their case or in capitals: words in lower case,
/// such as `end`, are words.
const NAMES: [(&str, Key); 28] = [
    ("Up", Key::Cursor('A')),
    ("Down", Key::Cursor('B')),
    ("Right", Key::Cursor('C')),
    ("Left", Key::Cursor('D')),
    ("Home", Key::Cursor('H')),
    ("End", Key::Cursor('F')),
    ("Insert", Key::Edit(2)),
    ("IC", Key::Edit(2)),
    ("Delete", Key::Edit(3)),
    ("DEL", Key::Edit(3)),
    ("DC", Key::Edit(3)),
    ("PageUp", Key::Edit(5)),
    ("PgUp", Key::Edit(5)),
    ("PPage", Key::Edit(5)),
    ("PageDown", Key::Edit(6)),
    ("PgDn", Key::Edit(6)),
    ("PgDown", Key::Edit(6)),
    ("NPage", Key::Edit(6)),
    ("Tab", Key::Character('\t')),
    ("BTab", Key::BackTab),
    ("Escape", Key::Character('\x1b')),
    ("Esc", Key::Character('\x1b')),
    ("Space", Key::Character(' ')),
    ("Enter", Key::Enter),
    ("Return", Key::Enter),
    ("Backspace", Key::Character('\x7f')),
    ("BSpace", Key::Character('\x7f')),
    ("BS", Key::Character('\x7f')),
];

/// The numbers by which terminals tell of `F5` to `F12`.
const FUNCTION_KEYS: [u8; 8] = [15, 17, 18, 19, 20, 21, 23, 24];

/// What a call types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Keys(Vec<Struck>),
    /// Every line feed is Enter.
    Text(String),
}

/// A key with the modifiers that were held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Struck {
    key: Key,
    control: bool,
    meta: bool,
    shift: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Character(char),
    Enter,
    BackTab,
    /// `CSI letter`; in application mode `SS3 letter`.
    Cursor(char),
    /// `SS3 letter`: F1 to F4.
    Function(char),
    /// `CSI number ~`.
    Edit(u8),
}

/// What the bytes of a key depend on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Modes {
    /// The terminal hands on whole lines, which a line feed ends; other programs get the carriage
    /// return that the Enter key gives.
    pub(super) by_line: bool,
    pub(super) application_cursor: bool,
}

impl Input {
    /// What `text` asks for.
    pub(super) fn read(text: &str) -> Self {
        if let Some(keys) = keys(text) {
            Self::Keys(keys)
        } else if let Some(bare) = text.strip_suffix(NO_ENTER) {
            Self::Text(bare.to_owned())
        } else if text.ends_with('\n') {
            Self::Text(text.to_owned())
        } else {
            Self::Text(format!("{text}\n"))
        }
    }

    /// Whether a program that reads whole lines sees nothing of it yet: keys without a line's end, and
    /// without a control key, which the terminal itself may act on.
    pub(super) fn waits_for_enter(&self) -> bool {
        match self {
            Self::Keys(keys) => !keys
                .iter()
                .any(|struck| struck.key == Key::Enter || struck.control),
            Self::Text(text) => !text.contains('\n'),
        }
    }

    pub(super) fn bytes(&self, modes: Modes) -> String {
        let enter = if modes.by_line { '\n' } else { '\r' };
        match self {
            Self::Keys(keys) => keys.iter().map(|key| key.bytes(modes, enter)).collect(),
            Self::Text(text) => text
                .chars()
                .map(|letter| if letter == '\n' { enter } else { letter })
                .collect(),
        }
    }
}

/// Whether `text` is one key struck with Control held, such as `C-c`.
pub(super) fn is_control_key(text: &str) -> bool {
    text.trim().starts_with("C-")
        && matches!(
            keys(text).as_deref(),
            Some([Struck {
                key: Key::Character(_),
                control: true,
                ..
            }])
        )
}

/// The keys that every word of `text` names. A line feed makes words of them, but not of a lone `C-c`: to
/// type that would be of little use, and not to interrupt a program would be bad.
fn keys(text: &str) -> Option<Vec<Struck>> {
    let lone_control = text.starts_with("C-") && text.split_whitespace().count() == 1;
    if text.ends_with('\n') && !lone_control {
        return None;
    }
    let keys: Vec<Struck> = text
        .split_whitespace()
        .map(Struck::read)
        .collect::<Option<_>>()?;
    (!keys.is_empty()).then_some(keys)
}

impl Struck {
    fn read(name: &str) -> Option<Self> {
        let mut struck = Self {
            key: Key::Enter,
            control: false,
            meta: false,
            shift: false,
        };
        let mut name = name;
        loop {
            let (flag, rest) = match name.split_at_checked(2) {
                Some(("C-", rest)) => (&mut struck.control, rest),
                Some(("M-", rest)) => (&mut struck.meta, rest),
                Some(("S-", rest)) => (&mut struck.shift, rest),
                _ => break,
            };
            if rest.is_empty() || std::mem::replace(flag, true) {
                return None;
            }
            name = rest;
        }
        struck.key = named(name).or_else(|| struck.character(name))?;
        struck.possible()
    }

    /// A single letter is a key only together with Control or Meta: `y` alone is an answer.
    fn character(&self, name: &str) -> Option<Key> {
        let mut letters = name.chars();
        let letter = letters.next()?;
        let single = letters.next().is_none() && !letter.is_control() && !self.shift;
        (single && (self.control || self.meta)).then_some(Key::Character(letter))
    }

    /// The key, unless no terminal has a code for it.
    fn possible(mut self) -> Option<Self> {
        match self.key {
            Key::Character('\t') if self.shift && !self.control => {
                self.key = Key::BackTab;
                self.shift = false;
            }
            Key::Character(letter) => {
                if self.shift || self.control && control(letter).is_none() {
                    return None;
                }
            }
            Key::Enter | Key::BackTab if self.control || self.shift => return None,
            Key::Enter | Key::BackTab | Key::Cursor(_) | Key::Function(_) | Key::Edit(_) => {}
        }
        Some(self)
    }

    fn bytes(&self, modes: Modes, enter: char) -> String {
        // as xterm numbers them
        let held = 1 + u8::from(self.shift) + 2 * u8::from(self.meta) + 4 * u8::from(self.control);
        let mut bytes = String::new();
        let escape = if self.meta { "\x1b" } else { "" };
        let written = match self.key {
            Key::Character(letter) if self.control => {
                write!(bytes, "{escape}{}", control(letter).unwrap_or(letter))
            }
            Key::Character(letter) => write!(bytes, "{escape}{letter}"),
            Key::Enter => write!(bytes, "{escape}{enter}"),
            Key::BackTab => write!(bytes, "{escape}\x1b[Z"),
            Key::Cursor(letter) | Key::Function(letter) if held > 1 => {
                write!(bytes, "\x1b[1;{held}{letter}")
            }
            Key::Cursor(letter) if !modes.application_cursor => write!(bytes, "\x1b[{letter}"),
            Key::Cursor(letter) | Key::Function(letter) => write!(bytes, "\x1bO{letter}"),
            Key::Edit(number) if held > 1 => write!(bytes, "\x1b[{number};{held}~"),
            Key::Edit(number) => write!(bytes, "\x1b[{number}~"),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
        bytes
    }
}

fn named(name: &str) -> Option<Key> {
    let known = NAMES
        .iter()
        .find(|(known, _)| *known == name || known.to_ascii_uppercase() == name);
    if let Some((_, key)) = known {
        return Some(*key);
    }
    let digits = name.strip_prefix('F')?;
    if digits.starts_with(['0', '+']) {
        return None;
    }
    let number: u8 = digits.parse().ok()?;
    match number {
        1..=4 => Some(Key::Function(char::from(b'P' + number - 1))),
        _ => FUNCTION_KEYS
            .get(usize::from(number.checked_sub(5)?))
            .map(|code| Key::Edit(*code)),
    }
}

/// What Control makes of a character.
fn control(letter: char) -> Option<char> {
    match letter.to_ascii_uppercase() {
        ' ' => Some('\0'),
        '?' => Some('\x7f'),
        upper @ '@'..='_' => u8::try_from(upper).ok().map(|code| char::from(code & 0x1f)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> String {
        Input::read(text).bytes(Modes::default())
    }

    #[test]
    fn keys_have_the_bytes_that_terminals_send() {
        for (text, bytes) in [
            ("C-c", "\x03"),
            ("C-D", "\x04"),
            ("C-z", "\x1a"),
            ("C-\\", "\x1c"),
            ("C-@", "\0"),
            ("C-Space", "\0"),
            ("C-x C-c", "\x18\x03"),
            ("C-M-x", "\x1b\x18"),
            ("M-Enter", "\x1b\r"),
            ("M-é", "\x1bé"),
            ("M-C-Up", "\x1b[1;7A"),
            ("S-F1", "\x1b[1;2P"),
            ("C-Delete", "\x1b[3;5~"),
            ("F4", "\x1bOS"),
            ("F5", "\x1b[15~"),
            ("F11", "\x1b[23~"),
            ("ENTER", "\r"),
            ("BTab", "\x1b[Z"),
            (" Up  Up ", "\x1b[A\x1b[A"),
            ("IC DC NPage", "\x1b[2~\x1b[3~\x1b[6~"),
        ] {
            assert_eq!(typed(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn what_names_no_key_is_text() {
        for text in [
            "C-code",
            "C-",
            "C-é",
            "C-1",
            "S-a",
            "M-",
            "C-C-c",
            "F0",
            "F13",
            "F01",
            "F",
            "up",
            "end",
            "delete",
            "space",
            "yes",
            "y",
            "Up and away",
            "Tab,",
            "C-Enter",
            "",
        ] {
            assert_eq!(typed(text), format!("{text}\r"), "{text:?}");
        }
        assert_eq!(typed("Up\n"), "Up\r");
        assert_eq!(typed("\n"), "\r");
        assert_eq!(typed("a\nb"), "a\rb\r");
        assert_eq!(typed("y\\c"), "y");
        assert_eq!(typed("Up\\c"), "Up");
        assert_eq!(typed("y\\c\n"), "y\\c\r");
    }

    #[test]
    fn a_terminal_by_line_gets_line_feeds() {
        let modes = Modes {
            by_line: true,
            application_cursor: true,
        };
        for (text, bytes) in [("a\nb", "a\nb\n"), ("Enter", "\n"), ("Up", "\x1bOA")] {
            assert_eq!(Input::read(text).bytes(modes), bytes);
        }
    }

    #[test]
    fn only_a_single_control_key_goes_without_is_input() {
        for text in ["C-c", " C-d ", "C-Z", "C-c\n"] {
            assert!(is_control_key(text), "{text:?}");
        }
        for text in ["C-x C-c", "Up", "Up\n", "C-Up", "M-x", "C-code", "ls", ""] {
            assert!(!is_control_key(text), "{text:?}");
        }
    }

    #[test]
    fn programs_that_read_lines_wait_for_enter() {
        for (text, waits) in [
            ("Up", true),
            ("y\\c", true),
            ("Space Tab", true),
            ("Down Enter", false),
            ("C-c", false),
            ("y", false),
        ] {
            assert_eq!(Input::read(text).waits_for_enter(), waits, "{text:?}");
        }
    }
}
