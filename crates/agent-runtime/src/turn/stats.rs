//! What a conversation has used.

use core_model::{
    ConversationState, Draft,
    usage::{LastCall, StatsSnapshot},
};
use serde_json::json;

use crate::command::SpentCall;

/// What the conversation has used in all, with this call.
pub(crate) fn after_call(state: &ConversationState, call: &SpentCall) -> Draft {
    let mut snapshot = StatsSnapshot::default();
    for (id, metrics) in &state.stats.usage_to_metrics {
        snapshot
            .usage_to_metrics
            .insert(id.clone(), metrics.total.clone());
    }
    let mut total = snapshot
        .usage_to_metrics
        .remove(&call.usage_id)
        .unwrap_or_default();
    total.model_name.clone_from(&call.model);
    let answered = call.reply.fallback.as_ref();
    snapshot.last_call = Some(LastCall {
        usage_id: call.usage_id.clone(),
        model: answered.map_or_else(|| call.model.clone(), |fallback| fallback.to.clone()),
        latency: call.reply.latency.as_secs_f64(),
        response_id: call.reply.id.clone(),
        cost: call.reply.cost,
    });
    let total = total.plus(&call.reply.usage, call.reply.cost.unwrap_or(0.0));
    snapshot
        .usage_to_metrics
        .insert(call.usage_id.clone(), total);
    Draft::state("stats", json!(snapshot))
}
