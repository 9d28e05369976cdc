use super::*;

fn message(body: Value) -> Result<Vec<Content>, Value> {
    let message: SendMessage = validation::object(&body, &["body"]).map_err(|p| json!(p))?;
    message
        .content(&["body"])
        .map_err(|problems| json!(problems))
}

#[test]
fn a_message_has_a_long_and_a_short_form() {
    for body in [
        json!({"role": "user", "content": [{"type": "text", "text": "hi"}], "sender": "x"}),
        json!({"content": [{"text": "hi"}]}),
        json!({"type": "message", "content": "hi"}),
        json!({"content": "hi", "extra_top": 1}),
    ] {
        assert_eq!(
            message(body.clone()),
            Ok(vec![Content::text("hi")]),
            "{body}"
        );
    }
    let url = "data:image/png;base64,iVBORw0KGgo=";
    let part = Content::Image {
        cache_prompt: false,
        image_urls: vec![url.into()],
    };
    let image = json!({"content": [{"type": "image", "image_urls": [url]}]});
    assert_eq!(message(image), Ok(vec![part.clone()]));
    let beside = json!({"content": [{"text": " "}, {"image_urls": [url]}]});
    assert_eq!(message(beside), Ok(vec![Content::text(" "), part]));
}

#[test]
fn a_message_that_says_nothing_is_refused_and_located() {
    let url = json!("https://h/a.png");
    for (body, loc) in [
        (json!({}), json!(["body", "content"])),
        (
            json!({"role": "user", "content": []}),
            json!(["body", "content"]),
        ),
        (
            json!({"role": "user", "content": null}),
            json!(["body", "content"]),
        ),
        (json!({"content": ""}), json!(["body", "content"])),
        (
            json!({"type": "message", "content": " \n"}),
            json!(["body", "content"]),
        ),
        (
            json!({"content": [{"text": " "}, {"text": ""}]}),
            json!(["body", "content"]),
        ),
        (
            json!({"content": [{"text": "x"}, {"type": "image", "image_urls": []}]}),
            json!(["body", "content", 1, "image_urls"]),
        ),
        (
            json!({"content": [{"type": "image", "image_urls": [url, " "]}]}),
            json!(["body", "content", 0, "image_urls", 1]),
        ),
        (
            json!({"content": [{"image_urls": ["file:///etc/passwd"]}]}),
            json!(["body", "content", 0, "image_urls", 0]),
        ),
    ] {
        let problems = message(body.clone()).unwrap_err();
        assert_eq!(problems[0]["type"], "value_error", "{body}");
        assert_eq!(problems[0]["loc"], loc, "{body}");
    }
}

#[test]
fn only_the_user_speaks() {
    let problems = message(json!({"role": "assistant", "content": []})).unwrap_err();
    assert_eq!(problems[0]["loc"], json!(["body", "role"]));
    assert_eq!(problems[0]["msg"], "Input should be 'user'");
}

#[test]
fn wrong_content_is_located() {
    let loc = |body| message(body).unwrap_err()[0]["loc"].clone();
    assert_eq!(loc(json!({"content": 1})), json!(["body", "content"]));
    assert_eq!(
        loc(json!({"content": [{"type": "audio"}]})),
        json!(["body", "content", 0, "type"])
    );
    assert_eq!(
        loc(json!({"content": ["hi"]})),
        json!(["body", "content", 0])
    );
    assert_eq!(loc(json!([])), json!(["body"]));
    assert_eq!(loc(json!({"run": "maybe"})), json!(["body", "run"]));
}
