//! By which hosts the server is called. A web page of any name can have its name lead to this machine
//! (DNS rebinding); the browser then takes the server for the page's own. What gives it away is
//! `Host`: it has the page's name, which is none of ours.

use actix_web::{
    dev::RequestHead,
    http::{Version, header},
};

use crate::{
    configure::{HostCheck, HostConfig},
    error::{ApiError, Failure},
    host_name::{Authority, Host, HostPattern},
};

/// The hosts that are ours beside loopback names and addresses, and who is asked for one.
pub(crate) struct Hosts {
    machine: Vec<String>,
    allowed: Vec<HostPattern>,
    check: HostCheck,
}

impl Hosts {
    /// # Errors
    /// When an allowed host is none.
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

    /// Refuses what comes by a host that is not ours, if its client is one that is asked.
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

    /// The name, if it is none of ours. Nobody can have an address lead elsewhere.
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

/// Whether a browser sends this, on behalf of a page or a person. A page can leave none of these out
/// in all browsers; what a page reads from its own origin has, on plain HTTP, only the last.
/// Node's `fetch` sends `Sec-Fetch-Mode`, alone, and is no browser.
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

/// What to write in the place of a host that is none.
fn advice(text: &str) -> String {
    let name = text.split_once("://").map_or(text, |(_, rest)| rest);
    let name = name.split(['/', '?', '#']).next().unwrap_or_default();
    if name != text && HostPattern::parse(name).is_some() {
        return format!("`{text}` is no host: write `{name}`");
    }
    format!("`{text}` is no host: write a name such as `agents.example.com`, or `*.example.com`")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn hosts(allowed: &[&str], check: HostCheck) -> Hosts {
        let allowed = allowed.iter().map(|host| (*host).to_owned()).collect();
        Hosts::new(&HostConfig { allowed, check }).unwrap()
    }

    fn judged(hosts: &Hosts, request: TestRequest) -> &'static str {
        match hosts.check(request.to_srv_request().head()) {
            Ok(()) => "served",
            Err(Failure::ForeignHost(_)) => "foreign",
            Err(Failure::BadHost) => "bad",
            Err(other) => panic!("{other:?}"),
        }
    }

    fn called(host: &str) -> TestRequest {
        TestRequest::get().insert_header((header::HOST, host))
    }

    #[test]
    fn loopback_names_addresses_the_machine_and_allowed_hosts_are_ours() {
        let hosts = hosts(
            &["agents.example.com", "*.ts.example"],
            HostCheck::EveryClient,
        );
        let machine = names_of_machine();
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "app.localhost:8000",
            "localhost.:1",
            "127.0.0.1:8000",
            "127.9.9.9",
            "[::1]:8000",
            "10.0.0.7:8000",
            "192.168.1.2",
            "[fe80::1]:8000",
            "agents.example.com",
            "agents.example.com:8443",
            "a.b.ts.example",
        ] {
            assert_eq!(judged(&hosts, called(host)), "served", "{host}");
        }
        for host in &machine {
            assert_eq!(judged(&hosts, called(host)), "served", "{host}");
        }
        for host in [
            "attacker.example:8000",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "evillocalhost",
            "ts.example",
            "agents.example.com.attacker.example",
            "agent-server:8000",
        ] {
            assert_eq!(judged(&hosts, called(host)), "foreign", "{host}");
        }
        for host in [
            "",
            "localhost@attacker.example",
            "localhost:x",
            "localhost, a",
            "2130706433",
        ] {
            assert_eq!(judged(&hosts, called(host)), "bad", "{host:?}");
        }
    }

    #[test]
    fn there_is_one_host_and_the_request_line_counts_too() {
        let hosts = hosts(&[], HostCheck::EveryClient);
        let both = TestRequest::get()
            .append_header((header::HOST, "localhost"))
            .append_header((header::HOST, "localhost"));
        assert_eq!(judged(&hosts, both), "bad");
        assert_eq!(judged(&hosts, TestRequest::get()), "bad");
        let old = || TestRequest::get().version(Version::HTTP_10);
        assert_eq!(judged(&hosts, old()), "served");
        assert_eq!(
            judged(&hosts, old().insert_header(("origin", "null"))),
            "bad"
        );
        for (line, host, expected) in [
            ("http://attacker.example/", "localhost", "foreign"),
            ("http://localhost/", "attacker.example", "foreign"),
            ("http://localhost:8000/", "localhost:8000", "served"),
        ] {
            assert_eq!(
                judged(&hosts, called(host).uri(line)),
                expected,
                "{line} {host}"
            );
        }
        assert_eq!(
            judged(&hosts, TestRequest::get().uri("http://attacker.example/")),
            "foreign"
        );
    }

    #[test]
    fn where_others_reach_the_server_only_browsers_are_asked() {
        let hosts = hosts(&[], HostCheck::Browsers);
        let service = || called("agent-server:8000");
        assert_eq!(judged(&hosts, service()), "served");
        assert_eq!(judged(&hosts, called("localhost@x")), "served");
        // Node's `fetch`.
        let node = service()
            .insert_header(("sec-fetch-mode", "cors"))
            .insert_header(("user-agent", "node"));
        assert_eq!(judged(&hosts, node), "served");
        for header in [
            ("origin", "http://agent-server:8000"),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-dest", "document"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ] {
            assert_eq!(
                judged(&hosts, service().insert_header(header)),
                "foreign",
                "{header:?}"
            );
            let ours = called("localhost:8000").insert_header(header);
            assert_eq!(judged(&hosts, ours), "served", "{header:?}");
        }
    }

    #[test]
    fn what_is_no_host_is_said_with_what_to_write() {
        for (text, advice) in [
            ("https://agents.example.com/", "write `agents.example.com`"),
            ("*", "write a name such as"),
            ("", "write a name such as"),
            ("a b", "write a name such as"),
        ] {
            let allowed = vec!["ok.example".to_owned(), text.to_owned()];
            let config = HostConfig {
                allowed,
                check: HostCheck::default(),
            };
            let refused = Hosts::new(&config).err().unwrap().to_string();
            assert!(refused.starts_with("allowed_hosts[1]: "), "{refused}");
            assert!(refused.contains(advice), "{refused}");
        }
    }
}
