use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens counted, by one call or added up. `prompt_tokens` includes the cached ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenUsage {
    pub model: String,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    pub reasoning_tokens: u64,
    /// The model's context window in tokens, 0 when unknown.
    pub context_window: u64,
    /// Prompt and completion of the last call.
    pub per_turn_token: u64,
    pub response_id: String,
}

/// What a conversation has spent so far on one use of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetricsSnapshot {
    pub model_name: String,
    /// US dollars; 0 when the price is unknown.
    pub accumulated_cost: f64,
    pub max_budget_per_task: Option<f64>,
    pub accumulated_token_usage: Option<TokenUsage>,
}

/// One model call's price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    pub model: String,
    /// US dollars.
    pub cost: f64,
    /// Seconds since the epoch.
    pub timestamp: f64,
}

/// How long one model call took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseLatency {
    pub model: String,
    /// Seconds.
    pub latency: f64,
    pub response_id: String,
}

/// A snapshot with the list of calls behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Metrics {
    #[serde(flatten)]
    pub total: MetricsSnapshot,
    pub costs: Vec<Cost>,
    pub response_latencies: Vec<ResponseLatency>,
    pub token_usages: Vec<TokenUsage>,
}

/// Metrics by usage id (`agent`, `condenser`, …).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConversationStats {
    pub usage_to_metrics: BTreeMap<String, Metrics>,
}

/// The value of a `stats` event: totals, and the call that they were renewed for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatsSnapshot {
    pub usage_to_metrics: BTreeMap<String, MetricsSnapshot>,
    /// None in the logs of older builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_call: Option<LastCall>,
}

/// What totals do not say of the call that was added to them last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastCall {
    /// Whose totals it was added to.
    pub usage_id: String,
    /// The model that answered, which is another one than the totals' after a fallback.
    pub model: String,
    /// Seconds from the request that was answered to the end of its reply.
    pub latency: f64,
    pub response_id: String,
    /// US dollars; None when the price is not known.
    pub cost: Option<f64>,
}

impl MetricsSnapshot {
    /// The totals after one more call.
    #[must_use]
    pub fn plus(mut self, call: &TokenUsage, cost: f64) -> Self {
        let total = self.accumulated_token_usage.get_or_insert_default();
        total.model.clone_from(&call.model);
        total.prompt_tokens += call.prompt_tokens;
        total.completion_tokens += call.completion_tokens;
        total.cache_read_tokens += call.cache_read_tokens;
        total.cache_write_tokens += call.cache_write_tokens;
        total.reasoning_tokens += call.reasoning_tokens;
        total.context_window = call.context_window;
        total.per_turn_token = call.prompt_tokens + call.completion_tokens;
        self.accumulated_cost += cost;
        self
    }
}

impl Metrics {
    /// Takes new totals; the difference to the old ones is the call they paid for, of which `call` says
    /// the rest.
    pub fn advance(
        &mut self,
        total: MetricsSnapshot,
        call: Option<&LastCall>,
        at_epoch_seconds: f64,
    ) {
        let model = call.map_or(&total.model_name, |call| &call.model).clone();
        let response_id = call.map(|call| call.response_id.clone());
        let response_id = response_id.unwrap_or_default();
        let cost = total.accumulated_cost - self.total.accumulated_cost;
        let before = self
            .total
            .accumulated_token_usage
            .clone()
            .unwrap_or_default();
        let after = total.accumulated_token_usage.clone().unwrap_or_default();
        let more = |count: fn(&TokenUsage) -> u64| count(&after).saturating_sub(count(&before));
        let prompt_tokens = more(|usage| usage.prompt_tokens);
        let completion_tokens = more(|usage| usage.completion_tokens);
        if cost > 0.0 {
            self.costs.push(Cost {
                model: model.clone(),
                cost,
                timestamp: at_epoch_seconds,
            });
        }
        if prompt_tokens + completion_tokens > 0 {
            self.token_usages.push(TokenUsage {
                model: model.clone(),
                prompt_tokens,
                completion_tokens,
                cache_read_tokens: more(|usage| usage.cache_read_tokens),
                cache_write_tokens: more(|usage| usage.cache_write_tokens),
                reasoning_tokens: more(|usage| usage.reasoning_tokens),
                context_window: after.context_window,
                per_turn_token: prompt_tokens + completion_tokens,
                response_id: response_id.clone(),
            });
        }
        if let Some(call) = call {
            self.response_latencies.push(ResponseLatency {
                model,
                latency: call.latency.max(0.0),
                response_id,
            });
        }
        self.total = total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_two_totals_is_the_call_between_them() {
        let call = TokenUsage {
            prompt_tokens: 10,
            completion_tokens: 3,
            ..TokenUsage::default()
        };
        let first = MetricsSnapshot {
            model_name: "m".into(),
            ..Default::default()
        }
        .plus(&call, 0.5);
        let second = first.clone().plus(&call, 0.25);
        let mut metrics = Metrics::default();
        let fallback = LastCall {
            usage_id: "agent".into(),
            model: "other".into(),
            latency: 1.5,
            response_id: "r2".into(),
            cost: Some(0.25),
        };
        metrics.advance(first, None, 1.0);
        metrics.advance(second.clone(), Some(&fallback), 2.0);
        assert_eq!(metrics.total, second);
        let costs: Vec<f64> = metrics.costs.iter().map(|c| c.cost).collect();
        assert_eq!(costs, [0.5, 0.25]);
        let prompts: Vec<u64> = metrics
            .token_usages
            .iter()
            .map(|u| u.prompt_tokens)
            .collect();
        assert_eq!(prompts, [10, 10]);
        let models: Vec<&str> = metrics.costs.iter().map(|c| c.model.as_str()).collect();
        assert_eq!(models, ["m", "other"]);
        assert_eq!(metrics.token_usages[1].response_id, "r2");
        let latency = ResponseLatency {
            model: "other".into(),
            latency: 1.5,
            response_id: "r2".into(),
        };
        assert_eq!(metrics.response_latencies, [latency]);
    }
}
