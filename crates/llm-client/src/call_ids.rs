use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

/// The longest id of a call, and name of a tool, that providers take, in characters.
const LONGEST: usize = 64;

/// The ids that calls and their results are sent with, in the order of the messages: legal for every
/// provider, and different where two replies used the same. They follow from the messages alone, so a
/// conversation that grows keeps them.
#[derive(Debug, Default)]
pub(crate) struct CallIds {
    /// What the calls without a result so far are sent with, by their stored ids.
    unanswered: HashMap<String, VecDeque<String>>,
    taken: HashSet<String>,
}

impl CallIds {
    /// The id of a call.
    pub(crate) fn of_call(&mut self, stored: &str) -> String {
        let mut sent = legal_id(stored).into_owned();
        let mut use_count = 1_u64;
        while !self.taken.insert(sent.clone()) {
            use_count += 1;
            sent = shortened(stored, &format!("{stored}#{use_count}"));
        }
        let calls = self.unanswered.entry(stored.to_owned()).or_default();
        calls.push_back(sent.clone());
        sent
    }

    /// The id of the call that a result belongs to: the first one with this stored id that has none.
    pub(crate) fn of_result(&mut self, stored: &str) -> String {
        let calls = self.unanswered.get_mut(stored);
        let call = calls.and_then(VecDeque::pop_front);
        call.unwrap_or_else(|| legal_id(stored).into_owned())
    }
}

/// The id itself when it is 1 to 64 ASCII letters, digits, `_` and `-`; else one made from it, always
/// the same.
pub(crate) fn legal_id(id: &str) -> Cow<'_, str> {
    if is_legal(id) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(shortened(id, id))
    }
}

/// A tool's name as providers take it in a call: one that a model invented may hold anything.
pub(crate) fn legal_name(name: &str) -> Cow<'_, str> {
    if is_legal(name) {
        return Cow::Borrowed(name);
    }
    let legal: String = name.chars().map(legal_char).take(LONGEST).collect();
    Cow::Owned(if legal.is_empty() {
        "unknown".to_owned()
    } else {
        legal
    })
}

/// The start of `text` in legal characters, and a hash of `whole` that keeps different ones apart.
fn shortened(text: &str, whole: &str) -> String {
    const HASH_DIGITS: usize = 16;
    let start = text.chars().map(legal_char).take(LONGEST - HASH_DIGITS - 1);
    let start: String = start.collect();
    format!("{start}_{:0HASH_DIGITS$x}", fnv1a(whole))
}

fn is_legal(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.chars().all(|c| legal_char(c) == c)
}

fn legal_char(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '-' {
        c
    } else {
        '_'
    }
}

/// FNV-1a, because the standard library's hash may change with its version, and ids must not.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legal_id_stays_and_any_other_becomes_one() {
        let longest = "a".repeat(64);
        for id in ["call_1", "toolu-01AbC", "0", longest.as_str()] {
            assert_eq!(legal_id(id), id);
        }
        let long = format!("call_abc|fc_{}", "x".repeat(450));
        let longer = format!("{long}x");
        let foreign = ["", "a b", "call_1|fc_1", "call_1/fc_1", "é", &long, &longer];
        let sent: HashSet<String> = foreign.map(|id| legal_id(id).into_owned()).into();
        assert_eq!(sent.len(), foreign.len(), "{sent:?}");
        for id in &sent {
            assert!(is_legal(id), "{id}");
        }
        assert_eq!(legal_id("call_1|fc_1"), legal_id("call_1|fc_1"));
    }

    #[test]
    fn an_id_used_again_by_a_later_reply_is_another_one() {
        let mut ids = CallIds::default();
        let first = ids.of_call("call_0");
        assert_eq!(
            (first.as_str(), ids.of_result("call_0")),
            ("call_0", first.clone())
        );
        let (second, third) = (ids.of_call("call_0"), ids.of_call("call_0"));
        assert_eq!(
            [ids.of_result("call_0"), ids.of_result("call_0")],
            [second.clone(), third]
        );
        assert!(second != first && is_legal(&second), "{second}");
        // What one conversation sends does not depend on another, or on what follows.
        let mut again = CallIds::default();
        assert_eq!(
            [again.of_call("call_0"), again.of_call("call_0")],
            [first, second]
        );
        assert_eq!(again.of_result("never|called"), legal_id("never|called"));
    }

    #[test]
    fn an_invented_name_becomes_a_legal_one() {
        assert_eq!(legal_name("terminal"), "terminal");
        assert_eq!(legal_name("functions.terminal"), "functions_terminal");
        assert_eq!(legal_name(&"ls -la; ".repeat(40)).len(), 64);
        assert_eq!(legal_name(""), "unknown");
    }
}
