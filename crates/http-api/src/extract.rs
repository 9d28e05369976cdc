//! What handlers take: path ids, query parameters, JSON bodies. All of our own, so that the host
//! application's `JsonConfig`, `QueryConfig` and `PathConfig` neither apply here nor are changed.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
};

use actix_web::{FromRequest, HttpRequest, dev, http::header, web};
use bytes::{Bytes, BytesMut};
use core_model::{ConversationId, EventId};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    configure::{Limits, Shared},
    error::Failure,
    query::Params,
    validation,
};

const LAST_EVENT_ID: header::HeaderName = header::HeaderName::from_static("last-event-id");

/// Which of the two dialects a route belongs to; they differ in defaults, not in handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/conversations`: everything is optional, a message starts a run.
    Readme,
    /// `/api/conversations`: as the public SDK has it.
    OpenHands,
}

impl FromRequest for Dialect {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let dialect = request.app_data::<web::Data<Self>>();
        ready(Ok(dialect.map_or(Self::Readme, |found| *found.get_ref())))
    }
}

/// The server behind a request.
pub(crate) struct Server(pub(crate) web::Data<Shared>);

impl FromRequest for Server {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(shared(request).map(Self))
    }
}

/// The conversation that a path names.
pub(crate) struct ConversationPath(pub(crate) ConversationId);

impl FromRequest for ConversationPath {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let text = request
            .match_info()
            .get("conversation_id")
            .unwrap_or_default();
        let id = validation::conversation_id(text, &["path", "conversation_id"]);
        ready(id.map(Self).map_err(Failure::from))
    }
}

/// The event that a path names.
pub(crate) struct EventPath(pub(crate) EventId);

impl FromRequest for EventPath {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let id = request.match_info().get("event_id").unwrap_or_default();
        ready(Ok(Self(EventId::from(id))))
    }
}

/// The webhook that a path names. A name may hold anything, slashes too.
pub(crate) struct WebhookPath(pub(crate) String);

impl FromRequest for WebhookPath {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(decoded(request, "name").map(Self))
    }
}

/// The delivery that a path names.
pub(crate) struct DeliveryPath(pub(crate) String);

impl FromRequest for DeliveryPath {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(decoded(request, "delivery_id").map(Self))
    }
}

/// Query parameters that know how to be read.
pub(crate) trait FromQuery: Sized {
    fn from_query(params: &mut Params) -> Self;
}

pub(crate) struct Query<T>(pub(crate) T);

impl<T: FromQuery> FromRequest for Query<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let mut params = Params::parse(request.query_string());
        let value = T::from_query(&mut params);
        ready(params.finish(value).map(Self))
    }
}

/// What the client of an event stream had last: the header `Last-Event-ID`. None if it is new.
pub(crate) struct LastEventId(pub(crate) Option<String>);

impl FromRequest for LastEventId {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let value = request.headers().get(LAST_EVENT_ID);
        let text = value.map(|value| value.to_str().unwrap_or("?").trim().to_owned());
        ready(Ok(Self(text.filter(|text| !text.is_empty()))))
    }
}

/// A request body that may be left out when `{}` would do.
pub(crate) trait RequestBody: DeserializeOwned {
    const OPTIONAL: bool = false;
}

/// A JSON body, whatever its content type says, and its bytes as they came.
pub(crate) struct Body<T>(pub(crate) T, pub(crate) Bytes);

impl<T: RequestBody + 'static> FromRequest for Body<T> {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let bytes = RawBody::from_request(request, payload);
        Box::pin(async move {
            let RawBody(bytes) = bytes.await?;
            Ok(Self(parse(&bytes)?, bytes))
        })
    }
}

/// A body's bytes, no more of them than the limit allows.
pub(crate) struct RawBody(pub(crate) Bytes);

impl FromRequest for RawBody {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let limits = shared(request).map(|shared| shared.config.limits.clone());
        let declared = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let payload = payload.take();
        Box::pin(async move { read(payload, declared, &limits?).await.map(Self) })
    }
}

/// What a client sends over the connection once it is a socket.
pub(crate) struct SocketPayload(pub(crate) dev::Payload);

impl FromRequest for SocketPayload {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(_: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        ready(Ok(Self(payload.take())))
    }
}

fn shared(request: &HttpRequest) -> Result<web::Data<Shared>, Failure> {
    // Our routes are only ever mounted together with it.
    request
        .app_data::<web::Data<Shared>>()
        .cloned()
        .ok_or(Failure::NotFound)
}

/// A part of the path as the client meant it. As routes are matched, `%2F`, `%25` and `%2B` still stand
/// as they came; actix decodes them where it deserialises.
fn decoded(request: &HttpRequest, part: &str) -> Result<String, Failure> {
    let parts = request.match_info();
    let texts: Vec<String> = parts.load().map_err(|_unreadable| Failure::NotFound)?;
    let named = parts
        .iter()
        .zip(texts)
        .filter(|((name, _), _)| *name == part);
    // The host may call a part of its prefix the same: ours comes after it.
    named.last().map(|(_, text)| text).ok_or(Failure::NotFound)
}

async fn read(
    mut payload: dev::Payload,
    declared: Option<usize>,
    limits: &Limits,
) -> Result<Bytes, Failure> {
    let limit = limits.body_bytes;
    if declared.is_some_and(|length| length > limit) {
        return Err(Failure::TooLarge { limit });
    }
    let mut body = BytesMut::with_capacity(declared.unwrap_or(0).min(64 * 1024));
    while let Some(chunk) = timeout(limits.body_pause, payload.next())
        .await
        .map_err(|_elapsed| Failure::BodyLate)?
    {
        let chunk = chunk.map_err(|_| Failure::BodyUnreadable)?;
        if body.len() + chunk.len() > limit {
            return Err(Failure::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn parse<T: RequestBody>(bytes: &[u8]) -> Result<T, Failure> {
    let value = if !bytes.iter().all(u8::is_ascii_whitespace) {
        validation::json(bytes)?
    } else if T::OPTIONAL {
        json!({})
    } else {
        return Err(validation::Problem::missing(&["body"])
            .input(Value::Null)
            .into());
    };
    Ok(validation::object(&value, &["body"])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten_bytes() -> Limits {
        Limits {
            body_bytes: 10,
            ..Limits::default()
        }
    }

    #[actix_web::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let first = futures_util::stream::iter([Ok(Bytes::from_static(b"{"))]);
        let payload = first.chain(futures_util::stream::pending());
        let limits = Limits {
            body_pause: std::time::Duration::from_millis(10),
            ..ten_bytes()
        };
        let refused = read(dev::Payload::from(payload.boxed_local()), Some(2), &limits);
        assert!(matches!(refused.await, Err(Failure::BodyLate)));
    }

    #[actix_web::test]
    async fn a_body_over_the_limit_is_refused_before_it_is_read() {
        let untouched = dev::Payload::from(
            futures_util::stream::poll_fn(|_| panic!("the body was read")).boxed_local(),
        );
        let refused = read(untouched, Some(11), &ten_bytes()).await;
        assert!(matches!(refused, Err(Failure::TooLarge { limit: 10 })));
    }

    #[actix_web::test]
    async fn a_body_that_does_not_say_its_size_is_cut_off_at_the_limit() {
        let chunks = futures_util::stream::iter([4, 4, 4].map(|n| Ok(Bytes::from(vec![b'x'; n]))));
        let refused = read(dev::Payload::from(chunks.boxed_local()), None, &ten_bytes()).await;
        assert!(matches!(refused, Err(Failure::TooLarge { limit: 10 })));
    }
}
