//! Keeps the head and the tail of a command's output in memory and all of it in a file.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use uuid::Uuid;
use workspace::{NewFile, ToolFiles};

use super::clean::Cleaner;

/// The folder of the files with whole outputs.
pub(super) const OUTPUTS: &str = "observations";

/// How much of an output is shown and saved.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// What an observation shows, in characters.
    pub(super) shown: usize,
    /// What the file of a longer output takes, in bytes.
    pub(super) saved: u64,
    pub(super) files: ToolFiles,
}

/// The output of one command since it was last looked at.
#[derive(Debug)]
pub(super) struct Capture {
    limits: Limits,
    cleaner: Cleaner,
    /// All text until there is too much, then its first half.
    head: String,
    characters: usize,
    overflow: Option<Overflow>,
}

#[derive(Debug)]
struct Overflow {
    tail: String,
    file: Result<Saved, io::Error>,
}

#[derive(Debug)]
struct Saved {
    writer: BufWriter<NewFile>,
    room: u64,
    complete: bool,
}

impl Capture {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            cleaner: Cleaner::default(),
            head: String::new(),
            characters: 0,
            overflow: None,
        }
    }

    /// Takes raw bytes of the terminal.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut text = String::new();
        self.cleaner.push(bytes, &mut text);
        self.append(&text);
    }

    /// What was written so far is complete: a sequence or a character that is cut off ends here.
    pub(super) fn end(&mut self) {
        let mut rest = String::new();
        self.cleaner.end(&mut rest);
        self.append(&rest);
    }

    /// Whether the program asked for the other form of arrow keys.
    pub(super) fn application_cursor(&self) -> bool {
        self.cleaner.application_cursor()
    }

    /// The text so far, at most [`Limits::shown`] characters; what comes later is captured from the start.
    pub(super) fn take(&mut self) -> String {
        let mut line = String::new();
        self.cleaner.flush(&mut line);
        self.append(&line);
        let head = std::mem::take(&mut self.head);
        let characters = std::mem::take(&mut self.characters);
        match self.overflow.take() {
            None => head.trim_end().to_owned(),
            Some(overflow) => {
                let Overflow { tail, file } = overflow;
                let place = file.and_then(Saved::finish);
                let notice = notice(characters, self.limits.shown, place);
                let room = self
                    .limits
                    .shown
                    .saturating_sub(head.chars().count() + notice.chars().count());
                format!("{head}{notice}{}", last(tail.trim_end(), room))
            }
        }
    }

    fn append(&mut self, text: &str) {
        self.characters += text.chars().count();
        match &mut self.overflow {
            None => {
                self.head.push_str(text);
                if self.characters > self.limits.shown {
                    self.overflow();
                }
            }
            Some(overflow) => {
                overflow.save(text);
                overflow.tail.push_str(text);
                overflow.trim(self.limits.shown);
            }
        }
    }

    /// From now on the file holds everything and memory head and tail.
    fn overflow(&mut self) {
        let cut = self
            .head
            .char_indices()
            .nth(self.limits.shown / 2)
            .map_or(self.head.len(), |(index, _)| index);
        let mut overflow = Overflow {
            tail: self.head[cut..].to_owned(),
            file: Saved::create(&self.limits),
        };
        overflow.save(&self.head);
        overflow.trim(self.limits.shown);
        self.head.truncate(cut);
        self.overflow = Some(overflow);
    }
}

impl Overflow {
    fn save(&mut self, text: &str) {
        if let Ok(saved) = &mut self.file
            && let Err(error) = saved.write(text)
        {
            self.file = Err(error);
        }
    }

    fn trim(&mut self, characters: usize) {
        // four bytes a character at most; trimming at twice that keeps the copying rare
        if self.tail.len() > characters.saturating_mul(8) {
            self.tail = last(&self.tail, characters).to_owned();
        }
    }
}

impl Saved {
    fn create(limits: &Limits) -> io::Result<Self> {
        let id = Uuid::new_v4().simple().to_string();
        let name = format!("{OUTPUTS}/terminal_output_{}.txt", &id[..8]);
        let file = limits.files.create(name)?;
        Ok(Self {
            writer: BufWriter::with_capacity(64 * 1024, file),
            room: limits.saved,
            complete: true,
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if !self.complete || length > self.room {
            self.complete = false;
            return Ok(());
        }
        self.room -= length;
        self.writer.write_all(text.as_bytes())
    }

    fn finish(mut self) -> io::Result<(PathBuf, bool)> {
        self.writer.flush()?;
        Ok((self.writer.get_ref().path().to_owned(), self.complete))
    }
}

fn notice(characters: usize, shown: usize, place: io::Result<(PathBuf, bool)>) -> String {
    let place = match place {
        Ok((path, true)) => format!("the whole output is in {}", path.display()),
        Ok((path, false)) => format!(
            "its beginning is in {}, the file's limit is reached",
            path.display()
        ),
        Err(error) => format!("the whole output could not be saved: {error}"),
    };
    format!(
        "\n[… middle left out: the output has {characters} characters, at most {shown} are shown; {place} …]\n"
    )
}

/// The last `count` characters.
fn last(text: &str, count: usize) -> &str {
    match text.char_indices().rev().take(count).last() {
        Some((index, _)) => &text[index..],
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn capture(folder: &Path, shown: usize, saved: u64) -> Capture {
        Capture::new(Limits {
            shown,
            saved,
            files: ToolFiles::new(folder),
        })
    }

    fn only_file(folder: &Path) -> (PathBuf, String) {
        let files: Vec<PathBuf> = fs::read_dir(folder.join("observations"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1);
        (files[0].clone(), fs::read_to_string(&files[0]).unwrap())
    }

    #[test]
    fn a_short_output_is_kept_whole_and_needs_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut capture = capture(folder.path(), 10, 1000);
        capture.push(b"12345\n");
        capture.push("äöü\n".as_bytes());
        assert_eq!(capture.take(), "12345\näöü");
        assert_eq!(capture.take(), "");
        assert!(!folder.path().join("observations").exists());
    }

    #[test]
    fn a_long_output_keeps_head_and_tail_and_its_file_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mut capture = capture(folder.path(), 1000, 1_000_000);
        let lines: String = (1..=9999)
            .map(|number| format!("ligne № {number}\n"))
            .collect();
        for chunk in lines.as_bytes().chunks(777) {
            capture.push(chunk);
        }
        let text = capture.take();
        let (path, saved) = only_file(folder.path());
        assert!(saved == lines, "the file differs");
        assert_eq!(text.chars().count(), 1000);
        assert!(text.starts_with("ligne № 1\nligne № 2\n"), "{text}");
        assert!(text.ends_with("\nligne № 9999"), "{text}");
        assert!(text.contains(&format!("{} characters", lines.chars().count())));
        assert!(text.contains(&path.display().to_string()));
    }

    #[test]
    fn memory_and_file_stay_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut capture = capture(folder.path(), 100, 5000);
        for _ in 0..10_000 {
            capture.push(b"0123456789\n");
        }
        let tail = capture
            .overflow
            .as_ref()
            .map(|overflow| overflow.tail.len());
        assert!(tail.is_some_and(|length| length <= 800), "{tail:?}");
        let text = capture.take();
        assert!(text.contains("limit is reached"), "{text}");
        assert!(only_file(folder.path()).1.len() <= 5000);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said_and_loses_only_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("observations"), "in the way").unwrap();
        let mut capture = capture(folder.path(), 500, 5000);
        capture.push(&b"0123456789\n".repeat(100));
        let text = capture.take();
        assert!(text.contains("could not be saved"), "{text}");
        assert!(text.starts_with("0123456789\n") && text.ends_with("0123456789"));
    }
}
