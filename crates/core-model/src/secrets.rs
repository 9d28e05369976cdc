use serde_json::{Map, Value};

/// Shown instead of a secret wherever it must not be read.
pub const MASK: &str = "**********";

/// The beginning of a secret that is sealed (encrypted) with the server's key.
pub const SEALED_PREFIX: &str = "sealed:v1:";

const LLM_SECRETS: [&str; 4] = [
    "api_key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];
const SECRET_MAPS: [&str; 4] = ["extra_headers", "headers", "env", "secrets"];
const AUTH_KEYS: [&str; 6] = [
    "auth",
    "token",
    "client_secret",
    "password",
    "access_token",
    "refresh_token",
];
/// Fields of a provider's own, sent with each request. Some gateways take their keys there.
const EXTRA_BODY: &str = "litellm_extra_body";
/// Words of the names of such fields whose texts are secrets.
const SECRET_WORDS: [&str; 8] = [
    "apikey",
    "authorization",
    "credential",
    "credentials",
    "key",
    "password",
    "secret",
    "token",
];

/// Calls `visit` with every value of `settings` that is a secret: model and cloud keys, the values of
/// headers, environments and authorisation blocks (of the model or of MCP servers), and addresses
/// with a password or a query in them. Works at any depth, so that agents of an unknown kind are covered
/// too.
pub fn visit_secrets(settings: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    match settings {
        Value::Object(fields) => visit_fields(fields, visit),
        Value::Array(items) => items.iter_mut().for_each(|item| visit_secrets(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn visit_fields(fields: &mut Map<String, Value>, visit: &mut dyn FnMut(&mut Value)) {
    for (name, value) in fields {
        let key = name.as_str();
        let secret = LLM_SECRETS.contains(&key) || AUTH_KEYS.contains(&key) || key == "value";
        if (secret && value.is_string()) || is_secret_address(key, value) {
            visit(value);
        } else if SECRET_MAPS.contains(&name.as_str()) {
            visit_entries(value, visit);
        } else if key == EXTRA_BODY {
            visit_named(value, visit);
        } else {
            visit_secrets(value, visit);
        }
    }
}

fn is_secret_address(name: &str, value: &Value) -> bool {
    let is_address = name == "url" || name.ends_with("_url");
    let text = value.as_str().filter(|_| is_address);
    text.is_some_and(|text| {
        text.starts_with(SEALED_PREFIX) || text == MASK || !secrets_in_url(text).is_empty()
    })
}

/// Parameters of addresses that are not secrets.
const PLAIN_PARAMETERS: [&str; 1] = ["api-version"];

/// The parts of an address that may be secret: its password with the user and alone, or a user without a
/// password, values in its query, the text after `#`; each as it is written. The text need not be a
/// well-formed URL.
#[must_use]
pub fn secrets_in_url(text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once("://") else {
        return Vec::new();
    };
    let mut secrets = Vec::new();
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split(['/', '\\']).next().unwrap_or_default();
    if let Some((user, _)) = authority.rsplit_once('@') {
        let password = user.split_once(':').map_or("", |(_, password)| password);
        secrets.extend([user, password]);
    }
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some((name, _)) if PLAIN_PARAMETERS.contains(&name) => {}
            Some((_, value)) => secrets.push(value),
            None => secrets.push(parameter),
        }
    }
    secrets.push(fragment);
    let said = secrets.into_iter().filter(|secret| !secret.is_empty());
    said.map(str::to_owned).collect()
}

/// The parts of a header's value that may be secret: all of it, and the text after a scheme such as `Bearer`.
#[must_use]
pub fn secrets_in_header(value: &str) -> Vec<String> {
    let value = value.trim();
    let token = value.split_once(' ').map(|(_, token)| token.trim());
    [Some(value), token]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// The entries of a map whose texts are all secrets; values that are not texts may have some deeper down.
fn visit_entries(map: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    let Value::Object(entries) = map else {
        return visit_secrets(map, visit);
    };
    for entry in entries.values_mut() {
        if entry.is_string() {
            visit(entry);
        } else {
            visit_secrets(entry, visit);
        }
    }
}

/// As [`visit_secrets`], with any text whose name says that it is secret.
fn visit_named(value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let named = value.is_string() && names_a_secret(name);
                if named || is_secret_address(name, value) {
                    visit(value);
                } else if SECRET_MAPS.contains(&name.as_str()) {
                    visit_entries(value, visit);
                } else {
                    visit_named(value, visit);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit_named(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn names_a_secret(name: &str) -> bool {
    let camel = ["Key", "Token", "Secret"];
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    camel.iter().any(|end| name.ends_with(end))
        || words.any(|word| SECRET_WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

/// A copy whose secrets are null, as conversation details show them.
#[must_use]
pub fn without_secrets(settings: &Value) -> Value {
    let mut shown = settings.clone();
    visit_secrets(&mut shown, &mut |secret| *secret = Value::Null);
    shown
}

/// A copy whose secrets are [`MASK`], as state snapshots show them.
#[must_use]
pub fn with_masked_secrets(settings: &Value) -> Value {
    let mut shown = settings.clone();
    visit_secrets(&mut shown, &mut |secret| *secret = MASK.into());
    shown
}

/// Drops object fields that are null, at any depth below objects of our own making.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_found_wherever_an_agent_keeps_them() {
        let agent = json!({
            "llm": {"model": "m", "api_key": "k1", "extra_headers": {"Authorization": "k2"}},
            "mcp_config": {"mcpServers": {"s": {"env": {"TOKEN": "k3"}, "headers": {"X": "k4"},
                                               "auth": "k5", "command": "run"}}},
            "condenser": {"llm": {"api_key": "k6", "aws_secret_access_key": "k7"}},
            "future": [{"api_key": "k8"}],
            "agent_context": {"secrets": {"A": "k9", "B": {"kind": "StaticSecret", "value": "k0"}}},
        });
        let text = without_secrets(&agent).to_string();
        for n in 0..=9 {
            assert!(!text.contains(&format!("k{n}")), "k{n} shows in {text}");
        }
        assert!(text.contains("run"));
        let extra = json!({"llm": {"litellm_extra_body": {
            "user": "u", "max_tokens": 5, "portkey_api_key": "k1", "accessToken": "k2",
            "route": [{"name": "eu", "Secret": "k3", "headers": {"X": "k4"}}],
        }}});
        let text = without_secrets(&extra).to_string();
        for n in 1..=4 {
            assert!(!text.contains(&format!("k{n}")), "k{n} shows in {text}");
        }
        assert!(text.contains("\"u\"") && text.contains("eu"), "{text}");
        assert_eq!(with_masked_secrets(&agent)["llm"]["api_key"], MASK);
    }

    #[test]
    fn addresses_with_a_secret_are_secrets_and_others_are_not() {
        let settings = json!({
            "llm": {"base_url": "https://me:hush@h.example/v1"},
            "mcp_config": {"mcpServers": {"s": {"url": "https://h.example/mcp?key=hush"}}},
            "secrets": {"A": {"kind": "LookupSecret", "url": "http://h.example/a#hush"},
                        "B": {"kind": "LookupSecret", "url": "http://h.example/b"}},
            "condenser": {"llm": {"base_url": "https://h.example/v1?api-version=2024-10-21"}},
            "sealed": {"base_url": "sealed:v1:AAAA"},
        });
        let shown = without_secrets(&settings);
        assert!(!shown.to_string().contains("hush"), "{shown}");
        assert_eq!(shown["sealed"]["base_url"], Value::Null);
        assert_eq!(shown["condenser"], settings["condenser"]);
        assert_eq!(shown["secrets"]["B"], settings["secrets"]["B"]);
        assert_eq!(with_masked_secrets(&settings)["llm"]["base_url"], MASK);
    }

    #[test]
    fn what_may_be_secret_in_an_address_is_found() {
        for (url, secrets) in [
            ("http://h/v1", &[][..]),
            ("http://h/@scope/a", &[]),
            ("h:1/x", &[]),
            ("http://me:p%40ss@h/v1", &["me:p%40ss", "p%40ss"]),
            ("http://me:p@ss@h/v1", &["me:p@ss", "p@ss"]),
            ("http://token@h", &["token"]),
            ("http://h?api-version=1&key=k&flag#f", &["k", "flag", "f"]),
        ] {
            let found = secrets_in_url(url);
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            assert_eq!(found, secrets, "{url}");
        }
    }
}
