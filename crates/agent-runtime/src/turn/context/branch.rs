//! Which events of a log lead to its HEAD.

use std::collections::{HashMap, HashSet};

use core_model::{Event, EventBody, EventId, Limit, LogReader, Seq, StoreError};

/// Records looked through at a time.
const STRIDE: usize = 512;

/// The events of the active branch.
#[derive(Default)]
pub(super) struct Branch {
    /// None: HEAD was never moved, so that all events are on it.
    only: Option<HashSet<EventId>>,
}

impl Branch {
    /// Reads the whole log.
    pub(super) async fn find(log: &dyn LogReader, until: Seq) -> Result<Self, StoreError> {
        let mut parents: HashMap<EventId, Option<EventId>> = HashMap::new();
        let mut head = None;
        let mut next = Seq(0);
        while next < until {
            let wanted = ((until.0 - next.0) as usize).min(STRIDE);
            let records = log.read(next, Limit::records(wanted)).await?;
            next = records.last().map_or(until, |record| record.seq.after(1));
            for record in records {
                let Ok(event) = record.event() else { continue };
                if let EventBody::ConversationStateUpdateEvent(update) = &event.body {
                    if update.key == "leaf_event_id" {
                        head = update.value.as_str().map(|id| EventId(id.to_owned()));
                    }
                } else {
                    head = Some(event.id.clone());
                    parents.insert(event.id, event.parent_id);
                }
            }
        }
        let mut only = HashSet::new();
        while let Some(id) = head {
            head = parents.get(&id).cloned().flatten();
            if !only.insert(id) {
                break;
            }
        }
        Ok(Self { only: Some(only) })
    }

    pub(super) fn has(&self, event: &Event) -> bool {
        match &self.only {
            None => true,
            Some(only) => {
                matches!(event.body, EventBody::ConversationStateUpdateEvent(_))
                    || only.contains(&event.id)
            }
        }
    }
}
