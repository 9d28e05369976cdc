use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use url::Url;

/// Below which paths a server has the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// `/api/conversations`, `/sockets/events/{id}`
    #[default]
    Openhands,
    /// `/conversations`, `/conversations/{id}/events/socket`
    Readme,
}

/// A server of this protocol.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// For the `Host` header.
    pub authority: String,
    /// The path below which the server is mounted, without a slash at its end.
    pub base: String,
    pub key: Option<String>,
    pub dialect: Dialect,
    /// The model that new conversations name; no model is called as long as nothing runs.
    pub model: String,
}

impl Target {
    /// A server on this machine, open to everybody.
    #[must_use]
    pub fn local(port: u16, dialect: Dialect) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            address,
            authority: address.to_string(),
            base: String::new(),
            key: None,
            dialect,
            model: "scripted".to_owned(),
        }
    }

    /// # Errors
    /// When the text is no `http://` URL, or its host is not known.
    pub fn parse(url: &str, dialect: Dialect) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        if parsed.scheme() != "http" {
            bail!("{url}: only http:// is spoken here; put a proxy in front for anything else");
        }
        let host = parsed.host_str().unwrap_or_default();
        let port = parsed.port().unwrap_or(80);
        let named = (host.trim_matches(['[', ']']), port);
        let address = named
            .to_socket_addrs()
            .with_context(|| format!("{host} is not known"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        Ok(Self {
            address,
            authority: format!("{host}:{port}"),
            base: parsed.path().trim_end_matches('/').to_owned(),
            ..Self::local(port, dialect)
        })
    }

    #[must_use]
    pub fn conversations(&self) -> String {
        let api = match self.dialect {
            Dialect::Openhands => "/api",
            Dialect::Readme => "",
        };
        format!("{}{api}/conversations", self.base)
    }

    #[must_use]
    pub fn conversation(&self, id: &str) -> String {
        format!("{}/{id}", self.conversations())
    }

    #[must_use]
    pub fn events(&self, id: &str) -> String {
        format!("{}/{id}/events", self.conversations())
    }

    #[must_use]
    pub fn socket(&self, id: &str) -> String {
        match self.dialect {
            Dialect::Openhands => format!("{}/sockets/events/{id}", self.base),
            Dialect::Readme => format!("{}/{id}/events/socket", self.conversations()),
        }
    }

    /// The header that shows the key, with its line end; empty without a key.
    #[must_use]
    pub fn key_header(&self) -> String {
        match (&self.key, self.dialect) {
            (None, _) => String::new(),
            (Some(key), Dialect::Openhands) => format!("x-session-api-key: {key}\r\n"),
            (Some(key), Dialect::Readme) => format!("authorization: Bearer {key}\r\n"),
        }
    }

    /// The body that starts a conversation whose agent has no tools.
    #[must_use]
    pub fn new_conversation(&self) -> Value {
        json!({
            "agent": {
                "kind": "Agent",
                "llm": {"model": self.model, "api_key": "none", "usage_id": "load"},
                "tools": [],
            },
            "workspace": {"kind": "LocalWorkspace", "working_dir": "workspace/project"},
        })
    }
}
