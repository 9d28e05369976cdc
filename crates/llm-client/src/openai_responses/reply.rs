use core_model::usage::TokenUsage;
use serde_json::Value;

use super::item::{blocks, is_refusal};
use crate::answer::{error_in, text_in};
use crate::format::RawReply;
use crate::{ModelError, StopReason};

/// Reads a response object.
///
/// # Errors
/// The provider's own, when the response failed; [`ModelError::NoResponse`] when there is no reply in
/// it, or none yet.
pub(super) fn read(answer: &Value) -> Result<RawReply, ModelError> {
    if let Some(error) = error_in(answer) {
        return Err(error);
    }
    let status = answer["status"].as_str().unwrap_or_default();
    match status {
        "" | "completed" | "incomplete" => {}
        "failed" => return Err(ModelError::unreachable("the reply failed; no reason given")),
        other => {
            let unfinished = format!("the answer's status is {other:?}");
            return Err(ModelError::NoResponse(unfinished));
        }
    }
    let Some(output) = answer["output"].as_array() else {
        let lost = "the answer has no output".to_owned();
        return Err(ModelError::NoResponse(lost));
    };
    let cut = status == "incomplete";
    Ok(RawReply {
        id: text_in(&answer["id"]),
        blocks: blocks(output),
        stop: if cut {
            why_cut(&answer["incomplete_details"]["reason"])
        } else if is_refusal(output) {
            StopReason::Refusal
        } else {
            StopReason::Done
        },
        usage: usage(&answer["usage"]),
        stated_cost: answer["usage"]["cost"].as_f64(),
    })
}

fn why_cut(reason: &Value) -> StopReason {
    match reason.as_str().unwrap_or("incomplete") {
        "max_output_tokens" | "max_tokens" | "length" => StopReason::Length,
        "content_filter" => StopReason::ContentFilter,
        other => StopReason::Other(other.to_owned()),
    }
}

fn usage(value: &Value) -> TokenUsage {
    let count = |path: &str| value.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    TokenUsage {
        prompt_tokens: count("/input_tokens"),
        completion_tokens: count("/output_tokens"),
        cache_read_tokens: count("/input_tokens_details/cached_tokens"),
        cache_write_tokens: count("/input_tokens_details/cache_write_tokens"),
        reasoning_tokens: count("/output_tokens_details/reasoning_tokens"),
        ..TokenUsage::default()
    }
}
