//! What tools do when the conversation's workspace is not there any more: an agent may remove it, and
//! so may others.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

/// A folder to work in, and what to tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usable {
    pub(crate) folder: PathBuf,
    /// Set when this is not simply the folder that was meant.
    pub(crate) note: Option<String>,
}

/// The workspace; made again when it is gone, and if that fails, the nearest folder above it.
pub(crate) fn usable(workspace: &Path) -> Usable {
    if can_enter(workspace) {
        return Usable {
            folder: workspace.to_owned(),
            note: None,
        };
    }
    let shown = workspace.display();
    match fs::create_dir_all(workspace) {
        Ok(()) if can_enter(workspace) => Usable {
            folder: workspace.to_owned(),
            note: Some(format!(
                "The workspace folder {shown} was gone. It was made again and is empty."
            )),
        },
        made => {
            let why = made
                .err()
                .map_or_else(|| "no permission".to_owned(), |error| error.to_string());
            let folder = nearest(workspace);
            let note = format!(
                "The workspace folder {shown} cannot be entered and could not be made again ({why}). \
                 The shell is in {}.",
                folder.display()
            );
            Usable {
                folder,
                note: Some(note),
            }
        }
    }
}

/// Where a shell goes whose working directory `gone` was removed.
pub(crate) fn instead_of(gone: &Path, workspace: &Path) -> Usable {
    if can_enter(gone) {
        return Usable {
            folder: gone.to_owned(),
            note: Some(format!(
                "The folder {} was removed and made again; the shell entered the new one.",
                gone.display()
            )),
        };
    }
    // not asked whether one lies in the other: a path may lead through links
    if !workspace.exists() {
        return usable(workspace);
    }
    let folder = nearest(gone);
    let note = format!(
        "The folder {}, in which the shell was, is gone. The shell is in {} now.",
        gone.display(),
        folder.display()
    );
    Usable {
        folder,
        note: Some(note),
    }
}

fn nearest(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|folder| can_enter(folder))
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn can_enter(folder: &Path) -> bool {
    folder.is_dir() && access(folder, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_there_is_used_without_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let usable = usable(folder.path());
        assert_eq!(
            (usable.folder.as_path(), usable.note),
            (folder.path(), None)
        );
    }

    #[test]
    fn only_the_workspace_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("a/b");
        let made = instead_of(&workspace.join("c"), &workspace);
        assert_eq!(made.folder, workspace);
        assert!(workspace.is_dir() && !workspace.join("c").exists());
        let above = instead_of(&workspace.join("c"), &workspace);
        assert_eq!(above.folder, workspace);
        let other = instead_of(&folder.path().join("x/y"), &workspace);
        assert_eq!(other.folder, folder.path());
        assert!(!folder.path().join("x").exists());
    }
}
