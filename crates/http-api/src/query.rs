//! Query parameters: how each kind is read, and what each route takes.

mod params;
mod webhooks;

use agent_runtime::{
    AllFilter, AllStart, ConversationOrder, ConversationQuery, EventFilter, EventQuery, Start,
};
use core_model::{ConversationId, EventId, EventTime, ExecutionStatus, Seq};
use schemars::JsonSchema;

use crate::extract::FromQuery;

pub(crate) use params::{BATCH_LIMIT, Params, too_long};
pub(crate) use webhooks::DeliveryListParams;

/// In which order events are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum EventSortOrder {
    #[default]
    Timestamp,
    TimestampDesc,
}

/// In which order conversations are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(dead_code, reason = "names the choices in the OpenAPI document")]
pub(crate) enum ConversationSortOrder {
    CreatedAt,
    UpdatedAt,
    CreatedAtDesc,
    UpdatedAtDesc,
}

const EVENT_ORDERS: [(&str, EventSortOrder); 2] = [
    ("TIMESTAMP", EventSortOrder::Timestamp),
    ("TIMESTAMP_DESC", EventSortOrder::TimestampDesc),
];

const CONVERSATION_ORDERS: [(&str, ConversationOrder); 4] = [
    ("CREATED_AT", ConversationOrder::Created),
    ("UPDATED_AT", ConversationOrder::Updated),
    ("CREATED_AT_DESC", ConversationOrder::CreatedDescending),
    ("UPDATED_AT_DESC", ConversationOrder::UpdatedDescending),
];

const STATUSES: [ExecutionStatus; 8] = [
    ExecutionStatus::Idle,
    ExecutionStatus::Running,
    ExecutionStatus::Paused,
    ExecutionStatus::WaitingForConfirmation,
    ExecutionStatus::Finished,
    ExecutionStatus::Error,
    ExecutionStatus::Stuck,
    ExecutionStatus::Deleting,
];

fn status(params: &mut Params) -> Option<ExecutionStatus> {
    params.choice("status", &STATUSES.map(|status| (status.as_str(), status)))
}

/// Which events are meant.
#[derive(JsonSchema)]
pub(crate) struct EventFilterParams {
    /// A class name such as `MessageEvent`, or a dotted path that ends in one.
    pub(crate) kind: Option<String>,
    /// `agent`, `user`, `environment` or `hook`.
    pub(crate) source: Option<String>,
    /// Part of a message's text, in any case.
    pub(crate) body: Option<String>,
    /// From this time on. ISO 8601; without a zone it is UTC; a date alone is its midnight.
    #[schemars(rename = "timestamp__gte")]
    pub(crate) from: Option<EventTime>,
    /// Before this time.
    #[schemars(rename = "timestamp__lt")]
    pub(crate) until: Option<EventTime>,
}

impl FromQuery for EventFilterParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            kind: params.text("kind"),
            source: params.text("source"),
            body: params.text("body"),
            from: params.time("timestamp__gte"),
            until: params.time("timestamp__lt"),
        }
    }
}

impl From<EventFilterParams> for EventFilter {
    fn from(params: EventFilterParams) -> Self {
        let EventFilterParams {
            kind,
            source,
            body,
            from,
            until,
        } = params;
        Self {
            kind,
            source,
            body,
            from,
            until,
        }
    }
}

/// One page of events.
#[derive(JsonSchema)]
pub(crate) struct EventSearchParams {
    /// `next_page_id` of the page before: the id of this page's first event. Unknown: the start.
    pub(crate) page_id: Option<String>,
    /// Events on a page.
    #[schemars(range(min = 1, max = 100), extend("default" = 100))]
    pub(crate) limit: usize,
    /// The log's order, or the newest first.
    #[schemars(extend("default" = "TIMESTAMP"))]
    pub(crate) sort_order: EventSortOrder,
    #[schemars(flatten)]
    pub(crate) filter: EventFilterParams,
}

impl FromQuery for EventSearchParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            page_id: params.text("page_id"),
            limit: params.limit(),
            sort_order: params
                .choice("sort_order", &EVENT_ORDERS)
                .unwrap_or_default(),
            filter: EventFilterParams::from_query(params),
        }
    }
}

impl From<EventSearchParams> for EventQuery {
    fn from(params: EventSearchParams) -> Self {
        Self {
            filter: params.filter.into(),
            page_id: params.page_id,
            limit: params.limit,
            descending: params.sort_order == EventSortOrder::TimestampDesc,
        }
    }
}

/// A page of events, or certain ones by id.
#[derive(JsonSchema)]
pub(crate) struct EventListParams {
    /// Ids of the events to get, repeated or separated by commas; the answer is then a list in this
    /// order, null where there is no such event.
    #[schemars(extend("default" = []))]
    pub(crate) event_ids: Vec<String>,
    #[schemars(flatten)]
    pub(crate) search: EventSearchParams,
}

impl FromQuery for EventListParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            event_ids: params.batch("event_ids"),
            search: EventSearchParams::from_query(params),
        }
    }
}

/// One page of conversations.
#[derive(JsonSchema)]
pub(crate) struct ConversationSearchParams {
    /// `next_page_id` of the page before: the id of this page's first conversation. Unknown: the
    /// start.
    page_id: Option<String>,
    /// Conversations on a page.
    #[schemars(range(min = 1, max = 100), extend("default" = 100))]
    limit: usize,
    /// Only those that stand like this.
    status: Option<ExecutionStatus>,
    /// By what they are ordered, and whether the newest come first.
    #[schemars(with = "ConversationSortOrder", extend("default" = "CREATED_AT_DESC"))]
    sort_order: ConversationOrder,
    /// With the texts of the agent's skills.
    #[schemars(extend("default" = false))]
    include_skills: bool,
}

impl FromQuery for ConversationSearchParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            page_id: params.text("page_id"),
            limit: params.limit(),
            status: status(params),
            sort_order: params
                .choice("sort_order", &CONVERSATION_ORDERS)
                .unwrap_or_default(),
            include_skills: params.flag("include_skills"),
        }
    }
}

impl From<ConversationSearchParams> for ConversationQuery {
    fn from(params: ConversationSearchParams) -> Self {
        let ConversationSearchParams {
            page_id,
            limit,
            status,
            sort_order,
            include_skills,
        } = params;
        Self {
            status,
            page_id,
            limit,
            order: sort_order,
            include_skills,
        }
    }
}

/// Which conversations are counted.
#[derive(JsonSchema)]
pub(crate) struct ConversationCountParams {
    /// Only those that stand like this.
    pub(crate) status: Option<ExecutionStatus>,
}

impl FromQuery for ConversationCountParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            status: status(params),
        }
    }
}

/// Which conversations are got.
#[derive(JsonSchema)]
pub(crate) struct ConversationBatchParams {
    /// Ids, repeated or separated by commas.
    pub(crate) ids: Vec<ConversationId>,
    /// With the texts of the agent's skills.
    #[schemars(extend("default" = false))]
    pub(crate) include_skills: bool,
}

impl FromQuery for ConversationBatchParams {
    fn from_query(params: &mut Params) -> Self {
        if params.text("ids").is_none() {
            params.missing("ids");
        }
        Self {
            ids: params.ids("ids"),
            include_skills: params.flag("include_skills"),
        }
    }
}

/// How a conversation is shown.
#[derive(JsonSchema)]
pub(crate) struct ShowParams {
    /// With the texts of the agent's skills.
    #[schemars(extend("default" = false))]
    pub(crate) include_skills: bool,
}

impl FromQuery for ShowParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            include_skills: params.flag("include_skills"),
        }
    }
}

/// What of the past a socket repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum ResendMode {
    All,
    Since,
}

/// How a socket begins.
#[derive(JsonSchema)]
pub(crate) struct SocketParams {
    /// `all`: the whole log; `since`: from `after_timestamp` on.
    resend_mode: Option<ResendMode>,
    /// With `resend_mode=since`: events at or after this time.
    after_timestamp: Option<EventTime>,
    /// Everything after this logged event, nothing lost and nothing repeated. Takes precedence over
    /// `resend_mode`.
    after_event_id: Option<String>,
    /// Deprecated: `resend_mode=all`.
    #[schemars(extend("default" = false, "deprecated" = true))]
    resend_all: bool,
    /// Deprecated, as URLs end up in logs: send the key as a header or, over a socket, in a first frame.
    /// For web pages' event streams, which can do neither.
    #[schemars(extend("deprecated" = true))]
    pub(crate) session_api_key: Option<String>,
}

impl FromQuery for SocketParams {
    fn from_query(params: &mut Params) -> Self {
        let modes = [("all", ResendMode::All), ("since", ResendMode::Since)];
        Self {
            resend_mode: params.choice("resend_mode", &modes),
            after_timestamp: params.time("after_timestamp"),
            after_event_id: params.text("after_event_id"),
            resend_all: params.flag("resend_all"),
            session_api_key: params.text("session_api_key"),
        }
    }
}

/// How an event stream, or a socket with positions, begins.
#[derive(JsonSchema)]
pub(crate) struct StreamParams {
    /// Everything after the event at this position of the log; −1 is everything. Takes precedence over
    /// the other ways to begin.
    #[schemars(range(min = -1))]
    after_seq: Option<i64>,
    #[schemars(flatten)]
    pub(crate) socket: SocketParams,
}

impl FromQuery for StreamParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            after_seq: params.at_least("after_seq", -1),
            socket: SocketParams::from_query(params),
        }
    }
}

impl StreamParams {
    pub(crate) fn start(&self) -> Start {
        self.replay().unwrap_or_else(|| self.socket.start())
    }

    /// Where `after_seq` begins.
    pub(crate) fn replay(&self) -> Option<Start> {
        let first = self.after_seq?.saturating_add(1);
        Some(Start::From(Seq(u64::try_from(first).unwrap_or_default())))
    }
}

/// What a follower of all conversations wants.
#[derive(JsonSchema)]
pub(crate) struct AllParams {
    /// Where to go on: a cursor from an earlier frame, or `beginning` for everything that is stored.
    /// Without it: with what happens from now on.
    #[schemars(rename = "cursor", with = "Option<String>")]
    pub(crate) start: AllStart,
    /// Only these conversations, these kinds of events, and conversations with all of these tags:
    /// `conversation_id`, `kind`, and `tag` (`key` or `key:value`), each repeated or separated by
    /// commas.
    #[schemars(flatten, with = "AllFilterParams")]
    pub(crate) filter: AllFilter,
    /// Deprecated, as URLs end up in logs: send the key as a header or, over a socket, in a first frame.
    /// For web pages' event streams, which can do neither.
    #[schemars(extend("deprecated" = true))]
    pub(crate) session_api_key: Option<String>,
}

/// Names the parts of a filter in the OpenAPI document.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only describes")]
struct AllFilterParams {
    /// Only these conversations; repeated or separated by commas.
    #[schemars(extend("default" = []))]
    conversation_id: Vec<ConversationId>,
    /// Only events of these classes, such as `MessageEvent`.
    #[schemars(extend("default" = []))]
    kind: Vec<String>,
    /// Only conversations that have all of these tags, `key` or `key:value`.
    #[schemars(extend("default" = []))]
    tag: Vec<String>,
}

impl FromQuery for AllParams {
    fn from_query(params: &mut Params) -> Self {
        let tag = |text: String| match text.split_once(':') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        let class = |kind: String| match kind.rsplit_once('.') {
            Some((_, class)) => class.to_owned(),
            None => kind,
        };
        Self {
            start: match params.text("cursor").as_deref() {
                None | Some("") => AllStart::Live,
                Some("beginning") => AllStart::Beginning,
                Some(_) => params
                    .parsed("cursor", "a cursor")
                    .map_or(AllStart::Live, AllStart::At),
            },
            filter: AllFilter {
                conversations: params.ids("conversation_id"),
                kinds: params.batch("kind").into_iter().map(class).collect(),
                tags: params.batch("tag").into_iter().map(tag).collect(),
            },
            session_api_key: params.text("session_api_key"),
        }
    }
}

impl SocketParams {
    pub(crate) fn start(&self) -> Start {
        if let Some(id) = &self.after_event_id {
            return Start::After(EventId::from(id.as_str()));
        }
        match (self.resend_mode, self.after_timestamp) {
            (Some(ResendMode::All), _) => Start::Beginning,
            (Some(ResendMode::Since), Some(time)) => Start::Since(time),
            // As the reference has it: without a time there is nothing to repeat.
            (Some(ResendMode::Since), None) => Start::Live,
            (None, _) if self.resend_all => Start::Beginning,
            (None, _) => Start::Live,
        }
    }
}

#[cfg(test)]
#[path = "query/tests.rs"]
mod tests;
