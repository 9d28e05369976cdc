use serde_json::{Map, Value};

/// What takes a secret's place wherever it must not be read.
pub const MASK: &str = "**********";

const LLM_SECRETS: [&str; 4] = [
    "api_key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];
const SECRET_MAPS: [&str; 4] = ["extra_headers", "headers", "env", "secrets"];
const AUTH_KEYS: [&str; 3] = ["auth", "token", "client_secret"];

/// Calls `visit` with every value of `settings` that is a secret: model and cloud keys, and what
/// headers, environments and authorisation blocks (of the model or of MCP servers) hold. Works at
/// any depth, so that agents of a kind this build does not know are covered too.
pub fn visit_secrets(settings: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    match settings {
        Value::Object(fields) => visit_fields(fields, visit),
        Value::Array(items) => items.iter_mut().for_each(|item| visit_secrets(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn visit_fields(fields: &mut Map<String, Value>, visit: &mut dyn FnMut(&mut Value)) {
    for (name, value) in fields {
        let secret = LLM_SECRETS.contains(&name.as_str()) || AUTH_KEYS.contains(&name.as_str());
        if (secret && value.is_string()) || (name == "value" && value.is_string()) {
            visit(value);
        } else if SECRET_MAPS.contains(&name.as_str()) {
            visit_entries(value, visit);
        } else {
            visit_secrets(value, visit);
        }
    }
}

/// The entries of a map whose texts are all secrets; what is no text may hold some deeper down.
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
        assert_eq!(with_masked_secrets(&agent)["llm"]["api_key"], MASK);
    }
}
