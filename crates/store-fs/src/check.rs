//! Compares the list with the folder it is a list of.

use std::{collections::HashSet, num::NonZeroUsize, thread};

use core_model::{ConversationId, Metadata, StoreError};

use crate::{error::io_at, glance::glance, layout, store::Store};

/// Fewer are not worth a second thread.
const WORTH_A_THREAD: usize = 32;
/// Threads that read metadata for a page, and those that look through the whole store: these mostly
/// wait for the disk.
const OF_A_PAGE: usize = 4;
const OF_ALL: usize = 8;

/// Drops rows of what is gone, clears away what crashes left, and puts down rows for what is missing or
/// does not fit its log. Names the conversations whose metadata is not true of their whole log either,
/// and those that were running when the store was opened.
pub(crate) fn check(store: &Store) -> Result<Vec<ConversationId>, StoreError> {
    let disk = store.context.disk.as_ref();
    let catalog = &store.context.catalog;
    // Before the folder is read: what is made meanwhile is in neither or in both.
    let listed = catalog.ids();
    let names = disk.names(&store.root).map_err(io_at(&store.root))?;
    let mut found = Vec::new();
    for name in names {
        let Some(name) = name.to_str() else { continue };
        if let Some(id) = layout::conversation(name) {
            found.push(id);
        } else if layout::is_leftover(name, store.run) {
            clear(store, name);
        }
    }
    let present: HashSet<ConversationId> = found.iter().copied().collect();
    for id in listed {
        if !present.contains(&id) && !disk.exists(&store.folder(id)) {
            tracing::warn!(conversation.id = %id, "its folder is gone, and so it is from the list");
            catalog.gone(id);
        }
    }
    // Nobody waits where the list was whole from the start.
    let threads = if catalog.closed_in_order { 1 } else { OF_ALL };
    let mut unfit: Vec<ConversationId> = in_parallel(&found, threads, |id| {
        let size = disk.size(&store.folder(*id).join(layout::EVENTS));
        if let (Some(row), Ok(size)) = (catalog.row(*id), size)
            && row.bytes == size
        {
            return None;
        }
        match glance(store, *id) {
            Ok(glance) => {
                catalog.found(&glance.row, glance.fits);
                if !disk.exists(&store.folder(*id)) {
                    // Deleted meanwhile, maybe before its row was there to go with it.
                    catalog.gone(*id);
                    return None;
                }
                let listed = catalog.row(*id).is_some_and(|row| row.bytes == glance.row.bytes);
                (!(glance.fits && listed)).then_some(*id)
            }
            Err(error) => {
                tracing::warn!(conversation.id = %id, %error, "it cannot be read and is not listed");
                None
            }
        }
    })
    .into_iter()
    .flatten()
    .collect();
    unfit.extend(&catalog.running_at_start);
    unfit.sort_unstable();
    unfit.dedup();
    Ok(unfit)
}

/// The metadata of several conversations; none where it cannot be read.
pub(crate) fn metadata_of(store: &Store, ids: &[ConversationId]) -> Vec<Option<Metadata>> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    in_parallel(ids, threads.min(OF_A_PAGE), |id| {
        match store.metadata(*id) {
            Ok(metadata) => Some(metadata),
            Err(StoreError::NotFound(_)) => None,
            Err(error) => {
                tracing::warn!(conversation.id = %id, %error, "left out");
                None
            }
        }
    })
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
