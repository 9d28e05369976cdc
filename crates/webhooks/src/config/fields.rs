use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use core_model::ConversationId;
use serde::{Deserialize, Deserializer, Serialize, de};
use url::Url;

use super::{
    InvalidWebhook, Method, OnExhausted, SecretText, Start, Target, WebhookConfig,
    lenient::{Bytes, Seconds, Whole},
};

/// The keys of one entry of `webhooks`; null counts as left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    name: Option<String>,
    #[serde(deserialize_with = "http_url")]
    webhook_url: Option<Url>,
    #[serde(deserialize_with = "http_url")]
    base_url: Option<Url>,
    method: Option<Method>,
    headers: Option<BTreeMap<String, SecretText>>,
    secret: Option<SecretText>,
    kinds: Option<BTreeSet<String>>,
    conversations: Option<BTreeSet<ConversationId>>,
    event_buffer_size: Option<Whole<1>>,
    flush_delay: Option<Seconds>,
    max_batch_bytes: Option<Bytes>,
    timeout: Option<Seconds>,
    max_in_flight: Option<Whole<1>>,
    num_retries: Option<Whole<0>>,
    retry_delay: Option<Seconds>,
    on_exhausted: Option<OnExhausted>,
    start: Option<Start>,
    allow_link_local: Option<bool>,
}

/// What holds when only the address is given.
pub(super) fn with_defaults(target: Target) -> WebhookConfig {
    // The public server's own for its form.
    let (event_buffer_size, flush_delay) = match target {
        Target::Url(_) => (10, 5),
        Target::Base(_) => (5, 30),
    };
    WebhookConfig {
        target,
        method: Method::default(),
        name: None,
        secret: None,
        headers: BTreeMap::new(),
        kinds: BTreeSet::new(),
        conversations: BTreeSet::new(),
        event_buffer_size: count(event_buffer_size),
        flush_delay: Duration::from_secs(flush_delay),
        max_batch_bytes: 5 << 20,
        timeout: Duration::from_secs(30),
        max_in_flight: count(8),
        num_retries: 3,
        retry_delay: Duration::from_secs(5),
        on_exhausted: OnExhausted::default(),
        start: Start::default(),
        allow_link_local: false,
    }
}

impl TryFrom<Fields> for WebhookConfig {
    type Error = InvalidWebhook;

    fn try_from(fields: Fields) -> Result<Self, InvalidWebhook> {
        let target = match (fields.webhook_url, fields.base_url) {
            (Some(url), None) => Target::Url(url),
            (None, Some(url)) => Target::Base(url),
            (None, None) => return Err(InvalidWebhook::NoUrl),
            (Some(_), Some(_)) => return Err(InvalidWebhook::TwoUrls),
        };
        let default = with_defaults(target);
        let time = |given: Option<Seconds>, default| given.map_or(default, |given| given.0);
        let whole = |given: Option<Whole<1>>, default| given.map_or(default, |one| count(one.0));
        let config = Self {
            target: default.target,
            method: fields.method.unwrap_or(default.method),
            name: fields.name,
            secret: fields.secret,
            headers: fields.headers.unwrap_or_default(),
            kinds: fields.kinds.unwrap_or_default(),
            conversations: fields.conversations.unwrap_or_default(),
            event_buffer_size: whole(fields.event_buffer_size, default.event_buffer_size),
            flush_delay: time(fields.flush_delay, default.flush_delay),
            max_batch_bytes: fields
                .max_batch_bytes
                .map_or(default.max_batch_bytes, |given| given.0),
            timeout: time(fields.timeout, default.timeout),
            max_in_flight: whole(fields.max_in_flight, default.max_in_flight),
            num_retries: fields
                .num_retries
                .map_or(default.num_retries, |given| given.0),
            retry_delay: time(fields.retry_delay, default.retry_delay),
            on_exhausted: fields.on_exhausted.unwrap_or_default(),
            start: fields.start.unwrap_or_default(),
            allow_link_local: fields.allow_link_local.unwrap_or_default(),
        };
        config.check()?;
        Ok(config)
    }
}

impl From<WebhookConfig> for Fields {
    fn from(config: WebhookConfig) -> Self {
        let (webhook_url, base_url) = match config.target {
            Target::Url(url) => (Some(url), None),
            Target::Base(url) => (None, Some(url)),
        };
        Self {
            name: config.name,
            webhook_url,
            base_url,
            method: Some(config.method),
            headers: Some(config.headers),
            secret: config.secret,
            kinds: Some(config.kinds),
            conversations: Some(config.conversations),
            event_buffer_size: Some(Whole(config.event_buffer_size.get())),
            flush_delay: Some(Seconds(config.flush_delay)),
            max_batch_bytes: Some(Bytes(config.max_batch_bytes)),
            timeout: Some(Seconds(config.timeout)),
            max_in_flight: Some(Whole(config.max_in_flight.get())),
            num_retries: Some(Whole(config.num_retries)),
            retry_delay: Some(Seconds(config.retry_delay)),
            on_exhausted: Some(config.on_exhausted),
            start: Some(config.start),
            allow_link_local: Some(config.allow_link_local),
        }
    }
}

/// What is no address stays out of the message: there may be a secret in it.
fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let refused = |expected: &dyn de::Expected| {
        de::Error::invalid_value(de::Unexpected::Other("other text"), expected)
    };
    if text.contains("${") {
        // A path would carry it as it stands.
        return Err(refused(
            &"a URL without `${…}`; variables are for `headers` and `secret`",
        ));
    }
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
        Ok(_) | Err(_) => Err(refused(&"an http:// or https:// URL")),
    }
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
