use std::collections::{BTreeSet, HashMap};

use core_model::{
    ConversationId, ConversationOrder, ExecutionStatus, Row,
    port::{ListPage, ListQuery},
};

use crate::conversation::Conversation;

/// Microseconds since the epoch, then the id.
type Key = (i64, ConversationId);

/// All conversations by their id, and their rows in both orders.
#[derive(Default)]
pub(crate) struct Conversations {
    by_id: HashMap<ConversationId, Conversation>,
    created: BTreeSet<Key>,
    updated: BTreeSet<Key>,
    counts: HashMap<ExecutionStatus, u64>,
}

impl Conversations {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: ConversationId) -> Option<&Conversation> {
        self.by_id.get(&id)
    }

    /// For all but its row, see [`Self::set_row`].
    pub(crate) fn get_mut(&mut self, id: ConversationId) -> Option<&mut Conversation> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Conversation> {
        self.by_id.values()
    }

    /// As [`Self::get_mut`].
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Conversation> {
        self.by_id.values_mut()
    }

    /// Adds one whose id is free.
    pub(crate) fn insert(&mut self, conversation: Conversation) {
        self.list(&conversation.row);
        self.by_id.insert(conversation.row.id, conversation);
    }

    pub(crate) fn remove(&mut self, id: ConversationId) -> Option<Conversation> {
        let removed = self.by_id.remove(&id)?;
        self.unlist(&removed.row);
        Some(removed)
    }

    /// Replaces a conversation's row.
    pub(crate) fn set_row(&mut self, row: Row) {
        let Some(conversation) = self.by_id.get_mut(&row.id) else {
            return;
        };
        let old = std::mem::replace(&mut conversation.row, row);
        self.unlist(&old);
        self.list(&row);
    }

    pub(crate) fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        match status {
            Some(status) => self.counts.get(&status).copied().unwrap_or(0),
            None => self.len() as u64,
        }
    }

    pub(crate) fn page(&self, query: &ListQuery) -> ListPage {
        let first = query.first.and_then(|id| self.by_id.get(&id));
        let first = first.map(|conversation| &conversation.row);
        let keys: Box<dyn Iterator<Item = &Key>> = match query.order {
            ConversationOrder::Created => up(&self.created, first.map(created)),
            ConversationOrder::Updated => up(&self.updated, first.map(updated)),
            ConversationOrder::CreatedDescending => down(&self.created, first.map(created)),
            ConversationOrder::UpdatedDescending => down(&self.updated, first.map(updated)),
        };
        let mut rows = keys
            .filter_map(|(_, id)| self.by_id.get(id))
            .map(|conversation| conversation.row)
            .filter(|row| query.status.is_none_or(|wanted| row.status == wanted));
        ListPage {
            rows: rows.by_ref().take(query.limit).collect(),
            next: rows.next().map(|row| row.id),
        }
    }

    fn list(&mut self, row: &Row) {
        self.created.insert(created(row));
        self.updated.insert(updated(row));
        *self.counts.entry(row.status).or_default() += 1;
    }

    fn unlist(&mut self, row: &Row) {
        self.created.remove(&created(row));
        self.updated.remove(&updated(row));
        if let Some(count) = self.counts.get_mut(&row.status) {
            *count -= 1;
        }
    }
}

fn created(row: &Row) -> Key {
    (row.created_at.0.timestamp_micros(), row.id)
}

fn updated(row: &Row) -> Key {
    (row.updated_at.0.timestamp_micros(), row.id)
}

fn up(keys: &BTreeSet<Key>, first: Option<Key>) -> Box<dyn Iterator<Item = &Key> + '_> {
    match first {
        Some(first) => Box::new(keys.range(first..)),
        None => Box::new(keys.iter()),
    }
}

fn down(keys: &BTreeSet<Key>, first: Option<Key>) -> Box<dyn Iterator<Item = &Key> + '_> {
    match first {
        Some(first) => Box::new(keys.range(..=first).rev()),
        None => Box::new(keys.iter().rev()),
    }
}
