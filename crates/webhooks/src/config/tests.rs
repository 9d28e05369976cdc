use serde_json::{Value, json};

use super::*;

fn read(value: Value) -> Result<WebhookConfig, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn no_variables(_: &str) -> Option<String> {
    None
}

const HOOK: &str = "https://user:pass@h.example/x/?token=hush#part";

#[test]
fn the_readme_example_is_read() {
    let config = read(json!({
        "webhook_url": "https://your-webhook-endpoint.com/events",
        "method": "PUT",
        "event_buffer_size": 3,
        "num_retries": 1,
        "retry_delay": 0.5,
        "headers": {"Authorization": "Bearer your-webhook-token"}
    }))
    .unwrap();
    let expected = WebhookConfig {
        method: Method::Put,
        event_buffer_size: count(3),
        num_retries: 1,
        retry_delay: Duration::from_millis(500),
        headers: BTreeMap::from([(
            "Authorization".to_owned(),
            "Bearer your-webhook-token".into(),
        )]),
        ..WebhookConfig::new(url("https://your-webhook-endpoint.com/events"))
    };
    assert_eq!(config, expected);
}

#[test]
fn each_form_has_its_defaults() {
    let readme = read(json!({"webhook_url": "http://localhost:9/x"})).unwrap();
    let shared = WebhookConfig {
        target: Target::Url(url("http://localhost:9/x")),
        method: Method::Post,
        name: None,
        secret: None,
        headers: BTreeMap::new(),
        kinds: BTreeSet::new(),
        conversations: BTreeSet::new(),
        event_buffer_size: count(10),
        flush_delay: Duration::from_secs(5),
        max_batch_bytes: 5 * 1024 * 1024,
        timeout: Duration::from_secs(30),
        max_in_flight: count(8),
        num_retries: 3,
        retry_delay: Duration::from_secs(5),
        on_exhausted: OnExhausted::Park,
        start: Start::Now,
        allow_link_local: false,
    };
    assert_eq!(readme, shared);
    let base = read(json!({"base_url": "http://localhost:9/hooks", "method": null})).unwrap();
    let expected = WebhookConfig {
        target: Target::Base(url("http://localhost:9/hooks")),
        event_buffer_size: count(5),
        flush_delay: Duration::from_secs(30),
        ..shared
    };
    assert_eq!(base, expected);
    assert_eq!(readme.form(), WebhookForm::WebhookUrl);
    assert_eq!(base.form(), WebhookForm::BaseUrl);
}

#[test]
fn every_key_is_read_and_written_so_that_it_reads_the_same() {
    let dashed = "0b5a1c7e-8a55-4b7c-9f43-0a1b2c3d4e5f";
    let entry = json!({
        "name": "audit trail",
        "webhook_url": "http://h.example/x",
        "method": "PATCH",
        "headers": {"X-A": "${A} $${B}"},
        "secret": "${SECRET}",
        "kinds": ["MessageEvent"],
        "conversations": [dashed, "0b5a1c7e8a554b7c9f430a1b2c3d4e5f"],
        "event_buffer_size": 7,
        "flush_delay": 1.5,
        "max_batch_bytes": 1024,
        "timeout": 2,
        "max_in_flight": 3,
        "num_retries": 0,
        "retry_delay": 0,
        "on_exhausted": "drop",
        "start": "beginning",
        "allow_link_local": true,
        // Read and without effect.
        "max_queue_size": 1000,
        "max_queue_bytes": 1000,
    });
    let config = read(entry).unwrap();
    assert_eq!(
        config.conversations,
        BTreeSet::from([dashed.parse().unwrap()])
    );
    assert_eq!(config.kinds, BTreeSet::from(["MessageEvent".to_owned()]));
    assert_eq!(config.on_exhausted, OnExhausted::Drop);
    assert_eq!(config.start, Start::Beginning);
    assert!(config.allow_link_local);
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(written["headers"]["X-A"], "${A} $${B}");
    assert_eq!(written["conversations"], json!([dashed]));
    assert_eq!(read(written), Ok(config));
}

#[test]
fn every_key_is_written() {
    let written = serde_json::to_string(&WebhookConfig::new(url("http://h/"))).unwrap();
    let expected = r#"{"name":null,"webhook_url":"http://h/","base_url":null,"method":"POST","#
        .to_owned()
        + r#""headers":{},"secret":null,"kinds":[],"conversations":[],"event_buffer_size":10,"#
        + r#""flush_delay":5.0,"max_batch_bytes":5242880,"timeout":30.0,"max_in_flight":8,"#
        + r#""num_retries":3,"retry_delay":5.0,"on_exhausted":"park","start":"now","#
        + r#""allow_link_local":false}"#;
    assert_eq!(written, expected);
}

#[test]
fn numbers_may_be_texts_and_whole_numbers_may_have_a_point() {
    let config = read(json!({
        "base_url": "http://h/",
        "event_buffer_size": "7",
        "num_retries": 2.0,
        "flush_delay": "2.5",
        "max_batch_bytes": "4096"
    }))
    .unwrap();
    let expected = WebhookConfig {
        event_buffer_size: count(7),
        num_retries: 2,
        flush_delay: Duration::from_millis(2500),
        max_batch_bytes: 4096,
        ..WebhookConfig::below(url("http://h/"))
    };
    assert_eq!(config, expected);
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let hook = "webhook_url";
    for (key, value, reason) in [
        (hook, Value::Null, "needs a `webhook_url` or a `base_url`"),
        ("base_url", json!("http://h/"), "both `webhook_url` and"),
        (hook, json!("ftp://x/y"), "an http:// or https:// URL"),
        (hook, json!("not a url"), "an http:// or https:// URL"),
        (hook, json!("http://h/${TOKEN}"), "URL without `${…}`"),
        (hook, json!("http://169.254.169.254/"), "link-local address"),
        (hook, json!("http://[fe80::1]/"), "`allow_link_local`"),
        ("method", json!("GET"), "unknown variant `GET`"),
        ("event_buffer_size", json!(0), "whole number, one or more"),
        ("event_buffer_size", json!(1.5), "whole number, one or more"),
        ("max_in_flight", json!("many"), "whole number, one or more"),
        ("max_batch_bytes", json!(0), "whole number, one or more"),
        ("num_retries", json!(-1), "a whole number, zero or more"),
        ("num_retries", json!(5_000_000_000_u64), "a whole number"),
        ("num_retries", json!(true), "a whole number"),
        ("retry_delay", json!(-1), "seconds, zero to 86400"),
        ("flush_delay", json!(86401), "seconds, zero to 86400"),
        ("flush_delay", json!("NaN"), "seconds, zero to 86400"),
        ("timeout", json!(0), "`timeout` is more than zero"),
        ("headers", json!({"a b": "c"}), "`a b` is not a valid name"),
        ("headers", json!({"": "c"}), "`` is not a valid name"),
        ("headers", json!({"Content-Length": "1"}), "made for each"),
        ("headers", json!({"Webhook-Id": "1"}), "made for each"),
        ("name", json!(""), "`name` is 1 to 64 characters"),
        ("name", json!(" "), "`name` is 1 to 64 characters"),
        ("name", json!("a\nb"), "`name` is 1 to 64 characters"),
        ("name", json!("é".repeat(65)), "`name` is 1 to 64"),
        ("kinds", json!([""]), "`kinds` has an empty entry"),
        ("kinds", json!("MessageEvent"), "expected a sequence"),
        ("conversations", json!(["1"]), "invalid length"),
        ("secret", json!("whsec_dG9vIHNob3J0"), "openssl rand"),
        ("on_exhausted", json!("stop"), "expected `park` or `drop`"),
        ("start", json!("later"), "expected `now` or `beginning`"),
    ] {
        let mut entry = json!({hook: "http://localhost/x"});
        entry[key] = value.clone();
        let error = read(entry).unwrap_err();
        assert!(error.contains(reason), "{key} {value}: {error}");
    }
    let name = "é".repeat(64);
    assert!(read(json!({"name": name, "webhook_url": "http://h/"})).is_ok());
    let link_local = json!({"webhook_url": "http://169.254.1.1/", "allow_link_local": true});
    assert!(read(link_local).is_ok());
}

#[test]
fn requests_below_a_base_are_always_post() {
    assert!(read(json!({"base_url": "http://h/", "method": "POST"})).is_ok());
    let error = read(json!({"base_url": "http://h/", "method": "PUT"})).unwrap_err();
    assert!(error.contains("always POST; leave `method` out"), "{error}");
}

#[test]
fn neither_errors_nor_debug_output_show_secrets() {
    let url = "http://h/";
    for entry in [
        json!({"webhook_url": url, "headers": {"X": "hush\r\nY: 1"}}),
        json!({"webhook_url": url, "headers": {"X": "hush ${"}}),
        json!({"webhook_url": url, "secret": "hush"}),
        json!({"webhook_url": "htp://user:hush@h.example/"}),
        json!({"webhook_url": "user:hush@h.example"}),
    ] {
        let error = read(entry.clone()).unwrap_err();
        assert!(!error.contains("hush"), "{entry}: {error}");
    }
    let config = read(json!({
        "webhook_url": HOOK,
        "headers": {"X": "hush"},
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    }))
    .unwrap();
    let shown = format!("{config:?}");
    for secret in ["hush", "pass", "MfKQ9"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("https://h.example/x/"), "{shown}");
}

#[test]
fn a_webhook_is_known_by_its_name_else_by_its_whole_address() {
    let unnamed = read(json!({"webhook_url": HOOK})).unwrap();
    assert_eq!(unnamed.identity(), HOOK);
    assert_eq!(unnamed.shown_name(), "https://h.example");
    assert_eq!(unnamed.shown_url(), "https://h.example/x/");
    let named = read(json!({"webhook_url": HOOK, "name": "audit"})).unwrap();
    assert_eq!(named.identity(), "audit");
    assert_eq!(named.shown_name(), "audit");
    assert_eq!(named.shown_url(), "https://h.example/x/");
    // printf audit | sha256sum
    assert_eq!(named.id(), "b81f37a043a6f767");
    assert_ne!(unnamed.id(), named.id());
}

#[test]
fn one_identity_is_there_once() {
    let webhook =
        |name: Option<&str>, url: &str| read(json!({"name": name, "webhook_url": url})).unwrap();
    let list = [
        webhook(None, "http://h/?token=1"),
        webhook(Some("a"), "http://h/"),
        webhook(None, "http://h/?token=2"),
        webhook(Some("b"), "http://h/"),
    ];
    assert_eq!(check_list(&list), Ok(()));
    let [first, second, ..] = list;
    let twice = [first.clone(), second, first];
    let error = check_list(&twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "webhooks 0 and 2 are the same one, `http://h`; give each a `name` of its own"
    );
}

#[test]
fn variables_of_the_environment_are_put_into_headers_and_the_secret() {
    let mut config = read(json!({
        "webhook_url": "http://h/",
        "headers": {"Authorization": "Bearer ${TOKEN}", "X-Plain": "p"},
        "secret": "${PREFIX}_${KEY}"
    }))
    .unwrap();
    // Nothing is sent before that.
    assert_eq!(
        config.header_map().unwrap_err(),
        InvalidWebhook::Unresolved("headers.Authorization".to_owned())
    );
    assert_eq!(
        config.signer().unwrap_err(),
        InvalidWebhook::Unresolved("secret".to_owned())
    );
    let variable = |name: &str| match name {
        "TOKEN" => Some("t-1".to_owned()),
        "PREFIX" => Some("whsec".to_owned()),
        "KEY" => Some("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        _ => None,
    };
    config.resolve(&variable).unwrap();
    let headers = config.header_map().unwrap();
    assert_eq!(headers["authorization"], "Bearer t-1");
    assert_eq!(headers["x-plain"], "p");
    assert!(headers["authorization"].is_sensitive());
    assert!(config.signer().unwrap().is_some());
}

#[test]
fn what_variables_hold_is_checked_like_what_is_written() {
    let with = |key: &str, value: &str| {
        let mut entry = json!({"name": "w", "webhook_url": "http://h/"});
        entry[key] = match key {
            "secret" => json!("${V}"),
            _ => json!({"X": "a${V}"}),
        };
        let value = value.to_owned();
        let variable = move |_: &str| Some(value.clone());
        read(entry).unwrap().resolve(&variable)
    };
    assert_eq!(
        with("headers", "hush\n"),
        Err(InvalidWebhook::HeaderValue("X".to_owned()))
    );
    assert_eq!(with("secret", "hush"), Err(InvalidWebhook::Secret));
    let unset = with("headers", " ").unwrap_err();
    assert_eq!(
        unset.to_string(),
        "the environment variable `V`, which webhook `w` names in `headers.X`, is unset or empty"
    );
    assert_eq!(unset.key().as_deref(), Some("headers.X"));
    let entry = json!({"webhook_url": "http://h/?hush", "secret": "${V}"});
    let unset = read(entry).unwrap().resolve(&no_variables).unwrap_err();
    assert_eq!(
        unset,
        InvalidWebhook::Unset {
            webhook: "http://h".to_owned(),
            key: "secret".to_owned(),
            variable: "V".to_owned(),
        }
    );
}

#[test]
fn of_two_spellings_of_a_header_the_one_in_small_letters_holds() {
    let config = read(json!({
        "webhook_url": "http://h/",
        "headers": {"x-token": "variable", "X-Token": "file"}
    }))
    .unwrap();
    let headers = config.header_map().unwrap();
    assert_eq!(headers.len(), 1);
    assert_eq!(headers["x-token"], "variable");
}
