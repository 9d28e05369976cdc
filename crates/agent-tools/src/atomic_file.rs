//! Replacing a file so that a reader, or a crash, meets either the old bytes or the new ones.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// Gives the file at `path` the content `bytes`: a new file beside it takes its mode and owner and
/// then its name. A symbolic link stays, and the file it points at is replaced. A missing file is
/// made.
///
/// Where the system forbids the swap but not the write (a folder that is read-only, a file of
/// another owner, a file mounted by itself), the file is written in place.
///
/// # Errors
/// As the file system reports them; the old content is then still there, unless the write in place
/// failed half-way.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    match swap(&target, bytes) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ResourceBusy
            ) =>
        {
            fs::write(&target, bytes)
        }
        done => done,
    }
}

fn swap(target: &Path, bytes: &[u8]) -> io::Result<()> {
    // Opened for writing, since a swap alone would get around a file's own write protection.
    let old = match OpenOptions::new().write(true).open(target) {
        Ok(file) => Some(file.metadata()?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let beside = neighbour(target);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        // Nobody else reads the bytes before the file has the mode of the one it replaces.
        .mode(if old.is_some() { 0o600 } else { 0o666 })
        .open(&beside)?;
    let swapped = fill(file, bytes, old.as_ref()).and_then(|()| fs::rename(&beside, target));
    if swapped.is_err() {
        fs::remove_file(&beside).ok();
    }
    swapped
}

fn fill(mut file: File, bytes: &[u8], old: Option<&fs::Metadata>) -> io::Result<()> {
    file.write_all(bytes)?;
    if let Some(old) = old {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        // After the owner: changing it clears the set-user-id bits.
        let mode: Permissions = old.permissions();
        file.set_permissions(mode)?;
    }
    Ok(())
}

fn neighbour(target: &Path) -> PathBuf {
    target.with_file_name(format!(".{}.tmp", Uuid::new_v4().simple()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn keeps_mode_and_link_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script.sh");
        let link = folder.path().join("link.sh");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o751)).unwrap();
        symlink(&file, &link).unwrap();

        replace(&link, b"new").unwrap();

        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o751);
        assert_eq!(fs::read_link(&link).unwrap(), file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn makes_a_missing_file_but_no_missing_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new.txt");
        replace(&file, b"x").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"x");
        let nowhere = folder.path().join("no/new.txt");
        assert_eq!(
            replace(&nowhere, b"x").unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn a_failed_swap_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("folder");
        fs::create_dir(&target).unwrap();
        replace(&target, b"x").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(target.is_dir());
    }
}
