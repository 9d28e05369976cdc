//! Halves of surrogate pairs. JSON writes a character beyond U+FFFF as two escapes, and some servers cut a
//! text between them: each half alone is no character, and serde refuses the text it stands in.

use std::borrow::Cow;

use serde_json::Value;

/// A half stands in a text as one of these 2,048 characters, which nobody uses, until its other half is
/// found.
const FIRST_MARK: u32 = 0x0010_F800;
const FIRST_HALF: u32 = 0xD800;
const HALVES: u32 = 0x800;

/// The same JSON, with each half that stands alone as a mark.
pub(super) fn marked(json: &str) -> Cow<'_, str> {
    replaced(json, mark)
}

/// The same JSON, with U+FFFD for each half that stands alone.
pub(super) fn without_halves(json: &str) -> Cow<'_, str> {
    replaced(json, |_| char::REPLACEMENT_CHARACTER)
}

/// Joins halves that were marked; U+FFFD for those that stay alone.
pub(super) fn joined(text: &mut String) {
    if !text.chars().any(|c| half_of(c).is_some()) {
        return;
    }
    let mut joiner = Joiner::default();
    let mut whole = joiner.push(text);
    whole.push_str(&joiner.finish());
    *text = whole;
}

/// [`joined`] for all texts in a value.
pub(super) fn join_all(value: &mut Value) {
    match value {
        Value::String(text) => joined(text),
        Value::Array(items) => items.iter_mut().for_each(join_all),
        Value::Object(fields) => fields.values_mut().for_each(join_all),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Joins the halves of a text that comes in pieces, and holds a first half back until the next piece.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    held: Option<u32>,
}

impl Joiner {
    pub(super) fn push(&mut self, piece: &str) -> String {
        let mut text = String::with_capacity(piece.len());
        for c in piece.chars() {
            match (self.held.take(), half_of(c)) {
                (Some(high), Some(low)) if is_low(low) => text.push(pair(high, low)),
                (held, half) => {
                    text.extend(held.map(|_| char::REPLACEMENT_CHARACTER));
                    match half {
                        Some(half) if !is_low(half) => self.held = Some(half),
                        Some(_) => text.push(char::REPLACEMENT_CHARACTER),
                        None => text.push(c),
                    }
                }
            }
        }
        text
    }

    /// What is left of the text when no piece follows.
    pub(super) fn finish(&mut self) -> String {
        let held = self.held.take().map(|_| char::REPLACEMENT_CHARACTER);
        held.into_iter().collect()
    }
}

fn replaced(json: &str, substitute: impl Fn(u32) -> char) -> Cow<'_, str> {
    const ESCAPE: usize = r"\u0000".len();
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let bytes = json.as_bytes();
    let mut fixed = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match escaped_half(bytes, at) {
            None => at += 2,
            Some(high) if !is_low(high) && escaped_half(bytes, at + ESCAPE).is_some_and(is_low) => {
                at += 2 * ESCAPE;
            }
            Some(half) => {
                fixed.push_str(&json[copied..at]);
                fixed.push(substitute(half));
                at += ESCAPE;
                copied = at;
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    fixed.push_str(&json[copied..]);
    Cow::Owned(fixed)
}

/// The half that an escape at this place stands for, if it does.
fn escaped_half(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    (FIRST_HALF..FIRST_HALF + HALVES)
        .contains(&code)
        .then_some(code)
}

fn is_low(half: u32) -> bool {
    half >= 0xDC00
}

fn mark(half: u32) -> char {
    char::from_u32(FIRST_MARK + half - FIRST_HALF).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn half_of(c: char) -> Option<u32> {
    let offset = (c as u32).checked_sub(FIRST_MARK)?;
    (offset < HALVES).then_some(FIRST_HALF + offset)
}

fn pair(high: u32, low: u32) -> char {
    let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> String {
        serde_json::from_str(&marked(json)).unwrap()
    }

    #[test]
    fn a_half_alone_is_no_character() {
        for (json, text) in [
            (r#""a\ud83db""#, "a\u{fffd}b"),
            (r#""\udc4b""#, "\u{fffd}"),
            (r#""\ud83d\ud83d\udc4b""#, "\u{fffd}👋"),
            (r#""\ud83d\u00e9""#, "\u{fffd}é"),
            (r#""\ud83d\udc4b""#, "👋"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""no \n escape\\""#, "no \n escape\\"),
        ] {
            let mut marked = read(json);
            joined(&mut marked);
            assert_eq!(marked, text, "{json}");
            let whole: String = serde_json::from_str(&without_halves(json)).unwrap();
            assert_eq!(whole, text, "{json}");
        }
    }

    #[test]
    fn halves_in_different_pieces_are_joined() {
        let mut joiner = Joiner::default();
        let pieces = [
            r#""hi \ud83d""#,
            r#""\udc4b!""#,
            r#""\ud83d""#,
            r#""x""#,
            r#""\ud83d""#,
        ];
        let joined: Vec<String> = pieces.map(|piece| joiner.push(&read(piece))).into();
        assert_eq!(joined, ["hi ", "👋!", "", "\u{fffd}x", ""]);
        assert_eq!(joiner.finish(), "\u{fffd}");
    }
}
