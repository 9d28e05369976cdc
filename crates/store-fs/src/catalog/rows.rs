//! The rows of all conversations in memory, in both orders.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
};

use chrono::DateTime;
use core_model::{
    ConversationId, ConversationOrder, ExecutionStatus, Row, Seq, UtcTime,
    port::{ListPage, ListQuery},
};

/// By their numbers on disk: only ever add at the end.
pub(crate) const STATUSES: [ExecutionStatus; 8] = [
    ExecutionStatus::Idle,
    ExecutionStatus::Running,
    ExecutionStatus::Paused,
    ExecutionStatus::WaitingForConfirmation,
    ExecutionStatus::Finished,
    ExecutionStatus::Error,
    ExecutionStatus::Stuck,
    ExecutionStatus::Deleting,
];

/// About 150 bytes a conversation in all.
#[derive(Default)]
pub(crate) struct Rows {
    by_id: HashMap<ConversationId, Compact>,
    created: BTreeSet<Key>,
    updated: BTreeSet<Key>,
    counts: [u64; STATUSES.len()],
}

/// Microseconds since the epoch, then the id.
type Key = (i64, ConversationId);

/// A row without its id. Times are microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compact {
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) len: u64,
    pub(crate) bytes: u64,
    /// Its number in [`STATUSES`].
    pub(crate) status: u8,
}

impl Compact {
    pub(crate) fn row(&self, id: ConversationId) -> Row {
        Row {
            id,
            created_at: time(self.created),
            updated_at: time(self.updated),
            status: self.status(),
            len: Seq(self.len),
            bytes: self.bytes,
        }
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        STATUSES[usize::from(self.status) % STATUSES.len()]
    }
}

impl From<&Row> for Compact {
    fn from(row: &Row) -> Self {
        let status = STATUSES.iter().position(|status| *status == row.status);
        Self {
            created: row.created_at.0.timestamp_micros(),
            updated: row.updated_at.0.timestamp_micros(),
            len: row.len.0,
            bytes: row.bytes,
            status: status.unwrap_or_default() as u8,
        }
    }
}

impl Rows {
    pub(crate) fn get(&self, id: ConversationId) -> Option<Compact> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (ConversationId, Compact)> {
        self.by_id.iter().map(|(id, row)| (*id, *row))
    }

    /// Sets a row; the one it had before.
    pub(crate) fn put(&mut self, id: ConversationId, row: Compact) -> Option<Compact> {
        let old = self.by_id.insert(id, row);
        if let Some(old) = old {
            self.forget(id, &old);
        }
        self.created.insert((row.created, id));
        self.updated.insert((row.updated, id));
        self.counts[usize::from(row.status) % STATUSES.len()] += 1;
        old
    }

    pub(crate) fn remove(&mut self, id: ConversationId) -> Option<Compact> {
        let old = self.by_id.remove(&id)?;
        self.forget(id, &old);
        Some(old)
    }

    pub(crate) fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        let of = |wanted| {
            let at = STATUSES.iter().position(|status| *status == wanted);
            at.map_or(0, |at| self.counts[at])
        };
        status.map_or(self.by_id.len() as u64, of)
    }

    /// A page, in time that depends on its length and on what the status filter passes over.
    pub(crate) fn list(&self, query: &ListQuery) -> ListPage {
        let (set, backwards) = match query.order {
            ConversationOrder::Created => (&self.created, false),
            ConversationOrder::Updated => (&self.updated, false),
            ConversationOrder::CreatedDescending => (&self.created, true),
            ConversationOrder::UpdatedDescending => (&self.updated, true),
        };
        let key = |id: ConversationId| {
            let row = self.by_id.get(&id)?;
            let by_created = std::ptr::eq(set, &self.created);
            Some((if by_created { row.created } else { row.updated }, id))
        };
        let first = query.first.and_then(key);
        let keys: Box<dyn Iterator<Item = &Key>> = match (first, backwards) {
            (Some(first), false) => Box::new(set.range(first..)),
            (Some(first), true) => {
                Box::new(set.range((Bound::Unbounded, Bound::Included(first))).rev())
            }
            (None, false) => Box::new(set.iter()),
            (None, true) => Box::new(set.iter().rev()),
        };
        let mut rows = keys
            .filter_map(|(_, id)| Some(self.by_id.get(id)?.row(*id)))
            .filter(|row| query.status.is_none_or(|wanted| row.status == wanted));
        let page = rows.by_ref().take(query.limit).collect();
        ListPage {
            rows: page,
            next: rows.next().map(|row| row.id),
        }
    }

    fn forget(&mut self, id: ConversationId, row: &Compact) {
        self.created.remove(&(row.created, id));
        self.updated.remove(&(row.updated, id));
        self.counts[usize::from(row.status) % STATUSES.len()] -= 1;
    }
}

fn time(micros: i64) -> UtcTime {
    UtcTime(DateTime::from_timestamp_micros(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> ConversationId {
        ConversationId(Uuid::from_u128(number))
    }

    fn row(created: i64, updated: i64, status: u8) -> Compact {
        Compact {
            created,
            updated,
            len: 0,
            bytes: 0,
            status,
        }
    }

    fn pages(rows: &Rows, order: ConversationOrder, status: Option<ExecutionStatus>) -> Vec<u128> {
        let mut query = ListQuery {
            status,
            first: None,
            limit: 2,
            order,
        };
        let mut found = Vec::new();
        loop {
            let page = rows.list(&query);
            found.extend(page.rows.iter().map(|row| row.id.0.as_u128()));
            match page.next {
                Some(next) => query.first = Some(next),
                None => return found,
            }
        }
    }

    #[test]
    fn pages_follow_each_order_and_status() {
        let mut rows = Rows::default();
        for (number, created, updated, status) in [
            (1, 10, 99, 0),
            (2, 20, 50, 1),
            (3, 20, 70, 0),
            (4, 5, 60, 2),
            (5, 30, 30, 0),
        ] {
            rows.put(id(number), row(created, updated, status));
        }
        let all = |order| pages(&rows, order, None);
        assert_eq!(all(ConversationOrder::Created), [4, 1, 2, 3, 5]);
        assert_eq!(all(ConversationOrder::CreatedDescending), [5, 3, 2, 1, 4]);
        assert_eq!(all(ConversationOrder::Updated), [5, 2, 4, 3, 1]);
        assert_eq!(all(ConversationOrder::UpdatedDescending), [1, 3, 4, 2, 5]);
        let idle = Some(ExecutionStatus::Idle);
        assert_eq!(pages(&rows, ConversationOrder::Created, idle), [1, 3, 5]);
        assert_eq!((rows.count(None), rows.count(idle)), (5, 3));
    }

    #[test]
    fn a_changed_row_moves_and_a_removed_one_is_gone() {
        let mut rows = Rows::default();
        rows.put(id(1), row(1, 1, 0));
        rows.put(id(2), row(2, 2, 0));
        assert_eq!(rows.put(id(1), row(1, 9, 1)), Some(row(1, 1, 0)));
        assert_eq!(pages(&rows, ConversationOrder::Updated, None), [2, 1]);
        assert_eq!(rows.count(Some(ExecutionStatus::Running)), 1);
        assert_eq!(rows.remove(id(1)), Some(row(1, 9, 1)));
        assert_eq!(pages(&rows, ConversationOrder::Created, None), [2]);
        assert_eq!((rows.count(None), rows.remove(id(1))), (1, None));
        // A page that was to begin with what is gone begins at the start.
        let query = ListQuery {
            status: None,
            first: Some(id(1)),
            limit: 9,
            order: ConversationOrder::Created,
        };
        assert_eq!(rows.list(&query).rows.len(), 1);
    }
}
