//! The unfinished last line that a crash left.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use core_model::{TornTail, UtcTime};

use crate::{
    disk::{Disk, DiskFile, Open, copy_range},
    layout,
};

/// Copies bytes at the log's end to a file of their own, durably, before it cuts them off.
pub(crate) fn move_torn(
    disk: &dyn Disk,
    folder: &Path,
    log: &dyn DiskFile,
    torn: Range<u64>,
) -> io::Result<TornTail> {
    let (file, path) = create_file(disk, folder)?;
    let kept = copy_range(log, torn.clone(), file.as_ref())
        .and_then(|()| file.sync())
        .and_then(|()| disk.sync_dir(folder));
    if let Err(error) = kept {
        disk.remove_file(&path).ok();
        return Err(error);
    }
    log.set_len(torn.start)?;
    log.sync()?;
    Ok(TornTail {
        file: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        offset: torn.start,
        bytes: torn.end - torn.start,
        found_at: UtcTime::now(),
    })
}

fn create_file(disk: &dyn Disk, folder: &Path) -> io::Result<(Arc<dyn DiskFile>, PathBuf)> {
    let mut attempt = 0;
    loop {
        let path = layout::torn(folder, Utc::now(), attempt);
        match disk.open(&path, Open::MakeNew) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}
