//! Reading the rows at a start.

use std::{io, path::Path, sync::Arc};

use uuid::Uuid;

use super::{
    files::{self, ENTRY, Entry, HEADER, What},
    place,
    rows::Rows,
};
use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_all, read_exact, write_all},
    layout,
};

/// Entries read at a time.
const STRIDE: u64 = 16 * 1024;
/// A bad entry with more behind it than one write's worth was not torn by a crash.
const TORN: u64 = 64 * 1024;
/// A feed begins anew when it has more entries (4 GiB).
const MOST: u64 = 1 << 26;

pub(super) struct Loaded {
    pub(super) feed_id: Uuid,
    pub(super) feed: Arc<dyn DiskFile>,
    /// How many entries the feed has.
    pub(super) len: u64,
    /// The position that the stored catalog is true of.
    pub(super) catalog: u64,
    pub(super) rows: Rows,
    pub(super) closed_in_order: bool,
}

/// The stored rows, brought up to the feed's end. Files that are missing, damaged or do not belong
/// together are begun anew: then the list is to be completed from the conversations themselves.
pub(super) fn load(disk: &dyn Disk, root: &Path) -> io::Result<Loaded> {
    let marker = disk.exists(&layout::closed_file(root));
    if let Some(mut loaded) = known(disk, root) {
        // A process that was killed may have left names, the feed's or a conversation's, that are not
        // durable; from now on they are.
        disk.sync_dir(root)?;
        loaded.closed_in_order = marker;
        return Ok(loaded);
    }
    if marker {
        disk.remove_file(&layout::closed_file(root))?;
        disk.sync_dir(root)?;
    }
    begin(disk, root)
}

fn known(disk: &dyn Disk, root: &Path) -> Option<Loaded> {
    let feed = disk.open(&layout::feed_file(root), Open::Write).ok()?;
    let mut header = [0; HEADER];
    read_exact(feed.as_ref(), &mut header, 0, Wait::Yes).ok()?;
    let feed_id = files::read_feed_header(&header)?;
    let mut len = (feed.len().ok()? - HEADER as u64) / ENTRY as u64;
    let mut rows = Rows::default();
    let mut catalog = 0;
    if let Ok(bytes) = read_all(disk, &layout::catalog_file(root))
        && let Some((of, position, stored)) = files::read_catalog(&bytes)
        && of == feed_id
        && position <= len
    {
        catalog = position;
        for (id, row) in stored {
            rows.put(id, row);
        }
    }
    let mut position = catalog;
    while position < len {
        let count = (len - position).min(STRIDE);
        let mut bytes = vec![0; count as usize * ENTRY];
        read_exact(feed.as_ref(), &mut bytes, place(position), Wait::Yes).ok()?;
        for bytes in bytes.chunks_exact(ENTRY) {
            let Some(entry) = Entry::decode(bytes) else {
                if len - position > TORN {
                    tracing::error!(position, "the feed is damaged; a new one begins");
                    return None;
                }
                // A crash tore the last write, which nobody had been shown.
                len = position;
                break;
            };
            match entry.what {
                What::Created | What::Grown | What::Noted => drop(rows.put(entry.id, entry.row)),
                What::Deleted => drop(rows.remove(entry.id)),
            }
            position += 1;
        }
    }
    // What is there now may be shown.
    if feed.len().ok()? != place(len) {
        feed.set_len(place(len)).ok()?;
    }
    feed.sync().ok()?;
    (len < MOST).then_some(Loaded {
        feed_id,
        feed,
        len,
        catalog,
        rows,
        closed_in_order: false,
    })
}

/// An empty feed, put in place as a whole.
fn begin(disk: &dyn Disk, root: &Path) -> io::Result<Loaded> {
    let feed_id = Uuid::new_v4();
    let temporary = layout::feed_making(root);
    let feed = disk.open(&temporary, Open::Make)?;
    feed.set_len(0)?;
    write_all(feed.as_ref(), &files::feed_header(feed_id), 0)?;
    feed.sync()?;
    disk.rename(&temporary, &layout::feed_file(root))?;
    disk.sync_dir(root)?;
    Ok(Loaded {
        feed_id,
        feed,
        len: 0,
        catalog: 0,
        rows: Rows::default(),
        closed_in_order: false,
    })
}
