use super::*;

#[test]
fn hosts_are_read_strictly() {
    for (text, host, port) in [
        ("LocalHost:80", "localhost", Some(80)),
        ("agents.example.com.", "agents.example.com", None),
        ("agent_server:8000", "agent_server", Some(8000)),
    ] {
        let expected = Authority {
            host: Host::Name(host.to_owned()),
            port,
        };
        assert_eq!(Authority::parse(text), Some(expected), "{text}");
    }
    for (text, address) in [
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8", "::1"),
    ] {
        let host = Host::Address(address.parse().unwrap());
        assert_eq!(Authority::parse(text).unwrap().host, host, "{text}");
    }
    for text in [
        "",
        ".",
        "..",
        ":",
        ":80",
        "a:",
        "a:0",
        "a:65536",
        "a:+1",
        "a:1:2",
        "a..b",
        ".a",
        "a..",
        "localhost@evil",
        "a@localhost",
        "localhost/",
        "localhost ",
        " localhost",
        "localhost#",
        "localhost?",
        "localhost\\",
        "localhost%2e",
        "::1",
        "[::1",
        "[::1]x",
        "[::1%25lo]",
        "[127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.0.0.1.",
        "a,b",
        "bücher.example",
        "*",
        "*.example.com",
    ] {
        assert_eq!(Authority::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_pattern_means_one_host_or_all_below_it() {
    let matches = |pattern: &str, text: &str| {
        let pattern = HostPattern::parse(pattern).unwrap();
        pattern.matches(&Authority::parse(text).unwrap())
    };
    for (pattern, text) in [
        ("Agents.Example.com", "agents.example.com:8000"),
        ("agents.example.com:8000", "AGENTS.example.com.:8000"),
        ("agents.example.com:443", "agents.example.com"),
        ("*.example.com", "a.example.com"),
        ("*.example.com", "a.b.example.com:1"),
        ("*.example.com:8000", "a.example.com:8000"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.bücher.example:8000", "a.xn--bcher-kva.example:8000"),
        ("[::1]", "[0:0::1]:80"),
    ] {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [
        ("agents.example.com:8000", "agents.example.com:8001"),
        ("agents.example.com:8000", "agents.example.com"),
        ("*.example.com", "example.com"),
        ("*.example.com", "evilexample.com"),
        ("*.example.com", "a.example.com.evil"),
        ("example.com", "a.example.com"),
    ] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
    for pattern in [
        "*",
        "*.",
        "a.*.b",
        "**.a",
        "*a.b",
        "*.127.0.0.1",
        "*.[::1]",
        "http://a",
    ] {
        assert_eq!(HostPattern::parse(pattern), None, "{pattern}");
    }
}
