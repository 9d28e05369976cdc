//! What a conversation has used.

use core_model::{
    ConversationState, Draft,
    usage::{LastCall, StatsSnapshot},
};
use llm_client::ModelReply;
use serde_json::json;

/// A model call to be added to the accounts.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) usage_id: &'a str,
    /// As the settings name it.
    pub(crate) model: &'a str,
    pub(crate) reply: &'a ModelReply,
}

/// What the conversation has used in all, with this call.
pub(crate) fn after_call(state: &ConversationState, call: Call<'_>) -> Draft {
    let mut snapshot = StatsSnapshot::default();
    for (id, metrics) in &state.stats.usage_to_metrics {
        snapshot
            .usage_to_metrics
            .insert(id.clone(), metrics.total.clone());
    }
    let mut total = snapshot
        .usage_to_metrics
        .remove(call.usage_id)
        .unwrap_or_default();
    call.model.clone_into(&mut total.model_name);
    let answered = call.reply.fallback.as_ref();
    snapshot.last_call = Some(LastCall {
        usage_id: call.usage_id.to_owned(),
        model: answered
            .map_or(call.model, |fallback| &fallback.to)
            .to_owned(),
        latency: call.reply.latency.as_secs_f64(),
        response_id: call.reply.id.clone(),
        cost: call.reply.cost,
    });
    let total = total.plus(&call.reply.usage, call.reply.cost.unwrap_or(0.0));
    snapshot
        .usage_to_metrics
        .insert(call.usage_id.to_owned(), total);
    Draft::state("stats", json!(snapshot))
}
