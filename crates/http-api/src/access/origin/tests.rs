use proptest::{prelude::*, sample::select};

use super::*;

fn allows(pattern: &str, origin: &str) -> bool {
    let pattern = OriginPattern::parse(pattern).unwrap();
    Origin::parse(origin).is_some_and(|origin| pattern.matches(&origin))
}

#[test]
fn a_named_origin_is_matched_with_its_port_and_nothing_else_is() {
    for (pattern, origin) in [
        ("https://Your-Frontend.com/", "https://your-frontend.com"),
        ("https://a.test", "https://a.test:443"),
        ("https://a.test:443", "https://a.test"),
        ("http://app.test:8080", "http://app.test:8080"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("http://10.0.0.1", "http://10.0.0.1"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://*.example.com", "https://a.example.com"),
        ("https://*.example.com:8443", "https://a.b.example.com:8443"),
        ("tauri://localhost", "tauri://localhost"),
        ("Capacitor://Localhost/", "capacitor://localhost"),
        ("vscode-webview://*", "vscode-webview://1c2d3e4f-0000-aaaa"),
        ("vscode-webview://1b0a", "vscode-webview://1b0a"),
        (
            "chrome-extension://abcdefghijklmnop",
            "chrome-extension://abcdefghijklmnop",
        ),
        ("app://-", "app://-"),
        ("null", "null"),
        ("*", "https://any.example"),
        ("*", "tauri://localhost"),
    ] {
        assert!(allows(pattern, origin), "{pattern} {origin}");
    }
    for (pattern, origin) in [
        ("https://a.test", "http://a.test"),
        ("https://a.test", "https://a.test:444"),
        ("http://app.test:8080", "http://app.test"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "http://a.example.com"),
        ("https://*.example.com", "https://a.example.com:8443"),
        ("https://*.example.com", "https://evilexample.com"),
        ("https://*.example.com", "https://a.example.com.evil.test"),
        ("https://*.example.com", "https://evil.test/.example.com"),
        ("https://*.example.com", "https://evil.test#.example.com"),
        ("https://*.example.com", "https://evil.test\\.example.com"),
        ("https://*.example.com", "https://x@evil.test:.example.com"),
        ("vscode-webview://*", "vscode-webview-evil://a"),
        ("vscode-webview://*", "https://vscode-webview"),
        ("tauri://localhost", "tauri://localhost.evil"),
        ("tauri://localhost", "tauri://localhost:1"),
        ("*", "null"),
        ("null", "https://null"),
        ("*", "https://a.test/path"),
        ("*", "https://a.test, https://b.test"),
        ("*", ""),
    ] {
        assert!(!allows(pattern, origin), "{pattern} {origin}");
    }
}

#[test]
fn local_are_pages_of_loopback_names_and_addresses_only() {
    let local = |text: &str| Origin::parse(text).is_some_and(|origin| origin.is_local());
    for origin in [
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "http://127.1.2.3",
        "http://[::1]:3000",
        "http://tauri.localhost",
        "https://a.b.localhost:1",
    ] {
        assert!(local(origin), "{origin}");
    }
    for origin in [
        "http://localhost.evil.com",
        "http://evil.com/localhost",
        "http://localhost@evil.com",
        "http://127.0.0.1.evil.com:3000",
        "http://evillocalhost",
        "ftp://localhost",
        "tauri://localhost",
        "null",
        "",
        "http://[::2]",
        "http://10.0.0.1",
    ] {
        assert!(!local(origin), "{origin}");
    }
}

#[test]
fn what_can_match_no_page_is_refused_with_what_to_write() {
    for (pattern, instead) in [
        ("example.com", "write `https://example.com`"),
        ("*.example.com:1", "write `https://*.example.com:1`"),
        ("https://example.com/app", "write `https://example.com`"),
        ("https://example.com?x=1", "write `https://example.com`"),
        ("https://user@example.com", "write `https://example.com`"),
        ("wss://example.com", "write `https://example.com`"),
        ("ws://example.com:8000/x", "write `http://example.com:8000`"),
        ("https://*", "write `*`"),
        ("file:///home/me/page.html", "write `null`"),
        ("tauri://localhost/index.html", "write `tauri://localhost`"),
        ("http://app.test:*", "allow_cors_origin_regex"),
        ("https://a.*.example.com", "allow_cors_origin_regex"),
        ("https://*example.com", "allow_cors_origin_regex"),
        ("http://a.test:99999", "allow_cors_origin_regex"),
        ("http://", "such as"),
        ("tauri://", "such as"),
        ("no origin", "such as"),
        ("about:blank", "such as"),
        ("", "such as"),
    ] {
        let refused = OriginPattern::parse(pattern).unwrap_err();
        assert!(refused.contains(instead), "{pattern}: {refused}");
    }
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9]{1,8}(-[a-z0-9]{1,4})?(\\.[a-z]{1,6}){1,3}",
        "10\\.[1-9]\\.[1-9]\\.[1-9]",
        Just("[fd00::7]".to_owned()),
        Just("localhost".to_owned()),
    ]
}

fn port() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (1_u16..=u16::MAX).prop_map(|port| format!(":{port}"))
    ]
}

proptest! {
    /// However a pattern is derived from an origin, what is accepted matches that origin.
    #[test]
    fn what_is_accepted_matches_what_it_was_derived_from(
        scheme in select(vec!["http", "https", "tauri", "vscode-webview", "chrome-extension"]),
        host in host(),
        port in port(),
        change in 0..6,
    ) {
        let origin = format!("{scheme}://{host}{port}");
        let below = host.split_once('.').map_or("", |(_, below)| below);
        let pattern = match change {
            0 => origin.clone(),
            1 => format!("{origin}/"),
            2 => origin.to_uppercase(),
            3 => format!("{scheme}://*.{below}{port}"),
            4 => format!("{scheme}://*"),
            _ => format!(" {origin} "),
        };
        if let Ok(pattern) = OriginPattern::parse(&pattern) {
            prop_assert!(pattern.matches(&Origin::parse(&origin).unwrap()), "{} {}", origin, change);
        } else {
            prop_assert!((3..=4).contains(&change), "{} is refused", pattern);
        }
    }

    /// Whatever is accepted, there is a page that it lets in.
    #[test]
    fn nothing_that_is_accepted_lets_nobody_in(
        text in prop_oneof![
            "[a-zA-Z]{1,6}://[*.a-z0-9:@/\\[\\]-]{1,12}",
            "[*a-z0-9.:/]{0,16}",
            "\\PC{0,16}",
        ],
    ) {
        if let Ok(pattern) = OriginPattern::parse(&text) {
            let page = match text.trim().trim_end_matches('/') {
                "*" => "https://a.test".to_owned(),
                exact => exact.replace('*', "a"),
            };
            // A browser writes names in ASCII.
            if page.is_ascii() {
                let origin = Origin::parse(&page);
                prop_assert!(origin.is_some_and(|origin| pattern.matches(&origin)), "{}", page);
            }
        }
    }
}
