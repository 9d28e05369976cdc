//! A log from what is in its folder.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, RwLock},
};

use core_model::{ConversationId, StoreError, TornTail, port};
use tokio::sync::watch;

use super::FsLog;
use crate::{
    Durability,
    closed::{Closed, Fault},
    disk::ReadOnly,
    durable::Durable,
    error::damaged,
    large::LargeLines,
    layout,
    open_log::{LogContext, OpenLog},
    queue::Queue,
    recovery::{self, Opened},
};

impl FsLog {
    /// Opens the log in a conversation's folder, and repairs what a crash left. Blocks.
    pub(crate) fn load(
        id: ConversationId,
        folder: &Path,
        context: LogContext,
    ) -> Result<(Self, Option<TornTail>), StoreError> {
        let mut found = find(id, folder, &context)?;
        let torn = found.torn.take();
        let closed = found.refused.take().map(|refused| {
            let cause = port::Fault::of(&refused.error);
            tracing::error!(
                conversation.id = %id, reason = %cause,
                "the log takes no more events for now: it could not be opened for writing"
            );
            let mut fault = Fault::new(cause, context.restore_pause);
            fault.torn = refused.torn;
            Closed::Poisoned(fault)
        });
        let poisoned = closed.is_some();
        let log = Self(inner(id, folder, found, closed, context));
        if poisoned {
            log.0.context.health.report(Arc::downgrade(&log.0) as _);
        }
        Ok((log, torn))
    }

    /// Opens the log of a deleted conversation in the folder where it waits: it takes no events, and
    /// nothing is written, repaired or reported for it. Blocks.
    pub(crate) fn load_deleted(
        id: ConversationId,
        folder: &Path,
        context: LogContext,
    ) -> Result<Self, StoreError> {
        let context = LogContext {
            disk: Arc::new(ReadOnly(context.disk)),
            health: Arc::default(),
            notices: Arc::default(),
            ..context
        };
        let found = find(id, folder, &context)?;
        let log = inner(id, folder, found, Some(Closed::InOutbox), context);
        Ok(Self(log))
    }
}

fn find(id: ConversationId, folder: &Path, context: &LogContext) -> Result<Opened, StoreError> {
    let path = folder.join(layout::EVENTS);
    let disk = &context.disk;
    if !disk.exists(&path) {
        return Err(if disk.exists(folder) {
            damaged(&path, "the file is missing")
        } else {
            StoreError::NotFound(id)
        });
    }
    recovery::open(disk.as_ref(), id, folder, &context.notices)
}

fn inner(
    id: ConversationId,
    folder: &Path,
    found: Opened,
    closed: Option<Closed>,
    context: LogContext,
) -> Arc<OpenLog> {
    let durable = match context.durability {
        Durability::Always => found.durable,
        // What an earlier opening wrote may still wait to be synced.
        Durability::Interval(_) | Durability::Os => 0,
    };
    Arc::new_cyclic(|itself| OpenLog {
        id,
        folder: folder.to_owned(),
        path: folder.join(layout::EVENTS),
        index_path: folder.join(layout::INDEX),
        itself: itself.clone(),
        file: RwLock::new(found.file),
        index: RwLock::new(found.index),
        extent: watch::Sender::new(found.extent),
        durable: Arc::new(Durable::new(durable, closed.is_none())),
        queue: Mutex::new(Queue::new(found.extent, closed)),
        rested: Condvar::new(),
        unsynced: Arc::default(),
        ids: Mutex::default(),
        restoring: Mutex::default(),
        rebuilding: Mutex::default(),
        suspects: Mutex::default(),
        large_lines: LargeLines::default(),
        context,
    })
}
