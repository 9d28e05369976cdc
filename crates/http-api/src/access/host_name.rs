//! Hosts as `Host` headers, origins and settings write them, read strictly: a doubtful text is not a
//! host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MAX_NAME_CHARS: usize = 253;
const MAX_LABEL_CHARS: usize = 63;

/// A host, and the port if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In lower case, without a dot at its end.
    Name(String),
    Address(IpAddr),
}

/// Which hosts are meant: one, or with `*.` before its name all below it, but not the name itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern {
    below: bool,
    host: Host,
    /// None: any.
    port: Option<u16>,
}

impl Authority {
    /// `name`, `name:8000`, `127.0.0.1:8000`, `[::1]:8000`. None for anything else, such as a user
    /// before the name, a path behind it, or an address in other forms than the usual.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                let port = match rest {
                    "" => None,
                    _ => Some(rest.strip_prefix(':')?),
                };
                (Host::Address(address.into()), port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (Host::parse(host)?, Some(port)),
                None => (Host::parse(text)?, None),
            },
        };
        let port = match port {
            Some(digits) => Some(port_of(digits)?),
            None => None,
        };
        Some(Self { host, port })
    }
}

impl Host {
    /// A name, or an IPv4 address.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_label =
            |label: &str| (1..=MAX_LABEL_CHARS).contains(&label.len()) && label.chars().all(plain);
        // `127.1` and `2130706433` are addresses to some programs.
        let last = name.rsplit('.').next().unwrap_or_default();
        let numeric = last.chars().all(|c| c.is_ascii_digit()) || is_hex(last);
        let fits = name.len() <= MAX_NAME_CHARS && name.split('.').all(is_label) && !numeric;
        fits.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// `localhost`, what is below it, and the loopback addresses of both families.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }
}

impl HostPattern {
    /// `agents.example.com`, `*.example.com`, each also with a port.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let Authority { host, port } = Authority::parse(&ascii(rest)?)?;
        let sensible = !below || matches!(host, Host::Name(_));
        sensible.then_some(Self { below, host, port })
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same for any port.
    pub(crate) fn any_port(self) -> Self {
        Self { port: None, ..self }
    }

    /// Where the pattern has a port, an authority without one is on the usual port of its scheme,
    /// which a `Host` does not say.
    pub(crate) fn matches(&self, authority: &Authority) -> bool {
        self.matches_host(&authority.host)
            && match (self.port, authority.port) {
                (None, _) => true,
                (Some(wanted), Some(port)) => wanted == port,
                (Some(wanted), None) => matches!(wanted, 80 | 443),
            }
    }

    pub(crate) fn matches_host(&self, host: &Host) -> bool {
        match (&self.host, host) {
            (Host::Name(wanted), Host::Name(name)) if self.below => name
                .strip_suffix(wanted.as_str())
                .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.')),
            (wanted, host) => wanted == host,
        }
    }
}

/// As it goes over the wire: `bücher.example` is `xn--bcher-kva.example` there.
fn ascii(text: &str) -> Option<String> {
    if text.is_ascii() {
        return Some(text.to_owned());
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let name = url::Host::parse(name).ok()?;
    Some(match port {
        Some(port) => format!("{name}:{port}"),
        None => name.to_string(),
    })
}

fn port_of(digits: &str) -> Option<u16> {
    let plain = digits.chars().all(|c| c.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port > 0)
}

fn is_hex(label: &str) -> bool {
    let label = label.to_ascii_lowercase();
    label
        .strip_prefix("0x")
        .is_some_and(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
