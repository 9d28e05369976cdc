use std::collections::{BTreeMap, BTreeSet};

use core_model::ConversationId;
use serde::{Deserialize, Deserializer, de};
use url::Url;

use super::{
    choices::{Method, OnExhausted, Start},
    lenient::{Bytes, Seconds, Whole},
    text::SecretText,
};

/// The keys of one entry of `webhooks`; null counts as left out.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "http_url")]
    pub(super) webhook_url: Option<Url>,
    #[serde(deserialize_with = "http_url")]
    pub(super) base_url: Option<Url>,
    pub(super) method: Option<Method>,
    pub(super) headers: Option<BTreeMap<String, SecretText>>,
    pub(super) secret: Option<SecretText>,
    pub(super) kinds: Option<BTreeSet<String>>,
    pub(super) conversations: Option<BTreeSet<ConversationId>>,
    pub(super) event_buffer_size: Option<Whole<1>>,
    pub(super) flush_delay: Option<Seconds>,
    pub(super) max_batch_bytes: Option<Bytes>,
    pub(super) timeout: Option<Seconds>,
    pub(super) max_in_flight: Option<Whole<1>>,
    pub(super) num_retries: Option<Whole<0>>,
    pub(super) retry_delay: Option<Seconds>,
    pub(super) on_exhausted: Option<OnExhausted>,
    pub(super) start: Option<Start>,
    pub(super) allow_link_local: Option<bool>,
}

/// What is not an address stays out of the message: there may be a secret in it.
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
