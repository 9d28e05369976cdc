//! Titles as text: out of a model's reply, or out of a message.

/// What models write thoughts between, where their server leaves them in.
const THOUGHTS: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[think]", "[/think]"),
];
/// Pairs that a whole title may stand between.
const AROUND: [(char, char); 8] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('*', '*'),
    ('_', '_'),
    ('“', '”'),
    ('„', '“'),
    ('«', '»'),
];
const FENCE: &str = "```";

/// The title in a model's reply: its first line that says something, without thoughts, marks around it and
/// what announces it. None when there is none.
pub(super) fn of_reply(reply: &str, max_chars: usize) -> Option<String> {
    let said = without_thoughts(reply);
    let title = lines(&said)
        .map(|line| bare(&line))
        .find(|line| says_something(line))?;
    Some(shortened(&title, max_chars))
}

/// The first line of a message that says something.
pub(super) fn of_message(message: &str, max_chars: usize) -> String {
    let line = lines(message).find(|line| says_something(line));
    let title = line.unwrap_or_else(|| one_line(message));
    shortened(&title, max_chars)
}

fn says_something(line: &str) -> bool {
    line.chars().any(|c| !c.is_whitespace() && !c.is_control())
}

/// The lines as text, without fences of code.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let fence = |line: &&str| line.trim_start().starts_with(FENCE);
    text.split(['\n', '\r', '\u{2028}', '\u{2029}'])
        .filter(move |line| !fence(line))
        .map(one_line)
}

/// Without control characters, and with single spaces.
fn one_line(text: &str) -> String {
    let plain = text.replace(|c: char| c.is_control(), " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without what models put before and around a title.
fn bare(line: &str) -> String {
    let mut bare = line.trim();
    loop {
        let before = bare;
        bare = bare.trim_start_matches('#').trim();
        if let Some((start, rest)) = bare.split_at_checked("title:".len())
            && start.eq_ignore_ascii_case("title:")
        {
            bare = rest.trim();
        }
        for (open, close) in AROUND {
            let inner = bare
                .strip_prefix(open)
                .and_then(|rest| rest.strip_suffix(close));
            // Marks inside belong to what is said: `a` and `b`.
            if let Some(inner) = inner
                && !inner.contains(open)
            {
                bare = inner.trim();
            }
        }
        bare = unwrapped_twice(bare);
        if bare == before {
            return bare.to_owned();
        }
    }
}

/// `**bold**` has each mark twice.
fn unwrapped_twice(text: &str) -> &str {
    for mark in ["**", "__"] {
        let inner = text
            .strip_prefix(mark)
            .and_then(|rest| rest.strip_suffix(mark));
        if let Some(inner) = inner
            && !inner.contains(mark)
        {
            return inner.trim();
        }
    }
    text
}

/// Thoughts that do not end go to the end.
fn without_thoughts(text: &str) -> String {
    let mut said = text.to_owned();
    for (open, close) in THOUGHTS {
        while let Some(start) = find(&said, open) {
            let end = find(&said[start..], close);
            let end = end.map_or(said.len(), |end| start + end + close.len());
            said.replace_range(start..end, "");
        }
        // Some templates begin in thoughts, so that only their end shows.
        if let Some(end) = find(&said, close) {
            said.replace_range(..end + close.len(), "");
        }
    }
    said
}

/// In any letter case; `tag` is lower case.
fn find(text: &str, tag: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(tag)
}

/// At most as many characters, the last of which says that there was more.
fn shortened(title: &str, max_chars: usize) -> String {
    if title.chars().count() <= max_chars {
        return title.to_owned();
    }
    let kept: String = title.chars().take(max_chars.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_cleaned() {
        let title = |reply: &str| of_reply(reply, 20);
        for reply in [
            "Fix the parser",
            "  Fix   the\tparser \n",
            "\"Fix the parser\"",
            "“Fix the parser”",
            "**Fix the parser**",
            "# Fix the parser",
            "Title: Fix the parser",
            "**Title: \"Fix the parser\"**",
            "```\nFix the parser\n```",
            "\n\nFix the parser\n\nThis title says what it is about.",
            "<think>A title? \"Bug\"</think>\n\nFix the parser",
            "<THINKING>x</THINKING>Fix the parser",
            "What a title… </think>Fix the parser",
            "Fix\0 the\u{7f} parser",
            "Fix the parser\u{2028}and more",
        ] {
            assert_eq!(title(reply).as_deref(), Some("Fix the parser"), "{reply:?}");
        }
        assert_eq!(title("`a` and `b`").as_deref(), Some("`a` and `b`"));
        assert_eq!(title("🐛 Fix it").as_deref(), Some("🐛 Fix it"));
        for nothing in [
            "",
            " \n\t",
            "<think>only thoughts",
            "\"\"",
            "```\n```",
            "\0",
        ] {
            assert_eq!(title(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_long_title_is_cut_in_characters() {
        assert_eq!(of_reply(&"ü".repeat(20), 20), Some("ü".repeat(20)));
        let cut = of_reply(&"ü".repeat(21), 20);
        assert_eq!(cut, Some(format!("{}…", "ü".repeat(19))));
        assert_eq!(of_message("one two three", 5), "one…");
        assert_eq!(of_message("one", 1), "…");
    }

    #[test]
    fn a_message_gives_its_first_line() {
        assert_eq!(of_message("\n  Do this.\nThen that.", 50), "Do this.");
        assert_eq!(of_message("```json\n[1]\n```", 50), "[1]");
        assert_eq!(of_message("```", 50), "```");
    }
}
