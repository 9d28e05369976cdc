//! A question about a conversation, answered by its model and not made part of it.

use std::sync::Arc;

use core_model::{Content, LlmSettings};
use llm_client::{ModelMessage, ModelRequest};

use crate::{
    RuntimeError,
    command::SpentCall,
    residency::live_conversation::LiveConversation,
    turn::{context::ModelContext, prepare, prompt},
};

/// Tools are offered all the same: providers want those that the conversation has called.
const IN_WORDS: &str = "[Answer this question in words from what you know. Call no tool.]";
const USAGE_ID: &str = "ask-agent-llm";

/// The model's answer, given the whole conversation; it may have no words.
///
/// # Errors
/// [`RuntimeError::Model`] when the agent cannot be set up or the model gives no answer.
pub(crate) async fn answer(
    live: &LiveConversation,
    question: String,
) -> Result<SpentCall, RuntimeError> {
    let (agent, opened) = prepare::open(live)
        .await
        .map_err(|error| RuntimeError::Model {
            code: error.code,
            detail: error.detail,
        })?;
    let now = live.now();
    let mut context = ModelContext::default();
    let moved = now.state.head_moved;
    context
        .catch_up(live.log.as_ref(), now.extent.len, moved)
        .await?;
    let shown = context.messages().iter();
    let mut messages: Vec<Arc<ModelMessage>> =
        shown.map(|shown| Arc::clone(&shown.message)).collect();
    messages.push(Arc::new(ModelMessage::User(vec![
        Content::text(question),
        Content::text(IN_WORDS),
    ])));
    let llm = LlmSettings {
        usage_id: USAGE_ID.to_owned(),
        stream: false,
        ..agent.llm
    };
    let model = (live.runtime.config.connect)(&llm)?;
    let request = ModelRequest {
        messages,
        tools: prompt::tool_specs(&opened.all(), &now.state.found_tools),
        cache_key: Some(live.id.to_string()),
    };
    let reply = model.reply(&request, &|_| {}).await?;
    Ok(SpentCall {
        usage_id: llm.usage_id,
        model: llm.model,
        reply,
    })
}
