//! Session keys: what a request presents, and whether it is one of ours.

use std::collections::BTreeMap;

use actix_web::http::header::{self, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::error::ApiError;

const KEY_HEADER: &str = "x-session-api-key";

/// The keys that give access to the server; without any, everybody has access.
pub(crate) struct Keys(Vec<KnownKey>);

struct KnownKey {
    /// What its conversations are counted under; None: they belong to no key.
    name: Option<String>,
    key: SecretString,
}

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
            Ok(KnownKey {
                name: None,
                key: SecretString::from(key.trim()),
            })
        });
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// With these, too, by their names.
    ///
    /// # Errors
    /// As [`Self::new`], and when two keys are the same: nobody could say whose a request is.
    pub(crate) fn with_named(
        mut self,
        named: &BTreeMap<String, SecretString>,
    ) -> Result<Self, ApiError> {
        for (name, key) in named {
            let key = key.expose_secret();
            let checked = if name.trim().is_empty() {
                Err("a key needs a name that is not empty")
            } else if self.find(key.trim().as_bytes()).is_some() {
                Err("another key is the same")
            } else {
                check_key(key)
            };
            checked.map_err(|reason| ApiError::Setting {
                setting: format!("named_api_keys.{name}"),
                reason: reason.to_owned(),
            })?;
            self.0.push(KnownKey {
                name: Some(name.clone()),
                key: SecretString::from(key.trim()),
            });
        }
        Ok(self)
    }

    /// The name of the key that gave a request access, if it has one.
    pub(crate) fn name_of(&self, headers: &HeaderMap) -> Option<&str> {
        let known = presented(headers).find_map(|key| self.find(key));
        known.and_then(|known| known.name.as_deref())
    }

    /// Whether a key has this name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|known| known.name.as_deref() == Some(name))
    }

    /// Checks the headers: `Authorization: Bearer KEY` or `X-Session-API-Key: KEY`; of several,
    /// one valid key is enough.
    pub(crate) fn check_headers(&self, headers: &HeaderMap) -> KeyCheck {
        self.check_any(presented(headers))
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
            if self.find(key).is_some() {
                return KeyCheck::Passed;
            }
            check = KeyCheck::Wrong;
        }
        check
    }

    /// Compares with every key in full, so that the time taken reveals nothing about them.
    fn find(&self, presented: &[u8]) -> Option<&KnownKey> {
        let mut found = u32::MAX;
        for (index, known) in (0..u32::MAX).zip(&self.0) {
            let is_same = known.key.expose_secret().as_bytes().ct_eq(presented);
            found.conditional_assign(&index, is_same);
        }
        self.0.get(found as usize)
    }
}

/// The keys that a request's headers have.
fn presented(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| key.trim().as_bytes())
    });
    let plain = headers
        .get_all(KEY_HEADER)
        .map(|value| value.as_bytes().trim_ascii());
    bearer.chain(plain)
}

#[cfg(test)]
mod tests;
