//! Text for the parser, which reads beyond its tables at characters that are not ASCII (`tree-sitter-bash`
//! 0.25.1: `isdigit` of any code point), and takes some of them for spaces, which no shell does.

use std::borrow::Cow;

/// Stands around the number of a character.
const MARK: char = '\u{1}';

/// The text with other characters written as numbers, and whether it can be told back.
pub(crate) fn encode(source: &str) -> (Cow<'_, str>, bool) {
    let is_plain = |char: char| char.is_ascii() && char != MARK && char != '\0';
    if source.chars().all(is_plain) {
        return (Cow::Borrowed(source), true);
    }
    let mut encoded = String::with_capacity(source.len() * 2);
    for char in source.chars() {
        if is_plain(char) {
            encoded.push(char);
        } else {
            encoded.push_str(&format!("{MARK}{:x}{MARK}", u32::from(char)));
        }
    }
    // A shell leaves these out, or stops there.
    (Cow::Owned(encoded), !source.contains([MARK, '\0']))
}

/// The text that [`encode`] was given.
pub(crate) fn decode(text: String) -> String {
    if !text.contains(MARK) {
        return text;
    }
    let mut decoded = String::with_capacity(text.len());
    for (index, part) in text.split(MARK).enumerate() {
        let is_number = index % 2 == 1;
        let char = u32::from_str_radix(part, 16).ok().and_then(char::from_u32);
        match char.filter(|_| is_number) {
            Some(char) => decoded.push(char),
            None => decoded.push_str(part),
        }
    }
    decoded
}
