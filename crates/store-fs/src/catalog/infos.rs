//! What lists show of each conversation at rest, ready to be sent: the file `.infos`.
//!
//! A row leads to its JSON. The file is a cache: it is added to and never written over, and nobody
//! syncs it. A checksum tells what a power cut took. What a row leads to is never out of date: whatever
//! changes a conversation's metadata or row makes the row forget it first, and rows lead nowhere after
//! a stop that was not in order. What is missing is made anew from the metadata when it is asked for.

use std::{
    io,
    os::unix::ffi::OsStrExt,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use core_model::{ConversationId, ExecutionStatus};
use uuid::Uuid;

use super::{
    Work,
    files::{self, CRC, HEADER},
    rows::Place,
};
use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    error::lock,
    layout,
};

/// Bytes that nobody needs any more before the file is written anew, if they are also more than the
/// others.
const GARBAGE: u64 = 1 << 20;
/// To be counted up whenever what lists show of a conversation changes its shape.
const SHAPE: u32 = 1;
/// Bytes copied at a time.
const STRETCH: usize = 1 << 20;

/// The open file.
#[derive(Clone)]
pub(super) struct Infos {
    /// Tells it from those before it; not 0.
    pub(super) id: u64,
    file: Arc<dyn DiskFile>,
    /// Where the next one is written.
    end: u64,
}

/// What lists show of a conversation when its log has this many bytes and it stands like this.
pub(crate) struct Shown {
    pub(crate) id: ConversationId,
    pub(crate) bytes: u64,
    pub(crate) status: ExecutionStatus,
    pub(crate) json: Bytes,
}

impl Infos {
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
    fn make(disk: &dyn Disk, root: &std::path::Path) -> io::Result<Self> {
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

    fn put_in_place(disk: &dyn Disk, root: &std::path::Path) -> io::Result<()> {
        disk.rename(&layout::infos_making(root), &layout::infos_file(root))
    }

    fn read(&self, id: ConversationId, place: Place, wait: Wait) -> io::Result<Vec<u8>> {
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

impl Work {
    /// What lists show of conversations at rest; none where it has to be made anew.
    ///
    /// # Errors
    /// `WouldBlock`, if this may not wait.
    pub(crate) fn infos(
        &self,
        ids: &[ConversationId],
        wait: Wait,
    ) -> io::Result<Vec<Option<Bytes>>> {
        let (infos, places): (_, Vec<Option<Place>>) = {
            let memory = lock(&self.memory);
            let places = ids.iter().map(|id| memory.rows.info(*id)).collect();
            (memory.infos.clone(), places)
        };
        let Some(infos) = infos else {
            return Ok(vec![None; ids.len()]);
        };
        let read = |(id, place): (&ConversationId, Option<Place>)| {
            let Some(place) = place else { return Ok(None) };
            match infos.read(*id, place, wait) {
                Ok(record) => Ok(Some(Bytes::from(record).slice(CRC..))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
                Err(error) => {
                    tracing::debug!(conversation.id = %id, %error, "shown anew");
                    self.forget_info(*id, Some(place));
                    Ok(None)
                }
            }
        };
        ids.iter().zip(places).map(read).collect()
    }

    /// Keeps what lists show of a conversation, if its row says the same. Callers hold the
    /// conversation's turn, so that no later change is passed over.
    pub(crate) fn show(&self, shown: &Shown) {
        if let Err(error) = self.try_to_show(shown) {
            tracing::debug!(conversation.id = %shown.id, %error, "not kept for lists");
        }
    }

    pub(crate) fn has_info(&self, id: ConversationId) -> bool {
        lock(&self.memory).rows.info(id).is_some()
    }

    /// To be called before a conversation's metadata changes.
    pub(crate) fn forget_info(&self, id: ConversationId, only: Option<Place>) {
        let mut memory = lock(&self.memory);
        let known = memory.rows.info(id);
        if known.is_some() && (only.is_none() || known == only) {
            memory.rows.set_info(id, Place::default());
            self.infos_changed.store(true, Ordering::Release);
        }
    }

    fn try_to_show(&self, shown: &Shown) -> io::Result<()> {
        let fits = |memory: &super::Memory| {
            let row = memory.rows.get(shown.id);
            row.is_some_and(|row| row.bytes == shown.bytes && row.status() == shown.status)
        };
        if lock(&self.memory).infos.is_none() {
            self.begin_infos()?;
        }
        let record = files::infos_record(shown.id, &shown.json);
        let (infos, at) = {
            let mut memory = lock(&self.memory);
            let fit = fits(&memory);
            let Some(infos) = memory.infos.as_mut().filter(|_| fit) else {
                return Ok(());
            };
            let at = infos.end;
            infos.end += record.len() as u64;
            (infos.clone(), at)
        };
        write_all(infos.file.as_ref(), &record, at)?;
        let mut memory = lock(&self.memory);
        let same = memory.infos.as_ref().is_some_and(|now| now.id == infos.id);
        if let (true, true, Ok(len)) = (same, fits(&memory), u32::try_from(shown.json.len())) {
            memory.rows.set_info(shown.id, Place { at, len });
            self.infos_changed.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Only when there is something to put in, so that a start after a crash has nothing to do.
    fn begin_infos(&self) -> io::Result<()> {
        let _making = lock(&self.making_infos);
        if lock(&self.memory).infos.is_some() {
            return Ok(());
        }
        let infos = Infos::make(self.disk.as_ref(), &self.root)?;
        Infos::put_in_place(self.disk.as_ref(), &self.root)?;
        lock(&self.memory).infos = Some(infos);
        Ok(())
    }

    /// Writes the file anew when more than half of it is of no use.
    pub(super) fn compact_infos_if_due(&self) -> io::Result<()> {
        let due = {
            let memory = lock(&self.memory);
            let used = memory.rows.infos();
            let end = memory.infos.as_ref().map_or(0, |infos| infos.end);
            end.saturating_sub(used) > used.max(GARBAGE)
        };
        match due {
            true => self.compact_infos(),
            false => Ok(()),
        }
    }

    /// Meanwhile all goes on with the old file; what is put into that is forgotten in the end.
    pub(super) fn compact_infos(&self) -> io::Result<()> {
        let _making = lock(&self.making_infos);
        let (old, mut places) = {
            let memory = lock(&self.memory);
            let Some(old) = memory.infos.clone() else {
                return Ok(());
            };
            let places: Vec<(ConversationId, Place, u64)> = memory
                .rows
                .all()
                .filter(|(_, _, place)| place.len > 0)
                .map(|(id, _, place)| (id, place, 0))
                .collect();
            (old, places)
        };
        let mut new = Infos::make(self.disk.as_ref(), &self.root)?;
        let mut bytes = Vec::new();
        for (id, place, moved) in &mut places {
            // What cannot be read leads nowhere from here on.
            let Ok(record) = old.read(*id, *place, Wait::Yes) else {
                continue;
            };
            *moved = new.end + bytes.len() as u64;
            bytes.extend_from_slice(&record);
            if bytes.len() >= STRETCH {
                write_all(new.file.as_ref(), &bytes, new.end)?;
                new.end += bytes.len() as u64;
                bytes.clear();
            }
        }
        write_all(new.file.as_ref(), &bytes, new.end)?;
        new.end += bytes.len() as u64;
        Infos::put_in_place(self.disk.as_ref(), &self.root)?;
        let mut memory = lock(&self.memory);
        places.retain(|(id, old, moved)| *moved > 0 && memory.rows.info(*id) == Some(*old));
        memory.rows.forget_infos();
        for (id, Place { len, .. }, at) in places {
            memory.rows.set_info(id, Place { at, len });
        }
        memory.infos = Some(new);
        self.infos_changed.store(true, Ordering::Release);
        Ok(())
    }
}
