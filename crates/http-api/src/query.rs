//! Query parameters: how each kind is read, and what each route takes.

use agent_runtime::{ConversationOrder, ConversationQuery, EventFilter, EventQuery, Start};
use core_model::{ConversationId, EventId, EventTime, ExecutionStatus};
use schemars::JsonSchema;
use serde_json::json;
use url::form_urlencoded;

use crate::{
    error::Failure,
    extract::FromQuery,
    validation::{self, Problem},
};

/// The most items a page has, and what it has when nothing is said.
pub(crate) const PAGE_LIMIT: usize = 100;
/// The most conversations or events that one request may name.
pub(crate) const BATCH_LIMIT: usize = 1000;

/// A query string being read; collects what is wrong with it.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    problems: Vec<Problem>,
}

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Self {
            pairs,
            problems: Vec::new(),
        }
    }

    /// # Errors
    /// All that was wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Failure> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(self.problems.into())
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.pairs
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }

    /// Repeated, or separated by commas.
    fn list(&self, name: &str) -> Vec<String> {
        self.pairs
            .iter()
            .filter(|(key, _)| key == name)
            .flat_map(|(_, value)| value.split(',').map(str::trim))
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn limit(&mut self) -> usize {
        let Some(text) = self.text("limit") else {
            return PAGE_LIMIT;
        };
        let at = ["query", "limit"];
        let problem = match text.trim().parse::<i64>() {
            Err(_) => Problem::new(
                "int_parsing",
                &at,
                "Input should be a valid integer, unable to parse string as an integer",
            ),
            Ok(limit) if limit < 1 => {
                Problem::new("greater_than", &at, "Input should be greater than 0").ctx("gt", 0)
            }
            Ok(limit) if limit > PAGE_LIMIT as i64 => Problem::new(
                "less_than_equal",
                &at,
                "Input should be less than or equal to 100",
            )
            .ctx("le", PAGE_LIMIT),
            Ok(limit) => return usize::try_from(limit).unwrap_or(PAGE_LIMIT),
        };
        self.problems.push(problem.input(text));
        PAGE_LIMIT
    }

    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problems
            .push(Problem::choice(&["query", name], &words).input(text));
        None
    }

    fn time(&mut self, name: &str) -> Option<EventTime> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(time) => Some(time),
            Err(_) => {
                let why = "expected ISO 8601 such as 2026-01-31T12:00:00";
                let msg = format!("Input should be a valid datetime or date, {why}");
                self.problems.push(
                    Problem::new("datetime_from_date_parsing", &["query", name], msg)
                        .input(text)
                        .ctx("error", why),
                );
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        let Some(text) = self.text(name) else {
            return false;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => true,
            "false" | "0" | "no" | "off" | "f" | "n" => false,
            _ => {
                let msg = "Input should be a valid boolean, unable to interpret input";
                let problem = Problem::new("bool_parsing", &["query", name], msg);
                self.problems.push(problem.input(text));
                false
            }
        }
    }

    fn ids(&mut self, name: &str) -> Vec<ConversationId> {
        let mut ids = Vec::new();
        for (index, text) in self.batch(name).into_iter().enumerate() {
            match validation::conversation_id(&text, &["query", name]) {
                Ok(id) => ids.push(id),
                Err(found) => {
                    self.problems
                        .extend(found.into_iter().map(|problem| problem.at(index)));
                }
            }
        }
        ids
    }

    fn batch(&mut self, name: &str) -> Vec<String> {
        let items = self.list(name);
        if items.len() > BATCH_LIMIT {
            self.problems.push(too_long(&["query", name], items.len()));
        }
        items
    }
}

/// A list of ids is longer than one request may have.
pub(crate) fn too_long(loc: &[&str], found: usize) -> Problem {
    let msg = format!("List should have at most {BATCH_LIMIT} items, not {found}");
    Problem::new("too_long", loc, msg).ctx("max_length", json!(BATCH_LIMIT))
}

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
    #[schemars(with = "ConversationSortOrder", extend("default" = "CREATED_AT_DESC"))]
    sort_order: ConversationOrder,
    /// With the texts of the agent's skills.
    #[schemars(extend("default" = false))]
    pub(crate) include_skills: bool,
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
            ..
        } = params;
        Self {
            status,
            page_id,
            limit,
            order: sort_order,
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
            params.problems.push(Problem::missing(&["query", "ids"]));
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
    /// Deprecated, as URLs end up in logs: send the key as a header or in a first frame.
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
mod tests {
    use serde_json::Value;

    use super::*;

    fn read<T: FromQuery>(query: &str) -> Result<T, Value> {
        let mut params = Params::parse(query);
        let value = T::from_query(&mut params);
        if params.problems.is_empty() {
            Ok(value)
        } else {
            Err(json!(params.problems))
        }
    }

    #[test]
    fn limits_read_as_recorded() {
        let refused = |query| read::<EventSearchParams>(query).err().unwrap();
        assert_eq!(
            refused("limit=0"),
            json!([{"type": "greater_than", "loc": ["query", "limit"],
                    "msg": "Input should be greater than 0", "input": "0", "ctx": {"gt": 0}}])
        );
        assert_eq!(
            refused("limit=101"),
            json!([{"type": "less_than_equal", "loc": ["query", "limit"],
                    "msg": "Input should be less than or equal to 100", "input": "101",
                    "ctx": {"le": 100}}])
        );
        assert_eq!(refused("limit=many")[0]["type"], "int_parsing");
        assert_eq!(
            read::<EventSearchParams>("").ok().map(|p| p.limit),
            Some(100)
        );
    }

    #[test]
    fn orders_read_as_recorded() {
        assert_eq!(
            read::<EventSearchParams>("sort_order=X").err().unwrap(),
            json!([{"type": "enum", "loc": ["query", "sort_order"],
                    "msg": "Input should be 'TIMESTAMP' or 'TIMESTAMP_DESC'", "input": "X",
                    "ctx": {"expected": "'TIMESTAMP' or 'TIMESTAMP_DESC'"}}])
        );
        let params = read::<ConversationSearchParams>("sort_order=UPDATED_AT&status=paused");
        let query = ConversationQuery::from(params.unwrap_or_else(|e| panic!("{e}")));
        assert_eq!(query.order, ConversationOrder::Updated);
        assert_eq!(query.status, Some(ExecutionStatus::Paused));
    }

    #[test]
    fn the_documented_orders_are_those_that_are_read() {
        let schema = schemars::schema_for!(ConversationSortOrder).to_value();
        let words: Vec<&str> = CONVERSATION_ORDERS.iter().map(|(word, _)| *word).collect();
        assert_eq!(schema["enum"], json!(words));
        let schema = schemars::schema_for!(EventSortOrder).to_value();
        let words: Vec<&str> = EVENT_ORDERS.iter().map(|(word, _)| *word).collect();
        assert_eq!(schema["enum"], json!(words));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let problems = read::<EventSearchParams>("limit=0&timestamp__gte=bad")
            .err()
            .unwrap();
        assert_eq!(problems.as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn ids_come_repeated_or_by_comma() {
        let a = "4ed7564a-c465-4319-ba19-ee162b106852";
        let b = "c19f8284b44a40feb3b6957841fc14cd";
        for query in [format!("ids={a}&ids={b}"), format!("ids={a},{b}")] {
            let ids = read::<ConversationBatchParams>(&query).ok().unwrap().ids;
            assert_eq!(ids, [a.parse().unwrap(), b.parse().unwrap()]);
        }
        let problems = read::<ConversationBatchParams>("ids=zzz").err().unwrap();
        assert_eq!(problems[0]["loc"], json!(["query", "ids", 0]));
        assert_eq!(
            read::<ConversationBatchParams>("").err().unwrap()[0]["type"],
            "missing"
        );
    }

    #[test]
    fn a_socket_starts_where_it_is_told() {
        let start = |query| {
            read::<SocketParams>(query)
                .ok()
                .map(|params| params.start())
        };
        let time: EventTime = "2026-11-22T19:41:07.359261".parse().unwrap();
        assert_eq!(start(""), Some(Start::Live));
        assert_eq!(start("resend_mode=all"), Some(Start::Beginning));
        assert_eq!(start("resend_all=true"), Some(Start::Beginning));
        assert_eq!(start("resend_mode=since"), Some(Start::Live));
        assert_eq!(
            start("resend_mode=since&after_timestamp=2026-11-22T19:41:07.359261Z"),
            Some(Start::Since(time))
        );
        assert_eq!(
            start("resend_mode=all&after_event_id=x"),
            Some(Start::After("x".into()))
        );
        assert_eq!(start("resend_mode=bogus"), None);
    }
}
