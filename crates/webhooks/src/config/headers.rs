//! The headers that can be configured.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{invalid::InvalidWebhook, text::SecretText};

/// Headers that a request has anyway: a second voice would break it, or its signature.
const OUR_HEADERS: [&str; 6] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// The configured headers, for a request. Of two names that differ in their letters' case the one in
/// small letters holds, which is how variables of the environment write them.
///
/// # Errors
/// When a value still names variables, or is not a valid header value.
pub(super) fn header_map(
    headers: &BTreeMap<String, SecretText>,
) -> Result<HeaderMap, InvalidWebhook> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let unresolved = || InvalidWebhook::Unresolved(format!("headers.{name}"));
        let value = header_value(name, value.text().ok_or_else(unresolved)?)?;
        map.insert(header_name(name)?, value);
    }
    Ok(map)
}

/// Checks them as far as they name no variables.
///
/// # Errors
/// When a name or a value is not a valid one, or a header is made for each request.
pub(super) fn check(headers: &BTreeMap<String, SecretText>) -> Result<(), InvalidWebhook> {
    for (name, value) in headers {
        header_name(name)?;
        if let Some(value) = value.text() {
            header_value(name, value)?;
        }
    }
    Ok(())
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
