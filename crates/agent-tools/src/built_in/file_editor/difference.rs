use std::time::Duration;

use similar::TextDiff;

/// Unchanged lines shown around each difference.
const CONTEXT: usize = 1;
/// What is shown at most.
const MAX_LINES: usize = 60;
const MAX_CHARS: usize = 3_000;
/// How long the shortest description may be looked for; then a longer one will do.
const SEARCH_LIMIT: Duration = Duration::from_millis(500);

/// What makes `after` of `before`, line by line: `-` was there, `+` is new, `@@` says where. Cut when
/// it is long.
pub(super) fn between(before: &str, after: &str) -> String {
    let diff = TextDiff::configure()
        .timeout(SEARCH_LIMIT)
        .diff_lines(before, after);
    let whole = diff.unified_diff().context_radius(CONTEXT).to_string();
    let mut shown = String::new();
    let mut room = MAX_CHARS;
    let mut lines = whole.lines();
    for line in lines.by_ref().take(MAX_LINES) {
        let length = line.chars().count();
        if length > room {
            shown.extend(line.chars().take(room));
            shown.push_str("…\n");
            break;
        }
        room -= length;
        shown.push_str(line);
        shown.push('\n');
    }
    let left = lines.count();
    if left > 0 {
        shown.push_str(&format!(
            "[{left} more lines of the comparison are not shown.]\n"
        ));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_by_line() {
        let before = "one\ntwo\nthree\nfour\nfive\n";
        let after = "one\n2\nthree\nfour\nfive\nsix";
        assert_eq!(
            between(before, after),
            "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n@@ -5 +5,2 @@\n five\n+six\n\
             \\ No newline at end of file\n"
        );
    }

    #[test]
    fn what_is_long_is_cut() {
        let endless = between("", &"x".repeat(100_000));
        assert!(endless.chars().count() < MAX_CHARS + 100);
        let many = between(&"a\n".repeat(1000), &"b\n".repeat(1000));
        assert_eq!(many.lines().count(), MAX_LINES + 1);
        assert!(many.contains("[1941 more lines"), "{many}");
    }
}
