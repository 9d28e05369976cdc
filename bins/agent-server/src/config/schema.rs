use std::collections::BTreeMap;

use core_model::{secrets::MASK, shared_budget::PeriodBudget};
use serde_json::{Map, Value};
use url::Url;
use webhooks::WebhookConfig;

use super::Settings;

/// Keys that the public server has and that mean nothing here.
const WITHOUT_EFFECT: [&str; 12] = [
    "enable_vscode",
    "vscode_port",
    "vscode_base_path",
    "enable_vnc",
    "preload_tools",
    "static_files_path",
    "web_url",
    "lease_ttl",
    "lease_ttl_seconds",
    "conversation_idle_ttl",
    "conversation_idle_ttl_seconds",
    "cors_origins",
];

/// The same in an entry of `webhooks`: here the log is the queue.
const WITHOUT_EFFECT_IN_WEBHOOKS: [&str; 2] = ["max_queue_size", "max_queue_bytes"];

/// Whether a key of a file is one of the public server's that mean nothing here.
pub(super) fn is_without_effect(key: &str) -> bool {
    let in_webhook = |rest: &str| {
        let name = rest.split_once("].").map(|(_, name)| name);
        name.is_some_and(|name| WITHOUT_EFFECT_IN_WEBHOOKS.contains(&name))
    };
    WITHOUT_EFFECT.contains(&key) || key.strip_prefix("webhooks[").is_some_and(in_webhook)
}

/// The same for a variable, whose name is given in small letters and without `OH_`.
pub(super) fn is_variable_without_effect(name: &str) -> bool {
    let in_webhook = |rest: &str| {
        let (index, name) = rest.split_once('_')?;
        index.parse::<u16>().ok()?;
        Some(WITHOUT_EFFECT_IN_WEBHOOKS.contains(&name))
    };
    let webhook = name.strip_prefix("webhooks_").and_then(in_webhook);
    webhook == Some(true) || WITHOUT_EFFECT.iter().any(|key| name.starts_with(key))
}

/// The known keys, as a sample configuration: an object with fields has just those, an empty one
/// takes any; a list's element stands for all of them.
pub(super) fn known_keys() -> Value {
    let mut sample = Settings::default();
    sample.llm.extra_headers = Some(BTreeMap::new());
    sample.budgets.server = PeriodBudget {
        max_cost_usd: Some(0.0),
        max_tokens: Some(0),
        max_wall_seconds: Some(0.0),
        max_tool_calls: Some(0),
        max_model_calls: Some(0),
        ..PeriodBudget::default()
    };
    sample.webhooks = Url::parse("http://localhost/")
        .map(WebhookConfig::new)
        .into_iter()
        .collect();
    serde_json::to_value(sample).unwrap_or_default()
}

/// The key of a field.
pub(super) fn below(key: &str, field: &str) -> String {
    if key.is_empty() {
        field.to_owned()
    } else {
        format!("{key}.{field}")
    }
}

/// Whether the value at a key must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    const SECRETS: [&str; 12] = [
        "session_api_key",
        "session_api_keys",
        "named_api_keys",
        "secret_key",
        "secret",
        "api_key",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "headers",
        "extra_headers",
        "litellm_extra_body",
    ];
    key.split(['.', '[', ']'])
        .any(|part| SECRETS.contains(&part))
}

/// The known name that a mistyped one may have meant.
pub(super) fn nearest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate.as_str())
}

/// A sample's fields, when it has a fixed set of them.
pub(super) fn fields(sample: &Value) -> Option<&Map<String, Value>> {
    sample.as_object().filter(|fields| !fields.is_empty())
}

/// An address may contain a password, or a token as its user, in its query or fragment.
pub(super) fn hide_credentials(text: String) -> String {
    let Ok(mut url) = Url::parse(&text) else {
        return text;
    };
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !url.has_host() || !(has_user || url.query().is_some() || url.fragment().is_some()) {
        return text;
    }
    if has_user {
        url.set_username(MASK).ok();
        url.set_password(None).ok();
    }
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    if url.fragment().is_some() {
        url.set_fragment(Some(MASK));
    }
    url.to_string()
}
