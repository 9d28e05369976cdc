use std::{ops::Range, path::Path};

use workspace::{FolderItem, Workspace};

use super::document::without_mark;

/// The longest view, in characters.
const MAX_CHARS: usize = 16_000;
/// Lines shown before and after an edit.
const CONTEXT: usize = 4;

/// The file's lines with their numbers, all or those of `range` (`[first, last]`, from 1; last -1
/// for the end).
///
/// # Errors
/// A text for the model, when the range does not fit the file.
pub(super) fn file(path: &Path, text: &str, range: Option<&[i64]>) -> Result<String, String> {
    let text = without_mark(text);
    let count = text.lines().count();
    if count == 0 {
        return Ok(format!("{} is empty.", path.display()));
    }
    let lines = match range {
        Some(range) => chosen(range, count)?,
        None => 1..count + 1,
    };
    let header = format!(
        "Here's the result of running `cat -n` on {}:\n",
        path.display()
    );
    Ok(header + &numbered(text, lines))
}

/// The lines `changed` by an edit, with some around them.
pub(super) fn snippet(path: &Path, text: &str, changed: Range<usize>) -> String {
    let text = without_mark(text);
    let count = text.lines().count();
    let first = changed.start.saturating_sub(CONTEXT).max(1);
    let last = changed.end.max(changed.start + 1).saturating_add(CONTEXT);
    if count == 0 {
        return format!("{} is empty now.", path.display());
    }
    let header = format!(
        "{} was edited. Here's the result of running `cat -n` on the lines around the change:\n",
        path.display()
    );
    header + &numbered(text, first..last.min(count + 1))
}

/// The items of a folder and of its folders, sorted by name, without hidden ones.
///
/// # Errors
/// A text for the model, when the folder cannot be read. One below it that cannot be read is
/// shown without its items.
pub(super) fn folder(workspace: &Workspace, path: &Path) -> Result<String, String> {
    let items = workspace
        .list(path)
        .map_err(|error| format!("{} cannot be read: {error}.", path.display()))?;
    let mut tree = Capped::new(format!(
        "Files and folders in {}, two levels deep, without hidden items:\n",
        path.display()
    ));
    for item in &items {
        tree.push(&shown(item));
        // A link to a folder is not followed.
        if item.is_folder {
            for below in workspace.list(&item.path).unwrap_or_default() {
                tree.push(&shown(&below));
            }
        }
    }
    if items.is_empty() {
        tree.push("(nothing)\n");
    }
    let left_out = tree.left_out;
    if left_out > 0 {
        tree.text += &format!(
            "[{left_out} more items are not shown: the output is limited to {MAX_CHARS} characters. \
             View one of the folders by itself.]\n"
        );
    }
    Ok(tree.text)
}

fn chosen(range: &[i64], count: usize) -> Result<Range<usize>, String> {
    let &[first, last] = range else {
        return Err(format!(
            "`view_range` must be two numbers, [first, last], but has {}.",
            range.len()
        ));
    };
    let start = usize::try_from(first)
        .ok()
        .filter(|line| (1..=count).contains(line))
        .ok_or_else(|| {
            format!("`view_range` starts at line {first}, but the file has lines 1 to {count}.")
        })?;
    if last == -1 {
        return Ok(start..count + 1);
    }
    let end = usize::try_from(last)
        .ok()
        .filter(|line| *line >= start)
        .ok_or_else(|| {
            format!("`view_range` ends at line {last}: it must be -1 or at least {start}.")
        })?;
    Ok(start..end.min(count) + 1)
}

fn numbered(text: &str, lines: Range<usize>) -> String {
    let mut view = Capped::new(String::new());
    let mut shown = 0;
    for (index, line) in text
        .lines()
        .enumerate()
        .take(lines.end - 1)
        .skip(lines.start - 1)
    {
        view.push(&format!("{:6}\t{line}\n", index + 1));
        shown += usize::from(view.left_out == 0);
    }
    if view.left_out > 0 {
        // A first line that is too long by itself was cut; the next view starts after it.
        let next = lines.start + shown.max(1);
        let last = lines.end - 1;
        view.text += &if next <= last {
            format!(
                "[Lines {next} to {last} are not shown: the output is limited to {MAX_CHARS} \
                 characters. Go on with `view_range` [{next}, {last}].]\n"
            )
        } else {
            format!("[The line is cut: the output is limited to {MAX_CHARS} characters.]\n")
        };
    }
    view.text
}

/// Whole lines up to the limit; of a first line beyond it, as much as fits.
struct Capped {
    text: String,
    room: usize,
    empty: bool,
    left_out: usize,
}

impl Capped {
    fn new(header: String) -> Self {
        Self {
            text: header,
            room: MAX_CHARS,
            empty: true,
            left_out: 0,
        }
    }

    fn push(&mut self, line: &str) {
        let length = line.chars().count();
        if self.left_out == 0 && length <= self.room {
            self.text += line;
            self.room -= length;
        } else {
            if self.empty {
                self.text.extend(line.chars().take(self.room));
                self.text.push('\n');
            }
            self.left_out += 1;
        }
        self.empty = false;
    }
}

fn shown(item: &FolderItem) -> String {
    let slash = if item.is_folder || item.links_to_folder {
        "/"
    } else {
        ""
    };
    format!("{}{slash}\n", item.path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str, range: Option<&[i64]>) -> Result<String, String> {
        file(Path::new("/f"), text, range)
    }

    const HEADER: &str = "Here's the result of running `cat -n` on /f:\n";

    #[test]
    fn ranges() {
        let text = "a\r\nb\nc";
        let shown = |range: &[i64]| view(text, Some(range)).unwrap().replace(HEADER, "");
        assert_eq!(
            view(text, None).unwrap(),
            format!("{HEADER}     1\ta\n     2\tb\n     3\tc\n")
        );
        assert_eq!(shown(&[2, 2]), "     2\tb\n");
        assert_eq!(shown(&[2, -1]), "     2\tb\n     3\tc\n");
        assert_eq!(shown(&[3, 99]), "     3\tc\n");
        for wrong in [&[0, 1][..], &[4, 5], &[2, 1], &[1, -2], &[1], &[1, 2, 3]] {
            assert!(view(text, Some(wrong)).is_err(), "{wrong:?}");
        }
        assert_eq!(view("", None).unwrap(), "/f is empty.");
        assert_eq!(view("", Some(&[1, 1])).unwrap(), "/f is empty.");
    }

    #[test]
    fn long_files_say_where_to_continue() {
        let text = "0123456789\n".repeat(2_000);
        let first = view(&text, None).unwrap();
        assert!(first.chars().count() < MAX_CHARS + 300);
        assert!(
            first.contains("\n   888\t0123456789\n[Lines 889 to 2000 are not shown"),
            "{first}"
        );
        let second = view(&text, Some(&[889, 2000])).unwrap();
        assert!(second.contains("`view_range` [1777, 2000]"), "{second}");
        let third = view(&text, Some(&[1777, 2000])).unwrap();
        assert!(third.ends_with("  2000\t0123456789\n"));
    }

    #[test]
    fn one_endless_line_is_cut() {
        let endless = "é".repeat(20_000);
        let only = view(&endless, None).unwrap();
        assert!(
            only.contains("The line is cut"),
            "{}",
            &only[only.len() - 200..]
        );
        assert_eq!(only.matches('é').count(), MAX_CHARS - 7);
        let more = view(&format!("{endless}\nnext\n"), None).unwrap();
        assert!(more.contains("[2, 2]"));
    }
}
