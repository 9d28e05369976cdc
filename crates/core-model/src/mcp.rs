//! The MCP servers of an agent (Model Context Protocol), as clients configure them.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// The object that other programs' configuration files put around the servers.
const WRAPPER: &str = "mcpServers";
/// Of a server, in all forms.
const FIELDS: [&str; 15] = [
    "args",
    "auth",
    "command",
    "cwd",
    "description",
    "enabled",
    "env",
    "headers",
    "icon",
    "keep_alive",
    "sse_read_timeout",
    "timeout",
    "transport",
    "type",
    "url",
];
const TRANSPORTS: [&str; 3] = ["stdio", "http", "streamable-http"];
/// What the transport sets itself.
const RESERVED_HEADERS: [&str; 6] = [
    "accept",
    "content-length",
    "content-type",
    "host",
    "mcp-protocol-version",
    "mcp-session-id",
];
const LONGEST_NAME: usize = 128;

/// One server.
#[derive(Clone, Debug, PartialEq)]
pub struct McpServer {
    pub name: String,
    pub transport: McpTransport,
    /// How long a call may take, where the configuration says so.
    pub timeout: Option<Duration>,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum McpTransport {
    /// A program that is started, and talked to through its input and output.
    Stdio {
        command: String,
        args: Vec<String>,
        env: BTreeMap<String, String>,
        /// Absolute, or relative to the workspace.
        cwd: Option<String>,
    },
    /// An address that speaks "streamable HTTP".
    Http {
        url: String,
        headers: BTreeMap<String, String>,
    },
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {reason}", path.join("."))]
pub struct InvalidMcpConfig {
    /// Where it is: a server's name, then one of its fields.
    pub path: Vec<String>,
    /// Does not quote the value, which may be a secret.
    pub reason: String,
}

/// A configuration in the form in which it is stored and shown: servers by name, without the object
/// `mcpServers` around them, `transport` for what others call `type`, and `auth` as an object. The public
/// SDK reads no other form.
#[must_use]
pub fn canonical(mut config: Map<String, Value>) -> Map<String, Value> {
    if let Some(inner) = config.get_mut(WRAPPER).filter(|it| it.is_object())
        && let Value::Object(servers) = inner.take()
    {
        config = servers;
    }
    for server in config.values_mut().filter_map(Value::as_object_mut) {
        if let Some(kind) = server.shift_remove("type") {
            server.entry("transport").or_insert(kind);
        }
        if let Some(transport) = server.get_mut("transport")
            && *transport == "shttp"
        {
            *transport = "http".into();
        }
        if let Some(auth) = server.get_mut("auth")
            && let Value::String(token) = auth
        {
            *auth = if token == "oauth" {
                serde_json::json!({"strategy": "oauth2"})
            } else {
                serde_json::json!({"strategy": "bearer", "value": token})
            };
        }
    }
    config
}

/// The servers of a configuration, in its order; those that are not `enabled` are left out.
///
/// # Errors
/// The first thing that cannot work, or that would be stored without effect.
pub fn servers(config: &Map<String, Value>) -> Result<Vec<McpServer>, InvalidMcpConfig> {
    each_server(config)
        .into_iter()
        .map(|(_, server)| server)
        .collect()
}

/// As [`servers`], each by itself: of a stored configuration, whose good servers are to work all the same.
#[must_use]
pub fn each_server(
    config: &Map<String, Value>,
) -> Vec<(String, Result<McpServer, InvalidMcpConfig>)> {
    let config = canonical(config.clone());
    let read = |(name, server): (&String, &Value)| {
        let server = read_server(name, server).transpose()?;
        Some((name.clone(), server))
    };
    config.iter().filter_map(read).collect()
}

/// `None` when it is not enabled.
fn read_server(name: &str, server: &Value) -> Result<Option<McpServer>, InvalidMcpConfig> {
    let path = |field: &[&str]| {
        let path = std::iter::once(name).chain(field.iter().copied());
        path.map(str::to_owned).collect::<Vec<_>>()
    };
    let fault = |field: &[&str], reason: &str| InvalidMcpConfig {
        path: path(field),
        reason: reason.to_owned(),
    };
    if name.trim().is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(fault(
            &[],
            "a server's name has 1 to 128 printable characters",
        ));
    }
    let Value::Object(fields) = server else {
        return Err(fault(&[], "a server is an object with `command` or `url`"));
    };
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        let reason = format!("this field has no effect; there are {}", FIELDS.join(", "));
        return Err(fault(&[unknown], &reason));
    }
    let read = Fields::deserialize(server).map_err(|error| InvalidMcpConfig {
        path: path(&[]),
        reason: without_value(&error),
    })?;
    let enabled = read.enabled.unwrap_or(true);
    let server = read
        .into_server(name)
        .map_err(|(field, reason)| fault(&[field], &reason))?;
    Ok(enabled.then_some(server))
}

#[derive(Deserialize)]
struct Fields {
    transport: Option<String>,
    command: Option<String>,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    cwd: Option<String>,
    url: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    auth: Option<Auth>,
    timeout: Option<f64>,
    sse_read_timeout: Option<f64>,
    keep_alive: Option<bool>,
    enabled: Option<bool>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "icon")]
    _icon: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
enum Auth {
    None,
    ApiKey {
        value: Option<String>,
        header_name: Option<String>,
    },
    Bearer {
        value: Option<String>,
    },
    Basic {
        username: String,
        password: Option<String>,
    },
    Header {
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    Oauth2,
}

type Fault = (&'static str, String);

impl Fields {
    fn into_server(self, name: &str) -> Result<McpServer, Fault> {
        let fault = |field, reason: &str| Err((field, reason.to_owned()));
        let transport = self.transport.as_deref();
        if transport == Some("sse") {
            return fault(
                "transport",
                "the old SSE transport is not supported: use the server's streamable HTTP address",
            );
        }
        if transport.is_some_and(|transport| !TRANSPORTS.contains(&transport)) {
            return fault("transport", "it is stdio, http or streamable-http");
        }
        if self.keep_alive == Some(false) {
            return fault(
                "keep_alive",
                "servers run as long as their conversation is in use",
            );
        }
        let milliseconds = self.timeout.map(|timeout| timeout / 1_000.0);
        let timeout = match (milliseconds, self.sse_read_timeout) {
            (Some(seconds), _) => limit("timeout", seconds)?,
            (None, Some(seconds)) => limit("sse_read_timeout", seconds)?,
            (None, None) => None,
        };
        let transport = match (self.command, self.url) {
            (Some(_), Some(_)) => return fault("url", "a server has `command` or `url`, not both"),
            (None, None) => return fault("command", "a server needs `command` or `url`"),
            (Some(command), None) => {
                if transport.is_some_and(|transport| transport != "stdio") {
                    return fault("url", "this transport needs `url`");
                }
                if self.headers.is_some() || self.auth.is_some() {
                    return fault("headers", "`headers` and `auth` need `url`");
                }
                if command.trim().is_empty() || has_nul(&command) {
                    return fault("command", "the name or path of a program is needed");
                }
                let args = self.args.unwrap_or_default();
                if args.iter().any(|arg| has_nul(arg)) {
                    return fault("args", "an argument contains a zero byte");
                }
                let env = self.env.unwrap_or_default();
                let illegal = |(name, value): (&String, &String)| {
                    name.is_empty() || name.contains('=') || has_nul(name) || has_nul(value)
                };
                if env.iter().any(illegal) {
                    return fault(
                        "env",
                        "a name is not that of a variable, or a value has a zero byte",
                    );
                }
                McpTransport::Stdio {
                    command,
                    args,
                    env,
                    cwd: self.cwd.filter(|cwd| !cwd.is_empty()),
                }
            }
            (None, Some(url)) => {
                if transport == Some("stdio") {
                    return fault("command", "this transport needs `command`");
                }
                if self.args.is_some() || self.env.is_some() || self.cwd.is_some() {
                    return fault("args", "`args`, `env` and `cwd` need `command`");
                }
                check_url(&url)?;
                let mut headers = self.headers.unwrap_or_default();
                add_auth(&mut headers, self.auth)?;
                check_headers(&headers)?;
                McpTransport::Http { url, headers }
            }
        };
        Ok(McpServer {
            name: name.to_owned(),
            transport,
            timeout,
        })
    }
}

fn limit(field: &'static str, seconds: f64) -> Result<Option<Duration>, Fault> {
    let fits = (0.0..1e9).contains(&seconds);
    if !fits {
        return Err((
            field,
            "it is a time, zero or more; zero means no limit of its own".into(),
        ));
    }
    Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds)))
}

fn check_url(url: &str) -> Result<(), Fault> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    if has_host && !url.contains(|c: char| c.is_control() || c == ' ') {
        Ok(())
    } else {
        Err((
            "url",
            "it begins with http:// or https:// and names a host".into(),
        ))
    }
}

fn add_auth(headers: &mut BTreeMap<String, String>, auth: Option<Auth>) -> Result<(), Fault> {
    let bearer = |value: Option<String>| value.map(|value| format!("Bearer {value}"));
    let (name, value) = match auth {
        None | Some(Auth::None) => return Ok(()),
        Some(Auth::Oauth2) => {
            let reason =
                "OAuth is not supported: send a token, {\"strategy\": \"bearer\", \"value\": …}";
            return Err(("auth", reason.to_owned()));
        }
        Some(Auth::Header { headers: more }) => {
            headers.extend(more);
            return Ok(());
        }
        Some(Auth::Bearer { value }) => ("Authorization".to_owned(), bearer(value)),
        Some(Auth::ApiKey { value, header_name }) => match header_name {
            Some(name) if !name.is_empty() => (name, value),
            Some(_) | None => ("Authorization".to_owned(), bearer(value)),
        },
        Some(Auth::Basic { username, password }) => {
            let pair = |password| STANDARD.encode(format!("{username}:{password}"));
            (
                "Authorization".to_owned(),
                password.map(|word| format!("Basic {}", pair(word))),
            )
        }
    };
    let Some(value) = value else {
        return Err(("auth", "its secret is missing".to_owned()));
    };
    if headers
        .keys()
        .any(|given| given.eq_ignore_ascii_case(&name))
    {
        return Err(("auth", "`headers` has the same header".to_owned()));
    }
    headers.insert(name, value);
    Ok(())
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), Fault> {
    for (name, value) in headers {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(("headers", "a name is not that of a header".to_owned()));
        }
        if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(("headers", format!("`{name}` is set by the transport")));
        }
        if !value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        {
            return Err((
                "headers",
                "a value has characters that no header can have".to_owned(),
            ));
        }
    }
    Ok(())
}

fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// A reader's error without the value that it quotes.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_plain = text.starts_with("missing field") || text.starts_with("unknown variant");
    match text.split_once(", expected ") {
        Some((_, expected)) if !is_plain => format!("expected {expected}"),
        Some(_) | None if is_plain => text,
        Some(_) | None => "a field has the wrong type".to_owned(),
    }
}

#[cfg(test)]
mod tests;
