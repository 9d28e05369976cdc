mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use core_model::{
    LlmSettings,
    masking::SecretMask,
    secrets::{secrets_in_header, secrets_in_url, visit_secrets},
};
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::error::clip;
use crate::http::{client, describe, read_up_to, within};
use crate::price::{Price, price_of};
use crate::provider::{Route, route};
use crate::retry::{Schedule, parse_retry_after, retrying};
use crate::{Delta, Model, ModelError, ModelReply, ModelRequest};

use reply::RawReply;
use stream::Assembler;

/// No sensible reply is longer; what sends more is broken or hostile.
const REPLY_LIMIT: usize = 16 * 1024 * 1024;
const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// How much of an error's text is searched for secrets; what follows is cut off in any case.
const SEARCHED_BYTES: usize = ERROR_BODY_LIMIT;

/// A model behind an OpenAI-compatible Chat Completions endpoint.
pub(crate) struct OpenAiChat {
    settings: LlmSettings,
    route: Route,
    headers: HeaderMap,
    /// What providers may echo and nobody shall read.
    mask: SecretMask,
    schedule: Schedule,
    price: Option<Price>,
    /// Fields the provider has refused; they are not sent again.
    refused: Mutex<BTreeSet<&'static str>>,
}

impl OpenAiChat {
    /// # Errors
    /// [`ModelError::Configuration`] when the address or a header is malformed.
    pub(crate) fn new(settings: &LlmSettings) -> Result<Self, ModelError> {
        let route = route(settings)?;
        let (headers, mut secrets) = headers(settings, &route)?;
        secrets.extend(secrets_in_settings(settings));
        Ok(Self {
            schedule: Schedule::new(settings),
            price: price_of(settings),
            // The key lives in the headers, marked as sensitive, and nowhere else.
            settings: LlmSettings {
                api_key: None,
                extra_headers: None,
                ..settings.clone()
            },
            route,
            headers,
            mask: SecretMask::new(secrets),
            refused: Mutex::default(),
        })
    }

    fn body(&self, request: &ModelRequest) -> Map<String, Value> {
        let mut body = request::body(&self.settings, &self.route, request);
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        body.retain(|name, _| !refused.contains(name.as_str()));
        body
    }

    /// One try, repeated at once without the fields that the provider refuses to know.
    async fn ask(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        loop {
            let body = self.body(request);
            let any_heard = AtomicBool::new(false);
            let hear = |delta| {
                any_heard.store(true, Ordering::Relaxed);
                on_delta(delta);
            };
            let reply = self.exchange(&body, &hear).await;
            let refusal = match reply.and_then(|raw| Ok(self.account(raw)?)) {
                Ok(reply) => return Ok(reply),
                Err(refusal) => refusal,
            };
            if any_heard.into_inner() {
                on_delta(Delta::Discarded);
            }
            let fields = match self.settings.drop_params {
                true => refusal.optional_fields(&body),
                false => Vec::new(),
            };
            if fields.is_empty() {
                return Err(refusal.error);
            }
            tracing::info!(?fields, "the model's provider refuses these fields");
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.extend(fields);
        }
    }

    async fn exchange(
        &self,
        body: &Map<String, Value>,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<RawReply, Refusal> {
        let limit = self
            .settings
            .timeout
            .filter(|s| *s > 0)
            .map(Duration::from_secs);
        if self.settings.stream {
            let what = "no answer began";
            let response = within(limit, what, self.post(body)).await??;
            return Ok(self.read(response, on_delta).await?);
        }
        let whole = async {
            let response = self.post(body).await?;
            Ok::<_, Refusal>(self.read(response, on_delta).await?)
        };
        within(limit, "no reply", whole).await?
    }

    async fn post(&self, body: &Map<String, Value>) -> Result<Response, Refusal> {
        let endpoint = &self.route.endpoint;
        let call = client(endpoint)?
            .post(endpoint.clone())
            .headers(self.headers.clone())
            .json(body);
        let response = call.send().await.map_err(|error| describe(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let wait = asked_wait(response.headers());
        // The byte too many shows that the text is cut where it is masked.
        let body = read_up_to(response, ERROR_BODY_LIMIT + 1)
            .await
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        let message = match serde_json::from_str(&text) {
            Ok(value) => reply::message_in(&value),
            Err(_) if text.is_empty() => "no reason given".to_owned(),
            Err(_) => text.clone(),
        };
        let error = ModelError::from_whole(status, &message, wait);
        Err(Refusal { error, body: text })
    }

    /// Reads the answer in whichever form it came: servers may ignore `stream`.
    async fn read(
        &self,
        response: Response,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<RawReply, ModelError> {
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        if kind.starts_with("text/html") {
            return Err(ModelError::Configuration(
                "a web page answered, not a model: check `base_url`".to_owned(),
            ));
        }
        if kind.starts_with("text/event-stream") {
            self.read_stream(response, on_delta).await
        } else {
            self.read_whole(response, on_delta).await
        }
    }

    async fn read_whole(
        &self,
        response: Response,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<RawReply, ModelError> {
        let body = within(
            self.idle_limit(),
            "no whole answer",
            read_up_to(response, REPLY_LIMIT + 1),
        );
        let body = body.await??;
        if body.len() > REPLY_LIMIT {
            return Err(too_long());
        }
        let raw = reply::parse(&body, &self.mask)?;
        if self.settings.stream {
            let pieces = [
                Delta::Reasoning(raw.reasoning.clone()),
                Delta::Text(raw.text.clone()),
            ];
            pieces
                .into_iter()
                .filter(|piece| !piece.is_empty())
                .for_each(on_delta);
        }
        Ok(raw)
    }

    async fn read_stream(
        &self,
        mut response: Response,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<RawReply, ModelError> {
        let mut assembler = Assembler::default();
        let mut length = 0;
        while !assembler.is_closed() {
            let next = within(
                self.idle_limit(),
                "no further piece of a reply",
                response.chunk(),
            );
            let bytes = match next.await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => break,
                // All that is missing is the token count.
                Ok(Err(_)) | Err(_) if assembler.is_whole() => break,
                Ok(Err(error)) => return Err(describe(&error)),
                Err(timeout) => return Err(timeout),
            };
            length += bytes.len();
            if length > REPLY_LIMIT {
                return Err(too_long());
            }
            assembler.push(&bytes, on_delta)?;
        }
        assembler.finish(on_delta)
    }

    fn idle_limit(&self) -> Option<Duration> {
        let limit = self
            .settings
            .stream_idle_timeout
            .filter(|_| self.settings.stream)?;
        Duration::try_from_secs_f64(limit)
            .ok()
            .filter(|limit| !limit.is_zero())
    }

    /// Prices from settings outrank what the provider states, which outranks the list.
    fn account(&self, mut raw: RawReply) -> Result<ModelReply, ModelError> {
        // Ids are stored and shown; those that are left out are replaced.
        let calls = raw.calls.iter_mut().map(|call| &mut call.id);
        for id in calls.chain([&mut raw.id]) {
            if id.len() > SEARCHED_BYTES || self.mask.is_in(id) {
                id.clear();
            }
        }
        let stated = raw.stated_cost();
        let window = self.settings.max_input_tokens.unwrap_or(0);
        let reply = raw.complete(&self.settings.model, window)?;
        let priced_by_user = self.settings.input_cost_per_token.is_some()
            || self.settings.output_cost_per_token.is_some();
        let counted = self.price.map(|price| price.cost(&reply.usage));
        let cost = match priced_by_user {
            true => counted,
            false => stated.or(counted),
        };
        Ok(ModelReply { cost, ..reply })
    }

    /// An error as it may be told: without secrets, and then cut.
    fn presentable(&self, error: ModelError) -> ModelError {
        error.map_text(|text| clip(&self.mask.mask_up_to(&text, SEARCHED_BYTES)))
    }
}

#[async_trait]
impl Model for OpenAiChat {
    fn name(&self) -> &str {
        &self.settings.model
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let provider = self.route.provider;
        let own_address = self.settings.base_url.is_some();
        if provider.needs_key && !own_address && !self.headers.contains_key(AUTHORIZATION) {
            return Err(ModelError::Authentication(format!(
                "No API key is set for the model `{}`: set `llm.api_key`.",
                self.settings.model
            )));
        }
        retrying(&self.schedule, || async {
            let answer = self.ask(request, on_delta).await;
            answer.map_err(|error| self.presentable(error))
        })
        .await
    }
}

impl fmt::Debug for OpenAiChat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenAiChat")
            .field("model", &self.settings.model)
            .field("host", &self.route.endpoint.host_str())
            .finish_non_exhaustive()
    }
}

/// A failed try, with the body that says why.
struct Refusal {
    error: ModelError,
    body: String,
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        Self {
            error,
            body: String::new(),
        }
    }
}

impl Refusal {
    /// The optional fields of `sent` that the provider says it does not support.
    fn optional_fields(&self, sent: &Map<String, Value>) -> Vec<&'static str> {
        const REFUSALS: [&str; 9] = [
            "support",
            "unknown",
            "unrecognized",
            "unexpected",
            "extra",
            "not permitted",
            "not allowed",
            "cannot find",
            "deprecated",
        ];
        let ModelError::BadRequest {
            status: 400 | 422, ..
        } = self.error
        else {
            return Vec::new();
        };
        let body = self.body.to_lowercase();
        if !REFUSALS.iter().any(|word| body.contains(word)) {
            return Vec::new();
        }
        let fields = request::OPTIONAL_FIELDS.into_iter();
        fields
            .filter(|field| sent.contains_key(*field) && names(&body, field))
            .collect()
    }
}

/// Whether a text holds a field's name as a word of its own.
fn names(text: &str, field: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !part_of_word(c)).any(|word| word == field)
}

/// What nobody may read of the settings, above all of what the request's body takes from them.
fn secrets_in_settings(settings: &LlmSettings) -> Vec<String> {
    let mut secrets = Vec::new();
    let mut settings = serde_json::to_value(settings).unwrap_or_default();
    visit_secrets(&mut settings, &mut |secret| {
        let text = secret.as_str().unwrap_or_default();
        let in_address = secrets_in_url(text);
        secrets.extend(match in_address.is_empty() {
            true => secrets_in_header(text),
            false => in_address,
        });
    });
    secrets
}

fn headers(settings: &LlmSettings, route: &Route) -> Result<(HeaderMap, Vec<String>), ModelError> {
    let mut headers = HeaderMap::new();
    let mut secrets = Vec::new();
    let mut set = |name: &str, value: &str| {
        let malformed = || ModelError::Configuration(format!("the header {name:?} is malformed"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| malformed())?;
        value.set_sensitive(true);
        headers.insert(key, value);
        Ok(())
    };
    let key = settings.api_key.as_deref().map(str::trim);
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        set("authorization", &format!("Bearer {key}"))?;
        secrets.push(key.to_owned());
    }
    if route.endpoint.host_str() == Some("openrouter.ai") {
        let pairs = [
            ("http-referer", &settings.openrouter_site_url),
            ("x-title", &settings.openrouter_app_name),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                set(name, value)?;
            }
        }
    }
    for (name, value) in settings.extra_headers.iter().flatten() {
        set(name, value)?;
        secrets.extend(secrets_in_header(value));
    }
    Ok((headers, secrets))
}

/// How long the provider asks to wait, by `retry-after-ms` or the standard header.
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let exact = text("retry-after-ms").and_then(|ms| ms.trim().parse().ok());
    let exact = exact.map(Duration::from_millis);
    exact.or_else(|| parse_retry_after(text("retry-after")?, chrono::Utc::now().timestamp()))
}

fn too_long() -> ModelError {
    ModelError::NoResponse(format!("the answer exceeds {REPLY_LIMIT} bytes"))
}
