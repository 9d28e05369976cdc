//! What lists show of each conversation at rest, ready to be sent: the file `.infos`.
//!
//! A row leads to its JSON. The file is a cache: it is added to and never written over, and nobody
//! syncs it. A checksum tells what a power cut took. What a row leads to is never out of date: whatever
//! changes a conversation's metadata or row makes the row forget it first, and rows lead nowhere after
//! a stop that was not clean. What is missing is rebuilt from the metadata when it is asked for.

use std::{io, os::unix::ffi::OsStrExt, sync::Arc};

use bytes::Bytes;
use core_model::{ConversationId, ExecutionStatus};
use uuid::Uuid;

use super::{
    files::{self, HEADER},
    row::{CRC, Place},
};
use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    layout,
};

/// To be counted up whenever what lists show of a conversation changes its shape.
const SHAPE: u32 = 1;
/// The open file.
#[derive(Clone)]
pub(super) struct InfoFile {
    /// Tells it from those before it; not 0.
    pub(super) id: u64,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where the next one is written.
    pub(super) end: u64,
}

/// What lists show of a conversation when its log has this many bytes and it stands like this.
pub(crate) struct Shown {
    pub(crate) id: ConversationId,
    pub(crate) bytes: u64,
    pub(crate) status: ExecutionStatus,
    pub(crate) json: Bytes,
}

impl InfoFile {
    /// The file that a catalog's rows lead into; none when it is another one by now.
    pub(super) fn open(disk: &dyn Disk, root: &std::path::Path, id: u64) -> Option<Self> {
        let file = disk.open(&layout::infos_file(root), Open::Write).ok()?;
        let mut header = [0; HEADER];
        read_exact(file.as_ref(), &mut header, 0, Wait::Yes).ok()?;
        let end = file.len().ok()?;
        let ours = files::infos_header(id, maker(root));
        (id != 0 && header == ours).then_some(Self { id, file, end })
    }

    /// A new one under a name of its own, to be put in place.
    pub(super) fn make(disk: &dyn Disk, root: &std::path::Path) -> io::Result<Self> {
        let file = disk.open(&layout::infos_making(root), Open::Make)?;
        file.set_len(0)?;
        let id = Uuid::new_v4().as_u64_pair().1;
        write_all(file.as_ref(), &files::infos_header(id, maker(root)), 0)?;
        Ok(Self {
            id,
            file,
            end: HEADER as u64,
        })
    }

    /// What a deleted conversation's list showed is not to be found on disk either.
    pub(super) fn wipe(&self, place: Place) {
        let zeros = vec![0; place.len as usize + CRC];
        if let Err(error) = write_all(self.file.as_ref(), &zeros, place.at) {
            tracing::warn!(%error, "what lists showed of a deleted conversation is still in their file");
        }
    }

    pub(super) fn put_in_place(disk: &dyn Disk, root: &std::path::Path) -> io::Result<()> {
        disk.rename(&layout::infos_making(root), &layout::infos_file(root))
    }

    pub(super) fn read(&self, id: ConversationId, place: Place, wait: Wait) -> io::Result<Vec<u8>> {
        let mut record = vec![0; place.len as usize + CRC];
        read_exact(self.file.as_ref(), &mut record, place.at, wait)?;
        match files::is_info(id, &record) {
            true => Ok(record),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Tells JSON of another build, or of another place, which is in it, from ours.
fn maker(root: &std::path::Path) -> u32 {
    let build = crc32c::crc32c(env!("CARGO_PKG_VERSION").as_bytes());
    let shape = crc32c::crc32c_append(build, &SHAPE.to_le_bytes());
    crc32c::crc32c_append(shape, root.as_os_str().as_bytes())
}
