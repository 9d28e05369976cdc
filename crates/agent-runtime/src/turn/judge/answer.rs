//! The judge's words as a verdict.

use core_model::goal::GoalVerdict;
use serde_json::{Deserializer, Map, Value};

const END_OF_THOUGHTS: &str = "</think>";

/// The verdict in a reply, whatever stands around it; of several the last that sees something missing, else the last. None when there is none that
/// can be read.
pub(super) fn verdict(reply: &str) -> Option<GoalVerdict> {
    let (_, answer) = reply.rsplit_once(END_OF_THOUGHTS).unwrap_or(("", reply));
    let verdicts: Vec<GoalVerdict> = objects(answer).iter().filter_map(read).collect();
    // One that contradicts itself has not seen the goal reached.
    let not_yet = verdicts.iter().rfind(|verdict| !verdict.complete);
    not_yet.or(verdicts.last()).cloned()
}

/// The JSON objects in a text that are not part of another one.
fn objects(text: &str) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let mut values = Deserializer::from_str(&rest[start..]).into_iter();
        let end = match values.next() {
            Some(Ok(object)) => {
                found.push(object);
                start + values.byte_offset()
            }
            Some(Err(_)) | None => start + 1,
        };
        rest = &rest[end..];
    }
    found
}

fn read(object: &Map<String, Value>) -> Option<GoalVerdict> {
    let complete = object.get("complete").and_then(truth);
    let score = object.get("score").and_then(score);
    let complete = complete.or_else(|| score.map(|score| score >= 1.0))?;
    Some(GoalVerdict {
        score: score.unwrap_or(if complete { 1.0 } else { 0.0 }),
        complete,
        missing: object.get("missing").map(text).unwrap_or_default(),
    })
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(word) => match word.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => None,
        },
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// From 0 to 1; more is taken for a percentage.
fn score(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(number) => number.trim().trim_end_matches('%').parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let number = number.filter(|number: &f64| number.is_finite())?;
    let share = if number > 1.0 { number / 100.0 } else { number };
    Some(share.clamp(0.0, 1.0))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("; "),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_found_in_what_models_write_around_it() {
        let not_yet = GoalVerdict {
            score: 0.5,
            complete: false,
            missing: "tests; docs".to_owned(),
        };
        for reply in [
            r#"{"score": 0.5, "complete": false, "missing": "tests; docs"}"#,
            "```json\n{\"score\": \"0.5\", \"complete\": \"False\", \"missing\": [\"tests\", \"docs\"]}\n```",
            r#"<think>{"complete": true}</think>{"score": 50, "complete": false, "missing": "tests; docs"}"#,
            r#"The set {a, b} is done: {"complete": true}. No: {"score": 0.5, "complete": "no", "missing": " tests; docs "} I am sure."#,
        ] {
            assert_eq!(verdict(reply).as_ref(), Some(&not_yet), "{reply}");
        }
    }

    #[test]
    fn what_is_left_out_follows_from_the_rest() {
        let read = |reply| verdict(reply).map(|told| (told.score, told.complete));
        assert_eq!(read(r#"{"complete": true}"#), Some((1.0, true)));
        let both = r#"{"complete": false, "score": 0.5} (had it been right: {"complete": true})"#;
        assert_eq!(read(both), Some((0.5, false)));
        assert_eq!(read(r#"{"score": 1}"#), Some((1.0, true)));
        assert_eq!(read(r#"{"score": 85}"#), Some((0.85, false)));
        assert_eq!(
            read(r#"{"score": -3, "missing": null}"#),
            Some((0.0, false))
        );
    }

    #[test]
    fn what_says_nothing_is_no_verdict() {
        for reply in [
            "",
            "Looks good to me.",
            r#"{"score": 1.0, "complete": tr"#,
            r#"<think>{"complete": true}</think>"#,
            r#"{"complete": "perhaps"}"#,
            r#"[{"tool": "finish"}]"#,
        ] {
            assert_eq!(verdict(reply), None, "{reply}");
        }
    }
}
