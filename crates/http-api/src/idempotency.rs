//! Requests with an `Idempotency-Key`: the same key and body have one effect and one answer, however
//! often they come. After
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder, body::BoxBody, dev, http::StatusCode,
};
use agent_runtime::Request;
use bytes::Bytes;
use core_model::port::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    error::Failure,
    extract::Server,
    reply::{Made, Reply},
    validation::Problem,
};

/// The header.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Tells that an answer was given before.
pub(crate) const REPLAYED: &str = "idempotency-replayed";

const LONGEST: usize = 255;
/// The ids of what keyed requests make follow from this (UUID v5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_7c0e_3a52_4f0b_9d57_8e21_c4b9_a610);

/// What the client calls its request, if it does.
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
        // The draft has a string in quotes; most clients send it bare.
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let text = quoted.unwrap_or(text);
        let fits = (1..=LONGEST).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        ready(if fits {
            Ok(Self(Some(text.to_owned())))
        } else {
            let msg = format!("Input should be one key of 1 to {LONGEST} visible ASCII characters");
            let at = ["header", "Idempotency-Key"];
            Err(Problem::new("value_error", &at, msg).into())
        })
    }
}

/// An answer, or the same answer again.
pub(crate) enum Once<R> {
    Fresh(R),
    Kept { answer: Kept, replayed: bool },
}

/// An answer as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    status: u16,
    /// JSON.
    body: String,
}

/// An answer that can be stored.
pub(crate) trait Keep {
    /// # Errors
    /// When it is no JSON.
    fn keep(&self) -> serde_json::Result<Kept>;
}

impl<T: Serialize> Keep for Reply<T> {
    fn keep(&self) -> serde_json::Result<Kept> {
        let body = serde_json::to_string(&self.0)?;
        Ok(Kept { status: 200, body })
    }
}

impl<T: Serialize> Keep for Made<T> {
    fn keep(&self) -> serde_json::Result<Kept> {
        let status = if self.existed { 200 } else { 201 };
        let body = serde_json::to_string(&self.value)?;
        Ok(Kept { status, body })
    }
}

impl<R: Responder<Body = BoxBody>> Responder for Once<R> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Fresh(reply) => reply.respond_to(request),
            Self::Kept { answer, replayed } => {
                let status = StatusCode::from_u16(answer.status).unwrap_or_default();
                let mut response = HttpResponse::build(status);
                if replayed {
                    response.insert_header((REPLAYED, "true"));
                }
                response.content_type("application/json").body(answer.body)
            }
        }
    }
}

/// Keyed requests that are being carried out.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl InFlight {
    /// The turn of requests with one key.
    fn turn(&self, key: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let known = turns.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(key, Arc::downgrade(&turn));
            turn
        })
    }
}

/// Carries out `work`, unless a request with this key was carried out before: then the answer is that
/// one's. `what` names the route and its object, the same in both dialects. Only answers that grant the
/// request are kept; another attempt may follow those that do not.
pub(crate) async fn once<R: Keep>(
    server: &Server,
    IdempotencyKey(key): IdempotencyKey,
    what: &str,
    body: &[u8],
    work: impl AsyncFnOnce(Option<Request>) -> Result<R, Failure>,
) -> Result<Once<R>, Failure> {
    let Some(key) = key else {
        return work(None).await.map(Once::Fresh);
    };
    let runtime = &server.0.runtime;
    let key: Digest = Sha256::digest(format!("{what}\n{key}")).into();
    let body: Digest = Sha256::digest(body).into();
    let turn = server.0.in_flight.turn(key);
    let _mine = turn.lock().await;
    let known = runtime.begin_request(key, body).await?;
    if let Some(known) = &known {
        if known.request != body {
            return Err(Failure::KeyReused);
        }
        let kept = known.answer.as_deref().map(serde_json::from_slice::<Kept>);
        if let Some(Ok(answer)) = kept {
            return Ok(Once::Kept {
                answer,
                replayed: true,
            });
        }
    }
    let request = Request {
        id: Uuid::new_v5(&NAMESPACE, &key),
        begun: known.is_some(),
    };
    let reply = work(Some(request)).await?;
    let kept = reply.keep();
    let kept = kept.and_then(|answer| Ok((serde_json::to_vec(&answer)?, answer)));
    let Ok((bytes, answer)) = kept else {
        return Ok(Once::Fresh(reply));
    };
    runtime.finish_request(key, Bytes::from(bytes)).await?;
    Ok(Once::Kept {
        answer,
        replayed: false,
    })
}
