//! What can be configured.

mod choices;
mod fields;
mod headers;
mod invalid;
mod lenient;
mod target;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU32,
    time::Duration,
};

use core_model::{ConversationId, port::WebhookForm};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{guard, signature::Signer};
use fields::Fields;
use invalid::LONGEST_NAME;
use lenient::{Seconds, Whole, seconds};
use target::shown;

pub use choices::{Method, OnExhausted, Start};
pub use invalid::InvalidWebhook;
pub use target::Target;
pub use text::SecretText;

/// One webhook, as an entry of the configuration's `webhooks` list gives it. Unknown keys are
/// ignored here; a caller that reads a file may warn about them.
///
/// Header values and the secret may name environment variables: see [`WebhookConfig::resolve`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct WebhookConfig {
    /// What people call it; see [`WebhookConfig::identity`].
    pub name: Option<String>,
    #[serde(flatten)]
    pub target: Target,
    /// Always POST below a `base_url`.
    pub method: Method,
    /// Sent with every request. The values are secrets.
    pub headers: BTreeMap<String, SecretText>,
    /// Signs requests; see [`Signer::new`].
    pub secret: Option<SecretText>,
    /// The kinds of events that it wants; none: all.
    pub kinds: BTreeSet<String>,
    /// The conversations that it wants; none: all.
    pub conversations: BTreeSet<ConversationId>,
    /// Events that may wait before a request is made.
    pub event_buffer_size: NonZeroU32,
    /// The longest that a waiting event waits for others.
    #[serde(serialize_with = "seconds")]
    pub flush_delay: Duration,
    /// Bytes of events in one request; an event that is larger goes alone.
    pub max_batch_bytes: u64,
    /// The longest that a request may take, answer included; more than zero.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// Conversations that are delivered at a time.
    pub max_in_flight: NonZeroU32,
    /// Tries after the first.
    pub num_retries: u32,
    /// Pause between two tries.
    #[serde(serialize_with = "seconds")]
    pub retry_delay: Duration,
    pub on_exhausted: OnExhausted,
    pub start: Start,
    /// Whether it may be at a link-local address, where clouds keep their metadata.
    pub allow_link_local: bool,
}

impl WebhookConfig {
    /// A `webhook_url` with that form's defaults.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self::with_defaults(Target::Url(url))
    }

    /// A `base_url` with that form's defaults.
    #[must_use]
    pub fn below(base: Url) -> Self {
        Self::with_defaults(Target::Base(base))
    }

    /// What holds when only the address is given.
    fn with_defaults(target: Target) -> Self {
        // The public server's own for its form.
        let (event_buffer_size, flush_delay) = match target {
            Target::Url(_) => (10, 5),
            Target::Base(_) => (5, 30),
        };
        Self {
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

    /// Puts the values of environment variables in the place of each `${NAME}` in headers and the
    /// secret. `variable` gives a variable's value; an empty one counts as unset.
    ///
    /// # Errors
    /// When a variable is unset, or when what comes of it is not a valid header value or secret.
    pub fn resolve(
        &mut self,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), InvalidWebhook> {
        let webhook = self.shown_name();
        let resolve = |text: &mut SecretText, key: String| {
            let unset = |variable| InvalidWebhook::Unset {
                webhook: webhook.clone(),
                key,
                variable,
            };
            text.resolve(variable).map_err(unset)
        };
        for (name, value) in &mut self.headers {
            resolve(value, format!("headers.{name}"))?;
        }
        if let Some(secret) = &mut self.secret {
            resolve(secret, "secret".to_owned())?;
        }
        self.check()
    }

    /// The environment variables that its headers and its secret name, until they are resolved.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let texts = self.headers.values().chain(&self.secret);
        texts.flat_map(SecretText::variables)
    }

    /// What makes it the same webhook after a change of its configuration: its name, else its
    /// whole address, which may be a secret.
    #[must_use]
    pub fn identity(&self) -> &str {
        let address = || self.target.url().as_str();
        self.name.as_deref().unwrap_or_else(address)
    }

    /// The identity as 16 hex digits, good for names of files.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.identity());
        let digits = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    /// Its name for people: as configured, else scheme, host and port of the address, whose path may be a
    /// secret and which is in every log line.
    #[must_use]
    pub fn shown_name(&self) -> String {
        let origin = || self.target.url().origin().ascii_serialization();
        self.name.clone().unwrap_or_else(origin)
    }

    /// The address without what may be secret: user, password, query, fragment.
    #[must_use]
    pub fn shown_url(&self) -> String {
        shown(self.target.url())
    }

    #[must_use]
    pub fn form(&self) -> WebhookForm {
        match self.target {
            Target::Url(_) => WebhookForm::WebhookUrl,
            Target::Base(_) => WebhookForm::BaseUrl,
        }
    }

    /// The configured headers, for a request.
    ///
    /// # Errors
    /// As [`headers::header_map`].
    pub(crate) fn header_map(&self) -> Result<HeaderMap, InvalidWebhook> {
        headers::header_map(&self.headers)
    }

    /// What signs its requests, when it has a secret.
    ///
    /// # Errors
    /// When the secret still names variables, or is not a valid one.
    pub(crate) fn signer(&self) -> Result<Option<Signer>, InvalidWebhook> {
        let Some(secret) = &self.secret else {
            return Ok(None);
        };
        let unresolved = || InvalidWebhook::Unresolved("secret".to_owned());
        signer(secret.text().ok_or_else(unresolved)?).map(Some)
    }

    /// What the types of its keys do not say. Texts that name variables are looked at once they
    /// are resolved.
    fn check(&self) -> Result<(), InvalidWebhook> {
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(InvalidWebhook::Name);
        }
        if self.kinds.iter().any(|kind| kind.trim().is_empty()) {
            return Err(InvalidWebhook::EmptyKind);
        }
        if self.timeout.is_zero() {
            return Err(InvalidWebhook::NoTime);
        }
        let key = self.target.key();
        if self.form() == WebhookForm::BaseUrl && self.method != Method::Post {
            return Err(InvalidWebhook::MethodBelowBase);
        }
        if !self.allow_link_local && guard::is_forbidden_host(self.target.url()) {
            return Err(InvalidWebhook::LinkLocal(key));
        }
        headers::check(&self.headers)?;
        let secret = self.secret.as_ref().and_then(SecretText::text);
        secret.map_or(Ok(()), |secret| signer(secret).map(drop))
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
        let default = Self::with_defaults(target);
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

/// Checks what only the whole list can tell: no two webhooks are the same one.
///
/// # Errors
/// [`InvalidWebhook::Twice`].
pub fn check_list(webhooks: &[WebhookConfig]) -> Result<(), InvalidWebhook> {
    let mut seen = BTreeMap::new();
    for (second, webhook) in webhooks.iter().enumerate() {
        if let Some(first) = seen.insert(webhook.identity(), second) {
            let webhook = webhook.shown_name();
            return Err(InvalidWebhook::Twice {
                first,
                second,
                webhook,
            });
        }
    }
    Ok(())
}

/// Header values and the secret are secrets; the address is shown without what may be.
impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("name", &self.name)
            .field("target", &self.target)
            .field("method", &self.method)
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

fn signer(secret: &str) -> Result<Signer, InvalidWebhook> {
    Signer::new(secret).ok_or(InvalidWebhook::Secret)
}

fn is_name(name: &str) -> bool {
    let printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    (1..=LONGEST_NAME).contains(&name.chars().count())
        && name.chars().all(printable)
        && !name.trim().is_empty()
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests;
