//! Keeps requests away from link-local addresses: clouds hand out a machine's credentials there.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use url::{Host, Url};

/// Metadata services that are elsewhere.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// A name that leads to an address which requests must not go to.
#[derive(Debug, Error)]
#[error("its name leads to a link-local address")]
pub(crate) struct ForbiddenAddress;

/// Whether an address is written out in the URL and must not be asked.
pub(crate) fn is_forbidden_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_forbidden(address.into()),
        Some(Host::Ipv6(address)) => is_forbidden(address.into()),
        Some(Host::Domain(_)) | None => false,
    }
}

/// Looks names up with `inner`, and refuses those of which any address must not be asked. It works
/// where connections are made, so that the addresses it saw are the ones that are used.
pub(crate) struct Guard(pub(crate) Arc<dyn Resolve>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.resolve(name);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = found.await?.collect();
            if addresses.iter().any(|address| is_forbidden(address.ip())) {
                return Err(ForbiddenAddress.into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// The operating system's way to look names up.
pub(crate) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: io::Result<Vec<SocketAddr>> = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map(Iterator::collect);
            let addresses: Addrs = Box::new(found?.into_iter());
            Ok(addresses)
        })
    }
}

fn is_forbidden(address: IpAddr) -> bool {
    if METADATA.contains(&address) {
        return true;
    }
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            let carried = carried(address);
            address.is_unicast_link_local() || carried.into_iter().any(|v4| is_forbidden(v4.into()))
        }
    }
}

/// The IPv4 addresses that an IPv6 address may stand for: mapped or compatible, behind a
/// translator (NAT64, RFC 6052 and 8215), or in a tunnel (6to4).
fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => vec![v4(a, b)],
        // A prefix of 48 bits has the address around bits that are zero; a longer one at the end.
        [0x64, 0xff9b, 1, a, b, c, d, e] => {
            vec![v4(a, (b << 8) | (c >> 8)), v4(d, e)]
        }
        [0x2002, a, b, ..] => vec![v4(a, b)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN: [&str; 18] = [
        "192.0.0.192",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.0.0",
        "169.254.255.255",
        "100.100.100.200",
        "fe80::1",
        "febf:ffff::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:100.100.100.200",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2002:a9fe:a9fe::1",
        "::ffff:a9fe:1",
    ];

    const FINE: [&str; 12] = [
        "127.0.0.1",
        "10.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "100.100.100.100",
        "::1",
        "fec0::1",
        "fd00:ec2::253",
        "::ffff:10.0.0.1",
        "64:ff9b::8.8.8.8",
        "2002:a00:1::",
        "2001:db8::a9fe:a9fe",
    ];

    #[test]
    fn link_local_and_metadata_addresses_are_forbidden_in_every_form() {
        for text in FORBIDDEN {
            assert!(is_forbidden(text.parse().unwrap()), "{text}");
        }
        for text in FINE {
            assert!(!is_forbidden(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn addresses_in_urls_are_seen_through_their_spellings() {
        for (url, forbidden) in [
            ("http://169.254.169.254/latest", true),
            ("http://169.254.169.254./latest", true),
            ("http://0xA9FEA9FE/", true),
            ("http://2852039166/", true),
            ("http://0251.0376.0251.0376/", true),
            ("https://[::ffff:169.254.169.254]:8443/", true),
            ("http://[fe80::1]/", true),
            ("http://127.0.0.1:8000/", false),
            ("http://metadata.example/", false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(is_forbidden_host(&parsed), forbidden, "{url}");
        }
    }

    /// Finds what it is told.
    struct Fixed(&'static [&'static str]);

    impl Resolve for Fixed {
        fn resolve(&self, _: Name) -> Resolving {
            let addresses = self
                .0
                .iter()
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Box::pin(async move { Ok(addresses) })
        }
    }

    async fn resolved(inner: impl Resolve + 'static, name: &str) -> Result<Vec<String>, String> {
        let found = Guard(Arc::new(inner)).resolve(name.parse().unwrap()).await;
        match found {
            Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
            Err(error) => {
                assert!(error.is::<ForbiddenAddress>(), "{error}");
                Err(error.to_string())
            }
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_for_any_of_its_addresses() {
        let refused = Err(ForbiddenAddress.to_string());
        let both = Fixed(&["203.0.113.7", "169.254.169.254"]);
        assert_eq!(resolved(both, "h.example").await, refused);
        assert_eq!(resolved(Fixed(&["fe80::1"]), "h.example").await, refused);
        let fine = Fixed(&["203.0.113.7", "2001:db8::1"]);
        assert_eq!(
            resolved(fine, "h.example").await,
            Ok(vec!["203.0.113.7".to_owned(), "2001:db8::1".to_owned()])
        );
    }

    #[tokio::test]
    async fn the_systems_answers_pass_the_guard() {
        assert_eq!(
            resolved(System, "127.0.0.1").await,
            Ok(vec!["127.0.0.1".to_owned()])
        );
        let refused = Err(ForbiddenAddress.to_string());
        assert_eq!(resolved(System, "169.254.169.254").await, refused);
    }
}
