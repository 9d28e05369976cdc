//! Requests with an `Idempotency-Key`: the same key and body have one effect and one answer, however
//! often they are sent. After
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder, body::BoxBody, dev, http::StatusCode,
};
use agent_runtime::{Request, Runtime};
use bytes::Bytes;
use core_model::port::Digest;
use paperclip::{actix::OperationModifier, v2::models::DefaultOperationRaw};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    describe::{self, describe},
    failure::{Effect, Failure},
    headers::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED},
    reply::{Created, Reply},
    request::Server,
    validation::Problem,
};

const MAX_KEY_CHARS: usize = 255;
/// The ids of what keyed requests create are derived from this (UUID v5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_7c0e_3a52_4f0b_9d57_8e21_c4b9_a610);

/// What the client calls its request, if it gives it a key.
pub(crate) struct IdempotencyKey(Option<String>);

impl FromRequest for IdempotencyKey {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
        if !request.headers().contains_key(IDEMPOTENCY_KEY) {
            return ready(Ok(Self(None)));
        }
        let text = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().unwrap_or_default().trim(),
            _ => "",
        };
        // The draft has a string in quotes; most clients send it without.
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let text = quoted.unwrap_or(text);
        let fits = (1..=MAX_KEY_CHARS).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        ready(if fits {
            Ok(Self(Some(text.to_owned())))
        } else {
            let msg = format!(
                "Input should be one key of 1 to {MAX_KEY_CHARS} ASCII characters that can be printed"
            );
            let at = ["header", "Idempotency-Key"];
            Err(Problem::new("value_error", &at, msg).into())
        })
    }
}

/// An answer that was not stored, or one that was, maybe for an earlier request.
pub(crate) enum Idempotent<R> {
    NotStored(R),
    Stored {
        answer: StoredAnswer,
        replayed: bool,
    },
}

/// An answer as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredAnswer {
    status: u16,
    /// JSON.
    body: String,
}

/// An answer that can be stored.
pub(crate) trait Storable {
    /// # Errors
    /// When it cannot be written as JSON.
    fn to_stored(&self) -> serde_json::Result<StoredAnswer>;
}

impl<T: Serialize> Storable for Reply<T> {
    fn to_stored(&self) -> serde_json::Result<StoredAnswer> {
        let body = serde_json::to_string(&self.0)?;
        Ok(StoredAnswer { status: 200, body })
    }
}

impl<T: Serialize> Storable for Created<T> {
    fn to_stored(&self) -> serde_json::Result<StoredAnswer> {
        let status = self.status().as_u16();
        let body = serde_json::to_string(&self.value)?;
        Ok(StoredAnswer { status, body })
    }
}

impl<R: Responder<Body = BoxBody>> Responder for Idempotent<R> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::NotStored(reply) => reply.respond_to(request),
            Self::Stored { answer, replayed } => {
                let status = StatusCode::from_u16(answer.status).unwrap_or_default();
                let mut response = HttpResponse::build(status);
                if replayed {
                    response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
                }
                response.content_type("application/json").body(answer.body)
            }
        }
    }
}

describe!(IdempotencyKey {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let about = "Names this request: sent again with the same key and body, within a day and also \
                     across restarts, it has one effect and gets the same answer, marked with \
                     `Idempotency-Replayed`. With another body it is a 409.";
        describe::header_parameter(op, "Idempotency-Key", about, Some("^[!-~]([ -~]{0,253}[!-~])?$"));
    }
});

describe!(R: OperationModifier; Idempotent<R> {
    fn update_response(op: &mut DefaultOperationRaw) {
        R::update_response(op);
    }
});

/// Carries out `work`, unless a request with this key was carried out before: then the answer is the one
/// of that. `what` names the route and its object, the same in both dialects. Only answers of success are
/// stored; after a refusal the client may try again.
///
/// # Cancel safety
/// A keyed request whose handler is dropped is carried out anyway, and locks its key until then: a client
/// that lost its connection may be back before the first attempt has ended.
pub(crate) async fn run_once<R, W>(
    server: &Server,
    IdempotencyKey(key): IdempotencyKey,
    what: &str,
    body: &[u8],
    work: impl FnOnce(Option<Request>) -> W + Send + 'static,
) -> Result<Idempotent<R>, Failure>
where
    R: Storable + Send + 'static,
    W: Future<Output = Result<R, Failure>> + Send + 'static,
{
    let Some(key) = key else {
        return work(None).await.map(Idempotent::NotStored);
    };
    let key: Digest = Sha256::digest(format!("{what}\n{key}")).into();
    let body: Digest = Sha256::digest(body).into();
    let lock = server.key_locks.of(key);
    let runtime = server.runtime.clone();
    let keyed = async move {
        let _locked = lock.lock_owned().await;
        keyed(&runtime, key, body, work).await
    };
    server.runtime.run_detached(keyed).await
}

async fn keyed<R, W>(
    runtime: &Runtime,
    key: Digest,
    body: Digest,
    work: impl FnOnce(Option<Request>) -> W,
) -> Result<Idempotent<R>, Failure>
where
    R: Storable,
    W: Future<Output = Result<R, Failure>>,
{
    let receipt = runtime.begin_request(key, body).await?;
    if receipt.request != body {
        return Err(Failure::IdempotencyKeyReused);
    }
    let stored = receipt.answer.as_deref();
    if let Some(Ok(answer)) = stored.map(serde_json::from_slice::<StoredAnswer>) {
        return Ok(Idempotent::Stored {
            answer,
            replayed: true,
        });
    }
    // With the key alone, what a request creates a day later would get the ids of what one created before.
    let name = [key.as_slice(), receipt.nonce.as_bytes()].concat();
    let request = Request {
        id: Uuid::new_v5(&NAMESPACE, &name),
        begun: receipt.begun,
    };
    let reply = match work(Some(request)).await {
        Err(failure) if !receipt.begun && failure.row().effect == Effect::None => {
            if let Err(error) = runtime.forget_request(key).await {
                tracing::debug!(%error, "a refused request stays recorded as started");
            }
            return Err(failure);
        }
        reply => reply?,
    };
    let stored = reply.to_stored();
    let stored = stored.and_then(|answer| Ok((serde_json::to_vec(&answer)?, answer)));
    let Ok((bytes, answer)) = stored else {
        return Ok(Idempotent::NotStored(reply));
    };
    runtime.finish_request(key, Bytes::from(bytes)).await?;
    Ok(Idempotent::Stored {
        answer,
        replayed: false,
    })
}

#[cfg(test)]
mod tests;
