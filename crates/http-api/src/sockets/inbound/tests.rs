use super::*;

#[test]
fn messages_come_in_both_forms() {
    let hi = |run| ClientFrame::Message {
        content: vec![Content::text("hi")],
        delivery: Delivery::Steer { run },
    };
    assert_eq!(parse(r#"{"type":"message","content":"hi"}"#), hi(true));
    let long = r#"{"role":"user","content":[{"type":"text","text":"hi"}]}"#;
    assert_eq!(parse(long), hi(true));
    assert_eq!(
        parse(r#"{"role":"user","content":"hi","run":false}"#),
        hi(false)
    );
    assert_eq!(
        parse(r#"{"type":"message","content":"hi","delivery":"queue"}"#),
        ClientFrame::Message {
            content: vec![Content::text("hi")],
            delivery: Delivery::Queue,
        }
    );
    let contradicts = r#"{"type":"message","content":"hi","delivery":"interrupt","run":false}"#;
    assert!(matches!(parse(contradicts), ClientFrame::Invalid { .. }));
}

#[test]
fn an_invalid_frame_has_the_name_that_clients_know() {
    for (frame, expected) in [
        ("not json", "JSONDecodeError"),
        (r#"{"foo":1}"#, "ValidationError"),
        ("[1]", "ValidationError"),
        (r#"{"role":"robot"}"#, "ValidationError"),
        (
            r#"{"role":"user","content":[{"type":"audio"}]}"#,
            "ValidationError",
        ),
        (r#"{"role":"user","content":[]}"#, "ValidationError"),
        (r#"{"role":"user"}"#, "ValidationError"),
        (r#"{"type":"message","content":" "}"#, "ValidationError"),
        (
            r#"{"role":"user","content":[{"type":"image","image_urls":[""]}]}"#,
            "ValidationError",
        ),
        (r#"{"role":"assistant","content":[]}"#, "AssertionError"),
    ] {
        let ClientFrame::Invalid { code, detail } = parse(frame) else {
            panic!("{frame} was accepted");
        };
        assert_eq!(code, expected, "{frame}");
        assert!(!detail.is_empty());
    }
}

#[test]
fn a_late_auth_frame_is_ignored() {
    assert_eq!(
        parse(r#"{"type":"auth","session_api_key":"x"}"#),
        ClientFrame::Ignored
    );
    assert_eq!(
        key(r#"{"type":"auth","session_api_key":"x"}"#),
        Some("x".to_owned())
    );
    assert_eq!(key(r#"{"type":"message","session_api_key":"x"}"#), None);
    assert_eq!(key("x"), None);
}

#[test]
fn an_error_is_an_event_without_a_parent() {
    let event = server_error("ValidationError", "role: Field required".to_owned()).unwrap();
    let event: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(event["kind"], "ServerErrorEvent");
    assert_eq!(event["source"], "environment");
    assert_eq!(event["detail"], "role: Field required");
    assert!(event.get("parent_id").is_none());
}
