//! Opening a log: its index is checked against its length, the rest is read, and a torn last line is
//! moved to a file of its own.

mod indexing;
mod known;
mod refusal;
mod report;
mod torn;

use std::{io, path::Path, sync::Arc};

use core_model::{ConversationId, StoreError, TornTail};

use self::{
    known::{Known, known},
    refusal::is_refusal,
    report::report_damage,
};
use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    error::io_at,
    extent::Extent,
    index::Index,
    layout,
    notices::Notices,
};

pub(crate) use indexing::{extend, rebuild};
pub(crate) use report::report_torn;
pub(crate) use torn::move_torn;

/// A longer tail that the index does not know is synced, but not written again first.
const WRITTEN_AGAIN: u64 = 16 << 20;

/// An opened log.
pub(crate) struct Opened {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) index: Index,
    pub(crate) extent: Extent,
    pub(crate) torn: Option<TornTail>,
    /// How many bytes are certainly on disk.
    pub(crate) durable: u64,
    /// Why nothing can be appended for now.
    pub(crate) refused: Option<Refused>,
}

/// What the disk refused.
pub(crate) struct Refused {
    pub(crate) error: io::Error,
    /// An unfinished last line is still in the log.
    pub(crate) torn: bool,
}

/// Opens the log in a conversation's folder for reading and, if the disk takes writes, appending.
///
/// An index that ends where the log ends is used as it is; one that ends before is extended; any other
/// is rebuilt. What the index does not know may never have been synced, and is synced before it is shown
/// to anybody. A last line without a line break was never acknowledged, complete or not: its
/// bytes are moved to a file of their own and the log is cut back to its last line break. Any other
/// line that is not an event stays where it is, keeps its seq, and is never served.
pub(crate) fn open(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    notices: &Notices,
) -> Result<Opened, StoreError> {
    let path = folder.join(layout::EVENTS);
    let index_path = folder.join(layout::INDEX);
    let (file, mut refused) = match disk.open(&path, Open::Write) {
        Ok(file) => (file, None),
        Err(error) if is_refusal(&error) => {
            let file = disk.open(&path, Open::Read).map_err(io_at(&path))?;
            (file, Some(error))
        }
        Err(error) => return Err(io_at(&path)(error)),
    };
    let size = file.len().map_err(io_at(&path))?;
    let known = known(disk, id, &index_path, file.as_ref(), size).map_err(io_at(&index_path))?;
    let begin = match &known {
        Known::Fits(_, extent) => extent.bytes,
        Known::Partly(_) => 0,
    };
    if begin < size && refused.is_none() {
        refused = secure(file.as_ref(), begin, size).err();
    }
    let secured = refused.is_none();
    let at_log = io_at(&path);
    let (index, extent, scanned) = match known {
        Known::Fits(index, extent) if extent.bytes == size => (index, extent, None),
        Known::Fits(index, extent) => {
            let (extent, scanned) = extend(&index, file.as_ref(), extent, size).map_err(at_log)?;
            (index, extent, Some(scanned))
        }
        Known::Partly(old) => {
            let rebuilt = rebuild(disk, id, folder, file.as_ref(), size, old.as_ref());
            let (index, extent, scanned) = rebuilt.map_err(at_log)?;
            (index, extent, Some(scanned))
        }
    };
    report_damage(id, &index, scanned.as_ref(), notices);
    let torn = scanned.map_or(0, |scanned| scanned.torn);
    let mut opened = Opened {
        file,
        index,
        extent,
        torn: None,
        durable: if secured { extent.bytes } else { begin },
        refused: None,
    };
    if torn > 0 && refused.is_none() {
        let place = extent.bytes..extent.bytes + torn;
        match move_torn(disk, folder, opened.file.as_ref(), place) {
            Ok(tail) => {
                report_torn(id, &tail, notices);
                opened.torn = Some(tail);
            }
            Err(error) => refused = Some(error),
        }
    }
    opened.refused = refused.map(|error| Refused {
        torn: torn > 0,
        error,
    });
    Ok(opened)
}

/// Writes the whole lines of a range once more and syncs them: after a crash, or a sync that failed
/// before one, only the kernel may have them, and it may count them as written.
fn secure(log: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    if to - from <= WRITTEN_AGAIN {
        let mut bytes = vec![0; (to - from) as usize];
        read_exact(log, &mut bytes, from, Wait::Yes)?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        write_all(log, &bytes[..whole], from)?;
    }
    log.sync()
}
