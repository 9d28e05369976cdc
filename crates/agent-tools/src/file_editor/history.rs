use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

/// Edits of one file that can be undone.
const EDITS_PER_FILE: usize = 10;
/// Old contents kept in all, in bytes.
const BYTES: usize = 64 << 20;

/// What files held before their last edits, oldest first. The oldest are forgotten when a limit is
/// passed.
#[derive(Debug, Default)]
pub(super) struct History {
    edits: VecDeque<(PathBuf, String)>,
    bytes: usize,
}

impl History {
    /// Remembers that `file`, by its canonical path, held `content` before an edit.
    pub(super) fn push(&mut self, file: PathBuf, content: String) {
        let earlier = self.edits.iter().filter(|(path, _)| *path == file).count();
        if earlier >= EDITS_PER_FILE
            && let Some(oldest) = self.edits.iter().position(|(path, _)| *path == file)
        {
            self.remove(oldest);
        }
        self.bytes += content.len();
        self.edits.push_back((file, content));
        while self.bytes > BYTES {
            self.remove(0);
        }
    }

    /// What `file` held before its last edit.
    pub(super) fn last(&self, file: &Path) -> Option<&str> {
        let (_, content) = self.edits.iter().rev().find(|(path, _)| path == file)?;
        Some(content)
    }

    /// Forgets the last edit of `file`.
    pub(super) fn pop(&mut self, file: &Path) {
        if let Some(last) = self.edits.iter().rposition(|(path, _)| path == file) {
            self.remove(last);
        }
    }

    /// Forgets every edit of `file`: it is another file now.
    pub(super) fn forget(&mut self, file: &Path) {
        self.edits.retain(|(path, _)| path != file);
        self.bytes = self.edits.iter().map(|(_, content)| content.len()).sum();
    }

    fn remove(&mut self, index: usize) {
        if let Some((_, content)) = self.edits.remove(index) {
            self.bytes -= content.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_ten_edits_of_each_file() {
        let mut history = History::default();
        history.push("/other".into(), "kept".to_owned());
        for number in 0..12 {
            history.push("/file".into(), number.to_string());
        }
        let mut undone = Vec::new();
        while let Some(content) = history.last(Path::new("/file")) {
            undone.push(content.to_owned());
            history.pop(Path::new("/file"));
        }
        let expected: Vec<String> = (2..12).rev().map(|number| number.to_string()).collect();
        assert_eq!(undone, expected);
        assert_eq!(history.last(Path::new("/other")), Some("kept"));
        assert_eq!(history.bytes, 4);
    }

    #[test]
    fn forgets_the_oldest_when_full() {
        let mut history = History::default();
        let third = "x".repeat(BYTES / 3);
        for name in ["/a", "/b", "/c", "/d"] {
            history.push(name.into(), third.clone());
        }
        assert_eq!(history.last(Path::new("/a")), None);
        assert!(history.last(Path::new("/b")).is_some());
        history.forget(Path::new("/b"));
        assert_eq!(history.last(Path::new("/b")), None);
        assert_eq!(history.bytes, 2 * third.len());
    }
}
