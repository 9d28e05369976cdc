//! Compares the list with the folder it is a list of, and reads conversations for it.

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
};

use bytes::Bytes;
use core_model::{ConversationId, Metadata, StoreError};

use crate::{
    disk::Wait,
    error::{io_at, lock},
    layout,
    store::Store,
};

/// Fewer are not worth a second thread.
const WORTH_A_THREAD: usize = 32;
/// Threads that read metadata for a page, and those that look through the whole store: these mostly
/// wait for the disk.
const OF_A_PAGE: usize = 4;
const OF_ALL: usize = 8;
/// Conversations that are handed to a thread at a time.
const PORTION: usize = 256;

/// Drops rows of what is gone, clears away what crashes left, and records rows for what is missing or
/// does not fit its log. Names the conversations whose metadata is not true of their whole log either.
pub(crate) fn check(store: &Store) -> Result<Vec<ConversationId>, StoreError> {
    let disk = store.context.disk.as_ref();
    let catalog = &store.context.catalog;
    let checking = Checking {
        store,
        listed: AtomicU64::new(0),
        unfit: Mutex::default(),
    };
    let mut leftovers = Vec::new();
    let listed_before = catalog.count(None);
    // Only a few names are in memory at a time.
    let (portions, taken) = mpsc::sync_channel(OF_ALL);
    let taken = Mutex::new(taken);
    let read = thread::scope(|scope| {
        // Nobody waits where the list was whole from the start.
        let threads = if catalog.closed_cleanly { 1 } else { OF_ALL };
        for _ in 0..threads {
            scope.spawn(|| checking.take(&taken));
        }
        let mut portion = Vec::with_capacity(PORTION);
        let read = disk.each_name(&store.root, &mut |name| {
            let Some(name) = name.to_str() else { return };
            if let Some(id) = layout::conversation(name) {
                portion.push(id);
            } else if layout::is_leftover(name, store.run) {
                leftovers.push(name.to_owned());
            }
            if portion.len() == PORTION {
                portions.send(std::mem::take(&mut portion)).ok();
            }
        });
        portions.send(portion).ok();
        drop(portions);
        read
    });
    read.map_err(io_at(&store.root))?;
    leftovers.iter().for_each(|name| clear(store, name));
    if checking.listed.into_inner() < listed_before.max(catalog.count(None)) {
        for id in catalog.ids() {
            store.unlist_if_gone(id)?;
        }
    }
    Ok(checking.unfit.into_inner().unwrap_or_default())
}

struct Checking<'a> {
    store: &'a Store,
    /// Conversations that are there and on the list.
    listed: AtomicU64,
    unfit: Mutex<Vec<ConversationId>>,
}

impl Checking<'_> {
    fn take(&self, portions: &Mutex<Receiver<Vec<ConversationId>>>) {
        loop {
            let Ok(portion) = lock(portions).recv() else {
                return;
            };
            for id in portion {
                self.look_at(id);
            }
        }
    }

    fn look_at(&self, id: ConversationId) {
        let row = self.store.context.catalog.row(id);
        self.listed
            .fetch_add(u64::from(row.is_some()), Ordering::Relaxed);
        match self.store.log_size(id) {
            Ok(size) if row.is_some_and(|row| row.bytes == size) => self.store.doubt_info(id),
            Ok(_) if self.store.list_as_stored(id) => lock(&self.unfit).push(id),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(conversation.id = %id, %error, "its log cannot be found");
            }
        }
    }
}

/// The metadata of several conversations; none where it cannot be read.
pub(crate) fn metadata_of(store: &Store, ids: &[ConversationId]) -> Vec<Option<Metadata>> {
    in_parallel(ids, of_a_page(), |id| match store.metadata(*id) {
        Ok(metadata) => Some(metadata),
        Err(StoreError::NotFound(_)) => None,
        Err(error) => {
            tracing::warn!(conversation.id = %id, %error, "left out");
            None
        }
    })
}

/// What lists show of several conversations: what is kept, or else rebuilt; none where the metadata
/// does not tell, or somebody is about to change it.
pub(crate) fn infos(
    store: &Store,
    ids: &[ConversationId],
) -> Result<Vec<Option<Bytes>>, StoreError> {
    let catalog = &store.context.catalog;
    let path = layout::infos_file(&store.root);
    let mut found = catalog.infos(ids, Wait::Yes).map_err(io_at(&path))?;
    let missing = ids
        .iter()
        .zip(&mut found)
        .filter(|(_, info)| info.is_none());
    let (wanted, places): (Vec<ConversationId>, Vec<&mut Option<Bytes>>) =
        missing.map(|(id, info)| (*id, info)).unzip();
    let made = in_parallel(&wanted, of_a_page(), |id| store.show_by_metadata(*id));
    for (place, info) in places.into_iter().zip(made) {
        *place = info;
    }
    Ok(found)
}

fn of_a_page() -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.min(OF_A_PAGE)
}

fn in_parallel<T: Send>(
    ids: &[ConversationId],
    threads: usize,
    work: impl Fn(&ConversationId) -> T + Sync,
) -> Vec<T> {
    let share = ids.len().div_ceil(threads).max(WORTH_A_THREAD);
    thread::scope(|scope| {
        let work = &work;
        let mut shares = ids.chunks(share);
        let mine = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| {
                (
                    share,
                    scope.spawn(move || share.iter().map(work).collect::<Vec<T>>()),
                )
            })
            .collect();
        let mut done: Vec<T> = mine.iter().map(work).collect();
        for (share, other) in others {
            // A thread that panicked has its share done again here, to panic here.
            done.extend(
                other
                    .join()
                    .unwrap_or_else(|_| share.iter().map(work).collect()),
            );
        }
        done
    })
}

fn clear(store: &Store, name: &str) {
    let disk = store.context.disk.as_ref();
    let path = store.root.join(name);
    let removed = match disk.is_dir(&path) {
        true => disk.remove_dir_all(&path),
        false => disk.remove_file(&path),
    };
    match removed {
        Ok(()) => tracing::info!(name, "removed what a crash left behind"),
        Err(error) => tracing::warn!(name, %error, "could not remove a leftover"),
    }
}
