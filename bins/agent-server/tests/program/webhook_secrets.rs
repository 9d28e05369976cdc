//! Secrets of webhooks that variables of the environment hold.

use std::fs;

use crate::config::{read, refused};
use agent_server::config::{Overrides, load, load_without_webhooks};
use serde_json::json;

#[test]
fn webhooks_take_secrets_from_variables() {
    let file = json!({"webhooks": [
        {"webhook_url": "http://h/?hush"},
        {
            "name": "audit",
            "base_url": "http://h/",
            "headers": {"Authorization": "Bearer ${TOKEN}"},
            "secret": "${KEY}"
        }
    ]});
    let key = ("KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let loaded = read(Some(file.clone()), &[("TOKEN", "hush-token"), key]).unwrap();
    let webhook = &loaded.settings.webhooks[1];
    assert_eq!(
        webhook.headers["Authorization"].text(),
        Some("Bearer hush-token")
    );
    assert_eq!(webhook.secret.as_ref().unwrap().text(), Some(key.1));
    for shown in [
        loaded.table(),
        loaded.json().to_string(),
        format!("{:?}", loaded.settings.webhooks),
    ] {
        assert!(!shown.contains("hush"), "{shown}");
        assert!(!shown.contains("MfKQ9"), "{shown}");
    }
    for (variables, at, named) in [
        (
            vec![key],
            "webhooks[1].headers.Authorization",
            "the environment variable `TOKEN`, which webhook `audit` names in \
             `headers.Authorization`, is unset or empty",
        ),
        (
            vec![("TOKEN", "t"), ("KEY", " ")],
            "webhooks[1].secret",
            "the environment variable `KEY`, which webhook `audit` names in `secret`, \
             is unset or empty",
        ),
        (
            vec![("TOKEN", "hush\n"), key],
            "webhooks[1].headers.Authorization",
            "the value of header `Authorization` has characters that HTTP does not allow",
        ),
    ] {
        let error = refused(Some(file.clone()), &variables);
        assert!(error.starts_with("file "), "{error}");
        assert!(error.ends_with(&format!("at `{at}`: {named}")), "{error}");
    }
}

/// Commands that deliver nothing need no tokens of receivers.
#[test]
fn maintenance_looks_no_variables_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let file = json!({"webhooks": [{"webhook_url": "http://h/", "headers": {"X": "${NONE}"}}]});
    fs::write(&path, file.to_string()).unwrap();
    let flags = Overrides {
        config: Some(path),
        ..Overrides::default()
    };
    assert!(load(&flags, &[]).is_err());
    let loaded = load_without_webhooks(&flags, &[]).unwrap();
    assert_eq!(loaded.settings.webhooks[0].headers["X"].text(), None);
}
