//! Where followers start, as the queries of sockets and event streams say it.

use std::borrow::Cow;

use agent_runtime::{AllFilter, AllStart, Start};
use core_model::{ConversationId, EventId, EventTime, Seq};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::{
    request::{FromQuery, Parameter, QueryReader, not_an_integer, query, word},
    validation::Problem,
};

/// What of the past a socket repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ResendMode {
    All,
    Since,
}

word!(ResendMode);

query! {
    /// How a socket starts.
    pub(crate) struct FollowParams {
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
        /// Deprecated, because URLs end up in logs: send the key as a header or, over a socket, in a first
        /// frame. For web pages' event streams, which can do neither.
        #[schemars(extend("deprecated" = true))]
        session_api_key: Option<String>,
    }
}

impl FollowParams {
    pub(crate) fn start(&self) -> Start {
        if let Some(id) = &self.after_event_id {
            return Start::After(EventId::from(id.as_str()));
        }
        match (self.resend_mode, self.after_timestamp) {
            (Some(ResendMode::All), _) => Start::Beginning,
            (Some(ResendMode::Since), Some(time)) => Start::Since(time),
            // As in the reference: without a time there is nothing to repeat.
            (Some(ResendMode::Since), None) => Start::Live,
            (None, _) if self.resend_all => Start::Beginning,
            (None, _) => Start::Live,
        }
    }
}

query! {
    /// How an event stream, or a socket with positions, starts.
    pub(crate) struct SessionParams {
        /// Everything after the event at this position of the log; −1 is everything. Takes precedence over
        /// the other ways to start.
        after_seq: Option<AfterSeq>,
        #[schemars(flatten)]
        follow: FollowParams,
    }
}

impl SessionParams {
    pub(crate) fn start(&self) -> Start {
        self.replay().unwrap_or_else(|| self.follow.start())
    }

    /// Where `after_seq` starts.
    pub(crate) fn replay(&self) -> Option<Start> {
        self.after_seq.map(AfterSeq::start)
    }
}

/// A position of which everything after it is wanted; −1 is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AfterSeq(i64);

impl AfterSeq {
    const MIN: i64 = -1;

    /// None when the text is not a position.
    pub(crate) fn parse_id(text: &str) -> Option<Self> {
        let seq = text.parse().ok()?;
        (seq >= Self::MIN).then_some(Self(seq))
    }

    pub(crate) fn start(self) -> Start {
        let first = self.0.saturating_add(1);
        Start::From(Seq(u64::try_from(first).unwrap_or_default()))
    }
}

impl Parameter for AfterSeq {
    fn parse(text: &str, at: &[&str]) -> Result<Self, Vec<Problem>> {
        let problem = match text.trim().parse() {
            Ok(seq) if seq >= Self::MIN => return Ok(Self(seq)),
            Ok(_) => {
                let least = Self::MIN;
                let msg = format!("Input should be greater than or equal to {least}");
                Problem::new("greater_than_equal", at, msg).ctx("ge", least)
            }
            Err(_) => not_an_integer(at),
        };
        Err(vec![problem.input(text)])
    }
}

impl JsonSchema for AfterSeq {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AfterSeq".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "format": "int64", "minimum": Self::MIN})
    }
}

query! {
    /// What a follower of all conversations wants.
    pub(crate) struct FeedParams {
        /// Where to continue: a cursor from an earlier frame, or `beginning` for everything that is stored.
        /// Without it: with what happens from now on.
        #[schemars(with = "Option<String>")]
        cursor: AllStart,
        #[schemars(flatten)]
        filter: FeedFilterParams,
        /// Deprecated, because URLs end up in logs: send the key as a header or, over a socket, in a first
        /// frame. For web pages' event streams, which can do neither.
        #[schemars(extend("deprecated" = true))]
        session_api_key: Option<String>,
    }
}

impl FromQuery for AllStart {
    fn from_query(query: &mut QueryReader, name: &str) -> Self {
        match query.text(name).as_deref() {
            None | Some("") => Self::Live,
            Some("beginning") => Self::Beginning,
            Some(text) => {
                let cursor = text.parse().map_err(|_| {
                    let problem =
                        Problem::new("value_error", &["query", name], "Input should be a cursor");
                    vec![problem.input(text)]
                });
                query.collect(cursor).map_or(Self::Live, Self::At)
            }
        }
    }
}

query! {
    /// Which conversations and events are wanted.
    pub(crate) struct FeedFilterParams {
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
}

impl From<FeedFilterParams> for AllFilter {
    fn from(params: FeedFilterParams) -> Self {
        let tag = |text: String| match text.split_once(':') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        let class = |kind: String| match kind.rsplit_once('.') {
            Some((_, class)) => class.to_owned(),
            None => kind,
        };
        Self {
            conversations: params.conversation_id,
            kinds: params.kind.into_iter().map(class).collect(),
            tags: params.tag.into_iter().map(tag).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
