//! Which web pages may talk to the server. Pages of localhost and 127.0.0.1 always may; others are
//! named. A page that may not is told so by the browser's own rules, and what it sends without
//! asking first (a form, a WebSocket) is refused.

use std::{collections::HashSet, sync::Arc};

use actix_cors::Cors;
use actix_web::{
    dev::RequestHead,
    http::{Method, header},
};
use regex::Regex;
use url::Url;

use crate::{
    auth,
    configure::CorsConfig,
    error::{ApiError, ERROR_CODE_HEADER, Failure},
    idempotency::REPLAYED,
};

/// The origins that are allowed, ready to be compared with.
pub(crate) struct Origins {
    any: bool,
    named: HashSet<String>,
    pattern: Option<Regex>,
}

impl Origins {
    /// # Errors
    /// When an origin is none, or the pattern is no regular expression.
    pub(crate) fn new(config: &CorsConfig) -> Result<Self, ApiError> {
        let mut named = HashSet::new();
        let mut any = false;
        for origin in &config.origins {
            if origin == "*" {
                any = true;
            } else {
                named.insert(normal(origin).ok_or_else(|| ApiError::Origin(origin.clone()))?);
            }
        }
        let pattern = config.origin_regex.as_deref().map(anchored).transpose()?;
        Ok(Self {
            any,
            named,
            pattern,
        })
    }

    pub(crate) fn allow(&self, origin: &str) -> bool {
        let Some(normal) = normal(origin) else {
            return false;
        };
        self.any
            || is_local(&normal)
            || self.named.contains(&normal)
            || self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(origin))
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

/// `scheme://host[:port]` in lower case, or none if the text says more or less than that.
fn normal(origin: &str) -> Option<String> {
    let url = Url::parse(origin.trim_end_matches('/')).ok()?;
    let bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let tuple = url.origin();
    (bare && tuple.is_tuple()).then(|| tuple.ascii_serialization())
}

fn is_local(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    matches!(url.scheme(), "http" | "https")
        && matches!(url.host_str(), Some("localhost" | "127.0.0.1"))
}

/// Whether the page came from this very server, such as its documentation.
fn is_own(origin: &str, head: &RequestHead) -> bool {
    let host = head
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    host.is_some() && host == authority
}

/// The pattern must match the whole origin.
fn anchored(pattern: &str) -> Result<Regex, ApiError> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|source| ApiError::OriginRegex {
        pattern: pattern.to_owned(),
        source: Box::new(source),
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
    fn local_pages_are_allowed_on_any_port_and_lookalikes_are_not() {
        let origins = origins(&[], None);
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "https://127.0.0.1:8443",
        ] {
            assert!(origins.allow(origin), "{origin}");
        }
        for origin in [
            "http://localhost.evil.com",
            "http://evil.com/localhost",
            "http://localhost@evil.com",
            "http://127.0.0.1.evil.com:3000",
            "http://evillocalhost",
            "ftp://localhost",
            "null",
            "",
        ] {
            assert!(!origins.allow(origin), "{origin}");
        }
    }

    #[test]
    fn named_origins_match_with_their_port_and_without_a_slash() {
        let origins = origins(
            &["https://Your-Frontend.com/", "http://app.test:8080"],
            None,
        );
        assert!(origins.allow("https://your-frontend.com"));
        assert!(origins.allow("https://your-frontend.com:443"));
        assert!(!origins.allow("https://your-frontend.com:444"));
        assert!(!origins.allow("http://your-frontend.com"));
        assert!(origins.allow("http://app.test:8080"));
        assert!(!origins.allow("http://app.test"));
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
    fn a_bad_configuration_is_named() {
        let bad = CorsConfig {
            origins: vec!["example.com".into()],
            origin_regex: None,
        };
        assert!(
            matches!(Origins::new(&bad), Err(ApiError::Origin(origin)) if origin == "example.com")
        );
        let bad = CorsConfig {
            origins: vec![],
            origin_regex: Some("(".into()),
        };
        assert!(matches!(
            Origins::new(&bad),
            Err(ApiError::OriginRegex { .. })
        ));
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
