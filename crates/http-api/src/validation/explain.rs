//! Errors of a deserializer in the terms of the public clients.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::problem::{NameOrPosition, Problem};

/// Translates what a deserializer says. Its text quotes the value at fault, so only the pattern of the
/// text and what it expects are used.
pub(super) fn explain(message: &str, at: &[&str], path: &Path, root: &Value) -> Problem {
    let mut at: Vec<NameOrPosition> = at.iter().map(|name| NameOrPosition::from(*name)).collect();
    let mut found = Some(root);
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                at.push(NameOrPosition::from(*index));
                found = found.and_then(|value| value.get(index));
            }
            Segment::Map { key } => {
                at.push(NameOrPosition::from(key.as_str()));
                found = found.and_then(|value| value.get(key));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    if let Some(field) = between(message, "missing field `", "`") {
        at.push(NameOrPosition::from(field));
        return Problem::missing(&[]).moved_to(at);
    }
    let problem = problem_in(message, found).moved_to(at);
    match found {
        Some(value) => problem.input(value.clone()),
        None => problem,
    }
}

fn problem_in(message: &str, found: Option<&Value>) -> Problem {
    if message.starts_with("unknown field `") {
        Problem::new("extra_forbidden", &[], "Extra inputs are not permitted")
    } else if message.starts_with("unknown variant `") {
        let names: Vec<&str> = message
            .rsplit("expected")
            .next()
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        Problem::choice(&[], &names)
    } else if let Some(reason) = message.strip_prefix("UUID parsing failed: ") {
        match found.and_then(Value::as_str) {
            Some(text) => Problem::uuid(&[], text),
            None => Problem::new(
                "uuid_parsing",
                &[],
                format!("Input should be a valid UUID, {reason}"),
            ),
        }
    } else if let Some((_, expected)) = message.split_once(", expected ") {
        let (kind, words) = expectation(expected);
        // An integer that is refused is out of its type's range.
        let range = found
            .filter(|value| value.is_i64() || value.is_u64())
            .and_then(|_| range(expected));
        let words = range.map_or(words, |range| format!("an integer {range}"));
        Problem::new(kind, &[], format!("Input should be {words}"))
    } else {
        let msg = "Value error, the value does not fit";
        Problem::new("value_error", &[], msg)
    }
}

fn range(expected: &str) -> Option<String> {
    let (least, most) = match expected {
        "u8" => (0, u64::from(u8::MAX)),
        "u16" => (0, u64::from(u16::MAX)),
        "u32" => (0, u64::from(u32::MAX)),
        "u64" | "usize" => (0, u64::MAX),
        "i64" => (i64::MIN, i64::MAX.unsigned_abs()),
        _ => return None,
    };
    Some(format!("from {least} to {most}"))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split(end).next()
}

/// The clients' name for what a deserializer expects.
fn expectation(expected: &str) -> (&'static str, String) {
    let first = expected.split([' ', ',']).next().unwrap_or_default();
    match first {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            ("int_type", "a valid integer".to_owned())
        }
        "f32" | "f64" => ("float_type", "a valid number".to_owned()),
        "struct" | "map" => ("dict_type", "a valid object".to_owned()),
        "sequence" => ("list_type", "a valid list".to_owned()),
        _ if expected.starts_with("a boolean") => ("bool_type", "a valid boolean".to_owned()),
        _ if expected.contains("string") => ("string_type", "a valid string".to_owned()),
        _ if expected.starts_with("a sequence") => ("list_type", "a valid list".to_owned()),
        _ if expected.starts_with("a map") => ("dict_type", "a valid object".to_owned()),
        _ => ("value_error", expected.to_owned()),
    }
}
