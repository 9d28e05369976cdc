use std::{io::ErrorKind, ops::Range, path::Path};

use workspace::{FileKind, Stat, Workspace};

/// The largest file that is read or written, in bytes.
pub(super) const MAX_BYTES: u64 = 10 << 20;
/// A page more, so that a larger file is noticed; files of `/proc` refuse odd lengths.
const READ_LIMIT: u64 = MAX_BYTES + 4096;

/// Some programs put it before a text. It is not part of the first line and stays where it is.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The places listed when a text occurs more than once.
const LISTED_PLACES: usize = 20;

/// A change to a text: what it was, what it became, and which lines of it are new.
pub(super) struct Change {
    pub(super) before: String,
    pub(super) after: String,
    /// Lines of `after`, counted from 1; empty when text was only removed.
    pub(super) lines: Range<usize>,
}

/// What is at `path`.
///
/// # Errors
/// A text for the model, when nothing is there or it cannot be looked at.
pub(super) fn stat(workspace: &Workspace, path: &Path) -> Result<Stat, String> {
    workspace.stat(path).map_err(|error| {
        let shown = path.display();
        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            format!("{shown} does not exist. Check the path, for instance by viewing its folder.")
        } else {
            format!("{shown} cannot be read: {error}.")
        }
    })
}

/// The text of the file at `path`, byte for byte.
///
/// # Errors
/// A text for the model: no such file, not a regular file, too large, binary, not UTF-8.
pub(super) fn read(workspace: &Workspace, path: &Path) -> Result<String, String> {
    let shown = path.display();
    let found = stat(workspace, path)?;
    match found.kind {
        FileKind::File => {}
        FileKind::Folder => {
            return Err(format!(
                "{shown} is a folder. Only `view` takes a folder; the other commands take a file."
            ));
        }
        FileKind::Other => {
            return Err(format!(
                "{shown} is not a regular file (a device or a pipe)."
            ));
        }
    }
    check_size(&shown.to_string(), found.len)?;
    let bytes = workspace
        .read(path, READ_LIMIT)
        .map_err(|error| format!("{shown} cannot be read: {error}."))?;
    // files of `/proc` state no size
    check_size(&shown.to_string(), bytes.len() as u64)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(format!(
            "{shown} is UTF-16 text, and this tool takes only UTF-8. Work on it with commands in the \
             terminal: `iconv -f UTF-16 -t UTF-8` shows it."
        ));
    }
    if bytes.contains(&0) {
        return Err(format!(
            "{shown} is a binary file, and this tool reads only text. Look at it with a command in \
             the terminal."
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        format!(
            "{shown} is not UTF-8 text (first wrong byte at offset {}), and editing it here would \
             damage it. Convert or edit it with a command in the terminal.",
            error.utf8_error().valid_up_to()
        )
    })
}

/// A text without the byte order mark that it may start with.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// # Errors
/// A text for the model, when `size` bytes are too many.
pub(super) fn check_size(shown: &str, size: u64) -> Result<(), String> {
    if size <= MAX_BYTES {
        return Ok(());
    }
    Err(format!(
        "{shown}: {:.1} MB is over the limit of {} MB. Work on it with commands in the terminal.",
        size as f64 / f64::from(1 << 20),
        MAX_BYTES >> 20
    ))
}

/// Replaces the one occurrence of `old` by `new`. Line breaks given as `\n` match and become the
/// file's own. A byte order mark at the start of the file stays, whether `old` has it or not.
///
/// # Errors
/// A text for the model, when `old` does not occur exactly once.
pub(super) fn replace_once(text: String, old: &str, new: &str) -> Result<Change, String> {
    let body = without_mark(&text);
    let with_mark = body.len() < text.len() && !body.contains(old);
    let (old, new) = if with_mark && old.starts_with(BYTE_ORDER_MARK) {
        (without_mark(old), without_mark(new))
    } else {
        (old, new)
    };
    if old.is_empty() {
        return Err(
            "`old_str` is empty. Give the text to replace, or use `insert` to add lines."
                .to_owned(),
        );
    }
    if old == new {
        return Err("`old_str` and `new_str` are the same: nothing to change.".to_owned());
    }
    let as_given = (old.to_owned(), new.to_owned());
    let as_crlf = (crlf(old), crlf(new));
    let candidates = if ends_in_crlf(&text) {
        [as_crlf, as_given]
    } else {
        [as_given, as_crlf]
    };
    for (old, new) in candidates {
        let places = places(&text, &old);
        match places.as_slice() {
            [] => {}
            [_] if old == new => {
                return Err(
                    "`old_str` and `new_str` differ only in line ends, and the file keeps its own: \
                     nothing to change."
                        .to_owned(),
                );
            }
            [place] => return Ok(splice(text, *place, old.len(), &new)),
            several => return Err(ambiguous(&text, several)),
        }
    }
    Err(no_match(&text, old))
}

/// Puts `new` as whole lines after line `after`, with the file's line ends. The file ends with a
/// line break afterwards unless it did not before and `new` comes last without one.
///
/// # Errors
/// A text for the model, when the file has fewer lines.
pub(super) fn insert_after(text: String, after: u64, new: &str) -> Result<Change, String> {
    let body = without_mark(&text);
    let start = text.len() - body.len();
    let count = body.split_inclusive('\n').count();
    let Some(after) = usize::try_from(after).ok().filter(|line| *line <= count) else {
        return Err(format!(
            "`insert_line` is {after}, but the file has {count} lines: it must be from 0 to {count}."
        ));
    };
    let new = if start > 0 && after == 0 {
        without_mark(new)
    } else {
        new
    };
    let (ending, mut inserted) = if ends_in_crlf(&text) {
        ("\r\n", crlf(new))
    } else {
        ("\n", new.to_owned())
    };
    let lines = body.split_inclusive('\n').take(after);
    let at = start + lines.map(str::len).sum::<usize>();
    let open_end = at > start && !text[..at].ends_with('\n');
    if open_end {
        inserted.insert_str(0, ending);
    } else if !inserted.ends_with('\n') {
        inserted.push_str(ending);
    }
    let mut change = splice(text, at, 0, &inserted);
    change.lines = after + 1..after + 1 + new.split_inclusive('\n').count().max(1);
    Ok(change)
}

fn splice(before: String, at: usize, removed: usize, new: &str) -> Change {
    let after = format!("{}{new}{}", &before[..at], &before[at + removed..]);
    let first = line_of(&after, at);
    let lines = first..first + new.lines().count();
    Change {
        before,
        after,
        lines,
    }
}

/// Byte offsets of every occurrence, overlapping ones too: each is a place the model could mean.
fn places(text: &str, wanted: &str) -> Vec<usize> {
    let step = wanted.chars().next().map_or(1, char::len_utf8);
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(wanted)) {
        places.push(from + found);
        from += found + step;
    }
    places
}

fn ambiguous(text: &str, places: &[usize]) -> String {
    let mut lines: Vec<String> = places
        .iter()
        .take(LISTED_PLACES)
        .map(|place| line_of(text, *place).to_string())
        .collect();
    if places.len() > LISTED_PLACES {
        lines.push("…".to_owned());
    }
    format!(
        "`old_str` occurs {} times, starting on lines {}. Nothing was changed. Add lines around the \
         one you mean, so that it occurs only once.",
        places.len(),
        lines.join(", ")
    )
}

fn no_match(text: &str, old: &str) -> String {
    let hint = if old.lines().all(is_numbered) {
        "It seems to begin with the line numbers of a view: leave those out.".to_owned()
    } else if let Some(line) = find_loosely(text, old) {
        format!(
            "Line {line} starts a passage that differs only in white space: view it and copy its \
             indentation and line breaks exactly."
        )
    } else {
        "View the file again and copy the text exactly as it stands there.".to_owned()
    };
    format!("`old_str` does not occur in the file. Nothing was changed. {hint}")
}

/// Whether a line looks like one of a view: a number, a tab, text.
fn is_numbered(line: &str) -> bool {
    line.split_once('\t')
        .is_some_and(|(number, _)| number.trim().parse::<u64>().is_ok())
}

/// The line from which on the file holds the lines of `old`, were white space at their ends
/// ignored.
fn find_loosely(text: &str, old: &str) -> Option<usize> {
    let wanted: Vec<&str> = old.trim().lines().map(str::trim).collect();
    if wanted.is_empty() {
        return None;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let found = lines
        .windows(wanted.len())
        .position(|passage| passage == wanted)?;
    Some(found + 1)
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Whether more of the lines end in CRLF than in a bare LF.
fn ends_in_crlf(text: &str) -> bool {
    let both = text.matches("\r\n").count();
    both * 2 > text.matches('\n').count()
}

fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str, old: &str, new: &str) -> String {
        replace_once(text.to_owned(), old, new).unwrap().after
    }

    fn refused(text: &str, old: &str, new: &str) -> String {
        match replace_once(text.to_owned(), old, new) {
            Ok(change) => panic!("{}", change.after),
            Err(reason) => reason,
        }
    }

    fn inserted(text: &str, after: u64, new: &str) -> String {
        insert_after(text.to_owned(), after, new).unwrap().after
    }

    #[test]
    fn line_ends_are_the_files_own() {
        assert_eq!(
            replaced("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz"),
            "x\r\ny\r\nz\r\nc\r\n"
        );
        assert_eq!(replaced("a\r\nb\r\n", "a\r\nb", "c"), "c\r\n");
        assert_eq!(replaced("a\nb\n", "b", "c\nd"), "a\nc\nd\n");
        assert_eq!(
            replaced("a\nb\nc\nd\r\ne\r\n", "d\ne", "f\ng"),
            "a\nb\nc\nf\r\ng\r\n"
        );
        assert_eq!(
            replaced("a\r\nb\r\nc\nd\r\n", "b\nc", "x"),
            "a\r\nb\r\nc\nd\r\n".replace("b\r\nc", "x")
        );
        assert_eq!(inserted("a\r\nb\r\n", 1, "x\ny"), "a\r\nx\r\ny\r\nb\r\n");
    }

    #[test]
    fn inserting_makes_whole_lines() {
        assert_eq!(inserted("a\nb\n", 0, "x"), "x\na\nb\n");
        assert_eq!(inserted("a\nb\n", 1, "x\n"), "a\nx\nb\n");
        assert_eq!(inserted("a\nb\n", 2, "x"), "a\nb\nx\n");
        assert_eq!(inserted("a\nb", 2, "x"), "a\nb\nx");
        assert_eq!(inserted("a\nb", 1, "x"), "a\nx\nb");
        assert_eq!(inserted("a\n", 1, ""), "a\n\n");
        assert_eq!(inserted("", 0, "x"), "x\n");
        assert!(insert_after("a\nb\n".to_owned(), 3, "x").is_err());
    }

    #[test]
    fn a_byte_order_mark_stays_first() {
        let mark = BYTE_ORDER_MARK;
        let marked = |text: &str| format!("{mark}{text}");
        assert_eq!(inserted(&marked("a\n"), 0, "x"), marked("x\na\n"));
        assert_eq!(inserted(&marked("a\n"), 0, &marked("x")), marked("x\na\n"));
        assert_eq!(inserted(&marked("a\r\n"), 1, "x"), marked("a\r\nx\r\n"));
        assert_eq!(inserted(&marked(""), 0, "x"), marked("x\n"));
        assert!(insert_after(marked(""), 1, "x").is_err());
        assert_eq!(replaced(&marked("a\n"), "a", "x"), marked("x\n"));
        assert_eq!(replaced(&marked("a\n"), &marked("a"), "x"), marked("x\n"));
        assert_eq!(replaced(&marked("a\n"), &marked("a\n"), ""), marked(""));
        assert!(refused(&marked("a\n"), &marked(""), "").contains("empty"));
        // One that stands elsewhere is a character like any other.
        let twice = marked("a\n") + &marked("b\nb\n");
        assert_eq!(
            replaced(&twice, &marked("b"), "x"),
            marked("a\n") + "x\nb\n"
        );
    }

    #[test]
    fn every_place_counts() {
        let reason = refused("x\ny\nx\n", "x", "z");
        assert!(
            reason.contains("2 times, starting on lines 1, 3."),
            "{reason}"
        );
        assert!(refused("aaa", "aa", "b").contains("2 times"));
        assert!(refused("ééé", "éé", "b").contains("2 times"));
        assert!(refused(&"x\n".repeat(30), "x", "z").contains("20, …"));
    }

    #[test]
    fn misses_explain_themselves() {
        assert!(refused("a\n    b\n    c\n", "b\nc\n", "z").contains("Line 2 starts a passage"));
        assert!(refused("foo\n", "     1\tfoo", "z").contains("line numbers"));
        assert!(refused("foo\n", "bar", "z").contains("View the file again"));
        assert!(refused("foo\n", "\n\n", "z").contains("does not occur"));
        assert!(refused("foo\n", "", "z").contains("empty"));
        assert!(refused("foo\n", "foo", "foo").contains("same"));
        assert!(refused("a\r\nb\r\n", "a\nb", "a\r\nb").contains("line ends"));
    }

    #[test]
    fn changed_lines_are_known() {
        let lines = |text: &str, old: &str, new: &str| {
            replace_once(text.to_owned(), old, new).unwrap().lines
        };
        assert_eq!(lines("a\nb\nc\n", "b", "x\ny"), 2..4);
        assert_eq!(lines("a\nb\nc\n", "b\n", ""), 2..2);
        let insert = |after, new| insert_after("a\nb".to_owned(), after, new).unwrap().lines;
        assert_eq!(insert(2, "x\ny"), 3..5);
        assert_eq!(insert(0, ""), 1..2);
    }
}
