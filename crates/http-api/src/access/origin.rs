//! Origins of web pages, as browsers send them, and the patterns that settings name them by.

use std::fmt;

use super::host_name::{Authority, HostPattern};

/// Where a page comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Of a page that has none: a sandboxed frame, a file.
    Null,
    /// A page of the web; the usual port is left out.
    Web {
        scheme: Scheme,
        authority: Authority,
    },
    /// A page of a desktop program or a browser's extension: scheme and what follows it, in lower case.
    Other { scheme: String, rest: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Origin {
    /// `scheme://host[:port]` or `null`; none if the text is anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        let (scheme, rest) = split(text)?;
        match Scheme::of(&scheme) {
            Some(scheme) => Some(Self::Web {
                authority: scheme.without_usual_port(Authority::parse(rest)?),
                scheme,
            }),
            None => is_plain(rest).then(|| Self::Other {
                scheme,
                rest: rest.to_ascii_lowercase(),
            }),
        }
    }

    /// Whether it is a page that this machine serves.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Web { authority, .. } if authority.host.is_loopback())
    }
}

impl Scheme {
    fn of(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    fn usual_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn without_usual_port(self, authority: Authority) -> Authority {
        let port = authority.port.filter(|port| *port != self.usual_port());
        Authority { port, ..authority }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Which origins a setting means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OriginPattern {
    /// All but `null`, which anybody can have.
    Any,
    Null,
    Web {
        scheme: Scheme,
        host: HostPattern,
        /// None: the usual one.
        port: Option<u16>,
    },
    Other {
        scheme: String,
        /// None: all of this scheme.
        rest: Option<String>,
    },
}

impl OriginPattern {
    /// A slash at the end is accepted.
    ///
    /// # Errors
    /// What to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bare = text.trim_end_matches('/');
        match bare {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let Some((scheme, rest)) = split(bare) else {
            return Err(advice(text));
        };
        match (Scheme::of(&scheme), rest) {
            (Some(scheme), rest) => {
                let host = HostPattern::parse(rest).ok_or_else(|| advice(text))?;
                let port = host.port().filter(|port| *port != scheme.usual_port());
                let host = host.any_port();
                Ok(Self::Web { scheme, host, port })
            }
            // Pages are never of these.
            (None, _) if SCHEMES_WITHOUT_ORIGIN.contains(&scheme.as_str()) => Err(advice(text)),
            (None, "*") => Ok(Self::Other { scheme, rest: None }),
            (None, rest) if is_plain(rest) => Ok(Self::Other {
                scheme,
                rest: Some(rest.to_ascii_lowercase()),
            }),
            (None, _) => Err(advice(text)),
        }
    }

    pub(crate) fn matches(&self, origin: &Origin) -> bool {
        match (self, origin) {
            (Self::Any, origin) => *origin != Origin::Null,
            (Self::Null, origin) => *origin == Origin::Null,
            (
                Self::Web { scheme, host, port },
                Origin::Web {
                    scheme: of,
                    authority,
                },
            ) => scheme == of && *port == authority.port && host.matches_host(&authority.host),
            (
                Self::Other { scheme, rest },
                Origin::Other {
                    scheme: of,
                    rest: at,
                },
            ) => scheme == of && rest.as_ref().is_none_or(|rest| rest == at),
            (Self::Web { .. }, Origin::Null | Origin::Other { .. })
            | (Self::Other { .. }, Origin::Null | Origin::Web { .. }) => false,
        }
    }
}

/// Schemes of addresses whose pages have the origin `null`, or another one.
const SCHEMES_WITHOUT_ORIGIN: [&str; 7] =
    ["file", "data", "about", "javascript", "blob", "ws", "wss"];

/// What to write instead of a text that is not the origin of a page.
fn advice(text: &str) -> String {
    let shown: String = text.chars().take(100).collect();
    let instead = match split(text) {
        Some((scheme, _))
            if matches!(scheme.as_str(), "file" | "data" | "about" | "javascript") =>
        {
            "pages of that kind send `null`: write `null`, which any page can cause".to_owned()
        }
        Some((scheme, rest)) if matches!(scheme.as_str(), "ws" | "wss") => {
            let scheme = if scheme == "ws" { "http" } else { "https" };
            let host = rest.split('/').next().unwrap_or_default();
            format!("a page's origin is that of its own address: write `{scheme}://{host}`")
        }
        Some((_, "*")) => "write `*` for all pages, or `https://*.example.com`".to_owned(),
        Some((scheme, rest)) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            let bare = format!("{scheme}://{host}");
            if OriginPattern::parse_host(&scheme, host) && bare != text {
                format!("an origin ends with its host or port: write `{bare}`")
            } else {
                EXAMPLES.to_owned()
            }
        }
        None if HostPattern::parse(text).is_some() => format!("write `https://{text}`"),
        None => EXAMPLES.to_owned(),
    };
    format!("`{shown}` is not the origin of a page: {instead}")
}

const EXAMPLES: &str = "write one such as `https://app.example.com:8443`, `https://*.example.com`, \
                        `tauri://localhost`, `vscode-webview://*` or `null`; other patterns are for \
                        `allow_cors_origin_regex`";

impl OriginPattern {
    /// Whether scheme and host make a pattern.
    fn parse_host(scheme: &str, host: &str) -> bool {
        match Scheme::of(scheme) {
            Some(_) => HostPattern::parse(host).is_some(),
            None => !SCHEMES_WITHOUT_ORIGIN.contains(&scheme) && is_plain(host),
        }
    }
}

/// Scheme, in lower case, and the rest.
fn split(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain);
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// What follows a scheme that is not the web's.
fn is_plain(rest: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !"/\\?#@*\"'<>,;`".contains(c);
    !rest.is_empty() && rest.chars().all(plain)
}

#[cfg(test)]
mod tests;
