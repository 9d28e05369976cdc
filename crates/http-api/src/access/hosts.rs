//! Which hosts requests are sent to. A web page of any name can have its name resolve to this machine
//! (DNS rebinding); the browser then treats the server as the page's own. `Host` reveals that: it has
//! the page's name, which is not one of ours.

use actix_web::{
    dev::RequestHead,
    http::{Version, header},
};

use super::host_name::{Authority, Host, HostPattern};
use crate::{
    config::{HostCheck, HostConfig},
    error::ApiError,
    failure::Failure,
};

/// The hosts that are ours besides loopback names and addresses, and whose requests are checked.
pub(crate) struct Hosts {
    machine: Vec<String>,
    allowed: Vec<HostPattern>,
    check: HostCheck,
}

impl Hosts {
    /// # Errors
    /// When an allowed host is not a valid one.
    pub(crate) fn new(config: &HostConfig) -> Result<Self, ApiError> {
        let allowed = config.allowed.iter().enumerate().map(|(index, text)| {
            HostPattern::parse(text).ok_or_else(|| ApiError::Setting {
                setting: format!("allowed_hosts[{index}]"),
                reason: advice(text),
            })
        });
        Ok(Self {
            machine: names_of_machine(),
            allowed: allowed.collect::<Result<_, _>>()?,
            check: config.check,
        })
    }

    /// Refuses a request that was sent to a host that is not ours, if its client is one that is checked.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn check(&self, head: &RequestHead) -> Result<(), Failure> {
        let by_browser = is_by_browser(head);
        if self.check == HostCheck::Browsers && !by_browser {
            return Ok(());
        }
        let headers: Vec<_> = head.headers().get_all(header::HOST).collect();
        let headers = match headers.as_slice() {
            [] if head.uri.authority().is_some() => None,
            // Older than the header, and than any browser in use.
            [] if head.version < Version::HTTP_11 && !by_browser => return Ok(()),
            [host] => Some(host.to_str().map_err(|_| Failure::BadHost)?),
            [] | [_, _, ..] => return Err(Failure::BadHost),
        };
        // A whole address in the request line counts; what a proxy sends has both.
        let target = head.uri.authority().map(|authority| authority.as_str());
        for text in headers.into_iter().chain(target) {
            let authority = Authority::parse(text).ok_or(Failure::BadHost)?;
            if let Some(name) = self.foreign_name(&authority) {
                return Err(Failure::ForeignHost(name.to_owned()));
            }
        }
        Ok(())
    }

    /// The name, if it is not one of ours. Nobody can make an address lead elsewhere.
    fn foreign_name<'a>(&self, authority: &'a Authority) -> Option<&'a str> {
        let Host::Name(name) = &authority.host else {
            return None;
        };
        let ours = authority.host.is_loopback()
            || self.machine.contains(name)
            || self
                .allowed
                .iter()
                .any(|pattern| pattern.matches(authority));
        (!ours).then_some(name)
    }
}

/// Whether a browser sends this, on behalf of a page or a person. A page cannot leave out all of these
/// in any browser; what a page reads from its own origin has, on plain HTTP, only the last.
/// Node's `fetch` sends `Sec-Fetch-Mode` alone, and is not a browser.
fn is_by_browser(head: &RequestHead) -> bool {
    let headers = head.headers();
    [
        "origin",
        "sec-fetch-site",
        "sec-fetch-dest",
        "sec-fetch-user",
    ]
    .into_iter()
    .any(|name| headers.contains_key(name))
        || headers
            .get(header::USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}

/// The machine's name, and what it is called on its local network.
fn names_of_machine() -> Vec<String> {
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    let Some(Authority {
        host: Host::Name(name),
        ..
    }) = name.as_deref().and_then(Authority::parse)
    else {
        return Vec::new();
    };
    let first = name.split('.').next().unwrap_or_default();
    vec![first.to_owned(), format!("{first}.local"), name]
}

/// What to write instead of a text that is not a host.
fn advice(text: &str) -> String {
    let name = text.split_once("://").map_or(text, |(_, rest)| rest);
    let name = name.split(['/', '?', '#']).next().unwrap_or_default();
    if name != text && HostPattern::parse(name).is_some() {
        return format!("`{text}` is not a host: write `{name}`");
    }
    format!("`{text}` is not a host: write a name such as `agents.example.com`, or `*.example.com`")
}

#[cfg(test)]
mod tests;
