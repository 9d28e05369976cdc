//! Which web pages may talk to the server. Pages of this machine always may; others are named. A
//! page that may not is told so by the browser's own rules, and what it sends without asking first (a
//! form, a WebSocket) is refused.
//!
//! A page's own address counts as allowed. That it is ours, and not a name that somebody has lead
//! here, is seen to before this: see `hosts`.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::{
    dev::RequestHead,
    http::{Method, header},
};
use regex::Regex;

use crate::{
    auth,
    configure::CorsConfig,
    error::{ApiError, ERROR_CODE_HEADER, Failure},
    host_name::Authority,
    idempotency::REPLAYED,
    origin::{Origin, OriginPattern},
};

/// The origins that are allowed, ready to be compared with.
pub(crate) struct Origins {
    named: Vec<OriginPattern>,
    pattern: Option<Regex>,
}

impl Origins {
    /// # Errors
    /// When an origin is none, or the pattern is no regular expression.
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
            // Any page can bring `null` about, so it takes its name, and no pattern.
            || (origin != Origin::Null && by_regex())
    }

    /// Refuses what a foreign page sends that could change something.
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
        if reads && !auth::is_upgrade(head.headers()) {
            Ok(())
        } else {
            Err(Failure::ForeignOrigin)
        }
    }
}

/// The middleware that answers preflights and marks answers.
pub(crate) fn middleware(origins: &Arc<Origins>) -> Cors {
    let origins = Arc::clone(origins);
    Cors::default()
        .allowed_origin_fn(move |origin, head| {
            origin
                .to_str()
                .is_ok_and(|origin| origins.allow(origin) || is_own(origin, head))
        })
        .allowed_methods(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
        .allow_any_header()
        .expose_headers([header::RETRY_AFTER.as_str(), ERROR_CODE_HEADER, REPLAYED])
        .supports_credentials()
        .max_age(600)
}

/// Whether the page came from this very server, such as its documentation.
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
        reason: format!("`{pattern}` is no regular expression: {source}"),
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn origins(named: &[&str], pattern: Option<&str>) -> Origins {
        Origins::new(&CorsConfig {
            origins: named.iter().map(|origin| (*origin).to_owned()).collect(),
            origin_regex: pattern.map(str::to_owned),
        })
        .unwrap()
    }

    #[test]
    fn a_pattern_matches_the_whole_origin() {
        let origins = origins(&[], Some(r"https://[a-z]+\.example\.com|https://x\.test"));
        assert!(origins.allow("https://app.example.com"));
        assert!(origins.allow("https://x.test"));
        assert!(!origins.allow("https://app.example.com.evil.com"));
        assert!(!origins.allow("https://evil.com/?https://x.test"));
    }

    #[test]
    fn null_takes_its_name_and_no_pattern() {
        assert!(!origins(&["*"], Some(".*")).allow("null"));
        assert!(origins(&["null"], None).allow("null"));
    }

    #[test]
    fn a_bad_configuration_is_named() {
        let refused = |origins: &[&str], regex: Option<&str>| {
            let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
            let origin_regex = regex.map(str::to_owned);
            let config = CorsConfig {
                origins,
                origin_regex,
            };
            Origins::new(&config).err().unwrap().to_string()
        };
        let said = refused(&["null", "example.com"], None);
        assert!(
            said.starts_with("allow_cors_origins[1]: `example.com` is"),
            "{said}"
        );
        // The last is one until it is anchored.
        for pattern in ["(", "(?x) https://a # a"] {
            let said = refused(&[], Some(pattern));
            assert!(said.starts_with("allow_cors_origin_regex: `"), "{said}");
        }
    }

    #[test]
    fn a_page_is_our_own_by_its_scheme_and_whole_address() {
        let origins = origins(&[], None);
        let check = |origin: &str, host: &str| {
            let request = TestRequest::post()
                .insert_header((header::ORIGIN, origin.to_owned()))
                .insert_header((header::HOST, host.to_owned()));
            origins.check(request.to_srv_request().head()).is_ok()
        };
        assert!(check("http://box.local:8000", "box.local:8000"));
        assert!(check("https://agents.example.com", "Agents.example.com"));
        for (origin, host) in [
            ("http://box.local:8001", "box.local:8000"),
            ("evil://box.local:8000", "box.local:8000"),
            ("null", ""),
            ("null", "null"),
            ("http://", ""),
            ("http://a@b", "a@b"),
        ] {
            assert!(!check(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn foreign_pages_may_look_but_not_act() {
        let origins = origins(&[], None);
        let check = |request: TestRequest| {
            let request = request.insert_header((header::ORIGIN, "https://evil.example"));
            origins.check(request.to_srv_request().head())
        };
        assert!(check(TestRequest::get()).is_ok());
        assert!(matches!(
            check(TestRequest::post()),
            Err(Failure::ForeignOrigin)
        ));
        let socket = TestRequest::get()
            .insert_header((header::UPGRADE, "websocket"))
            .insert_header((header::CONNECTION, "Upgrade"));
        assert!(matches!(check(socket), Err(Failure::ForeignOrigin)));
        let preflight = TestRequest::default().method(Method::OPTIONS);
        assert!(matches!(check(preflight), Err(Failure::ForeignPreflight)));
        let own = TestRequest::post().insert_header((header::HOST, "evil.example"));
        assert!(check(own).is_ok());
        assert!(
            origins
                .check(TestRequest::post().to_srv_request().head())
                .is_ok()
        );
    }
}
