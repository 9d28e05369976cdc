use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use workspace::{FileKind, ReplaceError, Workspace};

use super::{
    command::{Command, FileEditorArguments},
    difference,
    document::{self, Change, check_size},
    history::{History, LastEdit},
    view,
};

/// The five commands, and the edits that can be undone. Every error is a text for the model.
#[derive(Default)]
pub(super) struct Editor {
    history: History,
}

/// What a command did.
pub(super) struct Done {
    /// For the model.
    pub(super) text: String,
    /// Whether the file existed before.
    pub(super) existed: bool,
    pub(super) old_content: Option<String>,
    pub(super) new_content: Option<String>,
}

impl Editor {
    /// Does what `arguments` ask for. Blocks.
    pub(super) fn run(
        &mut self,
        workspace: &Workspace,
        arguments: FileEditorArguments,
    ) -> Result<Done, String> {
        let path = checked(workspace, &arguments.path)?;
        match arguments.command {
            Command::View => view(workspace, &path, arguments.view_range.as_deref()),
            Command::Create => {
                let text = required(arguments.file_text, "create", "file_text")?;
                self.create(workspace, &path, text)
            }
            Command::StrReplace => {
                let old = required(arguments.old_str, "str_replace", "old_str")?;
                let new = arguments.new_str.unwrap_or_default();
                self.edit(workspace, &path, |text| {
                    document::replace_once(text, &old, &new)
                })
            }
            Command::Insert => {
                let line = required(arguments.insert_line, "insert", "insert_line")?;
                let new = required(arguments.new_str, "insert", "new_str")?;
                self.edit(workspace, &path, |text| {
                    document::insert_after(text, line, &new)
                })
            }
            Command::UndoEdit => self.undo(workspace, &path),
        }
    }

    fn create(&mut self, workspace: &Workspace, path: &Path, text: String) -> Result<Done, String> {
        let shown = path.display();
        check_size(&shown.to_string(), text.len() as u64)?;
        if workspace.is_taken(path) {
            return Err(exists(path));
        }
        let folder = path.parent().unwrap_or(path);
        let mut remade = None;
        if folder == workspace.folder() && workspace.stat(folder).is_err() {
            remade = workspace.usable_folder().note;
        }
        let found = workspace.stat(folder);
        if !found.is_ok_and(|found| found.kind == FileKind::Folder) {
            return Err(format!(
                "The folder {} does not exist. Make it first, for instance with `mkdir -p` in the \
                 terminal.",
                folder.display()
            ));
        }
        write_new(workspace, path, text.as_bytes()).map_err(|error| {
            if error.kind() == ErrorKind::AlreadyExists {
                exists(path)
            } else {
                format!("{shown} cannot be created: {error}.")
            }
        })?;
        // A file of this name may have been edited and deleted before.
        self.history.forget(&canonical(workspace, path)?);
        Ok(Done {
            text: match remade {
                None => format!("File created: {shown}"),
                Some(note) => format!("{note}\nFile created: {shown}"),
            },
            existed: false,
            old_content: None,
            new_content: Some(text),
        })
    }

    fn edit(
        &mut self,
        workspace: &Workspace,
        path: &Path,
        change: impl FnOnce(String) -> Result<Change, String>,
    ) -> Result<Done, String> {
        let Change {
            before,
            after,
            lines,
        } = change(document::read(workspace, path)?)?;
        check_size(&path.display().to_string(), after.len() as u64)?;
        let file = canonical(workspace, path)?;
        write(workspace, path, &before, &after)?;
        self.history.push(file, before.clone(), after.clone());
        Ok(Done {
            text: view::snippet(path, &after, lines),
            existed: true,
            old_content: Some(before),
            new_content: Some(after),
        })
    }

    fn undo(&mut self, workspace: &Workspace, path: &Path) -> Result<Done, String> {
        let current = document::read(workspace, path)?;
        let file = canonical(workspace, path)?;
        let Some(LastEdit { before, after }) = self.history.last(&file) else {
            return Err(format!(
                "There is no edit of {} to undo: only `str_replace` and `insert` of this session \
                 can be undone, and the last ten of them, as far back as nobody else changed the \
                 file in between.",
                path.display()
            ));
        };
        if current != after {
            return Err(changed_since(path, &difference::between(after, &current)));
        }
        let restored = before.to_owned();
        write(workspace, path, &current, &restored)?;
        self.history.pop(&file);
        Ok(Done {
            text: format!(
                "The last edit is undone. {}",
                view::file(path, &restored, None)?
            ),
            existed: true,
            old_content: Some(current),
            new_content: Some(restored),
        })
    }
}

fn checked(workspace: &Workspace, path: &str) -> Result<PathBuf, String> {
    if path.contains('\0') {
        return Err("`path` contains a null character.".to_owned());
    }
    if Path::new(path).is_absolute() {
        return Ok(PathBuf::from(path));
    }
    if path.starts_with('~') {
        return Err(format!(
            "`path` must be absolute, but is \"{path}\": `~` is not taken for the home folder \
             here. `echo ~` in the terminal shows that."
        ));
    }
    let relative = path.strip_prefix("./").unwrap_or(path);
    Err(format!(
        "`path` must be absolute, but is \"{path}\". Did you mean {}?",
        workspace.folder().join(relative).display()
    ))
}

fn view(workspace: &Workspace, path: &Path, range: Option<&[i64]>) -> Result<Done, String> {
    let text = if document::stat(workspace, path)?.kind == FileKind::Folder {
        if range.is_some() {
            return Err(format!(
                "{} is a folder: leave out `view_range`, which is for files.",
                path.display()
            ));
        }
        view::folder(workspace, path)?
    } else {
        view::file(path, &document::read(workspace, path)?, range)?
    };
    Ok(Done {
        text,
        existed: true,
        old_content: None,
        new_content: None,
    })
}

fn required<T>(value: Option<T>, command: &str, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("`{command}` needs `{name}`."))
}

fn exists(path: &Path) -> String {
    format!(
        "{} exists already, and `create` overwrites nothing. Change it with `str_replace` or \
         `insert`, or choose another path.",
        path.display()
    )
}

fn canonical(workspace: &Workspace, path: &Path) -> Result<PathBuf, String> {
    workspace
        .canonical(path)
        .map_err(|error| format!("{} cannot be read: {error}.", path.display()))
}

fn changed_since(path: &Path, difference: &str) -> String {
    format!(
        "{} was changed since your last edit by something else than this tool, and to undo the edit \
         would destroy that too. Nothing was changed. If your edit has to go, take it back with \
         `str_replace`. What the file has now (+) in the place of what your edit left (-):\n\
         {difference}",
        path.display()
    )
}

/// Writes `after` into a file that holds `before`.
fn write(workspace: &Workspace, path: &Path, before: &str, after: &str) -> Result<(), String> {
    let replaced = workspace.replace(path, before.as_bytes(), after.as_bytes());
    replaced.map_err(|error| match error {
        ReplaceError::Changed => format!(
            "{} was changed by something else at this moment, so nothing was written. View it, and \
             repeat what is still to be done.",
            path.display()
        ),
        ReplaceError::Io(error) => format!("{} cannot be written: {error}.", path.display()),
    })
}

/// Writes a file that must not exist yet.
fn write_new(workspace: &Workspace, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = workspace.create_file(path)?;
    let written = file.write_all(bytes);
    if written.is_err() {
        file.remove();
    }
    written
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_others_write_during_an_edit_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one\n").unwrap();
        let workspace = Workspace::new(folder.path(), Default::default());
        let mut editor = Editor::default();
        let refused = editor.edit(&workspace, &path, |text| {
            fs::write(&path, "one\ntheirs\n").unwrap();
            document::replace_once(text, "one", "two")
        });
        let reason = refused.map(|done| done.text).unwrap_err();
        assert!(reason.contains("at this moment"), "{reason}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntheirs\n");
        assert!(editor.undo(&workspace, &path).is_err());
    }
}
