use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use core_model::{ConversationId, Seq, StoreError};

use crate::{error::io_at, head::LineHead, index::Index, layout, meta::sync_folder, reader::Lines};

/// Opens a log's file for reading and appending, and indexes it.
///
/// A last line without a line break was never acknowledged, complete or not: its bytes are moved
/// to a file of their own and the log is cut back to its last line break. Any other line that is
/// no event stays where it is, keeps its seq, and is left out of the index. Both are warned about.
pub(crate) fn recover(id: ConversationId, path: &Path) -> Result<(File, Index), StoreError> {
    let file = OpenOptions::new().read(true).append(true).open(path);
    let file = file.map_err(io_at(path))?;
    let scan = scan(&file).map_err(io_at(path))?;
    if !scan.torn.is_empty() {
        let (offset, bytes) = (scan.index.end(), scan.torn.len());
        let aside = move_aside(&file, path, offset, &scan.torn).map_err(io_at(path))?;
        tracing::warn!(
            conversation.id = %id,
            offset,
            bytes,
            kept_in = %aside.display(),
            "the log's last line was unfinished and has been moved aside"
        );
    }
    if let Some((first, reason)) = scan.first_damage {
        tracing::warn!(
            conversation.id = %id,
            damaged = scan.index.damaged(),
            first_seq = first.0,
            reason,
            "the log has damaged lines; they are kept and not served"
        );
    }
    Ok((file, scan.index))
}

struct Scan {
    index: Index,
    torn: Vec<u8>,
    first_damage: Option<(Seq, String)>,
}

fn scan(file: &File) -> io::Result<Scan> {
    let mut lines = Lines::new(file);
    let mut found = Scan {
        index: Index::default(),
        torn: Vec::new(),
        first_damage: None,
    };
    while let Some(line) = lines.next()? {
        if !line.complete {
            line.bytes.clone_into(&mut found.torn);
            break;
        }
        match LineHead::parse(line.bytes) {
            Ok(head) => found.index.push(Some(&head), line.bytes.len()),
            Err(reason) => {
                let seq = found.index.len();
                found.first_damage.get_or_insert((seq, reason));
                found.index.push(None, line.bytes.len());
            }
        }
    }
    Ok(found)
}

/// Keeps the torn bytes in a file of their own, durably, before the log loses them.
fn move_aside(file: &File, path: &Path, offset: u64, torn: &[u8]) -> io::Result<PathBuf> {
    let (mut aside, name) = create_aside(path, offset)?;
    aside.write_all(torn)?;
    aside.sync_all()?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    file.set_len(offset)?;
    file.sync_all()?;
    Ok(name)
}

fn create_aside(path: &Path, offset: u64) -> io::Result<(File, PathBuf)> {
    let mut attempt = 0;
    loop {
        let name = layout::torn(path, offset, attempt);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&name);
        match made {
            Ok(file) => return Ok((file, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}
