//! Whether the budgets allow the next call.

use std::ops::ControlFlow::{self, Break, Continue};

use core_model::{
    Agent, ConversationState, LlmSettings,
    budget::{Budget, BudgetReached, BudgetScope, Budgets, Spent},
};

use crate::{
    RuntimeError,
    config::Connect,
    residency::live_conversation::LiveConversation,
    spending::ScopedBudget,
    turn::{condense::settings::CondenserSettings, outcome::Outcome, prepare, state::Turn},
};

const UNKNOWN_PRICE: &str = "The price of the model is not known, so that what it costs cannot be \
     limited: set `input_cost_per_token` and `output_cost_per_token`, or limit tokens instead.";

/// What a turn knows of its spending beside the conversation's state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TurnSpending {
    /// What the conversation had spent when the turn began.
    before: Spent,
    /// A call was made whose price is not known.
    unpriced: bool,
}

impl TurnSpending {
    pub(super) fn new(state: &ConversationState) -> Self {
        Self {
            before: state.spent(),
            unpriced: false,
        }
    }

    /// Takes note of a call's cost.
    pub(super) fn paid(&mut self, cost: Option<f64>) {
        self.unpriced |= cost.is_none();
    }
}

/// Ends the turn when a budget does not allow one more model call.
pub(super) async fn allow_model_call(
    turn: &Turn,
    state: &ConversationState,
) -> ControlFlow<Outcome> {
    let unpriced = turn.spending.unpriced || !turn.model.has_price();
    for scoped in scopes(turn, state).await {
        let reached = scoped.reached();
        if let Some(reached) = reached.or_else(|| unlimitable(&scoped, unpriced)) {
            return Break(Outcome::BudgetReached(reached));
        }
    }
    Continue(())
}

/// A limit on costs that cannot be known.
fn unlimitable(scoped: &ScopedBudget, unpriced: bool) -> Option<BudgetReached> {
    let max = scoped.limits.max_cost_usd.filter(|_| unpriced)?;
    Some(scoped.about(BudgetReached {
        scope: scoped.scope,
        key: None,
        period: None,
        limit: "max_cost_usd".to_owned(),
        max,
        spent: scoped.spent.cost_usd,
        detail: Some(UNKNOWN_PRICE.to_owned()),
    }))
}

/// Whether the budgets allow a model call outside of a turn, such as one that answers a question about the
/// conversation. The limits of a turn do not count for it.
///
/// # Errors
/// [`RuntimeError::BudgetReached`].
pub(crate) async fn allow_outside_call(live: &LiveConversation) -> Result<(), RuntimeError> {
    let now = live.now();
    let key = now.metadata.settings.api_key_name.as_deref();
    let shared = live.runtime.spending.scopes(key).await;
    let scopes = std::iter::once(of_conversation(&now.state)).chain(shared);
    match scopes.into_iter().find_map(|scoped| scoped.reached()) {
        Some(reached) => Err(RuntimeError::BudgetReached(reached)),
        None => Ok(()),
    }
}

/// Refuses to limit the cost of a conversation whose cost cannot be known. `llm`: the agent's model from
/// now on; None: the one it has.
///
/// # Errors
/// [`RuntimeError::Invalid`].
pub(crate) fn check_prices(
    live: &LiveConversation,
    llm: Option<&LlmSettings>,
    budgets: &Budgets,
) -> Result<(), RuntimeError> {
    // An agent that this build cannot read never runs.
    let Ok(mut agent) = prepare::agent(live) else {
        return Ok(());
    };
    if let Some(llm) = llm {
        agent.llm = llm.clone();
    }
    check_agent_prices(&live.runtime.config.connect, &agent, budgets)
}

/// The same for an agent.
///
/// # Errors
/// [`RuntimeError::Invalid`].
pub(crate) fn check_agent_prices(
    connect: &Connect,
    agent: &Agent,
    budgets: &Budgets,
) -> Result<(), RuntimeError> {
    if budgets.conversation.max_cost_usd.is_none() && budgets.turn.max_cost_usd.is_none() {
        return Ok(());
    }
    let condenser = CondenserSettings::of(agent).ok().flatten();
    let condenser = condenser.and_then(|condenser| condenser.llm);
    for llm in std::iter::once(&agent.llm).chain(&condenser) {
        // What cannot be reached fails by itself.
        if connect(llm).is_ok_and(|model| !model.has_price()) {
            return Err(RuntimeError::Invalid(format!(
                "`max_cost_usd` cannot be kept: the price of the model `{}`, or of one of its fallbacks, is \
                 not known. Set `input_cost_per_token` and `output_cost_per_token`, or limit tokens instead.",
                llm.model
            )));
        }
    }
    Ok(())
}

/// How many of the pending calls the budgets allow. Ends the turn when there is none.
pub(super) async fn allowed_tool_calls(
    turn: &Turn,
    state: &ConversationState,
) -> ControlFlow<Outcome, usize> {
    let mut allowed = state.pending.len();
    for mut scoped in scopes(turn, state).await {
        scoped.limits = Budget {
            max_tool_calls: scoped.limits.max_tool_calls,
            max_wall_seconds: scoped.limits.max_wall_seconds,
            ..Budget::default()
        };
        if let Some(reached) = scoped.reached() {
            return Break(Outcome::BudgetReached(reached));
        }
        if let Some(max) = scoped.limits.max_tool_calls {
            let left = max.saturating_sub(scoped.spent.tool_calls);
            allowed = allowed.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
    }
    Continue(allowed)
}

async fn scopes(turn: &Turn, state: &ConversationState) -> Vec<ScopedBudget> {
    let of_turn = ScopedBudget {
        scope: BudgetScope::Turn,
        limits: state.budgets.turn,
        spent: state.spent().since(&turn.spending.before),
        ..of_conversation(state)
    };
    let key = turn.metadata.settings.api_key_name.as_deref();
    let shared = turn.live.runtime.spending.scopes(key).await;
    let mut scopes = vec![of_conversation(state), of_turn];
    scopes.extend(shared);
    scopes
}

fn of_conversation(state: &ConversationState) -> ScopedBudget {
    ScopedBudget {
        scope: BudgetScope::Conversation,
        key: None,
        period: None,
        limits: state.budgets.conversation,
        spent: state.spent(),
    }
}
