use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Response};
use tokio::runtime::{self, Handle};
use url::Url;

use crate::ModelError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The connections to a host, shared by all models and opened at first use, because loading the
/// system's certificates takes a while. Each async runtime has its own: a connection dies with the
/// runtime it was opened on.
///
/// # Errors
/// When the TLS backend cannot start.
pub(super) fn client(endpoint: &Url) -> Result<Client, ModelError> {
    static POOLS: Mutex<Vec<Pool>> = Mutex::new(Vec::new());
    let runtime = Handle::current().id();
    // A model on this machine is not behind the proxy that the environment may name.
    let near = is_loopback(endpoint);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = |pool: &&Pool| pool.runtime == runtime && pool.near == near;
    if let Some(pool) = pools.iter().find(known) {
        return Ok(pool.client.clone());
    }
    // A redirected POST loses its body, and may take the key to a stranger.
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let builder = if near { builder.no_proxy() } else { builder };
    let client = builder.build().map_err(|error| describe(&error))?;
    if pools.len() >= POOL_LIMIT {
        pools.remove(0);
    }
    pools.push(Pool {
        runtime,
        near,
        client: client.clone(),
    });
    Ok(client)
}

/// A process has one or two runtimes; the oldest of more are likely gone.
const POOL_LIMIT: usize = 16;

struct Pool {
    runtime: runtime::Id,
    near: bool,
    client: Client,
}

/// Waits no longer than `limit` for `work`; `what` names it in the error.
pub(super) async fn within<T>(
    limit: Option<Duration>,
    what: &str,
    work: impl Future<Output = T>,
) -> Result<T, ModelError> {
    let Some(limit) = limit else {
        return Ok(work.await);
    };
    let waited = tokio::time::timeout(limit, work).await;
    waited.map_err(|_| ModelError::Timeout(format!("{what} within {} s", limit.as_secs_f64())))
}

/// At most `limit` bytes of a body; the rest is left unread.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn read_up_to(
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, ModelError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() >= limit {
            body.truncate(limit);
            break;
        }
    }
    Ok(body)
}

/// A transport failure in words, without the address it happened at.
pub(super) fn describe(error: &reqwest::Error) -> ModelError {
    let mut text = if error.is_connect() {
        "cannot connect".to_owned()
    } else {
        "the connection failed".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(reason) = cause {
        text = format!("{text}: {reason}");
        cause = reason.source();
    }
    if error.is_timeout() {
        return ModelError::Timeout(text);
    }
    ModelError::unreachable(&text)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
