use std::{
    future::{Future, Ready, ready},
    pin::Pin,
};

use actix_web::{FromRequest, HttpRequest, dev, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use paperclip::v2::models::DefaultOperationRaw;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    config::Limits,
    describe::{self, describe},
    failure::Failure,
    state::ApiState,
    validation,
};

/// What a request body is read as.
pub(crate) trait RequestBody: DeserializeOwned + JsonSchema {
    /// Whether it may be left out, which means `{}`.
    const OPTIONAL: bool = false;
}

/// A JSON body, whatever its content type says, and its bytes as they were sent.
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
        // Our routes are only ever mounted together with it.
        let limits = request
            .app_data::<web::Data<ApiState>>()
            .map(|state| state.config.limits.clone())
            .ok_or(Failure::NotFound);
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

describe!(RawBody);
describe!(SocketPayload);
describe!(T: RequestBody; Body<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        describe::body::<T>(op, !T::OPTIONAL);
    }
});

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
mod tests;
