use core_model::{
    LlmSettings, MessageToolCall, masking::SecretMask, message::Provenance, usage::TokenUsage,
};
use uuid::Uuid;

use crate::format::RawReply;
use crate::message::calls_of;
use crate::{Block, ModelError, ModelReply, Part};

/// Fills in what a provider left out: ids, empty arguments, whose tokens were counted. The reply's
/// cost is the one that the provider states. Ids are stored and shown: one that holds a secret, or is
/// longer than `longest_id` bytes, is replaced.
///
/// # Errors
/// [`ModelError::NoResponse`] when a tool call has no name.
pub(crate) fn complete(
    raw: RawReply,
    settings: &LlmSettings,
    made_by: &Provenance,
    mask: &SecretMask,
    longest_id: usize,
) -> Result<ModelReply, ModelError> {
    let fit = |id: &String| !id.is_empty() && id.len() <= longest_id && !mask.is_in(id);
    let id = Some(raw.id).filter(fit);
    let id = id.unwrap_or_else(|| format!("chatcmpl-{}", Uuid::new_v4().simple()));
    let mut blocks: Vec<Block> = Vec::with_capacity(raw.blocks.len());
    for block in raw.blocks {
        let Part::Call(call) = block.part else {
            blocks.push(block);
            continue;
        };
        let taken = calls_of(&blocks).any(|earlier| earlier.id == call.id);
        let keeps_id = fit(&call.id) && !taken;
        let call = Block::call(complete_call(call, keeps_id)?);
        blocks.push(call.with_state(block.state));
    }
    let usage = TokenUsage {
        model: settings.model.clone(),
        context_window: settings.max_input_tokens.unwrap_or(0),
        per_turn_token: raw
            .usage
            .prompt_tokens
            .saturating_add(raw.usage.completion_tokens),
        response_id: id.clone(),
        ..raw.usage
    };
    Ok(ModelReply {
        id,
        blocks,
        stop: raw.stop,
        usage,
        cost: raw.stated_cost,
        made_by: Some(made_by.clone()),
        fallback: None,
    })
}

fn complete_call(mut call: MessageToolCall, keeps_id: bool) -> Result<MessageToolCall, ModelError> {
    if call.name.is_empty() {
        let lost = "a tool call has no name".to_owned();
        return Err(ModelError::NoResponse(lost));
    }
    if !keeps_id {
        call.id = format!("call_{}", Uuid::new_v4().simple());
    }
    if matches!(call.arguments.trim(), "" | "null") {
        call.arguments = "{}".to_owned();
    }
    Ok(call)
}
