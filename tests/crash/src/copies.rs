//! What has to be true of a copy's log.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    expected_state::{Copied, Marker},
    log::lines,
};

/// What a copy ends with: state updates that make it a conversation of its own, this one the last.
const LAST_KEY: &str = "spent_before";

/// It begins with the lines of its original, all that was acknowledged before among them, and ends with what is
/// its own. `original`: its log as it is now, if it is there.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn is_whole(copied: &Copied, copy: &[u8], original: Option<&[u8]>) -> Result<()> {
    let (copy_lines, events) = lines(copy)?;
    let last = events.last().map(|event| &event["key"]);
    ensure!(
        last.is_some_and(|key| key == LAST_KEY),
        "half a copy: it ends with {last:?}"
    );
    let there: BTreeSet<Marker> = events.iter().filter_map(Marker::of).collect();
    for marker in &copied.acknowledged {
        ensure!(there.contains(marker), "{marker} is not in the copy");
    }
    let Some(original) = original else {
        return Ok(());
    };
    let original: Vec<&[u8]> = original.split(|byte| *byte == b'\n').collect();
    let pairs = copy_lines.iter().zip(&original);
    let same = pairs.take_while(|(mine, theirs)| mine == theirs).count();
    let is_own = |event: &Value| event["kind"] == "ConversationStateUpdateEvent";
    ensure!(
        events[same..].iter().all(is_own),
        "line {same} of the copy is neither its original's nor its own"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(texts: &[&str]) -> Vec<u8> {
        let mut log = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let event = match text.strip_prefix("key ") {
                Some(key) => json!({"kind": "ConversationStateUpdateEvent", "key": key}),
                None => json!({
                    "kind": "MessageEvent", "llm_message": {"content": [{"text": text}]},
                }),
            };
            let mut event = event;
            event["id"] = format!("{text} {number}").into();
            event["timestamp"] = format!("{number:03}").into();
            log.extend(event.to_string().into_bytes());
            log.push(b'\n');
        }
        log
    }

    #[test]
    fn half_a_copy_and_a_wrong_one_are_found() {
        let marker = |number| Marker { client: 1, number };
        let copied = |numbers: &[u64]| Copied {
            original: String::new(),
            acknowledged: numbers.iter().copied().map(marker).collect(),
        };
        let original = log(&["marked 1-1", "marked 1-2", "marked 1-3"]);
        let whole = log(&["marked 1-1", "marked 1-2", "key spent_before"]);
        is_whole(&copied(&[1, 2]), &whole, Some(&original)).unwrap();
        is_whole(&copied(&[1]), &whole, None).unwrap();
        let half = log(&["marked 1-1", "marked 1-2"]);
        let foreign = log(&["marked 1-1", "marked 1-9", "key spent_before"]);
        for (numbers, copy, why) in [
            (&[1, 2, 3][..], &whole, "not in the copy"),
            (&[1], &half, "half a copy"),
            (&[1], &foreign, "neither"),
            (&[], &Vec::new(), "half a copy"),
        ] {
            let error = is_whole(&copied(numbers), copy, Some(&original)).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
