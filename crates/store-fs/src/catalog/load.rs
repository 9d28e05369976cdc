//! Reading the rows at a start.

use std::{io, path::Path};

use uuid::Uuid;

use super::{
    files::{self, ENTRY, Entry, HEADER, What, place},
    info_file::InfoFile,
    rows::Rows,
};
use crate::{
    append_file::AppendFile,
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    layout,
};

/// Entries read at a time.
const STRIDE: u64 = 1024;
/// A feed with more entries (4 GiB) is replaced by an empty one.
const MOST: u64 = 1 << 26;

pub(super) struct Loaded {
    pub(super) feed_id: Uuid,
    pub(super) feed: AppendFile,
    /// How many entries the feed has.
    pub(super) len: u64,
    /// The position that the stored catalog is true of.
    pub(super) catalog: u64,
    pub(super) rows: Rows,
    pub(super) infos: Option<InfoFile>,
    pub(super) closed_cleanly: bool,
    /// Whether conversations may lack the row that they should have.
    pub(super) lacks_rows: bool,
    pub(super) closed_at: Option<i128>,
}

/// The stored rows, brought up to the feed's end. Files that are missing, damaged or do not belong
/// together are replaced by empty ones: then the list is completed from the conversations themselves.
///
/// # Errors
/// When what is there cannot be read for now.
pub(super) fn load(disk: &dyn Disk, root: &Path) -> io::Result<Loaded> {
    let marker = disk.exists(&layout::closed_file(root));
    let known = known(disk, root, marker)?;
    if marker && known.as_ref().is_none_or(|known| !known.closed_cleanly) {
        disk.remove_file(&layout::closed_file(root))?;
        disk.sync_dir(root)?;
    }
    match known {
        Some(known) => {
            if !known.closed_cleanly {
                // A process that was killed may have left names, the feed's or a conversation's, that
                // are not durable; from now on they are.
                disk.sync_dir(root)?;
            }
            Ok(known)
        }
        None => begin(disk, root),
    }
}

fn known(disk: &dyn Disk, root: &Path, marker: bool) -> io::Result<Option<Loaded>> {
    let path = layout::feed_file(root);
    let feed = match disk.open(&path, Open::Write) {
        Ok(feed) => feed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io::Error::new(error.kind(), format!(".feed: {error}"))),
    };
    let size = feed.len()?;
    let mut header = [0; HEADER];
    if size >= HEADER as u64 {
        read_exact(feed.as_ref(), &mut header, 0, Wait::Yes)?;
    }
    let len = size.saturating_sub(HEADER as u64) / ENTRY as u64;
    let Some(feed_id) = files::read_feed_header(&header).filter(|_| len < MOST) else {
        return Ok(None);
    };
    let stored = catalog(disk, root).filter(|(of, _)| of.feed == feed_id && of.position <= len);
    let (stand, rows) = stored.unzip();
    let catalog = stand.map_or(0, |stand| stand.position);
    let mut rows: Rows = rows.unwrap_or_default();
    let bad = replay(feed.as_ref(), catalog..len, &mut rows)?;
    if bad > 0 {
        tracing::warn!(
            bad,
            "entries of the feed are torn or damaged; what they said is looked up in the conversations"
        );
    }
    // Half an entry does not count; a whole one keeps its position, even a damaged one: somebody may
    // have been shown it.
    if size != place(len) {
        feed.set_len(place(len))?;
    }
    let closed_cleanly = marker && bad == 0;
    let all_durable = closed_cleanly && size == place(catalog);
    if !all_durable {
        // What is there now may be shown.
        feed.sync()?;
    }
    let infos = stand.filter(|stand| closed_cleanly && stand.position == len);
    let infos = infos.and_then(|stand| InfoFile::open(disk, root, stand.infos));
    // Without the time, nobody could tell what another hand changed since.
    let closed_at = disk.changed_at(&layout::closed_file(root)).ok();
    let infos = infos.filter(|_| closed_at.is_some());
    if infos.is_none() {
        rows.forget_infos();
    }
    Ok(Some(Loaded {
        feed_id,
        feed: AppendFile::new(feed, &path, place(len)),
        len,
        catalog,
        rows,
        infos,
        lacks_rows: !closed_cleanly,
        closed_cleanly,
        closed_at,
    }))
}

/// The stored catalog. One that cannot be read is made up for by the feed.
fn catalog(disk: &dyn Disk, root: &Path) -> Option<(files::Stand, Rows)> {
    let file = match disk.open(&layout::catalog_file(root), Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, "the list of conversations cannot be read");
            return None;
        }
    };
    match files::read_catalog(file.as_ref()) {
        Ok(Some(stored)) => return Some(stored),
        Ok(None) => tracing::warn!("the list of conversations is damaged"),
        Err(error) => tracing::warn!(%error, "the list of conversations cannot be read"),
    }
    None
}

/// Applies entries of the feed; returns how many are damaged.
fn replay(
    feed: &dyn DiskFile,
    positions: std::ops::Range<u64>,
    rows: &mut Rows,
) -> io::Result<u64> {
    let mut bad = 0;
    let mut bytes = Vec::new();
    let mut position = positions.start;
    while position < positions.end {
        let count = (positions.end - position).min(STRIDE);
        bytes.resize(count as usize * ENTRY, 0);
        read_exact(feed, &mut bytes, place(position), Wait::Yes)?;
        for bytes in bytes.chunks_exact(ENTRY) {
            match Entry::decode(bytes) {
                Some(entry) if entry.what == What::Deleted => drop(rows.remove(entry.id)),
                Some(entry) => drop(rows.put(entry.id, entry.row)),
                None => bad += 1,
            }
        }
        position += count;
    }
    Ok(bad)
}

fn has_conversations(disk: &dyn Disk, root: &Path) -> io::Result<bool> {
    let mut found = false;
    disk.each_name(root, &mut |name| {
        found |= name.to_str().and_then(layout::conversation).is_some();
    })?;
    Ok(found)
}

/// An empty feed, put in place as a whole.
fn begin(disk: &dyn Disk, root: &Path) -> io::Result<Loaded> {
    let feed_id = Uuid::new_v4();
    let temporary = layout::feed_making(root);
    let feed = disk.open(&temporary, Open::Make)?;
    feed.set_len(0)?;
    write_all(feed.as_ref(), &files::feed_header(feed_id), 0)?;
    feed.sync()?;
    let path = layout::feed_file(root);
    disk.rename(&temporary, &path)?;
    disk.sync_dir(root)?;
    Ok(Loaded {
        feed_id,
        feed: AppendFile::new(feed, &path, place(0)),
        len: 0,
        catalog: 0,
        rows: Rows::default(),
        infos: None,
        lacks_rows: has_conversations(disk, root)?,
        closed_cleanly: false,
        closed_at: None,
    })
}
