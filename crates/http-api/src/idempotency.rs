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
use agent_runtime::{Request, Runtime};
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
///
/// # Cancel safety
/// A keyed request whose handler is dropped is carried out all the same, and holds its key until then:
/// a client that lost its connection may be back before the first attempt has ended.
pub(crate) async fn once<R, W>(
    server: &Server,
    IdempotencyKey(key): IdempotencyKey,
    what: &str,
    body: &[u8],
    work: impl FnOnce(Option<Request>) -> W + Send + 'static,
) -> Result<Once<R>, Failure>
where
    R: Keep + Send + 'static,
    W: Future<Output = Result<R, Failure>> + Send + 'static,
{
    let Some(key) = key else {
        return work(None).await.map(Once::Fresh);
    };
    let key: Digest = Sha256::digest(format!("{what}\n{key}")).into();
    let body: Digest = Sha256::digest(body).into();
    let turn = server.0.in_flight.turn(key);
    let runtime = server.0.runtime.clone();
    let keyed = async move {
        let _mine = turn.lock_owned().await;
        keyed(&runtime, key, body, work).await
    };
    server.0.runtime.run_detached(keyed).await
}

async fn keyed<R, W>(
    runtime: &Runtime,
    key: Digest,
    body: Digest,
    work: impl FnOnce(Option<Request>) -> W,
) -> Result<Once<R>, Failure>
where
    R: Keep,
    W: Future<Output = Result<R, Failure>>,
{
    let receipt = runtime.begin_request(key, body).await?;
    if receipt.request != body {
        return Err(Failure::KeyReused);
    }
    let kept = receipt.answer.as_deref();
    if let Some(Ok(answer)) = kept.map(serde_json::from_slice::<Kept>) {
        return Ok(Once::Kept {
            answer,
            replayed: true,
        });
    }
    // The key alone would give what a request makes after a day the ids of what one made before.
    let name = [key.as_slice(), receipt.nonce.as_bytes()].concat();
    let request = Request {
        id: Uuid::new_v5(&NAMESPACE, &name),
        begun: receipt.begun,
    };
    let reply = match work(Some(request)).await {
        Err(failure) if !receipt.begun && failure.left_nothing() => {
            if let Err(error) = runtime.forget_request(key).await {
                tracing::debug!(%error, "a refused request stays down as begun");
            }
            return Err(failure);
        }
        reply => reply?,
    };
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use actix_web::web;
    use agent_runtime::{RuntimeConfig, RuntimeError};
    use core_model::LlmSettings;
    use store_fs::{FsStore, Options};
    use tokio::sync::{Notify, oneshot};

    use super::*;
    use crate::{Api, ApiConfig};

    fn server(folder: &tempfile::TempDir) -> Server {
        let store = FsStore::open(folder.path(), Options::default()).unwrap();
        let config = RuntimeConfig::new([7; 32], LlmSettings::default(), folder.path());
        let runtime = Runtime::start(config, Arc::new(store));
        let api = Api::new(runtime, ApiConfig::default()).unwrap();
        Server(web::Data::from(api.shared()))
    }

    #[actix_web::test]
    async fn a_key_is_held_until_the_work_ends_also_when_its_handler_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(&folder);
        let key = || IdempotencyKey(Some("k".to_owned()));
        let carried_out = Arc::new(AtomicUsize::new(0));
        let begun = Arc::new(Notify::new());
        let (end, ended) = oneshot::channel::<()>();
        let (count, started) = (Arc::clone(&carried_out), Arc::clone(&begun));
        let first = once(&server, key(), "what", b"", move |_| async move {
            count.fetch_add(1, SeqCst);
            started.notify_one();
            ended.await.unwrap();
            Ok(Reply("first"))
        });
        tokio::select! {
            _ = first => panic!("it ended"),
            () = begun.notified() => {}
        }
        // The first handler is gone now, its work is not.
        let count = Arc::clone(&carried_out);
        let second = once(&server, key(), "what", b"", move |_| async move {
            count.fetch_add(1, SeqCst);
            Ok(Reply("second"))
        });
        let (second, ()) = tokio::join!(second, async {
            tokio::task::yield_now().await;
            end.send(()).unwrap();
        });
        let Ok(Once::Kept { answer, replayed }) = second else {
            panic!("not kept");
        };
        assert_eq!((answer.body.as_str(), replayed), ("\"first\"", true));
        assert_eq!(carried_out.load(SeqCst), 1);
    }

    #[actix_web::test]
    async fn only_a_refusal_that_left_something_behind_holds_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(&folder);
        for (failure, left) in [
            (Failure::Unprocessable("no".to_owned()), false),
            (Failure::Runtime(RuntimeError::Stopping), true),
            (
                Failure::MessageSaved {
                    run_path: String::new(),
                },
                true,
            ),
        ] {
            let name = failure.to_string();
            let key = || IdempotencyKey(Some(name.clone()));
            let fails = format!("{failure:?}");
            let refused = once(&server, key(), "what", b"a", move |_| async move {
                Err::<Reply<()>, _>(failure)
            });
            assert!(refused.await.is_err());
            let other = once(&server, key(), "what", b"b", |_| async { Ok(Reply(())) });
            let reused = matches!(other.await, Err(Failure::KeyReused));
            assert_eq!(reused, left, "{fails}");
        }
    }
}
