//! Rows, feed and receipts in memory, until their files are there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use bytes::Bytes;
use core_model::{
    ConversationId, ConversationOrder, ExecutionStatus, Row,
    port::{Change, Digest, FeedEntry, ListPage, ListQuery, Receipt},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::error::lock;

#[derive(Default)]
pub(crate) struct Interim {
    rows: Mutex<BTreeMap<ConversationId, Row>>,
    feed: Mutex<Vec<FeedEntry>>,
    pub(crate) grown: Notify,
    receipts: Mutex<HashMap<Digest, Receipt>>,
    pub(crate) id: Uuid,
}

impl Interim {
    pub(crate) fn list(&self, query: &ListQuery) -> ListPage {
        let mut rows: Vec<Row> = lock(&self.rows).values().copied().collect();
        rows.retain(|row| query.status.is_none_or(|status| row.status == status));
        rows.sort_by_key(|row| match query.order {
            ConversationOrder::Created | ConversationOrder::CreatedDescending => {
                (row.created_at, row.id)
            }
            ConversationOrder::Updated | ConversationOrder::UpdatedDescending => {
                (row.updated_at, row.id)
            }
        });
        if matches!(
            query.order,
            ConversationOrder::CreatedDescending | ConversationOrder::UpdatedDescending
        ) {
            rows.reverse();
        }
        let first = query
            .first
            .and_then(|first| rows.iter().position(|row| row.id == first))
            .unwrap_or(0);
        let next = rows.get(first + query.limit).map(|row| row.id);
        ListPage {
            rows: rows.into_iter().skip(first).take(query.limit).collect(),
            next,
        }
    }

    pub(crate) fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        let rows = lock(&self.rows);
        rows.values()
            .filter(|row| status.is_none_or(|status| row.status == status))
            .count() as u64
    }

    pub(crate) fn row(&self, id: ConversationId) -> Option<Row> {
        lock(&self.rows).get(&id).copied()
    }

    pub(crate) fn note(&self, row: Row) {
        let old = lock(&self.rows).insert(row.id, row);
        let change = match old {
            None if row.len.0 == 0 => Change::Created,
            Some(old) if old.len >= row.len => return,
            old => Change::Appended {
                from: old.map(|old| old.len).unwrap_or_default(),
                to: row.len,
            },
        };
        self.add(row.id, change);
    }

    pub(crate) fn gone(&self, id: ConversationId) {
        if lock(&self.rows).remove(&id).is_some() {
            self.add(id, Change::Deleted);
        }
    }

    fn add(&self, conversation: ConversationId, change: Change) {
        let mut feed = lock(&self.feed);
        let position = feed.len() as u64;
        feed.push(FeedEntry {
            position,
            conversation,
            change,
        });
        self.grown.notify_waiters();
    }

    pub(crate) fn feed_len(&self) -> u64 {
        lock(&self.feed).len() as u64
    }

    pub(crate) fn feed_entries(&self, from: u64, limit: usize) -> Vec<FeedEntry> {
        lock(&self.feed)
            .iter()
            .skip(from as usize)
            .take(limit)
            .copied()
            .collect()
    }

    pub(crate) fn begin(&self, key: Digest, request: Digest) -> Option<Receipt> {
        let mut receipts = lock(&self.receipts);
        let known = receipts.get(&key).cloned();
        if known.is_none() {
            let answer = None;
            receipts.insert(key, Receipt { request, answer });
        }
        known
    }

    pub(crate) fn finish(&self, key: Digest, answer: Bytes) {
        if let Some(receipt) = lock(&self.receipts).get_mut(&key) {
            receipt.answer = Some(answer);
        }
    }
}
