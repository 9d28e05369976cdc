//! Session keys: what a request presents, and whether that opens the door.

use actix_web::http::header::{self, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

use crate::error::ApiError;

const KEY_HEADER: &str = "x-session-api-key";

/// The keys that open the server; none: it is open.
pub(crate) struct Keys(Vec<SecretString>);

/// Whether a text can be a session key.
///
/// # Errors
/// Why not; the key itself is not in it.
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

/// What a request has to show for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// The right key, or none is needed.
    Granted,
    /// A key, and not one of ours.
    Refused,
    /// No key at all.
    Absent,
}

impl Keys {
    /// White space around a key is no part of it, as it is none of a header's value.
    ///
    /// # Errors
    /// When a key is none: a list of those must not open the server.
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

    /// Judges the headers: `Authorization: Bearer KEY` or `X-Session-API-Key: KEY`; of several,
    /// one right key is enough.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Permit {
        let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| {
            let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| key.trim().as_bytes())
        });
        let plain = headers
            .get_all(KEY_HEADER)
            .map(|value| value.as_bytes().trim_ascii());
        self.judge_keys(bearer.chain(plain))
    }

    /// Judges the headers and, unless they open, a key in the URL: web pages can set no headers for
    /// sockets and event streams.
    pub(crate) fn judge_with(&self, headers: &HeaderMap, in_query: Option<&str>) -> Permit {
        let in_headers = self.judge(headers);
        if in_headers == Permit::Granted || in_query.is_none() {
            return in_headers;
        }
        tracing::warn!("a session key came in a URL, which is deprecated: URLs end up in logs");
        self.judge_key(in_query)
    }

    /// Judges one key given in another place than a header.
    pub(crate) fn judge_key(&self, key: Option<&str>) -> Permit {
        self.judge_keys(key.map(str::as_bytes).into_iter())
    }

    fn judge_keys<'a>(&self, presented: impl Iterator<Item = &'a [u8]>) -> Permit {
        if self.0.is_empty() {
            return Permit::Granted;
        }
        let mut permit = Permit::Absent;
        for key in presented {
            if self.contains(key) {
                return Permit::Granted;
            }
            permit = Permit::Refused;
        }
        permit
    }

    /// Compares with every key in full, so that the time taken tells nothing about them.
    fn contains(&self, presented: &[u8]) -> bool {
        let found = self.0.iter().fold(Choice::from(0), |found, key| {
            found | key.expose_secret().as_bytes().ct_eq(presented)
        });
        found.into()
    }
}

/// Whether the request wants to become a WebSocket.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn keys(keys: &[&str]) -> Keys {
        let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
        Keys::new(&keys).unwrap()
    }

    fn judge(keys: &Keys, headers: &[(&str, &str)]) -> Permit {
        let request = headers
            .iter()
            .fold(TestRequest::default(), |request, header| {
                request.append_header(*header)
            });
        keys.judge(request.to_srv_request().headers())
    }

    #[test]
    fn each_header_opens_with_each_key() {
        let keys = keys(&["old", "new"]);
        for headers in [
            [("Authorization", "Bearer old")],
            [("Authorization", "bearer new")],
            [("X-Session-API-Key", "old")],
            [("x-session-api-key", "new")],
        ] {
            assert_eq!(judge(&keys, &headers), Permit::Granted, "{headers:?}");
        }
    }

    #[test]
    fn wrong_keys_and_other_schemes_do_not_open() {
        let keys = keys(&["sekrit"]);
        for (headers, permit) in [
            (("Authorization", "Bearer wrong"), Permit::Refused),
            (("Authorization", "Bearer "), Permit::Refused),
            (("X-Session-API-Key", "sekri"), Permit::Refused),
            (("X-Session-API-Key", "sekritt"), Permit::Refused),
            (("Authorization", "Basic sekrit"), Permit::Absent),
            (("Authorization", "sekrit"), Permit::Absent),
            (("Cookie", "sekrit"), Permit::Absent),
        ] {
            assert_eq!(judge(&keys, &[headers]), permit, "{headers:?}");
        }
    }

    #[test]
    fn one_right_key_among_wrong_ones_is_enough() {
        let headers = [
            ("Authorization", "Bearer proxy-token"),
            ("X-Session-API-Key", "sekrit"),
        ];
        assert_eq!(judge(&keys(&["sekrit"]), &headers), Permit::Granted);
    }

    #[test]
    fn without_keys_the_server_is_open() {
        let keys = keys(&[]);
        assert_eq!(
            judge(&keys, &[("X-Session-API-Key", "anything")]),
            Permit::Granted
        );
        assert_eq!(judge(&keys, &[]), Permit::Granted);
    }

    #[test]
    fn white_space_around_a_key_is_no_part_of_it() {
        let keys = keys(&[" sekrit\r\n"]);
        assert_eq!(
            judge(&keys, &[("X-Session-API-Key", "sekrit")]),
            Permit::Granted
        );
        assert_eq!(judge(&keys, &[]), Permit::Absent);
    }

    #[test]
    fn keys_that_protect_nothing_or_fit_no_header_are_refused() {
        for list in [
            &[""][..],
            &["", "  "],
            &["good", " \n"],
            &["a\nb"],
            &["a\0b"],
        ] {
            let list: Vec<SecretString> = list.iter().map(|key| SecretString::from(*key)).collect();
            let refused = Keys::new(&list).err().unwrap().to_string();
            assert!(refused.starts_with("keys["), "{refused}");
        }
    }
}
