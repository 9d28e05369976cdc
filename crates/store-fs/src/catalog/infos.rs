//! Keeping what lists show of conversations at rest.

use std::{io, sync::atomic::Ordering};

use bytes::Bytes;
use core_model::ConversationId;

use super::{
    files,
    info_file::{InfoFile, Shown},
    row::{CRC, Place},
    state::{CatalogState, Memory},
};
use crate::{
    disk::{Wait, write_all},
    error::lock,
};

/// Unused bytes before the file is rewritten, if they are also more than the
/// others.
const GARBAGE: u64 = 1 << 20;
/// Bytes copied at a time.
const STRETCH: usize = 1 << 20;

impl CatalogState {
    /// What lists show of conversations at rest; none where it has to be rebuilt.
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
                    tracing::debug!(conversation.id = %id, %error, "what lists show of it is rebuilt");
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
        let fits = |memory: &Memory| {
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
        let infos = InfoFile::make(self.disk.as_ref(), &self.root)?;
        InfoFile::put_in_place(self.disk.as_ref(), &self.root)?;
        lock(&self.memory).infos = Some(infos);
        Ok(())
    }

    /// Rewrites the file when more than half of it is unused.
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

    /// Meanwhile the old file is used; what is added to it is forgotten at the end.
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
        let mut new = InfoFile::make(self.disk.as_ref(), &self.root)?;
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
        InfoFile::put_in_place(self.disk.as_ref(), &self.root)?;
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
