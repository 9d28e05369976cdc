use std::{collections::HashMap, sync::Mutex};

use chrono::{DateTime, Utc};
use core_model::{ConversationId, ConversationState, ExecutionStatus, Metadata};

use crate::{ConversationOrder, ConversationQuery, common::lock};

/// What listing needs to know of every conversation, in memory or not.
#[derive(Default)]
pub(crate) struct Listing {
    rows: Mutex<HashMap<ConversationId, Row>>,
}

#[derive(Clone, Copy)]
struct Row {
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    status: ExecutionStatus,
}

impl Listing {
    pub(crate) fn put(&self, metadata: &Metadata, state: &ConversationState) {
        lock(&self.rows).insert(metadata.id, Row::new(metadata, state));
    }

    /// Adds a conversation unless it is there already, with newer facts perhaps.
    pub(crate) fn add(&self, metadata: &Metadata, state: &ConversationState) {
        let row = Row::new(metadata, state);
        lock(&self.rows).entry(metadata.id).or_insert(row);
    }

    pub(crate) fn remove(&self, id: ConversationId) {
        lock(&self.rows).remove(&id);
    }

    pub(crate) fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        let rows = lock(&self.rows);
        rows.values()
            .filter(|row| status.is_none_or(|wanted| row.status == wanted))
            .count() as u64
    }

    /// The ids of a page and the cursor of the next.
    pub(crate) fn page(&self, query: &ConversationQuery) -> (Vec<ConversationId>, Option<String>) {
        let mut rows: Vec<(ConversationId, Row)> = lock(&self.rows)
            .iter()
            .filter(|(_, row)| query.status.is_none_or(|wanted| row.status == wanted))
            .map(|(id, row)| (*id, *row))
            .collect();
        rows.sort_unstable_by_key(|(id, row)| match query.order {
            ConversationOrder::Created | ConversationOrder::CreatedDescending => {
                (row.created_at, *id)
            }
            ConversationOrder::Updated | ConversationOrder::UpdatedDescending => {
                (row.updated_at, *id)
            }
        });
        match query.order {
            ConversationOrder::Created | ConversationOrder::Updated => {}
            ConversationOrder::CreatedDescending | ConversationOrder::UpdatedDescending => {
                rows.reverse();
            }
        }
        let first: Option<ConversationId> = query.page_id.as_ref().and_then(|id| id.parse().ok());
        let start = first.and_then(|first| rows.iter().position(|(id, _)| *id == first));
        let mut ids: Vec<ConversationId> = rows
            .into_iter()
            .skip(start.unwrap_or(0))
            .take(query.limit + 1)
            .map(|(id, _)| id)
            .collect();
        let next = ids.get(query.limit).map(|id| id.hex());
        ids.truncate(query.limit);
        (ids, next)
    }
}

impl Row {
    fn new(metadata: &Metadata, state: &ConversationState) -> Self {
        let created_at = metadata.created_at.0;
        Self {
            created_at,
            updated_at: state.updated_at.map_or(created_at, |time| time.utc()),
            status: state.execution_status,
        }
    }
}
