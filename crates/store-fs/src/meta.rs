use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use core_model::{ConversationId, Metadata, StoreError};
use serde::Deserialize;

use crate::{
    disk::{Disk, Open, read_small, write_all},
    error::{damaged, io_at},
    layout,
};

/// Reads a conversation's metadata from its folder.
///
/// # Errors
/// `NotFound` when there is no such folder; `Damaged` when the file is missing, no metadata, of a
/// newer format, or another conversation's.
pub(crate) fn read_metadata(
    disk: &dyn Disk,
    folder: &Path,
    id: ConversationId,
) -> Result<Metadata, StoreError> {
    let path = folder.join(layout::METADATA);
    let text = match read_small(disk, &path, layout::MAX_METADATA_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && disk.exists(folder) => {
            return Err(damaged(&path, "the file is missing"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NotFound(id));
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(damaged(&path, error));
        }
        Err(error) => return Err(io_at(&path)(error)),
    };
    let metadata = parse_metadata(&text).map_err(|reason| damaged(&path, reason))?;
    if metadata.id != id {
        let reason = format!("it belongs to conversation {}", metadata.id);
        return Err(damaged(&path, reason));
    }
    Ok(metadata)
}

/// Writes a conversation's metadata into its folder, whole or not at all.
pub(crate) fn write_metadata(
    disk: &dyn Disk,
    folder: &Path,
    metadata: &Metadata,
) -> Result<(), StoreError> {
    let path = folder.join(layout::METADATA);
    let text = serde_json::to_vec(metadata).map_err(|error| io_at(&path)(error.into()))?;
    replace(disk, &path, &text).map_err(io_at(&path))
}

/// Gives a small file new contents: after a crash it holds the old ones or the new ones. Durable
/// when this returns. Callers take turns: one writer a file.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let written =
        write_new(disk, &temporary, contents).and_then(|()| disk.rename(&temporary, path));
    if let Err(error) = written {
        disk.remove_file(&temporary).ok();
        return Err(error);
    }
    disk.sync_dir(parent(path))
}

/// Makes a folder and the missing ones above it, durably.
pub(crate) fn create_folders(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    fs::create_dir_all(path)?;
    for folder in missing {
        File::open(parent(folder))?.sync_all()?;
    }
    Ok(())
}

fn parse_metadata(text: &[u8]) -> Result<Metadata, String> {
    #[derive(Deserialize)]
    struct Probe {
        format: u32,
    }
    let Probe { format } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if format > layout::FORMAT {
        return Err(format!(
            "its format {format} is newer than {}, the newest this build reads",
            layout::FORMAT
        ));
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// Starts from a new file, so that what a crash left neither mixes in nor lends its permissions.
pub(crate) fn write_new(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = disk.open(path, Open::MakeNew)?;
    write_all(file.as_ref(), contents, 0)?;
    file.sync()
}

/// A fixed name beside the file, so that crashes leave at most one.
fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_replaced_file_is_private_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.json");
        replace(&RealDisk, &path, b"old").unwrap();
        // A crash left a longer temporary file behind.
        fs::write(temporary(&path), b"half written, and long").unwrap();
        replace(&RealDisk, &path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn metadata_without_measure_is_damage_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join(layout::METADATA)).unwrap();
        file.set_len(1 << 40).unwrap();
        let read = read_metadata(&RealDisk, folder.path(), ConversationId::random());
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
    }

    #[test]
    fn a_failed_replace_keeps_the_old_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.json");
        replace(&RealDisk, &path, b"old").unwrap();
        // Something that cannot be written to stands where the temporary file goes.
        fs::create_dir(temporary(&path)).unwrap();
        assert!(replace(&RealDisk, &path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
