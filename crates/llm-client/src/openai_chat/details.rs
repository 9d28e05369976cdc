use serde_json::{Map, Value};

/// Puts the pieces of OpenRouter's `reasoning_details` together, which go back as they came whole. Texts of
/// one kind and place are one text; encrypted parts come whole.
pub(super) fn join(details: &mut Vec<Value>, pieces: &Value) {
    for piece in pieces.as_array().into_iter().flatten() {
        match details.last_mut() {
            Some(open) if continues(open, piece) => extend(open, piece),
            Some(_) | None => details.push(piece.clone()),
        }
    }
}

/// What can be read of them.
pub(super) fn text(details: &Value) -> String {
    let parts = details.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part["text"].as_str().or(part["summary"].as_str()));
    texts.collect()
}

fn continues(open: &Value, piece: &Value) -> bool {
    let is_text = matches!(
        piece["type"].as_str(),
        Some("reasoning.text" | "reasoning.summary")
    );
    is_text && open["type"] == piece["type"] && open["index"] == piece["index"]
}

fn extend(open: &mut Value, piece: &Value) {
    let (Some(open), Some(piece)) = (open.as_object_mut(), piece.as_object()) else {
        return;
    };
    for (name, value) in piece {
        extend_field(open, name, value);
    }
}

fn extend_field(open: &mut Map<String, Value>, name: &str, value: &Value) {
    match (name, open.get_mut(name), value) {
        ("text" | "summary", Some(Value::String(text)), Value::String(more)) => {
            text.push_str(more);
        }
        (_, Some(_), Value::Null) => {}
        (_, _, value) => drop(open.insert(name.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_of_a_text_are_one_and_what_is_encrypted_stays_apart() {
        let text = |text: &str, signature: Value| json!({"type": "reasoning.text", "text": text, "signature": signature, "index": 0});
        let secret = json!({"type": "reasoning.encrypted", "data": "x", "index": 0});
        let mut details = Vec::new();
        for pieces in [
            json!([text("a", Value::Null)]),
            json!([text("b", json!("s"))]),
            json!([text("", Value::Null)]),
            json!([secret, secret]),
            Value::Null,
        ] {
            join(&mut details, &pieces);
        }
        assert_eq!(details, [text("ab", json!("s")), secret.clone(), secret]);
        assert_eq!(super::text(&json!(details)), "ab");
    }
}
