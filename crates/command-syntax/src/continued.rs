//! Lines that are continued within a word, which the grammar takes for two words.

/// The text with its lines joined, if a backslash at the end of a line stands within a word. The shell
/// removes those before it looks for words.
pub(crate) fn joined(source: &str) -> Option<String> {
    let bytes = source.as_bytes();
    let within_word = |at: usize| {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let after = bytes.get(at + 2);
        let is_word = |byte: &u8| !byte.is_ascii_whitespace();
        before.as_ref().is_some_and(is_word) && after.is_some_and(is_word)
    };
    let mut breaks = source.match_indices("\\\n");
    let any = breaks.any(|(at, _)| within_word(at));
    any.then(|| source.replace("\\\n", ""))
}
