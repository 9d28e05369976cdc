//! JSON as models write it.

use serde_json::Value;

/// Reads JSON, and what is nearly JSON where its meaning is plain: control characters and half surrogate
/// pairs in a text, a comma before a closing bracket, Python's `True`, `False` and `None`, a fence around
/// it, and an object within a text. What was cut off is not completed.
///
/// # Errors
/// What is wrong with the text as it stands.
pub(super) fn read(text: &str) -> Result<Value, serde_json::Error> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => serde_json::from_str(&repaired(without_fence(text))).map_err(|_| error)?,
    };
    if let Value::String(inner) = &value
        && inner.trim_start().starts_with('{')
        && let Ok(object @ Value::Object(_)) = serde_json::from_str(&repaired(inner))
    {
        return Ok(object);
    }
    Ok(value)
}

fn without_fence(text: &str) -> &str {
    const FENCE: &str = "```";
    let text = text.trim();
    let Some(inner) = text
        .strip_prefix(FENCE)
        .and_then(|text| text.strip_suffix(FENCE))
    else {
        return text;
    };
    // The first line may name a language.
    let named = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    named.trim()
}

fn repaired(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '"' => text_literal(rest, &mut repaired),
            ',' => {
                let next = rest[1..].trim_start();
                if !next.starts_with(['}', ']']) {
                    repaired.push(',');
                }
                &rest[1..]
            }
            c if c.is_alphabetic() => word(rest, &mut repaired),
            c => {
                repaired.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    repaired
}

/// Copies a text in quotes; what follows it.
fn text_literal<'a>(source: &'a str, repaired: &mut String) -> &'a str {
    repaired.push('"');
    let mut characters = source.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                repaired.push('"');
                return &source[at + 1..];
            }
            '\\' => {
                let Some((_, escaped)) = characters.next() else {
                    break;
                };
                if escaped != 'u' {
                    repaired.extend(['\\', escaped]);
                    continue;
                }
                let (code, length) = unicode_escape(&source[at..]);
                repaired.push_str(&code);
                for _ in 2..length {
                    characters.next();
                }
            }
            '\n' => repaired.push_str("\\n"),
            '\r' => repaired.push_str("\\r"),
            '\t' => repaired.push_str("\\t"),
            c if u32::from(c) < 0x20 => repaired.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => repaired.push(c),
        }
    }
    ""
}

/// The escape at the start of a text, or the two of a pair, and their length in bytes; U+FFFD for half of a
/// pair.
fn unicode_escape(text: &str) -> (String, usize) {
    let code = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    match (code(0), code(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (text[..12].to_owned(), 12),
        (Some(0xD800..=0xDFFF), _) => ("\u{fffd}".to_owned(), 6),
        (Some(_), _) => (text[..6].to_owned(), 6),
        (None, _) => ("\\u".to_owned(), 2),
    }
}

fn word<'a>(source: &'a str, repaired: &mut String) -> &'a str {
    let end = source.find(|c: char| !c.is_alphanumeric());
    let (word, rest) = source.split_at(end.unwrap_or(source.len()));
    repaired.push_str(match word {
        "True" | "TRUE" => "true",
        "False" | "FALSE" => "false",
        "None" => "null",
        word => word,
    });
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_nearly_json_is_read() {
        for (text, value) in [
            ("{\"a\": \"x\ty\u{1}\nz\"}", json!({"a": "x\ty\u{1}\nz"})),
            (r#"{"a": [1, 2,], }"#, json!({"a": [1, 2]})),
            (
                r#"{"a": "b,}", "c": True, "d": None}"#,
                json!({"a": "b,}", "c": true, "d": null}),
            ),
            ("```json\n{\"a\": 1}\n```", json!({"a": 1})),
            ("```\n{\"a\": 1}```", json!({"a": 1})),
            (r#""{\"a\": 1}""#, json!({"a": 1})),
            (r#""plain""#, json!("plain")),
            (
                r#"{"a": "\ud83d\udc4b \ud83d \udc4b"}"#,
                json!({"a": "👋 \u{fffd} \u{fffd}"}),
            ),
            ("False", json!(false)),
        ] {
            assert_eq!(read(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn what_was_cut_off_is_not_completed() {
        for text in [
            r#"{"a": "b"#,
            r#"{"a": "b\"#,
            r#"{"a": 1"#,
            r#"{"a": [1, 2"#,
            r#"{"a": "\u12"#,
            "```json\n{\"a\": 1",
            "",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let read = read(&text).is_ok();
            prop_assert!(read || serde_json::from_str::<Value>(&text).is_err());
        }

        #[test]
        fn any_value_survives(texts in proptest::collection::vec(".{0,20}", 0..5)) {
            let value = json!({"texts": texts, "nested": [{"n": 1.5}, true, null]});
            let written = value.to_string();
            prop_assert_eq!(&read(&written).unwrap(), &value);
        }
    }
}
