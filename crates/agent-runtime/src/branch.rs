//! Reading a log from one end to the other, and which of its events lead to one of them.

use std::collections::{HashMap, HashSet};

use core_model::{EventBody, EventId, Limit, LogReader, Record, Seq, StoreError};

/// Records read at a time.
const STRIDE: usize = 512;

/// The records from `next` on, as many as are read at a time and none from `until` on; `next` is then
/// behind them.
///
/// # Errors
/// When the log cannot be read.
pub(crate) async fn read_on(
    log: &dyn LogReader,
    next: &mut Seq,
    until: Seq,
) -> Result<Vec<Record>, StoreError> {
    let wanted = ((until.0 - next.0) as usize).min(STRIDE);
    let records = log.read(*next, Limit::records(wanted)).await?;
    *next = records.last().map_or(until, |record| record.seq.after(1));
    Ok(records)
}

/// How the events of a log follow each other.
#[derive(Default)]
pub(crate) struct Branches {
    parents: HashMap<EventId, Option<EventId>>,
    head: Option<EventId>,
}

impl Branches {
    /// Reads a log up to `until`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read(log: &dyn LogReader, until: Seq) -> Result<Self, StoreError> {
        let mut branches = Self::default();
        let mut next = Seq(0);
        while next < until {
            for record in read_on(log, &mut next, until).await? {
                let Ok(event) = record.event() else { continue };
                if let EventBody::ConversationStateUpdateEvent(update) = &event.body {
                    if update.key == "leaf_event_id" {
                        branches.head = update.value.as_str().map(|id| EventId(id.to_owned()));
                    }
                } else {
                    branches.head = Some(event.id.clone());
                    branches.parents.insert(event.id, event.parent_id);
                }
            }
        }
        Ok(branches)
    }

    /// The events that lead to HEAD, and its own.
    pub(crate) fn to_head(&self) -> HashSet<EventId> {
        self.leading_to(self.head.clone())
    }

    /// The events that lead to this one, and its own; None when it is not there, or belongs to no branch.
    pub(crate) fn to(&self, event: &EventId) -> Option<HashSet<EventId>> {
        let is_known = self.parents.contains_key(event);
        is_known.then(|| self.leading_to(Some(event.clone())))
    }

    fn leading_to(&self, mut here: Option<EventId>) -> HashSet<EventId> {
        let mut path = HashSet::new();
        while let Some(id) = here {
            here = self.parents.get(&id).cloned().flatten();
            if !path.insert(id) {
                break;
            }
        }
        path
    }
}
