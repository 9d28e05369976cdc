use thiserror::Error;

/// Longest `name`, in characters.
pub(super) const LONGEST_NAME: usize = 64;

/// Why a webhook cannot be used as it stands. None of these shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidWebhook {
    #[error("a webhook needs a `webhook_url` or a `base_url`")]
    NoUrl,
    #[error("both `webhook_url` and `base_url` are given; keep the one that is meant")]
    TwoUrls,
    #[error(
        "requests below a `base_url` are always POST; leave `method` out, or use `webhook_url`"
    )]
    MethodBelowBase,
    #[error(
        "`{0}` is a link-local address, where clouds keep their metadata; \
         set `allow_link_local` if that is meant"
    )]
    LinkLocal(&'static str),
    #[error("`name` is 1 to {LONGEST_NAME} characters that can be printed")]
    Name,
    #[error("`kinds` has an empty entry")]
    EmptyKind,
    #[error("`timeout` is more than zero seconds")]
    NoTime,
    #[error("`{0}` is not a valid name for an HTTP header")]
    HeaderName(String),
    #[error("the header `{0}` is made for each request and cannot be configured")]
    OurHeader(String),
    /// The value stays out of the message: it may be a secret.
    #[error("the value of header `{0}` has characters that HTTP does not allow")]
    HeaderValue(String),
    #[error(
        "`secret` is `whsec_` and at least 16 bytes in base64; \
         `whsec_$(openssl rand -base64 32)` makes one in a shell"
    )]
    Secret,
    #[error(
        "the environment variable `{variable}`, which webhook `{webhook}` names in `{key}`, is unset or empty"
    )]
    Unset {
        webhook: String,
        /// Below the webhook: `secret`, or `headers.Authorization` for one.
        key: String,
        variable: String,
    },
    #[error("`{0}` names environment variables that were not looked up")]
    Unresolved(String),
    #[error(
        "webhooks {first} and {second} are the same one, `{webhook}`; \
         give each a `name` of its own"
    )]
    Twice {
        /// Where they are in the list, from 0.
        first: usize,
        second: usize,
        webhook: String,
    },
}

impl InvalidWebhook {
    /// The key below the webhook that it is about, when it is about one that is there.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        match self {
            Self::NoUrl | Self::TwoUrls | Self::Twice { .. } => None,
            Self::MethodBelowBase => Some("method".to_owned()),
            Self::LinkLocal(key) => Some((*key).to_owned()),
            Self::Name => Some("name".to_owned()),
            Self::EmptyKind => Some("kinds".to_owned()),
            Self::NoTime => Some("timeout".to_owned()),
            Self::HeaderName(name) | Self::OurHeader(name) | Self::HeaderValue(name) => {
                Some(format!("headers.{name}"))
            }
            Self::Secret => Some("secret".to_owned()),
            Self::Unset { key, .. } | Self::Unresolved(key) => Some(key.clone()),
        }
    }
}
