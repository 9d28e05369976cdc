//! What someone said, as Markdown that formats text and does nothing else: no HTML, no link, no picture.

use super::{code, fence_around};

/// Headings, lists, emphasis and code stay, as they only format. Code keeps its text as it is, in fences
/// and spans of our own making; everywhere else, what could be more than text is escaped.
///
/// Where code begins and ends is not left to how a reader understands the text: our fences start in the
/// first column after an empty line, spans begin and end in one line, and nothing else that is written
/// here could open or close code, as all its backticks and tildes are escaped.
pub(super) fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut lines = text.lines().peekable();
    let (mut after_blank, mut in_list) = (true, false);
    while let Some(line) = lines.next() {
        if let Some(fence) = Fence::opened_by(line) {
            let inside: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !fence.is_closed_by(line))
                .map(|line| outdented(line, fence.indent))
                .collect();
            let language = fence.info.trim();
            if is_language(language) {
                block(language, &inside, &mut out);
            } else {
                prose(language, &mut out);
                block("", &inside, &mut out);
            }
            after_blank = true;
        } else if after_blank && !in_list && is_indented(line) {
            let mut inside = vec![outdented(line, CODE_INDENT)];
            while let Some(line) = lines.next_if(|line| is_indented(line)) {
                inside.push(outdented(line, CODE_INDENT));
            }
            block("", &inside, &mut out);
        } else {
            let is_blank = line.trim().is_empty();
            if !(is_blank && out.ends_with("\n\n")) {
                prose(line, &mut out);
            }
            if is_item(line) {
                in_list = true;
            } else if after_blank && !is_blank && !line.starts_with([' ', '\t']) {
                in_list = false;
            }
            after_blank = is_blank;
        }
    }
    out
}

/// Writes `text` so that no character of it means anything but itself, as far as more than format is
/// concerned; `also` are escaped too.
pub(super) fn escape(text: &str, also: &[char], out: &mut String) {
    for (at, character) in text.char_indices() {
        let (before, after) = (&text[..at], &text[at + character.len_utf8()..]);
        let means_more = match character {
            // `{` begins attributes in some dialects, `$` formulas, and `|` parts cells of tables,
            // before anybody looks for code in them.
            '\\' | '`' | '~' | '<' | '[' | ']' | '|' | '{' | '}' | '$' => true,
            '&' => after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '#'),
            // Many viewers make links of addresses that stand in a text.
            ':' => after.starts_with("//"),
            '.' => ends_with_www(before),
            _ => also.contains(&character),
        };
        if means_more {
            out.push('\\');
        }
        out.push(character);
    }
}

fn ends_with_www(text: &str) -> bool {
    let start = text.len().saturating_sub(3);
    text.get(start..)
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// From this many columns on, a line is code by itself.
const CODE_INDENT: usize = 4;

/// A line that begins a block of code.
struct Fence<'a> {
    mark: char,
    length: usize,
    indent: usize,
    info: &'a str,
}

impl<'a> Fence<'a> {
    fn opened_by(line: &'a str) -> Option<Self> {
        let text = line.trim_start();
        let mark = text
            .chars()
            .next()
            .filter(|mark| ['`', '~'].contains(mark))?;
        let info = text.trim_start_matches(mark);
        let length = text.len() - info.len();
        let opens = length >= 3 && !(mark == '`' && info.contains('`'));
        opens.then_some(Self {
            mark,
            length,
            indent: line.len() - text.len(),
            info,
        })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let text = line.trim();
        text.len() >= self.length && text.chars().all(|mark| mark == self.mark)
    }
}

/// A block of code, apart from what stands before and after it.
fn block(language: &str, lines: &[&str], out: &mut String) {
    let text = lines.join("\n");
    let fence = fence_around(&text);
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
    out.push_str(&format!("{fence}{language}\n"));
    if !lines.is_empty() {
        out.push_str(&text);
        out.push('\n');
    }
    out.push_str(&format!("{fence}\n\n"));
}

/// A line of text, with its spans of code.
fn prose(line: &str, out: &mut String) {
    let runs = runs_of_backticks(line);
    let mut done = 0;
    for (index, &(start, length)) in runs.iter().enumerate() {
        if start < done {
            continue;
        }
        let after = start + length;
        let closing = runs[index + 1..].iter().find(|run| run.1 == length);
        let span = closing.map(|closing| (&line[after..closing.0], closing.0 + length));
        // In the cell of a table, a span would end at the cell's end.
        let Some((inside, end)) = span.filter(|(inside, _)| !inside.contains('|')) else {
            continue;
        };
        escape(&line[done..start], &[], out);
        out.push_str(&code(inside));
        done = end;
    }
    escape(&line[done..], &[], out);
    out.push('\n');
}

/// Where each run starts, and its length.
fn runs_of_backticks(line: &str) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in line.match_indices('`') {
        match runs.last_mut() {
            Some((start, length)) if *start + *length == at => *length += 1,
            Some(_) | None => runs.push((at, 1)),
        }
    }
    runs
}

fn is_language(word: &str) -> bool {
    word.len() <= 32
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-#._".contains(&byte))
}

fn is_item(line: &str) -> bool {
    let text = line.trim_start();
    let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let rest = if rest.len() == text.len() {
        rest.strip_prefix(['-', '*', '+'])
    } else {
        rest.strip_prefix(['.', ')'])
    };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

fn is_indented(line: &str) -> bool {
    let text = line.trim_start_matches(' ');
    let spaces = line.len() - text.len();
    !text.trim().is_empty() && (spaces >= CODE_INDENT || text.starts_with('\t'))
}

/// Without white space at its beginning, up to `columns` of it; a tab counts as all.
fn outdented(line: &str, columns: usize) -> &str {
    let spaces = line
        .bytes()
        .take(columns)
        .take_while(|byte| *byte == b' ')
        .count();
    let rest = &line[spaces..];
    if spaces < columns {
        rest.strip_prefix('\t').unwrap_or(rest)
    } else {
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's, section 6.9 of its specification.
    #[test]
    fn addresses_in_a_text_become_no_links() {
        let said = inert("http://a.example ftp://b.example WWW.c.example at 10:30, a.b");
        let expected = "http\\://a.example ftp\\://b.example WWW\\.c.example at 10:30, a.b\n";
        assert_eq!(said, expected);
    }

    #[test]
    fn format_stays_and_the_rest_is_text() {
        let text = "# A *title*\n\n1. one\n   - two & three\n\n       deep in it\n\nR&D &lt; <b> [x](javascript:y)";
        assert_eq!(
            inert(text),
            "# A *title*\n\n1. one\n   - two & three\n\n       deep in it\n\n\
             R\\&D \\&lt; \\<b> \\[x\\](javascript:y)\n"
        );
    }

    #[test]
    fn code_keeps_its_text_and_its_end() {
        assert_eq!(
            inert("use `Vec<u8>`, ``a`b`` and `"),
            "use `Vec<u8>`, ``a`b`` and \\`\n"
        );
        assert_eq!(inert("a | `x | <b>`"), "a \\| \\`x \\| \\<b>\\`\n");
        assert_eq!(
            inert("so:\n  ~~~c++\n  <b>\n```\n    x\n  ~~~~\nafter"),
            "so:\n\n````c++\n<b>\n```\n  x\n````\n\nafter\n"
        );
        assert_eq!(inert("```\nopen"), "```\nopen\n```\n\n");
        assert_eq!(inert("    <b>\n\tx\n"), "```\n<b>\nx\n```\n\n");
        // What cannot be the name of a language is said all the same.
        assert_eq!(inert("``` <b>\nx"), "\\<b>\n\n```\nx\n```\n\n");
    }
}
