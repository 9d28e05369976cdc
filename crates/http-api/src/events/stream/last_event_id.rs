use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev, http::header::HeaderName};
use agent_runtime::Cursor;
use paperclip::v2::models::DefaultOperationRaw;

use crate::{
    describe::{self, describe},
    failure::Failure,
    follow_query::AfterSeq,
    validation::Problem,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What the client of an event stream had last: the header `Last-Event-ID`. None if it is new.
pub(super) struct LastEventId<T>(pub(super) Option<T>);

/// What the ids of an event stream are.
pub(super) trait StreamId: Sized {
    /// For a client that sent something else.
    const EXPECTED: &str;
    /// What the header looks like, unless that is opaque.
    const PATTERN: Option<&str>;

    fn parse(text: &str) -> Option<Self>;
}

impl StreamId for AfterSeq {
    const EXPECTED: &str = "the number that came as the last event's id";
    const PATTERN: Option<&str> = Some("^(-1|[0-9]{1,18})?$");

    fn parse(text: &str) -> Option<Self> {
        Self::parse_id(text)
    }
}

impl StreamId for Cursor {
    const EXPECTED: &str = "the cursor that came as the last event's id";
    const PATTERN: Option<&str> = None;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl<T: StreamId> FromRequest for LastEventId<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let value = request.headers().get(LAST_EVENT_ID);
        let text = value.map(|value| value.to_str().unwrap_or("?").trim());
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return ready(Ok(Self(None)));
        };
        let id = T::parse(text).ok_or_else(|| {
            let msg = format!("Input should be {}", T::EXPECTED);
            Problem::new("value_error", &["header", "Last-Event-ID"], msg).into()
        });
        ready(id.map(|id| Self(Some(id))))
    }
}

describe!(T: StreamId; LastEventId<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let about = "Continues after what had this id, rather than where the query says. `EventSource` \
                     sends it when it reconnects.";
        describe::header_parameter(op, "Last-Event-ID", about, T::PATTERN);
    }
});
