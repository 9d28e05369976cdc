use http_api::{ApiError, HostCheck, check_key};
use llm_client::ModelError;
use serde_json::Value;
use url::Url;
use webhooks::check_list;
use workspace::check_name;

use super::{
    ConfigError, Secret, Settings,
    layers::Merged,
    schema::{hide_credentials, is_secret},
};

/// More would be a mistake, and far higher numbers make the libraries below end the program.
const MAX_WORKERS: u64 = 512;
const MAX_RUNS: u64 = 1_000_000;
const MAX_WAIT_SECONDS: u64 = 24 * 60 * 60;

const BLANK_SECRET_KEY: &str = "a key that is only white space seals nothing; leave it out, and the server \
                                makes one in `secret.key`, or set a long random one";

/// Values into their types. A variable's text becomes a number, a boolean or whatever its key
/// wants when text will not do.
pub(super) fn decode(merged: &mut Merged) -> Result<Settings, ConfigError> {
    loop {
        let error = match serde_path_to_error::deserialize(merged.values.clone()) {
            Ok(settings) => return checked(settings, merged),
            Err(error) => error,
        };
        let key = error.path().to_string();
        if !reread_text(merged, &key) {
            return Err(explain(merged, &key, &error.into_inner().to_string()));
        }
    }
}

/// What no single key's type can say.
fn checked(settings: Settings, merged: &Merged) -> Result<Settings, ConfigError> {
    let wrong = |key: &str, expected: String, found: Value| ConfigError::Wrong {
        origin: merged.origin(key).to_owned(),
        key: key.to_owned(),
        expected,
        found: shown(&found, is_broken_address(key, &found)),
    };
    let paths = [
        ("conversations_path", &settings.conversations_path),
        ("workspace_path", &settings.workspace_path),
        ("bash_events_dir", &settings.bash_events_dir),
    ];
    for (key, path) in paths {
        if path.as_os_str().is_empty() {
            return Err(wrong(key, "a path".to_owned(), "".into()));
        }
    }
    if settings.host.trim().is_empty() {
        let expected = "a name or address of this machine".to_owned();
        return Err(wrong("host", expected, settings.host.as_str().into()));
    }
    let ping = settings.socket_ping_interval_seconds.get();
    let idle = settings.socket_idle_timeout_seconds.get();
    let counts = [
        ("workers", settings.workers.get() as u64, MAX_WORKERS),
        (
            "max_concurrent_runs",
            settings.max_concurrent_runs.get() as u64,
            MAX_RUNS,
        ),
        (
            "socket_auth_timeout_seconds",
            settings.socket_auth_timeout_seconds.get(),
            MAX_WAIT_SECONDS,
        ),
        ("socket_ping_interval_seconds", ping, MAX_WAIT_SECONDS),
        ("socket_idle_timeout_seconds", idle, MAX_WAIT_SECONDS),
        (
            "socket_send_timeout_seconds",
            settings.socket_send_timeout_seconds.get(),
            MAX_WAIT_SECONDS,
        ),
        (
            "max_foreground_terminal_timeout_seconds",
            settings.max_foreground_terminal_timeout_seconds.get(),
            MAX_WAIT_SECONDS,
        ),
        (
            "mcp_start_timeout_seconds",
            settings.mcp_start_timeout_seconds.get(),
            MAX_WAIT_SECONDS,
        ),
        (
            "mcp_call_timeout_seconds",
            settings.mcp_call_timeout_seconds.get(),
            MAX_WAIT_SECONDS,
        ),
    ];
    for (key, count, most) in counts {
        if count > most {
            let expected = format!("a whole number, at most {most}");
            return Err(wrong(key, expected, count.into()));
        }
    }
    if idle <= ping {
        // Nobody would have answered a ping by then.
        let expected = format!("more than `socket_ping_interval_seconds`, which is {ping}");
        return Err(wrong("socket_idle_timeout_seconds", expected, idle.into()));
    }
    let addresses = [
        ("llm.base_url", &settings.llm.base_url),
        ("llm.ollama_base_url", &settings.llm.ollama_base_url),
    ];
    for (key, address) in addresses {
        let no_url = address.as_deref().filter(|text| {
            !Url::parse(text).is_ok_and(|url| url.has_host() && url.scheme().starts_with("http"))
        });
        if let Some(text) = no_url {
            let expected = "an http:// or https:// URL".to_owned();
            return Err(wrong(key, expected, text.into()));
        }
    }
    check_llm(&settings, merged)?;
    check_keys(&settings, merged)?;
    check_budgets(&settings, merged)?;
    check_tool_environment(&settings, &wrong)?;
    match settings.access(HostCheck::default()).check() {
        Ok(()) => {}
        Err(ApiError::Setting { setting, reason }) => return Err(merged.unusable(setting, reason)),
        Err(error) => return Err(merged.unusable(String::new(), error)),
    }
    check_list(&settings.webhooks)
        .map_err(|error| merged.unusable("webhooks".to_owned(), error))?;
    Ok(settings)
}

/// Whether the default model can be asked, as far as its settings tell.
fn check_llm(settings: &Settings, merged: &Merged) -> Result<(), ConfigError> {
    // A list would also do for a deserializer.
    if let Some(list) = merged.at("llm").filter(|llm| llm.is_array()) {
        return Err(ConfigError::Wrong {
            origin: merged.origin("llm").to_owned(),
            key: "llm".to_owned(),
            expected: "an object".to_owned(),
            found: shown(list, true),
        });
    }
    settings.llm.check().map_err(|wrong| {
        let key = format!("llm.{}", wrong.path.join("."));
        merged.unusable(key, format!("it should be {}", wrong.expected))
    })?;
    let reason = match llm_client::connect(&settings.llm) {
        Ok(_) => return Ok(()),
        Err(ModelError::Configuration(reason)) => reason,
        Err(error) => error.to_string(),
    };
    // What does not fit together is mostly the model's name and something else.
    Err(ConfigError::Unusable {
        origin: merged.origin("llm.model").to_owned(),
        key: "llm".to_owned(),
        reason,
    })
}

/// Names that commands may have of the server's environment.
fn check_tool_environment(
    settings: &Settings,
    wrong: &dyn Fn(&str, String, Value) -> ConfigError,
) -> Result<(), ConfigError> {
    for (index, name) in settings.tool_environment.iter().enumerate() {
        let key = format!("tool_environment[{index}]");
        check_name(name)
            .map_err(|refused| wrong(&key, refused.to_string(), name.as_str().into()))?;
        let mut webhooks = settings.webhooks.iter();
        if webhooks.any(|webhook| webhook.variables().any(|it| it == name)) {
            let expected = "no variable that `webhooks` names".to_owned();
            return Err(wrong(&key, expected, name.as_str().into()));
        }
    }
    Ok(())
}

/// A key that is set and protects nothing would leave the server open. One that is exactly empty
/// counts as unset, except an entry of a list, which somebody wrote on purpose.
fn check_keys(settings: &Settings, merged: &Merged) -> Result<(), ConfigError> {
    let unless_empty = |key: &Option<Secret>| key.clone().filter(|key| !key.is_empty());
    let session = settings.session_api_keys.iter().enumerate();
    let keys = session
        .map(|(index, key)| (format!("session_api_keys[{index}]"), key.clone()))
        .chain(
            (settings.named_api_keys.iter())
                .map(|(name, key)| (format!("named_api_keys.{name}"), key.clone())),
        )
        .chain(
            unless_empty(&settings.session_api_key).map(|key| ("session_api_key".to_owned(), key)),
        )
        .chain(unless_empty(&settings.secret_key).map(|key| ("secret_key".to_owned(), key)));
    for (name, key) in keys {
        let checked = match (name.as_str(), key.trimmed()) {
            ("secret_key", "") => Err(BLANK_SECRET_KEY),
            ("secret_key", _) => Ok(()),
            (_, key) => check_key(key),
        };
        checked.map_err(|reason| merged.unusable(name, reason))?;
    }
    Ok(())
}

/// A limit that nothing is ever counted for would limit nothing.
fn check_budgets(settings: &Settings, merged: &Merged) -> Result<(), ConfigError> {
    let budgets = &settings.budgets;
    if let Some(limit) = budgets.fault() {
        let reason = "it should be a number of at least 0";
        return Err(merged.unusable(format!("budgets.{limit}"), reason));
    }
    let mut names = budgets.keys.keys();
    match names.find(|name| !settings.named_api_keys.contains_key(*name)) {
        Some(name) => {
            let reason = "`named_api_keys` has no key of this name";
            Err(merged.unusable(format!("budgets.keys.{name}"), reason))
        }
        None => Ok(()),
    }
}

impl Merged {
    /// The error of a value that is not valid.
    pub(super) fn unusable(&self, key: String, reason: impl ToString) -> ConfigError {
        ConfigError::Unusable {
            origin: self.origin(&key).to_owned(),
            key,
            reason: reason.to_string(),
        }
    }

    /// Where a key's value came from: its own origin, or that of a part of it (variables make
    /// entries piece by piece), or that of what it is part of.
    pub(super) fn origin(&self, key: &str) -> &str {
        if !self.origins.contains_key(key) {
            let is_part = |part: &str| {
                part.strip_prefix(key)
                    .is_some_and(|rest| !key.is_empty() && rest.starts_with(['.', '[']))
            };
            if let Some((_, origin)) = self.origins.iter().find(|(part, _)| is_part(part)) {
                return origin;
            }
        }
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin;
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return "default",
            }
        }
    }

    fn at(&self, key: &str) -> Option<&Value> {
        self.values.pointer(&pointer(key))
    }
}

/// Parses a variable's text at `key` as JSON; false when that is not possible.
fn reread_text(merged: &mut Merged, key: &str) -> bool {
    if !merged.origin(key).starts_with("environment ") {
        return false;
    }
    let Some(value) = merged.values.pointer_mut(&pointer(key)) else {
        return false;
    };
    let parsed = value.as_str().and_then(|text| {
        let parsed = serde_json::from_str(text.trim()).ok();
        parsed.filter(|value: &Value| !value.is_string())
    });
    parsed.is_some_and(|parsed| {
        *value = parsed;
        true
    })
}

/// Turns `webhooks[0].method` into `/webhooks/0/method`.
fn pointer(key: &str) -> String {
    let plain = key.replace('[', ".").replace(']', "");
    plain.split('.').fold(String::new(), |pointer, part| {
        pointer + "/" + &part.replace('~', "~0").replace('/', "~1")
    })
}

fn explain(merged: &Merged, key: &str, message: &str) -> ConfigError {
    let origin = merged.origin(key).to_owned();
    let key = key.to_owned();
    let found = merged.at(&key);
    match (message.rsplit_once(", expected "), found) {
        (Some((_, expected)), Some(found)) => ConfigError::Wrong {
            expected: choices(merged, &key, expected).unwrap_or_else(|| in_words(expected)),
            found: shown(found, is_secret(&key) || is_broken_address(&key, found)),
            origin,
            key,
        },
        (Some(_), None) | (None, _) => merged.unusable(key, message),
    }
}

/// The names of which a key takes one. A deserializer names them only when it is given another text.
fn choices(merged: &Merged, key: &str, expected: &str) -> Option<String> {
    // What an enum's deserializer expects of a value that is no text, and of an object.
    if !["string or map", "map with a single key"].contains(&expected) {
        return None;
    }
    let mut values = merged.values.clone();
    *values.pointer_mut(&pointer(key))? = "".into();
    let error = serde_path_to_error::deserialize::<_, Settings>(values).err()?;
    let same = error.path().to_string() == key;
    let message = error.into_inner().to_string();
    let (_, names) = message.rsplit_once(", expected ")?;
    same.then(|| names.to_owned())
}

/// It is unknown where an address that is not valid ends, and no password may be shown.
fn is_broken_address(key: &str, found: &Value) -> bool {
    let text = found.as_str().unwrap_or_default();
    let readable = Url::parse(text).is_ok_and(|url| url.has_host());
    key.ends_with("_url") && !readable && text.contains(['@', '?', '#'])
}

/// Rust's type names mean little to who writes a configuration.
fn in_words(expected: &str) -> String {
    match expected {
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, zero or more".to_owned(),
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => {
            "a whole number, one or more".to_owned()
        }
        "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "path string" => "a path".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        other if other == "a map" || other.starts_with("struct ") => "an object".to_owned(),
        other => other.to_owned(),
    }
}

/// A value for an error message; of a secret only its kind.
fn shown(value: &Value, secret: bool) -> String {
    const MAX_SHOWN_CHARS: usize = 80;
    let kind = kind_of(value);
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => kind.to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) if secret => kind.to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => {
            let text = hide_credentials(text.clone());
            let cut: String = text.chars().take(MAX_SHOWN_CHARS).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("\"{}{more}\"", cut.escape_debug())
        }
    }
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
