//! Requests to receivers, and what comes of them.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::{
    Client, Response,
    dns::Resolve,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use tokio::{
    runtime::{self, Handle},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use url::{Host, Url};

use crate::{
    config::Method,
    guard::{ForbiddenAddress, Guard, System, is_forbidden_host},
    sender::{Answer, FailureKind, Outgoing, Sender},
};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What is read of an answer's body, and how long that may take, so that its connection can serve
/// again; beyond that a new connection is cheaper.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// The longest that a receiver's `Retry-After` is heeded.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// Sends requests over the network. Redirects are answers like others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpSender {
    allow_link_local: bool,
}

impl HttpSender {
    pub(crate) fn new(allow_link_local: bool) -> Self {
        Self { allow_link_local }
    }
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, request: Outgoing) -> Answer {
        // The resolver never sees an address that is written out.
        if !self.allow_link_local && is_forbidden_host(&request.url) {
            return Answer::failed(FailureKind::Forbidden, "it is a link-local address");
        }
        let kind = Kind::of(&request.url, self.allow_link_local);
        let client = match POOLS.known(&kind) {
            Some(client) => Ok(client),
            // Loading certificates blocks for a while.
            None => match spawn_blocking(move || POOLS.client(kind)).await {
                Ok(made) => made,
                Err(error) => {
                    return Answer::failed(FailureKind::Unbuildable, error.to_string());
                }
            },
        };
        match client {
            Ok(client) => send_with(&client, request).await,
            Err(error) => describe(&error),
        }
    }
}

async fn send_with(client: &Client, request: Outgoing) -> Answer {
    let deadline = Instant::now() + request.timeout;
    let method = match request.method {
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
    };
    let sent = client
        .request(method, request.url)
        .headers(request.headers)
        .body(request.body)
        .send();
    let response = match timeout_at(deadline, sent).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return describe(&error),
        Err(_) => {
            let reason = format!("no answer within {} s", request.timeout.as_secs_f64());
            return Answer::failed(FailureKind::Timeout, reason);
        }
    };
    let answer = Answer::Status {
        code: response.status().as_u16(),
        retry_after: retry_after(response.headers(), chrono::Utc::now().timestamp()),
    };
    let drained = deadline.min(Instant::now() + DRAIN_LIMIT);
    // The status says it all, whether its body arrives or not.
    timeout_at(drained, drain(response)).await.ok();
    answer
}

async fn drain(mut response: Response) {
    let mut left = DRAIN_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// Every webhook of the process uses these.
static POOLS: Pools = Pools(Mutex::new(Vec::new()));

/// A process has one or two runtimes; the oldest of more are likely gone.
const POOL_LIMIT: usize = 16;

/// Connections, opened by clients that are made at first use, because loading the system's
/// certificates takes memory and time. Each async runtime has its own: a connection dies with
/// the runtime it was opened on.
struct Pools(Mutex<Vec<Pool>>);

impl Pools {
    fn known(&self, wanted: &Kind) -> Option<Client> {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = pools.iter().find(|pool| pool.kind == *wanted);
        found.map(|pool| pool.client.clone())
    }

    /// Makes one if there is none.
    fn client(&self, wanted: Kind) -> Result<Client, reqwest::Error> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.iter().find(|pool| pool.kind == wanted) {
            return Ok(pool.client.clone());
        }
        let resolver: Arc<dyn Resolve> = if wanted.allow_link_local {
            Arc::new(System)
        } else {
            Arc::new(Guard(Arc::new(System)))
        };
        let client = build(resolver, wanted.near)?;
        if pools.len() >= POOL_LIMIT {
            pools.remove(0);
        }
        pools.push(Pool {
            kind: wanted,
            client: client.clone(),
        });
        Ok(client)
    }
}

struct Pool {
    kind: Kind,
    client: Client,
}

#[derive(PartialEq, Eq)]
struct Kind {
    runtime: runtime::Id,
    /// A receiver on this machine is not behind the proxy that the environment may name.
    near: bool,
    allow_link_local: bool,
}

impl Kind {
    fn of(url: &Url, allow_link_local: bool) -> Self {
        Self {
            runtime: Handle::current().id(),
            near: is_loopback(url),
            allow_link_local,
        }
    }
}

fn build(resolver: Arc<dyn Resolve>, near: bool) -> Result<Client, reqwest::Error> {
    // A redirected request may lose its body, and take headers to another server.
    let builder = Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .redirect(Policy::none())
        .dns_resolver(resolver);
    let builder = if near { builder.no_proxy() } else { builder };
    builder.build()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A failure in words. The outermost error would name the address.
fn describe(error: &reqwest::Error) -> Answer {
    let (mut kind, mut reason) = if error.is_builder() {
        (FailureKind::Unbuildable, "no request can be made")
    } else if error.is_timeout() {
        (FailureKind::Timeout, "it took too long")
    } else if error.is_connect() {
        (FailureKind::Connection, "cannot connect")
    } else {
        (FailureKind::Connection, "the connection broke")
    };
    let mut words = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<ForbiddenAddress>() {
            kind = FailureKind::Forbidden;
            reason = "the address is refused";
        }
        words = format!("{words}: {error}");
        cause = error.source();
    }
    Answer::failed(kind, format!("{reason}{words}"))
}

/// How long a `Retry-After` asks to wait: seconds, or a date in any of HTTP's three forms.
fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number {
        // More digits than fit are more than an hour.
        text.parse().unwrap_or(u64::MAX)
    } else {
        let ahead = date(text)?.saturating_sub(now);
        u64::try_from(ahead).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Seconds since 1970.
fn date(text: &str) -> Option<i64> {
    if let Ok(date) = chrono::DateTime::parse_from_rfc2822(text) {
        return Some(date.timestamp());
    }
    let old_forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let read = |form| chrono::NaiveDateTime::parse_from_str(text, form).ok();
    let date = old_forms.into_iter().find_map(read)?;
    Some(date.and_utc().timestamp())
}

#[cfg(test)]
mod tests;
