//! Which web pages may use the server (CORS). Pages of this machine always may; others are configured. A
//! page that may not is stopped by its browser, and what it sends without a preflight (a form, a
//! WebSocket) is refused.
//!
//! A page of the server itself is allowed. That its address is ours, and not a name that somebody has
//! pointed here, was checked before: see `hosts`.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::{
    dev::RequestHead,
    http::{Method, header},
};
use regex::Regex;

use super::{
    host_name::Authority,
    origin::{Origin, OriginPattern},
};
use crate::{
    config::CorsConfig,
    error::ApiError,
    failure::Failure,
    headers::{ERROR_CODE_HEADER, IDEMPOTENCY_REPLAYED, is_upgrade},
};

/// The origins that are allowed.
pub(crate) struct Origins {
    named: Vec<OriginPattern>,
    pattern: Option<Regex>,
}

impl Origins {
    /// # Errors
    /// When an origin is not a valid one, or the pattern is not a regular expression.
    pub(crate) fn new(config: &CorsConfig) -> Result<Self, ApiError> {
        let named = config.origins.iter().enumerate().map(|(index, origin)| {
            OriginPattern::parse(origin).map_err(|reason| ApiError::Setting {
                setting: format!("allow_cors_origins[{index}]"),
                reason,
            })
        });
        Ok(Self {
            named: named.collect::<Result<_, _>>()?,
            pattern: config.origin_regex.as_deref().map(anchored).transpose()?,
        })
    }

    pub(crate) fn allow(&self, text: &str) -> bool {
        let Some(origin) = Origin::parse(text) else {
            return false;
        };
        let by_regex = || {
            self.pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(text))
        };
        origin.is_local()
            || self.named.iter().any(|pattern| pattern.matches(&origin))
            // Any page can cause `null`, so it is allowed by its name only, and by no pattern.
            || (origin != Origin::Null && by_regex())
    }

    /// Refuses a request of a foreign page that could change something.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn check(&self, head: &RequestHead) -> Result<(), Failure> {
        let Some(origin) = head.headers().get(header::ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().unwrap_or_default();
        if self.allow(origin) || is_own(origin, head) {
            return Ok(());
        }
        if head.method == Method::OPTIONS {
            return Err(Failure::ForeignPreflight);
        }
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        if reads && !is_upgrade(head.headers()) {
            Ok(())
        } else {
            Err(Failure::ForeignOrigin)
        }
    }
}

/// The middleware that answers preflights and adds the CORS headers to answers.
pub(crate) fn cors(origins: &Arc<Origins>) -> Cors {
    let origins = Arc::clone(origins);
    Cors::default()
        .allowed_origin_fn(move |origin, head| {
            origin
                .to_str()
                .is_ok_and(|origin| origins.allow(origin) || is_own(origin, head))
        })
        .allowed_methods(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
        .allow_any_header()
        .expose_headers([
            header::RETRY_AFTER.as_str(),
            ERROR_CODE_HEADER,
            IDEMPOTENCY_REPLAYED,
        ])
        .supports_credentials()
        .max_age(600)
}

/// Whether the page came from this server, such as its documentation.
fn is_own(origin: &str, head: &RequestHead) -> bool {
    let host = head.headers().get(header::HOST);
    let host = host.and_then(|host| Authority::parse(host.to_str().ok()?));
    let page = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    host.is_some() && host == page.and_then(Authority::parse)
}

/// The pattern must match the whole origin.
fn anchored(pattern: &str) -> Result<Regex, ApiError> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|source| ApiError::Setting {
        setting: "allow_cors_origin_regex".to_owned(),
        reason: format!("`{pattern}` is not a regular expression: {source}"),
    })
}

#[cfg(test)]
mod tests;
