use agent_runtime::{EventFilter, EventQuery};
use core_model::EventTime;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::request::{Limit, query, word};

/// In which order events are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum EventSortOrder {
    #[default]
    Timestamp,
    TimestampDesc,
}

word!(EventSortOrder, default);

query! {
    /// Which events are meant.
    #[expect(non_snake_case, reason = "fields are named as on the wire")]
    pub(super) struct EventFilterParams {
        /// A class name such as `MessageEvent`, or a dotted path that ends in one.
        kind: Option<String>,
        /// `agent`, `user`, `environment` or `hook`.
        source: Option<String>,
        /// Part of a message's text, in any case.
        body: Option<String>,
        /// From this time on. ISO 8601; without a zone it is UTC; a date alone is its midnight.
        timestamp__gte: Option<EventTime>,
        /// Before this time.
        timestamp__lt: Option<EventTime>,
    }
}

impl From<EventFilterParams> for EventFilter {
    fn from(params: EventFilterParams) -> Self {
        Self {
            kind: params.kind,
            source: params.source,
            body: params.body,
            from: params.timestamp__gte,
            until: params.timestamp__lt,
        }
    }
}

query! {
    /// One page of events.
    pub(super) struct EventSearchParams {
        /// `next_page_id` of the page before: the id of this page's first event. An unknown one means the
        /// start.
        page_id: Option<String>,
        /// Events on a page.
        #[schemars(extend("default" = 100))]
        limit: Limit<100>,
        /// The log's order, or the newest first.
        #[schemars(extend("default" = "TIMESTAMP"))]
        sort_order: EventSortOrder,
        #[schemars(flatten)]
        filter: EventFilterParams,
    }
}

impl From<EventSearchParams> for EventQuery {
    fn from(params: EventSearchParams) -> Self {
        Self {
            filter: params.filter.into(),
            page_id: params.page_id,
            limit: params.limit.0,
            descending: params.sort_order == EventSortOrder::TimestampDesc,
        }
    }
}

query! {
    /// A page of events, or certain ones by id.
    pub(super) struct EventListParams {
        /// Ids of the events to return, repeated or separated by commas; the answer is then a list in this
        /// order, with null for those that do not exist.
        #[schemars(extend("default" = []))]
        event_ids: Vec<String>,
        #[schemars(flatten)]
        search: EventSearchParams,
    }
}

#[cfg(test)]
mod tests;
