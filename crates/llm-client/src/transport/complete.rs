use std::collections::BTreeSet;
use std::time::Duration;

use core_model::{
    LlmSettings, MessageToolCall, masking::SecretMask, message::Provenance, usage::TokenUsage,
};
use uuid::Uuid;

use crate::format::RawReply;
use crate::wire_names::legal_id;
use crate::{Block, ModelError, ModelReply, Part};

/// What a reply is completed with.
#[derive(Clone, Copy)]
pub(crate) struct Completion<'a> {
    pub(crate) settings: &'a LlmSettings,
    pub(crate) made_by: &'a Provenance,
    /// An id that holds a secret is replaced: ids are stored and shown.
    pub(crate) mask: &'a SecretMask,
    /// So is the reply's own when it has more bytes.
    pub(crate) longest_id: usize,
}

/// Fills in what a provider left out: ids, empty arguments, whose tokens were counted. The reply's
/// cost is the one that the provider states. `taken` are the ids of calls that the conversation has
/// already: some models count theirs from the beginning in each reply. A call's id is one that every
/// provider takes, and unlike all others.
///
/// # Errors
/// [`ModelError::NoResponse`] when a tool call has no name.
pub(crate) fn complete(
    raw: RawReply,
    with: Completion<'_>,
    mut taken: BTreeSet<String>,
) -> Result<ModelReply, ModelError> {
    let fit = |id: &String| !id.is_empty() && id.len() <= with.longest_id && !with.mask.is_in(id);
    let id = Some(raw.id).filter(fit);
    let id = id.unwrap_or_else(|| format!("chatcmpl-{}", Uuid::new_v4().simple()));
    let mut blocks: Vec<Block> = Vec::with_capacity(raw.blocks.len());
    for block in raw.blocks {
        let Part::Call(mut call) = block.part else {
            blocks.push(block);
            continue;
        };
        let legal = Some(call.id)
            .filter(fit)
            .map(|id| legal_id(&id).into_owned());
        call.id = legal
            .filter(|id| !taken.contains(id))
            .unwrap_or_else(|| format!("call_{}", Uuid::new_v4().simple()));
        taken.insert(call.id.clone());
        blocks.push(Block::call(complete_call(call)?).with_state(block.state));
    }
    let usage = TokenUsage {
        model: with.settings.model.clone(),
        context_window: with.settings.max_input_tokens.unwrap_or(0),
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
        latency: Duration::ZERO,
        made_by: Some(with.made_by.clone()),
        notices: Vec::new(),
        fallback: None,
    })
}

fn complete_call(mut call: MessageToolCall) -> Result<MessageToolCall, ModelError> {
    if call.name.trim().is_empty() {
        let lost = "a tool call has no name".to_owned();
        return Err(ModelError::NoResponse(lost));
    }
    if matches!(call.arguments.trim(), "" | "null") {
        call.arguments = "{}".to_owned();
    }
    Ok(call)
}
