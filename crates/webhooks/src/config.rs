mod fields;
mod invalid;
mod lenient;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU32,
    time::Duration,
};

use core_model::{ConversationId, port::WebhookForm};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{guard, signature::Signer};
use fields::Fields;

pub use invalid::InvalidWebhook;
pub use text::SecretText;

/// Longest `name`, in characters.
const LONGEST_NAME: usize = 64;

/// Headers that a request has anyway: a second voice would break it, or its signature.
const OUR_HEADERS: [&str; 6] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// One webhook, as an entry of the configuration's `webhooks` list gives it. Unknown keys are
/// ignored here; whoever reads a file may warn about them.
///
/// Header values and the secret may name environment variables: see [`WebhookConfig::resolve`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct WebhookConfig {
    pub target: Target,
    /// Always POST below a `base_url`.
    pub method: Method,
    /// What people call it; see [`WebhookConfig::identity`].
    pub name: Option<String>,
    /// Signs requests; see [`Signer::new`].
    pub secret: Option<SecretText>,
    /// Sent with every request. The values are secrets.
    pub headers: BTreeMap<String, SecretText>,
    /// The kinds of events that it wants; none: all.
    pub kinds: BTreeSet<String>,
    /// The conversations that it wants; none: all.
    pub conversations: BTreeSet<ConversationId>,
    /// Events that may wait before a request is made.
    pub event_buffer_size: NonZeroU32,
    /// The longest that a waiting event waits for others.
    pub flush_delay: Duration,
    /// Bytes of events in one request; an event that is larger goes alone.
    pub max_batch_bytes: u64,
    /// The longest that a request may take, answer included; more than zero.
    pub timeout: Duration,
    /// Conversations that are delivered at a time.
    pub max_in_flight: NonZeroU32,
    /// Tries after the first.
    pub num_retries: u32,
    /// Pause between two tries.
    pub retry_delay: Duration,
    pub on_exhausted: OnExhausted,
    pub start: Start,
    /// Whether it may be at a link-local address, where clouds keep their metadata.
    pub allow_link_local: bool,
}

/// Where events go.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// Everything to this address (`webhook_url`).
    Url(Url),
    /// The public server's layout below this address (`base_url`): `/events/{conversation}` and
    /// `/conversations`.
    Base(Url),
}

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

/// What becomes of a batch when all its tries failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExhausted {
    /// The webhook is parked and probed; the log keeps the events.
    #[default]
    Park,
    /// It becomes a dead letter, and the next one is tried.
    Drop,
}

/// Where a webhook starts that was not there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With events that happen from then on.
    #[default]
    Now,
    /// With the first event of every conversation there is.
    Beginning,
}

impl WebhookConfig {
    /// A `webhook_url` with that form's defaults.
    #[must_use]
    pub fn new(url: Url) -> Self {
        fields::with_defaults(Target::Url(url))
    }

    /// A `base_url` with that form's defaults.
    #[must_use]
    pub fn below(base: Url) -> Self {
        fields::with_defaults(Target::Base(base))
    }

    /// Puts the values of environment variables in the place of each `${NAME}` in headers and the
    /// secret. `variable` gives a variable's value; an empty one counts as unset.
    ///
    /// # Errors
    /// When a variable is unset, or when what comes of it is no good header value or secret.
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

    /// The configured headers, for a request. Of two names that differ in their letters' case the
    /// one in small letters holds, which is how variables of the environment write them.
    ///
    /// # Errors
    /// When a value still names variables, or is no header value.
    pub(crate) fn header_map(&self) -> Result<HeaderMap, InvalidWebhook> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let unresolved = || InvalidWebhook::Unresolved(format!("headers.{name}"));
            let value = header_value(name, value.text().ok_or_else(unresolved)?)?;
            map.insert(header_name(name)?, value);
        }
        Ok(map)
    }

    /// What signs its requests, when it has a secret.
    ///
    /// # Errors
    /// When the secret still names variables, or is none.
    pub(crate) fn signer(&self) -> Result<Option<Signer>, InvalidWebhook> {
        let Some(secret) = &self.secret else {
            return Ok(None);
        };
        let unresolved = || InvalidWebhook::Unresolved("secret".to_owned());
        Ok(Some(Signer::new(secret.text().ok_or_else(unresolved)?)?))
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
        for (name, value) in &self.headers {
            header_name(name)?;
            if let Some(value) = value.text() {
                header_value(name, value)?;
            }
        }
        let secret = self.secret.as_ref().and_then(SecretText::text);
        secret.map_or(Ok(()), |secret| Signer::new(secret).map(drop))
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

impl Target {
    /// The configured address.
    #[must_use]
    pub fn url(&self) -> &Url {
        match self {
            Self::Url(url) | Self::Base(url) => url,
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Url(_) => "webhook_url",
            Self::Base(_) => "base_url",
        }
    }
}

/// Without what may be secret in an address.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.key(), shown(self.url()))
    }
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

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail for addresses that have no user, and then there is nothing to hide.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn is_name(name: &str) -> bool {
    let printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    (1..=LONGEST_NAME).contains(&name.chars().count())
        && name.chars().all(printable)
        && !name.trim().is_empty()
}

fn header_name(name: &str) -> Result<HeaderName, InvalidWebhook> {
    let wrong = || InvalidWebhook::HeaderName(name.to_owned());
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    if OUR_HEADERS.contains(&header.as_str()) {
        return Err(InvalidWebhook::OurHeader(name.to_owned()));
    }
    Ok(header)
}

fn header_value(name: &str, text: &str) -> Result<HeaderValue, InvalidWebhook> {
    let wrong = |_| InvalidWebhook::HeaderValue(name.to_owned());
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
