use core_model::{
    LlmSettings,
    secrets::{secrets_in_header, secrets_in_url, visit_secrets},
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{ModelError, format::Format, provider::Route};

/// The headers of every request, and the secrets in them.
///
/// # Errors
/// [`ModelError::Configuration`] when one is malformed.
pub(super) fn headers(
    settings: &LlmSettings,
    route: &Route,
    format: &dyn Format,
) -> Result<(HeaderMap, Vec<String>), ModelError> {
    let mut headers = HeaderMap::new();
    let mut secrets = Vec::new();
    let mut set = |name: &str, value: &str| {
        let malformed = || ModelError::Configuration(format!("the header {name:?} is malformed"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| malformed())?;
        value.set_sensitive(true);
        headers.insert(key, value);
        Ok(())
    };
    let of_provider = route.provider.headers.iter().copied();
    for (name, value) in format.fixed_headers(route).into_iter().chain(of_provider) {
        set(name, value)?;
    }
    let key = settings.api_key.as_deref().map(str::trim);
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        let (name, value) = key_header(route, format, key);
        set(name, &value)?;
        secrets.push(key.to_owned());
    }
    if route.endpoint.host_str() == Some("openrouter.ai") {
        let pairs = [
            ("http-referer", &settings.openrouter_site_url),
            ("x-title", &settings.openrouter_app_name),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                set(name, value)?;
            }
        }
    }
    for (name, value) in settings.extra_headers.iter().flatten() {
        set(name, value)?;
        secrets.extend(secrets_in_header(value));
    }
    Ok((headers, secrets))
}

/// The header that carries the key: its name in lower case, and its value.
pub(super) fn key_header(route: &Route, format: &dyn Format, key: &str) -> (&'static str, String) {
    match route.provider.key_header {
        Some(name) => (name, key.to_owned()),
        None => format.key_header(route, key),
    }
}

/// What nobody may read of the settings, above all of what a request's body takes from them.
pub(super) fn secrets_in_settings(settings: &LlmSettings) -> Vec<String> {
    let mut secrets = Vec::new();
    let mut settings = serde_json::to_value(settings).unwrap_or_default();
    visit_secrets(&mut settings, &mut |secret| {
        let text = secret.as_str().unwrap_or_default();
        let in_address = secrets_in_url(text);
        if in_address.is_empty() {
            secrets.extend(secrets_in_header(text));
        } else {
            secrets.extend(in_address);
        }
    });
    secrets
}
