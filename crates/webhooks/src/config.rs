use std::{collections::BTreeMap, fmt, num::NonZeroU32, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;
use url::Url;

/// One target of event notifications, as the configuration file's `webhooks` list gives it.
/// Unknown keys are ignored here; whoever reads a file may warn about them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct WebhookConfig {
    pub target: Target,
    pub method: Method,
    /// Events that may wait before a request is made.
    pub event_buffer_size: NonZeroU32,
    /// The longest that a waiting event waits for others.
    pub flush_delay: Duration,
    /// Tries after the first.
    pub num_retries: u32,
    /// Pause between two tries.
    pub retry_delay: Duration,
    /// Events that may wait for a target that does not answer.
    pub max_queue_size: NonZeroU32,
    /// Bytes in one request.
    pub max_batch_bytes: u64,
    /// Bytes that may wait for a target that does not answer.
    pub max_queue_bytes: u64,
    /// Sent with every request. The values are secrets.
    pub headers: BTreeMap<String, String>,
}

/// Where notifications go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything to this address (`webhook_url`).
    Url(Url),
    /// The public server's layout below this address (`base_url`): `/events/{conversation}` and
    /// `/conversations`.
    Base(Url),
}

/// The HTTP method of a notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

/// Why a webhook cannot be used as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidWebhook {
    #[error("missing field `webhook_url`")]
    NoUrl,
    #[error("both `webhook_url` and `base_url` are given; keep the one that is meant")]
    TwoUrls,
    #[error("`{0}` is no name for an HTTP header")]
    HeaderName(String),
    /// The value stays out of the message: it may be a secret.
    #[error("the value of header `{0}` has characters that HTTP does not allow")]
    HeaderValue(String),
}

impl WebhookConfig {
    /// A target with the documented defaults.
    #[must_use]
    pub fn new(url: Url) -> Self {
        let fields = Fields::default();
        Self {
            target: Target::Url(url),
            method: fields.method,
            event_buffer_size: fields.event_buffer_size,
            flush_delay: fields.flush_delay,
            num_retries: fields.num_retries,
            retry_delay: fields.retry_delay,
            max_queue_size: fields.max_queue_size,
            max_batch_bytes: fields.max_batch_bytes,
            max_queue_bytes: fields.max_queue_bytes,
            headers: fields.headers,
        }
    }
}

/// Header values are secrets, and so may be the address.
impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("method", &self.method)
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

/// The keys of one entry of `webhooks`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(deserialize_with = "http_url")]
    webhook_url: Option<Url>,
    #[serde(deserialize_with = "http_url")]
    base_url: Option<Url>,
    method: Method,
    event_buffer_size: NonZeroU32,
    #[serde(deserialize_with = "seconds", serialize_with = "as_seconds")]
    flush_delay: Duration,
    num_retries: u32,
    #[serde(deserialize_with = "seconds", serialize_with = "as_seconds")]
    retry_delay: Duration,
    max_queue_size: NonZeroU32,
    max_batch_bytes: u64,
    max_queue_bytes: u64,
    headers: BTreeMap<String, String>,
}

const DEFAULT_BUFFER: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
const DEFAULT_QUEUE: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

impl Default for Fields {
    fn default() -> Self {
        Self {
            webhook_url: None,
            base_url: None,
            method: Method::default(),
            event_buffer_size: DEFAULT_BUFFER,
            flush_delay: Duration::from_secs(30),
            num_retries: 3,
            retry_delay: Duration::from_secs(5),
            max_queue_size: DEFAULT_QUEUE,
            max_batch_bytes: 5 << 20,
            max_queue_bytes: 50 << 20,
            headers: BTreeMap::new(),
        }
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
        for (name, value) in &fields.headers {
            check_header(name, value)?;
        }
        Ok(Self {
            target,
            method: fields.method,
            event_buffer_size: fields.event_buffer_size,
            flush_delay: fields.flush_delay,
            num_retries: fields.num_retries,
            retry_delay: fields.retry_delay,
            max_queue_size: fields.max_queue_size,
            max_batch_bytes: fields.max_batch_bytes,
            max_queue_bytes: fields.max_queue_bytes,
            headers: fields.headers,
        })
    }
}

impl From<WebhookConfig> for Fields {
    fn from(config: WebhookConfig) -> Self {
        let (webhook_url, base_url) = match config.target {
            Target::Url(url) => (Some(url), None),
            Target::Base(url) => (None, Some(url)),
        };
        Self {
            webhook_url,
            base_url,
            method: config.method,
            event_buffer_size: config.event_buffer_size,
            flush_delay: config.flush_delay,
            num_retries: config.num_retries,
            retry_delay: config.retry_delay,
            max_queue_size: config.max_queue_size,
            max_batch_bytes: config.max_batch_bytes,
            max_queue_bytes: config.max_queue_bytes,
            headers: config.headers,
        }
    }
}

/// RFC 9110, sections 5.1 and 5.5.
fn check_header(name: &str, value: &str) -> Result<(), InvalidWebhook> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(InvalidWebhook::HeaderName(name.to_owned()));
    }
    if !value.chars().all(|c| c == '\t' || !c.is_control()) {
        return Err(InvalidWebhook::HeaderValue(name.to_owned()));
    }
    Ok(())
}

fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
        Ok(_) | Err(_) => Err(de::Error::invalid_value(
            de::Unexpected::Str(&text),
            &"an http:// or https:// URL",
        )),
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let number = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(number).map_err(|_| {
        de::Error::invalid_value(
            de::Unexpected::Float(number),
            &"a number of seconds, zero or more",
        )
    })
}

fn as_seconds<S: serde::Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<WebhookConfig, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_readme_example_is_read() {
        let config = read(json!({
            "webhook_url": "https://your-webhook-endpoint.com/events",
            "method": "PUT",
            "event_buffer_size": 3,
            "num_retries": 1,
            "retry_delay": 0.5,
            "headers": {"Authorization": "Bearer your-webhook-token"}
        }))
        .unwrap();
        let mut expected =
            WebhookConfig::new(Url::parse("https://your-webhook-endpoint.com/events").unwrap());
        expected.method = Method::Put;
        expected.event_buffer_size = NonZeroU32::new(3).unwrap();
        expected.num_retries = 1;
        expected.retry_delay = Duration::from_millis(500);
        expected.headers = BTreeMap::from([(
            "Authorization".to_owned(),
            "Bearer your-webhook-token".to_owned(),
        )]);
        assert_eq!(config, expected);
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(read(written), Ok(expected));
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = read(json!({"webhook_url": "http://localhost:9/x"})).unwrap();
        assert_eq!(config.method, Method::Post);
        assert_eq!(config.event_buffer_size.get(), 10);
        assert_eq!(config.num_retries, 3);
        assert_eq!(config.retry_delay, Duration::from_secs(5));
        assert_eq!(config.max_queue_size.get(), 1000);
    }

    #[test]
    fn the_public_servers_spelling_names_a_base() {
        let config = read(json!({"base_url": "http://localhost:9/hooks"})).unwrap();
        let base = Url::parse("http://localhost:9/hooks").unwrap();
        assert_eq!(config.target, Target::Base(base));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        let url = "http://localhost/x";
        for (value, reason) in [
            (json!({}), "missing field `webhook_url`"),
            (
                json!({"webhook_url": url, "base_url": url}),
                "both `webhook_url` and `base_url`",
            ),
            (
                json!({"webhook_url": "ftp://x/y"}),
                "expected an http:// or https:// URL",
            ),
            (
                json!({"webhook_url": "not a url"}),
                "expected an http:// or https:// URL",
            ),
            (
                json!({"webhook_url": url, "method": "GET"}),
                "unknown variant `GET`",
            ),
            (
                json!({"webhook_url": url, "event_buffer_size": 0}),
                "expected a nonzero u32",
            ),
            (
                json!({"webhook_url": url, "retry_delay": -1}),
                "expected a number of seconds",
            ),
            (
                json!({"webhook_url": url, "headers": {"a b": "c"}}),
                "`a b` is no name",
            ),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(reason), "{value}: {error}");
        }
    }

    #[test]
    fn a_refused_header_value_is_not_shown() {
        let error = read(json!({"webhook_url": "http://h/", "headers": {"X": "hush\r\nY: 1"}}))
            .unwrap_err();
        assert!(
            error.contains("header `X`") && !error.contains("hush"),
            "{error}"
        );
    }
}
