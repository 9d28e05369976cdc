//! Ids and names of calls in a form that providers take.

use std::borrow::Cow;

use crate::adjustments::fingerprint;

/// The longest id or name that every provider takes, in bytes.
const LONGEST: usize = 64;
const SHORT_ID: usize = 9;
/// For a call without a name that can be sent.
const NAMELESS: &str = "unknown_tool";

/// Letters, digits, `_` and `-`, at most 64.
pub(crate) fn is_legal(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(fits)
}

/// The same id if every provider takes it, else one that stands for it and always will.
pub(crate) fn legal_id(id: &str) -> Cow<'_, str> {
    if is_legal(id) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("call_{:016x}", fingerprint(&id)))
}

/// Nine letters and digits that stand for an id: itself if it is like that.
pub(crate) fn short_id(id: &str) -> Cow<'_, str> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == SHORT_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let mut rest = fingerprint(&id);
    let digits = std::iter::repeat_with(|| {
        let digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
        char::from(digit)
    });
    Cow::Owned(digits.take(SHORT_ID).collect())
}

/// The name of a tool as every provider takes it: what cannot be sent becomes `_`, and the end of a name
/// that is too long is cut off.
pub(crate) fn legal_name(name: &str) -> Cow<'_, str> {
    if is_legal(name) {
        return Cow::Borrowed(name);
    }
    let mut legal = String::new();
    for c in name.trim().chars() {
        if legal.len() == LONGEST {
            break;
        }
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
            legal.push(c);
        } else if !legal.ends_with('_') {
            legal.push('_');
        }
    }
    let legal = legal.trim_matches('_');
    Cow::Owned(if legal.is_empty() { NAMELESS } else { legal }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_cannot_be_sent_are_replaced_always_by_the_same() {
        for id in ["call_0", "toolu_01-x", &"a".repeat(64)] {
            assert_eq!(legal_id(id), id);
        }
        for id in [
            "",
            "functions.terminal:0",
            "fc_1|rs_2",
            "é",
            &"a".repeat(65),
        ] {
            let legal = legal_id(id);
            assert!(is_legal(&legal), "{id}: {legal}");
            assert_eq!(legal, legal_id(id));
        }
        assert_ne!(legal_id("a.1"), legal_id("a.2"));
    }

    #[test]
    fn short_ids_are_nine_letters_and_digits() {
        assert_eq!(short_id("D681PevKs"), "D681PevKs");
        for id in ["", "call_0", "call_1", "call-0123", &"x".repeat(99)] {
            let short = short_id(id);
            assert_eq!(short.len(), 9, "{short}");
            assert!(short.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(short, short_id(id));
        }
        assert_ne!(short_id("call_0"), short_id("call_1"));
    }

    #[test]
    fn names_that_cannot_be_sent_keep_what_can_be() {
        assert_eq!(legal_name("file_editor"), "file_editor");
        assert_eq!(legal_name("ls -la | head"), "ls_-la_head");
        assert_eq!(legal_name("a<|channel|>b"), "a_channel_b");
        assert_eq!(legal_name("日本"), "unknown_tool");
        assert_eq!(legal_name(""), "unknown_tool");
        let long = legal_name(&"echo hello; ".repeat(30)).into_owned();
        assert!(is_legal(&long), "{long}");
    }
}
