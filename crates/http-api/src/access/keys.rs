//! Session keys: what a request presents, and whether it is one of ours.

use actix_web::http::header::{self, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

use crate::error::ApiError;

const KEY_HEADER: &str = "x-session-api-key";

/// The keys that give access to the server; without any, everybody has access.
pub(crate) struct Keys(Vec<SecretString>);

/// Whether a text can be a session key.
///
/// # Errors
/// Why not. The text does not contain the key.
pub fn check_key(key: &str) -> Result<(), &'static str> {
    let key = key.trim();
    if key.is_empty() {
        return Err(
            "a key that is empty or only white space protects nothing; leave it out, or set a \
                    long random one",
        );
    }
    if key.chars().any(char::is_control) {
        return Err(
            "a key must have no control characters, such as line breaks: no header can carry \
                    them",
        );
    }
    Ok(())
}

/// What a request's key is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyCheck {
    /// It is one of ours, or none is needed.
    Passed,
    /// It is not one of ours.
    Wrong,
    /// There is none.
    Missing,
}

impl Keys {
    /// White space around a key is not a part of it, just as it is not a part of a header's value.
    ///
    /// # Errors
    /// When a text is not a valid key: a list of those must not leave the server open.
    pub(crate) fn new(keys: &[SecretString]) -> Result<Self, ApiError> {
        let read = keys.iter().enumerate().map(|(index, key)| {
            let key = key.expose_secret();
            check_key(key).map_err(|reason| ApiError::Setting {
                setting: format!("keys[{index}]"),
                reason: reason.to_owned(),
            })?;
            Ok(SecretString::from(key.trim()))
        });
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// Checks the headers: `Authorization: Bearer KEY` or `X-Session-API-Key: KEY`; of several,
    /// one valid key is enough.
    pub(crate) fn check_headers(&self, headers: &HeaderMap) -> KeyCheck {
        let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| {
            let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| key.trim().as_bytes())
        });
        let plain = headers
            .get_all(KEY_HEADER)
            .map(|value| value.as_bytes().trim_ascii());
        self.check_any(bearer.chain(plain))
    }

    /// Checks the headers and, if they have no valid key, one in the URL: web pages cannot set headers
    /// for sockets and event streams.
    pub(crate) fn check(&self, headers: &HeaderMap, in_url: Option<&str>) -> KeyCheck {
        let in_headers = self.check_headers(headers);
        if in_headers == KeyCheck::Passed || in_url.is_none() {
            return in_headers;
        }
        tracing::warn!("a session key came in a URL, which is deprecated: URLs end up in logs");
        self.check_one(in_url)
    }

    /// Checks one key that came in another place than a header.
    pub(crate) fn check_one(&self, key: Option<&str>) -> KeyCheck {
        self.check_any(key.map(str::as_bytes).into_iter())
    }

    fn check_any<'a>(&self, presented: impl Iterator<Item = &'a [u8]>) -> KeyCheck {
        if self.0.is_empty() {
            return KeyCheck::Passed;
        }
        let mut check = KeyCheck::Missing;
        for key in presented {
            if self.contains(key) {
                return KeyCheck::Passed;
            }
            check = KeyCheck::Wrong;
        }
        check
    }

    /// Compares with every key in full, so that the time taken reveals nothing about them.
    fn contains(&self, presented: &[u8]) -> bool {
        let found = self.0.iter().fold(Choice::from(0), |found, key| {
            found | key.expose_secret().as_bytes().ct_eq(presented)
        });
        found.into()
    }
}

#[cfg(test)]
mod tests;
