use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

/// Edits of one file that can be undone.
const EDITS_PER_FILE: usize = 10;
/// Files whose edits can be undone.
const FILES: usize = 1_000;
/// Contents kept in all, in bytes.
const BYTES: usize = 64 << 20;

/// What files held before and after their last edits. The oldest are forgotten when a limit is
/// passed.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The file that was edited last comes last.
    files: VecDeque<EditedFile>,
    bytes: usize,
}

#[derive(Debug)]
struct EditedFile {
    /// Canonical.
    path: PathBuf,
    /// Each edit made one of the one before it. At least two.
    contents: VecDeque<String>,
}

/// An edit to be undone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LastEdit<'a> {
    pub(super) before: &'a str,
    /// What it left in the file.
    pub(super) after: &'a str,
}

impl History {
    /// Remembers an edit of the file at `path`. If others changed it since the edit before, no undo
    /// goes back beyond that.
    pub(super) fn push(&mut self, path: PathBuf, before: String, after: String) {
        let mut contents = self.take(&path).unwrap_or_default();
        if contents.back() != Some(&before) {
            contents = VecDeque::from([before]);
        }
        contents.push_back(after);
        while contents.len() > EDITS_PER_FILE + 1 {
            contents.pop_front();
        }
        self.put(EditedFile { path, contents });
        while self.files.len() > FILES {
            self.forget_oldest();
        }
        while self.bytes > BYTES && self.forget_oldest_edit() {}
    }

    /// The last edit of the file at `path`.
    pub(super) fn last(&self, path: &Path) -> Option<LastEdit<'_>> {
        let file = self.files.iter().find(|file| file.path == path)?;
        let mut newest = file.contents.iter().rev();
        let after = newest.next()?;
        let before = newest.next()?;
        Some(LastEdit { before, after })
    }

    /// Forgets the last edit of the file at `path`, which was undone.
    pub(super) fn pop(&mut self, path: &Path) {
        if let Some(mut contents) = self.take(path) {
            contents.pop_back();
            let path = path.to_owned();
            self.put(EditedFile { path, contents });
        }
    }

    /// Forgets every edit of the file at `path`: it is another file now.
    pub(super) fn forget(&mut self, path: &Path) {
        self.take(path);
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.files.front().map(|file| file.path.clone()) {
            self.forget(&oldest);
        }
    }

    /// Whether there was one.
    fn forget_oldest_edit(&mut self) -> bool {
        let Some(mut oldest) = self.files.pop_front() else {
            return false;
        };
        self.bytes -= size(&oldest.contents);
        oldest.contents.pop_front();
        if oldest.contents.len() > 1 {
            self.bytes += size(&oldest.contents);
            self.files.push_front(oldest);
        }
        true
    }

    fn take(&mut self, path: &Path) -> Option<VecDeque<String>> {
        let index = self.files.iter().position(|file| file.path == path)?;
        let contents = self.files.remove(index)?.contents;
        self.bytes -= size(&contents);
        Some(contents)
    }

    fn put(&mut self, file: EditedFile) {
        if file.contents.len() > 1 {
            self.bytes += size(&file.contents);
            self.files.push_back(file);
        }
    }
}

fn size(contents: &VecDeque<String>) -> usize {
    contents.iter().map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(history: &mut History, path: &str) -> Vec<String> {
        let mut undone = Vec::new();
        while let Some(edit) = history.last(Path::new(path)) {
            undone.push(edit.before.to_owned());
            history.pop(Path::new(path));
        }
        undone
    }

    #[test]
    fn keeps_ten_edits_of_each_file() {
        let mut history = History::default();
        history.push("/other".into(), "kept".to_owned(), "x".to_owned());
        for number in 0..12 {
            history.push("/file".into(), number.to_string(), (number + 1).to_string());
        }
        let expected: Vec<String> = (2..12).rev().map(|number| number.to_string()).collect();
        assert_eq!(undone(&mut history, "/file"), expected);
        let other = LastEdit {
            before: "kept",
            after: "x",
        };
        assert_eq!(history.last(Path::new("/other")), Some(other));
        assert_eq!(history.bytes, 5);
    }

    #[test]
    fn goes_back_to_a_change_by_others_and_no_further() {
        let mut history = History::default();
        history.push("/file".into(), "a".to_owned(), "b".to_owned());
        history.push("/file".into(), "theirs".to_owned(), "c".to_owned());
        history.push("/file".into(), "c".to_owned(), "d".to_owned());
        assert_eq!(undone(&mut history, "/file"), ["c", "theirs"]);
        assert_eq!((history.files.len(), history.bytes), (0, 0));
    }

    #[test]
    fn forgets_the_oldest_when_full() {
        let mut history = History::default();
        let (sixth, other) = ("x".repeat(BYTES / 6), "y".repeat(BYTES / 6));
        for name in ["/a", "/b", "/c", "/d"] {
            history.push(name.into(), sixth.clone(), other.clone());
        }
        assert_eq!(history.last(Path::new("/a")), None);
        assert!(history.last(Path::new("/b")).is_some());
        history.forget(Path::new("/b"));
        assert_eq!(history.last(Path::new("/b")), None);
        assert_eq!(history.bytes, 4 * sixth.len());

        for number in 0..=FILES {
            let name = format!("/{number}").into();
            history.push(name, String::new(), "x".to_owned());
        }
        assert_eq!((history.files.len(), history.bytes), (FILES, FILES));
        assert_eq!(history.last(Path::new("/0")), None);
    }
}
