use super::*;

fn request(message: &str) -> TitleRequest {
    TitleRequest {
        message: message.to_owned(),
        max_chars: 50,
        llm: None,
    }
}

fn asked(prompt: Option<&str>, message: &str) -> String {
    let ModelRequest {
        messages, tools, ..
    } = prompted(prompt, &request(message));
    assert!(tools.is_empty());
    assert_eq!(messages.len(), 2);
    messages[1].text()
}

#[test]
fn the_message_and_the_length_have_their_places() {
    let usual = asked(None, "Fix {max_length} bugs");
    assert!(usual.contains("at most 50 characters"), "{usual}");
    assert!(usual.ends_with("Fix {max_length} bugs"), "{usual}");
    let own = Some("{conversation_content}: in {max_length}");
    assert_eq!(asked(own, "Hi"), "Hi: in 50");
    assert_eq!(asked(Some(" Name it. "), "Hi"), "Name it.\n\nHi");
    assert_eq!(asked(Some("  "), "Hi"), asked(None, "Hi"));
}

#[test]
fn a_long_message_is_shown_from_its_beginning() {
    let shown = asked(Some("Name it."), &"x".repeat(100_000));
    assert!(shown.len() < 2 * SHOWN_MESSAGE, "{}", shown.len());
}
