use serde_json::Value;

use super::{
    ConfigError, Notice,
    layers::Layer,
    schema::{below, fields, is_variable_without_effect, nearest},
};

/// The variables that set something, in the order of their rank, and remarks on the rest of those
/// that start with `OH_`. Empty variables count as unset; so do those with only white space, unless a
/// key is meant, which is then refused like one in the file.
pub(super) fn layers(
    variables: &[(String, String)],
    known: &Value,
) -> Result<(Vec<Layer>, Vec<Notice>), ConfigError> {
    let mut ranked = Vec::new();
    let mut notices = Vec::new();
    for (variable, text) in variables {
        if text.is_empty() {
            continue;
        }
        let (rank, found) = if let Some(name) = variable.strip_prefix("OH_") {
            let found = resolve(known, name, "").filter(|target| !target.key.is_empty());
            if found.is_none() {
                notices.push(remark(variable, name, known));
            }
            (2, found)
        } else if let Some(name) = variable.strip_prefix("LLM_") {
            let found = resolve(&known["llm"], name, "llm");
            (1, found.filter(|target| target.key != "llm"))
        } else if variable == "SESSION_API_KEY" {
            (1, resolve(known, variable, ""))
        } else {
            (0, None)
        };
        if let Some(target) = found.filter(|target| !text.trim().is_empty() || target.is_key()) {
            let value = target.value(variable, text)?;
            let origin = format!("environment {variable}");
            ranked.push((rank, target.depth, Layer::one(target.key, value, origin)));
        }
    }
    // `OH_LLM` before `OH_LLM_MODEL`, so that the finer one wins.
    ranked.sort_by_key(|(rank, depth, _)| (*rank, *depth));
    Ok((
        ranked.into_iter().map(|(.., layer)| layer).collect(),
        notices,
    ))
}

/// Variables that are there and empty, where one of them could have been the server's only key.
pub(super) fn empty_keys(variables: &[(String, String)], known: &Value) -> Vec<Notice> {
    let is_key = |name: &str| {
        let name = name.strip_prefix("OH_").unwrap_or(name);
        let target = resolve(known, name, "");
        name.starts_with("SESSION_API_KEY") && target.is_some_and(|target| target.is_key())
    };
    variables
        .iter()
        .filter(|(variable, text)| text.is_empty() && is_key(variable))
        .map(|(variable, _)| Notice::EmptyKey {
            origin: format!("environment {variable}"),
        })
        .collect()
}

/// A key that a variable names.
struct Target<'a> {
    key: String,
    depth: usize,
    sample: &'a Value,
}

impl Target<'_> {
    /// Whether it is a key without which the server is open, or its secrets are.
    fn is_key(&self) -> bool {
        let name = self.key.split(['[', '.']).next().unwrap_or_default();
        matches!(
            name,
            "session_api_key" | "session_api_keys" | "named_api_keys" | "secret_key"
        )
    }

    /// Objects and lists of them are JSON; other lists are JSON or separated by commas; what else there is stays text
    /// until the key's type is known.
    fn value(&self, variable: &str, text: &str) -> Result<Value, ConfigError> {
        let json = serde_json::from_str::<Value>(text).ok();
        // The text stays out of the message: there may be secrets in it.
        let wrong = |expected: &str| ConfigError::Wrong {
            origin: format!("environment {variable}"),
            key: self.key.clone(),
            expected: expected.to_owned(),
            found: "other text".to_owned(),
        };
        if self.sample.is_object() {
            let object = json.filter(Value::is_object);
            return object.ok_or_else(|| wrong("a JSON object"));
        }
        if self.sample.get(0).is_some_and(Value::is_object) {
            let list = json.filter(Value::is_array);
            return list.ok_or_else(|| wrong("a JSON list"));
        }
        if self.sample.is_array() {
            let parts = || {
                text.split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
            };
            if let Some(list) = json.filter(Value::is_array) {
                return Ok(list);
            }
            if self.is_key() && parts().next().is_none() {
                return Err(wrong("keys, separated by commas"));
            }
            return Ok(parts().map(Value::from).collect());
        }
        Ok(text.into())
    }
}

/// Follows a variable's name down the known keys: `WEBHOOKS_0_WEBHOOK_URL` is
/// `webhooks[0].webhook_url`.
fn resolve<'a>(sample: &'a Value, rest: &str, at: &str) -> Option<Target<'a>> {
    if rest.is_empty() {
        return Some(Target {
            key: at.to_owned(),
            depth: at.split(['.', '[']).count(),
            sample,
        });
    }
    if let Some(fields) = fields(sample) {
        return fields.iter().find_map(|(name, field)| {
            resolve(field, after(rest, &name.to_uppercase())?, &below(at, name))
        });
    }
    match sample {
        Value::Object(_) => {
            let name = rest.to_lowercase();
            // A header's name has dashes where a variable's name cannot.
            let name = if at.ends_with("headers") {
                name.replace('_', "-")
            } else {
                name
            };
            resolve(&Value::Null, "", &format!("{at}.{name}"))
        }
        Value::Array(items) => {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (index, rest) = rest.split_at(digits);
            let index: u16 = index.parse().ok()?;
            let item = items.first().unwrap_or(&Value::Null);
            resolve(item, after(rest, "")?, &format!("{at}[{index}]"))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What follows a name and the underscore behind it; nothing when the name is all.
fn after<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    let rest = rest.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix('_').filter(|rest| !rest.is_empty())
}

fn remark(variable: &str, name: &str, known: &Value) -> Notice {
    let origin = format!("environment {variable}");
    if name.is_empty() {
        return Notice::UnknownKey {
            origin,
            key: variable.to_owned(),
            nearest: None,
        };
    }
    let key = name.to_lowercase();
    if is_variable_without_effect(&key) {
        return Notice::NoEffect { origin, key };
    }
    let index = key
        .split('_')
        .find(|part| part.parse::<u16>().is_ok())
        .unwrap_or("0");
    let mut names = Vec::new();
    collect_names(known, "", index, &mut names);
    let nearest = nearest(&key, &names).map(|name| format!("OH_{}", name.to_uppercase()));
    Notice::UnknownKey {
        origin,
        key,
        nearest,
    }
}

/// What variables may be called, without `OH_` and in small letters; those of lists with `index`.
fn collect_names(sample: &Value, at: &str, index: &str, names: &mut Vec<String>) {
    let below = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}_{name}")
        }
    };
    if !at.is_empty() {
        names.push(at.to_owned());
    }
    for (name, field) in fields(sample).into_iter().flatten() {
        collect_names(field, &below(name), index, names);
    }
    if let Some(item) = sample.get(0) {
        collect_names(item, &below(index), index, names);
    }
}
