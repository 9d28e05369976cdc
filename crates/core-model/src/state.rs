use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ConfirmationPolicy, Event, EventBody, EventId, EventTime, ExecutionStatus, Metadata,
    QueuedMessage, Waiting,
    approval::ApprovedCommand,
    budget::{BudgetReached, Budgets, Spent},
    event::ConversationStateUpdateEvent,
    goal::Goal,
    usage::{ConversationStats, StatsSnapshot},
};

/// The state of a conversation: the fold over the events of its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationState {
    pub execution_status: ExecutionStatus,
    pub confirmation_policy: ConfirmationPolicy,
    pub security_analyzer: Option<Value>,
    pub tags: BTreeMap<String, String>,
    pub agent_state: Map<String, Value>,
    pub last_user_message_id: Option<EventId>,
    /// HEAD: the event that the next one follows.
    pub leaf_event_id: Option<EventId>,
    pub stats: ConversationStats,
    /// Tool calls of the active branch that have no answer yet, in call order.
    pub pending: Vec<PendingAction>,
    /// Whether the agent has got its system prompt.
    pub initialised: bool,
    /// The tools that have answered a call.
    #[serde(default)]
    pub used_tools: BTreeSet<String>,
    /// Tools that are offered because a search found them, in the order of finding.
    #[serde(default)]
    pub found_tools: Vec<String>,
    /// What was last told of the agent's MCP servers.
    #[serde(default)]
    pub mcp_servers: Value,
    /// Whether HEAD was ever moved to another event than the last one.
    #[serde(default)]
    pub head_moved: bool,
    /// Messages that wait for the next turn, the first one first.
    #[serde(default)]
    pub queued: Vec<QueuedMessage>,
    /// What only a person can do.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// What the conversation may spend.
    #[serde(default)]
    pub budgets: Budgets,
    /// Commands that need no consent any more.
    #[serde(default)]
    pub approved_commands: Vec<ApprovedCommand>,
    /// The limit that paused it, until it runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<BudgetReached>,
    /// What the agent was last told to work towards.
    #[serde(default)]
    pub goal: Option<Goal>,
    /// Verdicts in a row that said of the goal what the one before had said.
    #[serde(default)]
    pub repeated_verdicts: u32,
    /// Counted since this was introduced; see [`Self::spent`].
    #[serde(default)]
    counted: Counted,
    /// What the original of a copy had spent, which is not the copy's.
    #[serde(default)]
    spent_before: Spent,
    pub last_timestamp: Option<EventTime>,
    /// Time of the last event that is not a state update.
    pub updated_at: Option<EventTime>,
}

/// What no total of the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Counted {
    model_calls: u64,
    unpriced_calls: u64,
    tool_calls: u64,
    /// Seconds in which the status was `running`.
    wall_seconds: f64,
}

/// Stands in the log before what a run is given that a stop of the server cut off: the time since the
/// event before it is none in which the agent worked.
pub const RUN_CUT_OFF: &str = "run_cut_off";

/// A running agent is silent no longer than this, in seconds. What is more is a server that was down, in
/// the log of a build that did not yet write [`RUN_CUT_OFF`].
const LONGEST_SILENCE: f64 = 3_600.0;

/// A tool call without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAction {
    pub action_id: EventId,
    pub tool_name: String,
    pub tool_call_id: String,
}

impl ConversationState {
    /// The state of a conversation whose log is empty.
    #[must_use]
    pub fn new(metadata: &Metadata) -> Self {
        Self {
            execution_status: ExecutionStatus::Idle,
            confirmation_policy: metadata.settings.confirmation_policy,
            security_analyzer: metadata.settings.security_analyzer.clone(),
            tags: metadata.settings.tags.clone(),
            agent_state: Map::new(),
            last_user_message_id: None,
            leaf_event_id: None,
            stats: ConversationStats::default(),
            pending: Vec::new(),
            initialised: false,
            used_tools: BTreeSet::new(),
            found_tools: Vec::new(),
            mcp_servers: Value::Null,
            head_moved: false,
            queued: Vec::new(),
            waiting: None,
            budgets: metadata.settings.budgets,
            approved_commands: Vec::new(),
            paused_by: None,
            goal: None,
            repeated_verdicts: 0,
            counted: Counted::default(),
            spent_before: Spent::default(),
            last_timestamp: None,
            updated_at: None,
        }
    }

    /// Takes the log's next event into account. Pure; an unknown kind only moves HEAD.
    pub fn apply(&mut self, event: &Event) {
        self.count_time(event);
        self.last_timestamp = Some(event.timestamp);
        if let EventBody::ConversationStateUpdateEvent(update) = &event.body {
            self.update(update, event.timestamp);
            return;
        }
        self.updated_at = Some(event.timestamp);
        self.leaf_event_id = Some(event.id.clone());
        match &event.body {
            EventBody::SystemPromptEvent(_) => self.initialised = true,
            EventBody::ActionEvent(action) => {
                self.counted.tool_calls += 1;
                self.pending.push(PendingAction {
                    action_id: event.id.clone(),
                    tool_name: action.tool_name.clone(),
                    tool_call_id: action.tool_call_id.clone(),
                });
            }
            EventBody::ObservationEvent(seen) => {
                self.answer(&seen.action_id);
                if !self.used_tools.contains(&seen.tool_name) {
                    self.used_tools.insert(seen.tool_name.clone());
                }
            }
            EventBody::UserRejectObservation(reject) => self.answer(&reject.action_id),
            EventBody::AgentErrorEvent(error) => {
                // By call id alone, because errors name no action: the oldest unanswered one.
                let open = |p: &PendingAction| p.tool_call_id == error.tool_call_id;
                if let Some(found) = self.pending.iter().position(open) {
                    self.pending.remove(found);
                }
            }
            EventBody::MessageEvent(_)
            | EventBody::ConversationErrorEvent(_)
            | EventBody::ServerErrorEvent(_)
            | EventBody::ConversationStateUpdateEvent(_)
            | EventBody::PauseEvent(_)
            | EventBody::InterruptEvent(_)
            | EventBody::CondensationRequest(_)
            | EventBody::Condensation(_)
            | EventBody::SecurityAnalysisEvent(_)
            | EventBody::StreamingDeltaEvent(_)
            | EventBody::Unknown(_) => {}
        }
    }

    /// [`Self::apply`] for an event as a log stores it.
    ///
    /// # Errors
    /// When the bytes cannot be read as an event; the state stays as it was.
    pub fn apply_bytes(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        self.apply(&Event::from_slice(bytes)?);
        Ok(())
    }

    /// What was spent so far, without the calls of tools that wait to be made. Calls and time are those since a build that counts them wrote the log or
    /// folded it.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.spent_in_all().since(&self.spent_before)
    }

    /// As [`Self::spent`], with what the original of a copy had spent.
    #[must_use]
    pub fn spent_in_all(&self) -> Spent {
        let mut spent = Spent {
            wall_seconds: self.counted.wall_seconds,
            tool_calls: (self.counted.tool_calls).saturating_sub(self.pending.len() as u64),
            model_calls: self.counted.model_calls,
            unpriced_calls: self.counted.unpriced_calls,
            ..Spent::default()
        };
        for metrics in self.stats.usage_to_metrics.values() {
            spent.cost_usd += metrics.total.accumulated_cost;
            if let Some(usage) = &metrics.total.accumulated_token_usage {
                spent.tokens += usage.prompt_tokens + usage.completion_tokens;
            }
        }
        spent
    }

    fn count_time(&mut self, event: &Event) {
        let cut_off = matches!(
            &event.body,
            EventBody::ConversationStateUpdateEvent(update) if update.key == RUN_CUT_OFF
        );
        if self.execution_status == ExecutionStatus::Running
            && !cut_off
            && let Some(last) = self.last_timestamp
        {
            let passed = event.timestamp.epoch_seconds() - last.epoch_seconds();
            self.counted.wall_seconds += passed.clamp(0.0, LONGEST_SILENCE);
        }
    }

    fn answer(&mut self, action_id: &EventId) {
        self.pending
            .retain(|pending| pending.action_id != *action_id);
    }

    fn update(&mut self, update: &ConversationStateUpdateEvent, at: EventTime) {
        match update.key.as_str() {
            "execution_status" => {
                take(&update.value, &mut self.execution_status);
                if self.execution_status != ExecutionStatus::Paused {
                    self.paused_by = None;
                }
            }
            "budget_reached" => take(&update.value, &mut self.paused_by),
            "last_user_message_id" => take(&update.value, &mut self.last_user_message_id),
            "leaf_event_id" => {
                take(&update.value, &mut self.leaf_event_id);
                self.head_moved = true;
                // Calls of the branch that is left are not made.
                let unmade = self.pending.len() as u64;
                self.counted.tool_calls = self.counted.tool_calls.saturating_sub(unmade);
                self.pending.clear();
                self.initialised &= self.leaf_event_id.is_some();
            }
            "confirmation_policy" => take(&update.value, &mut self.confirmation_policy),
            "security_analyzer" => take(&update.value, &mut self.security_analyzer),
            "tags" => take(&update.value, &mut self.tags),
            "agent_state" => take(&update.value, &mut self.agent_state),
            "spent_before" => take(&update.value, &mut self.spent_before),
            "approved_commands" => take(&update.value, &mut self.approved_commands),
            "found_tools" => take(&update.value, &mut self.found_tools),
            "mcp_servers" => take(&update.value, &mut self.mcp_servers),
            "queued_messages" => take(&update.value, &mut self.queued),
            "waiting" => take(&update.value, &mut self.waiting),
            "budgets" => take(&update.value, &mut self.budgets),
            "goal" => self.take_goal(&update.value),
            "stats" => {
                let mut totals = StatsSnapshot::default();
                take(&update.value, &mut totals);
                if totals.usage_to_metrics.is_empty() {
                    // A copy that has spent nothing.
                    self.stats = ConversationStats::default();
                }
                self.take_stats(totals, at);
            }
            _ => {}
        }
    }

    fn take_goal(&mut self, value: &Value) {
        let Ok(goal) = Goal::deserialize(value) else {
            return;
        };
        let before = self.goal.as_ref();
        let repeats = before.is_some_and(|before| goal.lacks_the_same(before));
        self.repeated_verdicts = if repeats {
            self.repeated_verdicts + 1
        } else {
            0
        };
        self.goal = Some(goal);
    }
}

impl ConversationState {
    fn take_stats(&mut self, totals: StatsSnapshot, at: EventTime) {
        let last_call = totals.last_call.as_ref();
        for (usage_id, total) in totals.usage_to_metrics {
            let call = last_call.filter(|call| call.usage_id == usage_id);
            let metrics = self.stats.usage_to_metrics.entry(usage_id).or_default();
            // A call may have cost nothing and told no tokens.
            if metrics.total != total || call.is_some() {
                self.counted.model_calls += 1;
                let unpriced = call.is_some_and(|call| call.cost.is_none());
                self.counted.unpriced_calls += u64::from(unpriced);
                metrics.advance(total, call, at.epoch_seconds());
            }
        }
    }
}

/// Replaces `slot` if `value` fits it: a key of a future version must not break the fold.
fn take<T: serde::de::DeserializeOwned>(value: &Value, slot: &mut T) {
    if let Ok(new) = T::deserialize(value) {
        *slot = new;
    }
}

#[cfg(test)]
mod tests;
