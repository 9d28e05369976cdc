use actix_web::test::TestRequest;

use super::*;

fn origins(named: &[&str], pattern: Option<&str>) -> Origins {
    Origins::new(&CorsConfig {
        origins: named.iter().map(|origin| (*origin).to_owned()).collect(),
        origin_regex: pattern.map(str::to_owned),
    })
    .unwrap()
}

#[test]
fn a_pattern_matches_the_whole_origin() {
    let origins = origins(&[], Some(r"https://[a-z]+\.example\.com|https://x\.test"));
    assert!(origins.allow("https://app.example.com"));
    assert!(origins.allow("https://x.test"));
    assert!(!origins.allow("https://app.example.com.evil.com"));
    assert!(!origins.allow("https://evil.com/?https://x.test"));
}

#[test]
fn null_is_allowed_by_its_name_only() {
    assert!(!origins(&["*"], Some(".*")).allow("null"));
    assert!(origins(&["null"], None).allow("null"));
}

#[test]
fn a_bad_configuration_is_named() {
    let refused = |origins: &[&str], regex: Option<&str>| {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let origin_regex = regex.map(str::to_owned);
        let config = CorsConfig {
            origins,
            origin_regex,
        };
        Origins::new(&config).err().unwrap().to_string()
    };
    let message = refused(&["null", "example.com"], None);
    assert!(
        message.starts_with("allow_cors_origins[1]: `example.com` is"),
        "{message}"
    );
    // The last is one until it is anchored.
    for pattern in ["(", "(?x) https://a # a"] {
        let message = refused(&[], Some(pattern));
        assert!(
            message.starts_with("allow_cors_origin_regex: `"),
            "{message}"
        );
    }
}

#[test]
fn a_page_is_our_own_by_its_scheme_and_whole_address() {
    let origins = origins(&[], None);
    let check = |origin: &str, host: &str| {
        let request = TestRequest::post()
            .insert_header((header::ORIGIN, origin.to_owned()))
            .insert_header((header::HOST, host.to_owned()));
        origins.check(request.to_srv_request().head()).is_ok()
    };
    assert!(check("http://box.local:8000", "box.local:8000"));
    assert!(check("https://agents.example.com", "Agents.example.com"));
    for (origin, host) in [
        ("http://box.local:8001", "box.local:8000"),
        ("evil://box.local:8000", "box.local:8000"),
        ("null", ""),
        ("null", "null"),
        ("http://", ""),
        ("http://a@b", "a@b"),
    ] {
        assert!(!check(origin, host), "{origin} {host}");
    }
}

#[test]
fn foreign_pages_may_look_but_not_act() {
    let origins = origins(&[], None);
    let check = |request: TestRequest| {
        let request = request.insert_header((header::ORIGIN, "https://evil.example"));
        origins.check(request.to_srv_request().head())
    };
    assert!(check(TestRequest::get()).is_ok());
    assert!(matches!(
        check(TestRequest::post()),
        Err(Failure::ForeignOrigin)
    ));
    let socket = TestRequest::get()
        .insert_header((header::UPGRADE, "websocket"))
        .insert_header((header::CONNECTION, "Upgrade"));
    assert!(matches!(check(socket), Err(Failure::ForeignOrigin)));
    let preflight = TestRequest::default().method(Method::OPTIONS);
    assert!(matches!(check(preflight), Err(Failure::ForeignPreflight)));
    let own = TestRequest::post().insert_header((header::HOST, "evil.example"));
    assert!(check(own).is_ok());
    assert!(
        origins
            .check(TestRequest::post().to_srv_request().head())
            .is_ok()
    );
}
